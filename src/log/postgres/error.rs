//! Why a session with the database can't be used.

use super::client::CallError;
use crate::log::LogError;

/// Why a session can't be used.
#[derive(Debug)]
pub(super) enum SessionError {
    /// The database does not answer, or not as one that can be written: it may later.
    Unavailable(String),
    /// This is not a database that the node may write to: a sentence that says what to do.
    Unusable(String),
}

impl From<CallError> for SessionError {
    fn from(error: CallError) -> Self {
        Self::Unavailable(error.text())
    }
}

impl From<SessionError> for LogError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Unavailable(reason) => Self::Unavailable(reason),
            SessionError::Unusable(reason) => Self::Database(reason),
        }
    }
}
