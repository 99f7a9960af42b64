//! Values from a closed list of words.

use super::{InvalidText, nearest};

/// Returns the member of `all` that is written `text`; `what` names the list in the error.
///
/// # Errors
///
/// Any other text; the error names the nearest word.
pub fn parse<T: Copy>(
    what: &str,
    all: &[T],
    as_str: impl Fn(T) -> &'static str,
    text: &str,
) -> Result<T, InvalidText> {
    if let Some(found) = all.iter().copied().find(|&one| as_str(one) == text) {
        return Ok(found);
    }
    let words: Vec<&str> = all.iter().copied().map(as_str).collect();
    let hint = nearest(text, words.iter().copied())
        .map(|word| format!(" (did you mean {word:?}?)"))
        .unwrap_or_default();
    let list = words.join(", ");
    Err(InvalidText::new(format!("unknown {what} {text:?}; expected one of {list}{hint}")))
}

/// Implements `FromStr`, `Serialize` and `Deserialize` for an enum with a list `ALL` and a method
/// `as_str`; `$what` names the list in errors.
macro_rules! keyword {
    ($type:ty, $what:literal) => {
        impl std::str::FromStr for $type {
            type Err = $crate::text::InvalidText;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::text::keyword::parse($what, &Self::ALL, Self::as_str, text)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use keyword;
