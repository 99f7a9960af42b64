//! Values that must not be seen: no `Debug`, no `Display`, no `Serialize`, wiped when dropped.

use zeroize::Zeroizing;

/// A text that must not reach a log, an error or the disk.
///
/// It has no trait that prints it. [`Secret::expose`] is the one way to read it, so that every
/// reading can be found by that word.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text into custody.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Hands out the text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}
