//! Why a session with the database can't be used.

use super::client::CallError;
use crate::log::LogError;

/// Why a session can't be used.
#[derive(Debug)]
pub(super) enum SessionError {
    /// The database does not answer as one that can be written: it may later.
    Unavailable(String),
    /// The database has not answered in time.
    Silent(String),
    /// This is not a database that the node may write to: a sentence that says what to do.
    Unusable(String),
}

impl From<CallError> for SessionError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Silent(reason) => Self::Silent(reason),
            CallError::Unusable(reason) => Self::Unusable(reason),
            error => Self::Unavailable(error.text()),
        }
    }
}

impl From<SessionError> for LogError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Unavailable(reason) | SessionError::Silent(reason) => {
                Self::Unavailable(reason)
            }
            SessionError::Unusable(reason) => Self::Database(reason),
        }
    }
}

impl From<CallError> for LogError {
    fn from(error: CallError) -> Self {
        SessionError::from(error).into()
    }
}
