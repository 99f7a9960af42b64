//! Values from a closed list of words.

use super::Invalid;
use crate::text::nearest;

/// Finds the member of `all` that is written `text`; `what` names the list in the error.
pub(super) fn parse<T: Copy>(
    what: &str,
    all: &[T],
    as_str: impl Fn(T) -> &'static str,
    text: &str,
) -> Result<T, Invalid> {
    if let Some(found) = all.iter().copied().find(|&one| as_str(one) == text) {
        return Ok(found);
    }
    let words: Vec<&str> = all.iter().copied().map(as_str).collect();
    let hint = nearest(text, words.iter().copied())
        .map(|word| format!(" (did you mean {word:?}?)"))
        .unwrap_or_default();
    let list = words.join(", ");
    Err(Invalid::new(format!("unknown {what} {text:?}; expected one of {list}{hint}")))
}
