//! Long or foreign texts, shortened and escaped for messages.

use std::borrow::Cow;
use std::fmt;

/// The first characters of a text, escaped: what [`excerpt`] returns.
#[derive(Clone, Copy, Debug)]
pub struct Excerpt<'a>(&'a str);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.escape_debug(), f)
    }
}

/// Displays the first `max_chars` characters of a text, with quotes and control characters escaped.
///
/// Messages that repeat what a client sent use it: the text is bounded, stays on one line and stays
/// inside its quotes.
pub fn excerpt(text: &str, max_chars: usize) -> Excerpt<'_> {
    let end = text.char_indices().nth(max_chars).map_or(text.len(), |(end, _)| end);
    Excerpt(text.get(..end).unwrap_or_default())
}

/// Cuts a text to at most `max_bytes` bytes, between characters; `…` marks the cut.
pub fn shorten(text: &str, max_bytes: usize) -> Cow<'_, str> {
    match text.get(..text.floor_char_boundary(max_bytes)) {
        Some(start) if text.len() > max_bytes => Cow::Owned(format!("{start}…")),
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_counts_characters_and_escapes_them_afterwards() {
        assert_eq!(excerpt("äöü", 2).to_string(), "äö");
        assert_eq!(excerpt("a\"\nb", 3).to_string(), "a\\\"\\n");
        assert_eq!(excerpt("ab", 2).to_string(), "ab");
        assert_eq!(excerpt("ab", 0).to_string(), "");
    }

    #[test]
    fn a_shortened_text_ends_between_characters() {
        assert_eq!(shorten("äö", 4), "äö");
        assert_eq!(shorten("äö", 3), "ä…");
        assert_eq!(shorten("äö", 1), "…");
    }
}
