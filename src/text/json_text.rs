//! Text in JSON, for what is written for every request or member: quicker than serde where nothing is escaped.

/// Appends a text as JSON has it between quotes, without them.
pub fn push_escaped(text: &str, out: &mut Vec<u8>) {
    // It does not stop early, so that the compiler compares many bytes at once.
    let escapes = |bad, byte| bad | (byte < b' ') | (byte == b'"') | (byte == b'\\');
    if text.bytes().fold(false, escapes) {
        let quoted = serde_json::to_vec(text).unwrap_or_default();
        out.extend_from_slice(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default());
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

/// Appends a text as a JSON string.
pub fn push_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    push_escaped(text, out);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn it_is_what_serde_writes(text in "(\\PC|[\\x00-\\x20\\x7f\"\\\\]){0,40}") {
            let mut out = Vec::new();
            push_string(&text, &mut out);
            assert_eq!(out, serde_json::to_vec(&text).unwrap());
        }
    }
}
