//! How a command fails: the kinds of failure with their exit codes, and the one form in which they are reported.

use std::io::{self, ErrorKind};

use crate::config::ConfigError;
use crate::store::StoreError;

/// The kind of a failure, which decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitKind {
    /// The command was tried and failed, or found a problem.
    Failure,
    /// The command line or the configuration is wrong.
    Usage,
    /// The command needs a running server.
    NotRunning,
    /// What was asked for does not exist.
    NotFound,
    /// This user may not use the admin socket, the data directory or the configuration.
    NoPermission,
}

impl ExitKind {
    /// The kind of failure that an error is: that of its first cause that has one.
    pub fn of(error: &anyhow::Error) -> Self {
        error.chain().find_map(Self::of_cause).unwrap_or(Self::Failure)
    }

    fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Self> {
        if let Some(error) = cause.downcast_ref::<CliError>() {
            return Some(error.kind);
        }
        if let Some(error) = cause.downcast_ref::<ConfigError>() {
            return Some(match error {
                ConfigError::Unreadable { source, .. } if is_denied(source) => Self::NoPermission,
                _ => Self::Usage,
            });
        }
        let denied = match cause.downcast_ref::<io::Error>() {
            Some(error) => is_denied(error),
            None => matches!(cause.downcast_ref(), Some(StoreError::Denied(_))),
        };
        denied.then_some(Self::NoPermission)
    }

    /// The name of the kind for programs.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Failure => "failed",
            Self::Usage => "usage",
            Self::NotRunning => "not_running",
            Self::NotFound => "not_found",
            Self::NoPermission => "no_permission",
        }
    }

    /// The exit code of the process.
    pub fn code(self) -> u8 {
        match self {
            Self::Failure => 1,
            Self::Usage => 2,
            Self::NotRunning => 3,
            Self::NotFound => 4,
            Self::NoPermission => 5,
        }
    }
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == ErrorKind::PermissionDenied
}

/// Whether a command ended because its output is closed, as with `| head`.
pub fn is_closed_output(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// A failure for people: a line `error: ...` for each line of its text.
pub(super) fn error_lines(error: &anyhow::Error) -> Vec<String> {
    error_text(error).lines().map(|line| format!("error: {line}")).collect()
}

/// What is wrong and what to do, without the numbers of the operating system.
pub(super) fn error_text(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        // Some errors say their cause themselves.
        if !text.contains(&cause) {
            let separator = if text.is_empty() { "" } else { ": " };
            text.push_str(separator);
            text.push_str(&cause);
        }
    }
    let mut text = without_error_numbers(&text);
    let says_who = ["sudo", "root", "run as", "as that user"].iter().any(|who| text.contains(who));
    if ExitKind::of(error) == ExitKind::NoPermission && !says_who {
        text.push_str("; run it with sudo, or as the user that runs scimd");
    }
    text
}

/// A text without the numbers of the operating system's errors, which their words say already.
fn without_error_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if number.bytes().all(|digit| digit.is_ascii_digit()) => {
                whole.push_str(rest);
            }
            _ => whole.extend([" (os error ", part]),
        }
    }
    whole
}

/// The failure of a command: its kind, and a text that says what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct CliError {
    kind: ExitKind,
    text: String,
}

impl CliError {
    /// A failure of a kind.
    pub(super) fn of_kind(kind: ExitKind, text: impl Into<String>) -> anyhow::Error {
        Self { kind, text: text.into() }.into()
    }

    /// A wrong use of a command.
    pub(super) fn usage(text: impl Into<String>) -> anyhow::Error {
        Self::of_kind(ExitKind::Usage, text)
    }

    /// Something that was asked for and does not exist.
    pub(super) fn not_found(text: impl Into<String>) -> anyhow::Error {
        Self::of_kind(ExitKind::NotFound, text)
    }

    /// A command that needs a running server, and none runs.
    pub(super) fn not_running(text: impl Into<String>) -> anyhow::Error {
        Self::of_kind(ExitKind::NotRunning, text)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use anyhow::Context as _;

    use super::*;

    fn denied() -> io::Error {
        io::Error::from_raw_os_error(13)
    }

    #[test]
    fn a_cause_is_said_once_without_its_number_and_with_what_to_do() {
        let missing = ConfigError::Unreadable {
            file: PathBuf::from("nope.toml"),
            source: io::Error::from_raw_os_error(2),
        };
        let error = anyhow::Error::from(missing);
        assert_eq!(ExitKind::of(&error), ExitKind::Usage);
        assert_eq!(
            error_lines(&error),
            ["error: nope.toml: cannot be read: No such file or directory"]
        );
        let error = Err::<(), _>(denied()).context("can't read data/lock").unwrap_err();
        assert_eq!(
            error_lines(&error),
            [
                "error: can't read data/lock: Permission denied; run it with sudo, or as the user that runs scimd"
            ]
        );
        let error = CliError::usage("config.toml:1:1: a is wrong\nconfig.toml:2:1: b is wrong");
        assert!(error_lines(&error).iter().all(|line| line.starts_with("error: config.toml:")));
    }

    #[test]
    fn the_first_cause_that_has_a_kind_decides() {
        let unreadable = ConfigError::Unreadable { file: PathBuf::from("x"), source: denied() };
        assert_eq!(ExitKind::of(&unreadable.into()), ExitKind::NoPermission);
        let store = StoreError::Denied("the data folder belongs to user 5".to_owned());
        assert_eq!(ExitKind::of(&store.into()), ExitKind::NoPermission);
        let error = CliError::of_kind(ExitKind::Failure, "can't create x: Permission denied");
        assert_eq!(ExitKind::of(&error).code(), 1);
        let wrapped = CliError::not_found("no such user").context("can't show it");
        assert_eq!(ExitKind::of(&wrapped).code(), 4);
    }
}
