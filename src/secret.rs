//! Secret values: no `Debug`, no `Display`, no `Serialize`, zeroized when dropped.

use zeroize::Zeroizing;

/// A text that must not reach a log, an error or the disk.
///
/// No trait prints the text. [`Secret::expose`] is the only way to read it, so that every use can
/// be found by that name.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Returns the text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}
