//! Tokens in the texts of clients.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// What a token begins with.
const TOKEN: &str = "scimd_";

static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(TOKEN));

/// Whether a text may hold a token of scimd.
pub(super) fn has_token(text: &[u8]) -> bool {
    FINDER.find(text).is_some()
}

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
