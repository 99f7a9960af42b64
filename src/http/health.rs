//! `/healthz` and `/readyz`.

use hyper::StatusCode;

use super::context::HttpContext;
use super::respond::{self, HttpResponse};

/// The state of the server that these routes report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Health {
    /// Whether the directory can be changed.
    pub(super) is_writable: bool,
    /// Whether the log can be appended to at the moment, if that is not up to this machine.
    pub(super) is_reachable: bool,
    /// Whether the server has begun to stop.
    pub(super) is_stopping: bool,
}

/// Answers 200 while the directory can be changed, else 503.
pub(super) fn live(_: &HttpContext, health: Health) -> HttpResponse {
    status(health.is_writable)
}

/// Answers like [`live`], and 503 while the database of a shared log can't be used, and once the server has begun to
/// stop.
pub(super) fn ready(_: &HttpContext, health: Health) -> HttpResponse {
    status(health.is_writable && health.is_reachable && !health.is_stopping)
}

fn status(is_well: bool) -> HttpResponse {
    respond::empty(if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE })
}
