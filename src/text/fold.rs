//! The form in which two spellings of one name are equal.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

/// Returns `text` in the form in which values are compared when letter case does not matter.
///
/// The form is lower case, character by character, in Unicode normal form C: `É` written as one
/// character, or as `E` and an accent, gives one result. Folding twice changes nothing.
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Cow::Owned(text.to_ascii_lowercase());
        }
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.nfc().flat_map(char::to_lowercase).nfc().collect())
}
