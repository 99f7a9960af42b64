//! How values compare.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

/// `text` in the form in which values are compared when letter case does not matter.
///
/// Lower case, character by character, in Unicode normal form C: `É` as one character, or as `E`
/// and an accent, is one name. Folding twice changes nothing.
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Cow::Owned(text.to_ascii_lowercase());
        }
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.nfc().flat_map(char::to_lowercase).nfc().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letter_case_and_composition_do_not_matter() {
        assert_eq!(fold("User@Example.COM"), "user@example.com");
        assert_eq!(fold("\u{c9}va"), fold("E\u{301}VA"));
        assert_eq!(fold("\u{3a3}\u{39f}\u{3a3}"), fold("\u{3c3}\u{3bf}\u{3c3}"));
        assert_ne!(fold("\u{131}"), fold("i"), "dotless i is another letter");
    }

    #[test]
    fn folding_twice_changes_nothing_for_every_character() {
        for character in (0..=0x10_ffff_u32).filter_map(char::from_u32) {
            let text = format!("a{character}b");
            let once = fold(&text).into_owned();
            assert_eq!(fold(&once), once, "U+{:04X}", u32::from(character));
        }
    }
}
