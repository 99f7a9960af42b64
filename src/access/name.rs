//! Names and ids of workspaces, roles, permission sets and permissions.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::text::fold;

/// Longest id and longest permission, in characters.
pub(crate) const MAX_ID: usize = 64;
/// How many hexadecimal digits an id has that is derived from a name.
const DERIVED_DIGITS: usize = 24;

/// A thing that has a name and an id.
pub(crate) trait Named {
    /// What it is, for people.
    const KIND: &'static str;

    fn name(&self) -> &str;

    fn id(&self) -> Option<&str>;

    /// Whether a text is its name, in any letter case, or its id.
    fn is_called(&self, text: &str) -> bool {
        fold(self.name()) == fold(text) || self.id() == Some(text)
    }
}

/// Returns the id of a thing that is configured without one.
///
/// It depends on nothing but the names, in any letter case, and never changes.
pub(crate) fn derived_id(names: &[&str]) -> String {
    let folded: Vec<_> = names.iter().map(|name| fold(name)).collect();
    let digest = Sha256::digest(folded.join("\u{0}").as_bytes());
    let mut digits = HEXLOWER.encode(&digest);
    digits.truncate(DERIVED_DIGITS);
    digits
}

/// Whether a text can be a permission or a department: 1 to 64 of `a-z`, `0-9` and `_`.
pub(crate) fn is_permission(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// Whether a text can be an id: 1 to 64 letters, digits, `.`, `_` or `-`.
pub(crate) fn is_id(id: &str) -> bool {
    (1..=MAX_ID).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}
