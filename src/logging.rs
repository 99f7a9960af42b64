//! Logs: to standard error, as text for people or JSON for programs.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{Format, Level, Log};

/// Sets how much is logged, while it is logged.
pub struct LevelSwitch(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl LevelSwitch {
    /// Has this much logged from here on.
    pub fn set(&self, level: Level) {
        (self.0)(filter(level));
    }
}

/// Starts logging as the configuration wants it. A second call changes nothing.
pub fn start(log: &Log) -> LevelSwitch {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter(log.level))
        .with_writer(std::io::stderr)
        .with_target(false);
    // What fails below has been started already: the first one stays.
    match log.format {
        Format::Text => {
            let lines = lines.with_ansi(std::io::stderr().is_terminal()).with_filter_reloading();
            let handle = lines.reload_handle();
            let _ = lines.try_init();
            LevelSwitch(Box::new(move |filter| drop(handle.reload(filter))))
        }
        Format::Json => {
            let lines = lines.json().flatten_event(true).with_filter_reloading();
            let handle = lines.reload_handle();
            let _ = lines.try_init();
            LevelSwitch(Box::new(move |filter| drop(handle.reload(filter))))
        }
    }
}

/// What sled says of itself below a warning is of no use to an operator.
fn filter(level: Level) -> EnvFilter {
    EnvFilter::new(format!("{},sled=warn,rustls=warn", level.as_str()))
}
