//! Tokens in the texts of clients.

/// What a token begins with.
const TOKEN: &str = "scimd_";

/// Replaces everything in a text that looks like a token of scimd.
pub(super) fn mask_tokens(text: &mut String) {
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find(TOKEN)) {
        let start = from + at + TOKEN.len();
        let rest = text.get(start..).unwrap_or_default();
        let length = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
        if length > 8 {
            text.replace_range(start..start + length, "***");
        }
        from = start;
    }
}
