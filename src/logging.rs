//! Logs: to standard error, as text for people or JSON for programs.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{Format, Log};

/// Starts logging as the configuration wants it. A second call changes nothing.
pub fn start(log: &Log) {
    // What sled says of itself below a warning is of no use to an operator.
    let filter = EnvFilter::new(format!("{},sled=warn,rustls=warn", log.level.as_str()));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    // Already started: the first one stays.
    let _ = match log.format {
        Format::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        Format::Json => lines.json().flatten_event(true).try_init(),
    };
}
