//! Failed writes in the log: the first of a kind at once with the reason, the others as a number.
//!
//! A directory that is out of step can make many. Each is a line at level `info` and a record of the request log.

use hyper::StatusCode;

use crate::clock::Stopwatch;
use crate::logging::summary::{LogSummary, Suppressed};

/// Failures that share one summary: the number of the connection, the status and the keyword.
type Kind = (usize, u16, Option<&'static str>);

/// Limits the warnings about failed writes.
pub(super) struct FailedWrites {
    started: Stopwatch,
    summary: LogSummary<Kind>,
}

impl FailedWrites {
    pub(super) fn new() -> Self {
        Self { started: Stopwatch::start(), summary: LogSummary::default() }
    }

    /// Counts a failed write of a connection. Returns whether to log it as a warning.
    pub(super) fn note(
        &self,
        connection: usize,
        status: StatusCode,
        scim_type: Option<&'static str>,
    ) -> bool {
        self.summary.note((connection, status.as_u16(), scim_type), self.started.elapsed())
    }

    /// Logs the numbers of failures whose time is over.
    pub(super) fn log_due(&self) {
        log(self.summary.due(self.started.elapsed()));
    }

    /// Logs the numbers that no line has reported yet.
    pub(super) fn flush(&self) {
        log(self.summary.rest(self.started.elapsed()));
    }
}

fn log(summaries: Vec<Suppressed<Kind>>) {
    for Suppressed { kind, count, within } in summaries {
        let (status, scim_type) =
            kind.map_or((None, None), |(_, status, scim_type)| (Some(status), scim_type));
        let seconds = within.as_secs();
        tracing::warn!(
            status,
            scim_type,
            count,
            seconds,
            "more requests failed; see `scimd requests --failed`"
        );
    }
}
