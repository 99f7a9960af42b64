//! Logs: to standard error, as text for people or JSON for programs.

mod level;
mod line;
mod output;

use std::io;

use tracing_subscriber::EnvFilter;

pub use level::{LogFormat, LogLevel};
use line::LineFormat;
use output::Output;

/// The target of the lines that tell of answered requests.
pub const REQUESTS: &str = "scimd::requests";

/// Sets how much is logged, while it is logged.
pub struct LevelSwitch(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl LevelSwitch {
    /// Has this much logged from here on.
    pub fn set(&self, level: LogLevel) {
        (self.0)(filter(level));
    }
}

/// Starts logging as the configuration wants it; once in a process.
///
/// # Errors
///
/// The operating system gives no thread.
pub fn start(level: LogLevel, format: LogFormat) -> io::Result<LevelSwitch> {
    let lines = tracing_subscriber::fmt()
        // A line that can't be written is lost. To tell of that would be another one.
        .log_internal_errors(false)
        .with_env_filter(filter(level))
        .with_writer(Output::start()?)
        .event_format(LineFormat::new(format))
        .with_filter_reloading();
    let handle = lines.reload_handle();
    // Already started: the first one stays.
    let _ = lines.try_init();
    // A panic is a line like any other. What it says may be a client's data: where it was is enough.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "a part of scimd panicked; please report this as a bug");
    }));
    Ok(LevelSwitch(Box::new(move |filter| drop(handle.reload(filter)))))
}

/// What sled says of itself below a warning is of no use to an operator.
fn filter(level: LogLevel) -> EnvFilter {
    EnvFilter::new(format!("{},sled=warn,rustls=warn", level.as_str()))
}
