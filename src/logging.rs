//! The log of the process: lines on standard error, as text for people or JSON for programs.
//!
//! | file | contents |
//! | --- | --- |
//! | `level` | log level and format, as in the configuration |
//! | `line` | the form of a line |
//! | `output` | the queue of lines, and the thread that writes them |
//! | `summary` | repeated lines, as counts |

mod level;
mod line;
mod output;
pub mod summary;

use std::io;
use std::sync::Arc;

use tracing_subscriber::EnvFilter;

use crate::metrics::Counter;
pub use level::{LogFormat, LogLevel};
use line::LineFormat;
pub use output::{FlushGuard, LogFlusher, REQUESTS};
use output::{LineQueue, LineWriters};

/// The log after its start.
pub struct Logging {
    /// Changes the log level.
    pub levels: LevelSwitch,
    /// The number of lines that were dropped, because standard error did not accept them.
    pub dropped_lines: Arc<Counter>,
    /// Writes the last lines when it is dropped.
    pub flush: FlushGuard,
    /// Writes the last lines where nothing is dropped any more.
    pub flusher: LogFlusher,
}

/// Changes the log level while the process runs.
pub struct LevelSwitch(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl LevelSwitch {
    /// Sets the least severe level that is logged.
    pub fn set(&self, level: LogLevel) {
        (self.0)(filter(level));
    }
}

/// Starts logging, once in a process. Panics are logged from here on, too.
///
/// # Errors
///
/// The operating system refuses a thread.
pub fn start(level: LogLevel, format: LogFormat) -> io::Result<Logging> {
    let formatter = LineFormat::new(format);
    let queue = LineQueue::start(formatter)?;
    let subscriber = tracing_subscriber::fmt()
        // A report of a line that can't be formatted would go straight to standard error, and could block.
        .log_internal_errors(false)
        .with_env_filter(filter(level))
        .with_writer(LineWriters(Arc::clone(&queue)))
        .event_format(formatter)
        .with_filter_reloading();
    let handle = subscriber.reload_handle();
    // If logging was started before, the first subscriber stays.
    let _ = subscriber.try_init();
    // The message of a panic may contain data of a client; the source location is enough.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "a part of scimd panicked; please report this as a bug");
    }));
    Ok(Logging {
        levels: LevelSwitch(Box::new(move |filter| drop(handle.reload(filter)))),
        dropped_lines: queue.dropped(),
        flusher: LogFlusher(Arc::clone(&queue)),
        flush: FlushGuard(queue),
    })
}

/// Returns the filter for a log level. Of sled and rustls, only warnings and errors are of use to operators.
fn filter(level: LogLevel) -> EnvFilter {
    EnvFilter::new(format!("{},sled=warn,rustls=warn", level.as_str()))
}
