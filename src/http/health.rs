//! `/healthz` and `/readyz`.

use hyper::StatusCode;

use super::respond::{self, Answer};

/// The state of the server that these routes report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Health {
    /// Whether the directory can be changed.
    pub(super) is_writable: bool,
    /// Whether the server has begun to stop.
    pub(super) is_stopping: bool,
}

/// Answers 200 while the directory can be changed, else 503.
pub(super) fn live(health: Health) -> Answer {
    status(health.is_writable)
}

/// Answers like [`live`], and 503 once the server has begun to stop.
pub(super) fn ready(health: Health) -> Answer {
    status(health.is_writable && !health.is_stopping)
}

fn status(is_well: bool) -> Answer {
    respond::empty(if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE })
}
