//! Shows on a terminal that a command works, and for how long, until it has the answer.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::output;

/// The time between two turns of the sign.
const TICK: Duration = Duration::from_millis(100);

/// A line on standard error while a command works; dropped, it disappears. Nothing is shown in a file or a pipe.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Begins to show what the command does.
    pub(super) fn of(what: &'static str) -> Self {
        if !std::io::stderr().is_terminal() || output::is_quiet() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// Like [`Progress::of`], for a command that prints while it works: shown only if the result goes elsewhere than to
    /// the terminal.
    pub(super) fn of_printing(what: &'static str) -> Self {
        match std::io::stdout().is_terminal() {
            true => Self(ProgressBar::hidden()),
            false => Self::of(what),
        }
    }

    /// Says how far the command is.
    pub(super) fn says(&self, what: String) {
        self.0.set_message(what);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
