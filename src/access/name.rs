//! Names and ids of workspaces, roles, permission sets and permissions.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::text::fold;

/// The maximum length of an id or a permission, in characters.
pub(crate) const MAX_ID: usize = 64;
/// The number of hexadecimal digits in an id that is derived from a name.
const DERIVED_DIGITS: usize = 24;

/// A catalogue item that has a name and an id.
pub(crate) trait Named {
    /// The kind of item, as shown in messages.
    const KIND: &'static str;

    fn name(&self) -> &str;

    fn id(&self) -> Option<&str>;

    /// Whether a text is the item's name, in any letter case, or its id.
    fn is_called(&self, text: &str) -> bool {
        fold(self.name()) == fold(text) || self.id() == Some(text)
    }
}

/// Returns the id of an item that is configured without one.
///
/// The id depends only on the names, regardless of letter case, and is stable.
pub(crate) fn derived_id(names: &[&str]) -> String {
    let folded: Vec<_> = names.iter().map(|name| fold(name)).collect();
    let digest = Sha256::digest(folded.join("\u{0}").as_bytes());
    let mut digits = HEXLOWER.encode(&digest);
    digits.truncate(DERIVED_DIGITS);
    digits
}

/// Whether a text is a well-formed permission or department: 1 to 64 of `a-z`, `0-9` and `_`.
pub(crate) fn is_permission(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// Whether a text is a well-formed id: 1 to 64 letters, digits, `.`, `_` or `-`.
pub(crate) fn is_id(id: &str) -> bool {
    (1..=MAX_ID).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}
