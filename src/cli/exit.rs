//! The kinds of failure, and their exit codes.

use crate::config::ConfigError;

/// The kind of a failure, which decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitKind {
    /// The command was tried and failed: exit code 1.
    Failure,
    /// The command line or the configuration is wrong: exit code 2.
    Usage,
}

impl ExitKind {
    /// The kind of failure that an error is.
    pub fn of(error: &anyhow::Error) -> Self {
        if error.is::<ConfigError>() || error.is::<UsageError>() {
            Self::Usage
        } else {
            Self::Failure
        }
    }
}

/// A wrong use of a command.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct UsageError(pub(super) String);
