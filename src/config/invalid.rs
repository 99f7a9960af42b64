//! Why a value is refused.

/// What is wrong with a value, and what is expected instead.
///
/// Always one line; the refused text is quoted in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

impl Invalid {
    /// Keeps a message that names the refused text and the expectation.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}
