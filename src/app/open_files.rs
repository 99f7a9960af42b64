//! The limit on open files (RLIMIT_NOFILE): every connection takes one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{Config, ConfigError};

/// How many open files are kept for all but connections: journal, database, commands, metrics.
const RESERVE: u64 = 100;
/// How many the console takes beside them.
const CONSOLE_RESERVE: u64 = super::console::MAX_CONNECTIONS as u64;

/// Raises the limit of this process to the most that the system lets it have.
pub fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, ?current, ?maximum, "the limit on open files can't be raised");
    }
}

/// Checks that the limit on open files leaves room for all connections, and some more.
///
/// # Errors
///
/// [`ConfigError::OpenFiles`].
pub fn check_open_files(config: &Config) -> Result<(), ConfigError> {
    let Some(limit) = getrlimit(Resource::Nofile).maximum else { return Ok(()) };
    let of_console = if config.console.enabled { CONSOLE_RESERVE } else { 0 };
    let most = limit.saturating_sub(RESERVE + of_console);
    let max_connections = config.limits.max_connections;
    if max_connections as u64 <= most {
        return Ok(());
    }
    let file = config.file.clone().unwrap_or_default();
    Err(ConfigError::OpenFiles { file, max_connections, limit, most })
}
