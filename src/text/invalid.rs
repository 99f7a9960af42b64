//! Why a text is not a valid value.

/// A text that is not a valid value: what is wrong with it, and what is expected instead.
///
/// Always one line; the refused text is quoted in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidText(String);

impl InvalidText {
    /// Creates the error from a message that quotes the refused text and names what is expected.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}
