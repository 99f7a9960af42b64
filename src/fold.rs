//! When two texts are one name.

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
