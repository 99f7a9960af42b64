//! The kinds of failure, and their exit codes.

use crate::config::ConfigError;

/// The kind of a failure, which decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitKind {
    /// The command was tried and failed: exit code 1.
    Failure,
    /// The command line or the configuration is wrong: exit code 2.
    Usage,
    /// The command needs a running server: exit code 3.
    NotRunning,
    /// What was asked for does not exist: exit code 4.
    NotFound,
}

impl ExitKind {
    /// The kind of failure that an error is.
    pub fn of(error: &anyhow::Error) -> Self {
        if error.is::<ConfigError>() || error.is::<UsageError>() {
            Self::Usage
        } else if error.is::<NotRunningError>() {
            Self::NotRunning
        } else if error.is::<NotFoundError>() {
            Self::NotFound
        } else {
            Self::Failure
        }
    }
}

/// Whether a command ended because its output is closed, as with `| head`.
pub fn is_closed_output(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// A wrong use of a command.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct UsageError(pub(super) String);

/// Something that was asked for and does not exist.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotFoundError(pub(super) String);

/// A command that needs a running server, and none runs.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotRunningError(pub(super) String);
