//! Logs: to standard error, as text for people or JSON for programs.

mod line;

use tracing_subscriber::EnvFilter;

use crate::config::Log;
use line::Line;

/// Starts logging as the configuration wants it. A second call changes nothing.
pub fn start(log: &Log) {
    // What sled says of itself below a warning is of no use to an operator.
    let filter = EnvFilter::new(format!("{},sled=warn,rustls=warn", log.level.as_str()));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .event_format(Line::new(log.format));
    // Already started: the first one stays.
    let _ = lines.try_init();
    // A panic is a line like any other. What it says may be a client's data: where it was is enough.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "a part of scimd panicked; please report this as a bug");
    }));
}
