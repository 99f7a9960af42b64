//! What is known of a request: its line in the log, and its record in the request log.
//!
//! Never its body, and of its query the attributes and operators of the filter alone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use jiff::Timestamp;

use super::claimed_names;
use super::denial::Denial;
use super::error_form::ErrorForm;
use super::error_report::ErrorReport;
use super::failed_writes::FailedWrites;
use super::gate::Admitted;
use super::path_parameters::PathParameters;
use super::request_metrics::CallerMetrics;
use super::request_notes::Notes;
use super::router;
use crate::connection::dialect::Dialect;
use crate::connection::token::TokenOwner;
use crate::logging::REQUESTS;
use crate::request_log::{CommittedChange, RequestEntry};
use crate::scim::error::ScimType;
use crate::text::shorten;

/// The bytes of a path that are recorded.
const MAX_PATH: usize = 300;

/// A request while it is handled.
pub(super) struct RequestRecord {
    pub(super) id: String,
    /// The caller, once it is authenticated or known by its token.
    pub(super) caller: Caller,
    /// The dialect and the form of an error response.
    pub(super) dialect: Dialect,
    pub(super) errors: ErrorForm,
    /// Whether a 401 names the scheme Basic as well.
    pub(super) offers_basic: bool,
    /// The index of the route in the table, and what the path names.
    pub(super) row: Option<usize>,
    pub(super) path: Option<PathParameters>,
    /// The metrics of the caller; `None` for denied requests and public routes.
    pub(super) requests: Option<Arc<CallerMetrics>>,
    pub(super) notes: Notes,
    pub(super) error: ClientError,
    /// The body of a request that creates or replaces a resource.
    pub(super) written: Bytes,
    /// The body, if the bodies of the connection are kept.
    pub(super) body: Option<(Bytes, Arc<BTreeSet<String>>)>,
}

/// Who sent a request.
#[derive(Default)]
pub(super) struct Caller {
    pub(super) owner: Option<TokenOwner>,
    pub(super) token: Option<String>,
    pub(super) address: Option<std::net::IpAddr>,
}

/// What the answer says of a failure, and why a request was denied.
#[derive(Default)]
pub(super) struct ClientError {
    pub(super) scim_type: Option<ScimType>,
    detail: Option<String>,
    /// Why the gate denied the request, if this is the first of its kind.
    pub(super) denied: Option<String>,
}

impl Caller {
    pub(super) fn of(admitted: &Admitted) -> Self {
        Self {
            owner: Some(admitted.owner.clone()),
            token: Some(admitted.token.clone()),
            address: Some(admitted.address),
        }
    }
}

impl RequestRecord {
    pub(super) fn new(id: String, dialect: Dialect) -> Self {
        Self {
            notes: Notes::of(&id),
            id,
            caller: Caller::default(),
            dialect,
            errors: ErrorForm::Scim,
            offers_basic: false,
            row: None,
            path: None,
            requests: None,
            error: ClientError::default(),
            written: Bytes::new(),
            body: None,
        }
    }

    /// Notes that the gate denied the request, and why.
    pub(super) fn deny(&mut self, denial: &Denial) {
        let (owner, token) = denial.reason.known_token().unzip();
        self.caller = Caller {
            owner: owner.cloned(),
            token: token.map(ToOwned::to_owned),
            address: Some(denial.address),
        };
        self.error.denied = Some(denial.reason.to_string());
    }

    /// Notes what the client learns of the failure.
    pub(super) fn fail(&mut self, report: &ErrorReport) {
        self.error.scim_type = report.scim_type;
        self.error.detail = Some(report.shown_detail().into_owned());
    }

    /// Logs the request of an authenticated caller. Others get no line each, because an attack would make
    /// many: `denial` logs a summary of denied requests.
    pub(super) fn log(
        &self,
        parts: &Parts,
        status: StatusCode,
        took: Duration,
        failed: &FailedWrites,
    ) {
        let Some(requests) = &self.requests else { return };
        let (connection, application) =
            self.caller.owner.as_ref().map(TokenOwner::names).unwrap_or_default();
        let ms = milliseconds(took);
        let route = self.row.map_or("", router::template);
        let scim_type = self.error.scim_type.map(ScimType::as_str);
        let is_failed_write = status.is_client_error() && is_write(&parts.method, route);
        if is_failed_write && failed.note(requests.number, status, scim_type) {
            tracing::warn!(
                request = self.id,
                connection,
                application,
                method = %method(&parts.method),
                route,
                resource = self.path.as_ref().map(|path| path.id.as_str()).filter(|id| !id.is_empty()),
                status = status.as_u16(),
                scim_type,
                detail = self.error.detail,
                ms,
                "request failed"
            );
            return;
        }
        tracing::info!(
            target: REQUESTS,
            request = self.id,
            connection,
            application,
            method = %method(&parts.method),
            route,
            status = status.as_u16(),
            scim_type,
            ms,
            "request"
        );
    }

    /// The record for the request log.
    pub(super) fn into_entry(
        self,
        parts: &Parts,
        status: StatusCode,
        took: Duration,
        time: Timestamp,
    ) -> RequestEntry {
        let noted = self.notes.into_noted();
        let claimed = match status.is_client_error() || status.is_server_error() {
            true => claimed_names::of(&self.written),
            false => Vec::new(),
        };
        let PathParameters { endpoint, id } = self.path.unwrap_or_default();
        let (connection, application) = match self.caller.owner {
            Some(TokenOwner::Connection(name)) => (Some(name), None),
            Some(TokenOwner::Application(name)) => (None, Some(name)),
            None => (None, None),
        };
        let resource = noted.created.or_else(|| Some(id).filter(|id| !id.is_empty()));
        RequestEntry {
            time,
            id: self.id,
            connection,
            application,
            token: self.caller.token,
            address: self.caller.address,
            method: method(&parts.method),
            path: shorten(parts.uri.path(), MAX_PATH).into_owned(),
            status: status.as_u16(),
            ms: milliseconds(took),
            resource_type: Some(endpoint).filter(|endpoint| !endpoint.is_empty()),
            resource,
            filter: noted.filter,
            scim_type: self.error.scim_type.map(|scim_type| scim_type.as_str().into()),
            detail: self.error.detail,
            reason: self.error.denied,
            claimed,
            ignored: noted.ignored,
            change: noted.changes.map(|sequences| CommittedChange {
                sequence: sequences.start,
                records: sequences.end - sequences.start,
            }),
            bodies: None,
            repeated: None,
        }
    }
}

/// Milliseconds, in hundredths.
fn milliseconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 100_000.0).round() / 100.0
}

/// Whether a request wants to change something: it has another method than a reading one, and is no search.
fn is_write(method: &Method, route: &str) -> bool {
    ![Method::GET, Method::HEAD, Method::OPTIONS].contains(method) && !route.ends_with(".search")
}

/// The name of a method that HTTP has; others may be any text, also one that should not be kept.
fn method(method: &Method) -> std::borrow::Cow<'static, str> {
    let known = [
        Method::GET,
        Method::POST,
        Method::PATCH,
        Method::PUT,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
    ];
    let names = ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"];
    match known.iter().position(|known| known == method).and_then(|at| names.get(at)) {
        Some(name) => (*name).into(),
        None => "other".into(),
    }
}
