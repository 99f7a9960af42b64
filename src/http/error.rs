//! The one place where a failure becomes a status and a body (RFC 7644, section 3.12).
//!
//! What the client reads and what the log says are two things: storage failures and bugs tell the
//! client a request id at most.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Map, Value};

use super::gate::QuotaUsedUp;
use super::respond::{self, Answer};
use crate::config::duration;
use crate::connection::dialect::Dialect;
use crate::directory::DirectoryError;
use crate::scim::discovery::ERROR;
use crate::scim::error::{ScimError, ScimType};
use crate::text::{excerpt, shorten};

/// After how many seconds a connection may ask again whose changes are held: somebody has to look.
const HELD_RETRY: &str = "60";
/// How many bytes of a detail are sent: it may repeat what the client sent, which may be long.
const MAX_DETAIL: usize = 600;

/// Why a request is not answered with what it asked for.
#[derive(Debug)]
pub(super) enum Failure {
    /// The gate did not let it in.
    Unauthenticated,
    /// The gate did not let it in, as so often before; how long it had better wait.
    TooManyRefusals(Duration),
    /// Its connection has made its requests of the day.
    QuotaUsedUp(QuotaUsedUp),
    /// There is nothing at that path.
    NotFound(String),
    /// The path is not for that method; these it is for.
    MethodNotAllowed(String),
    /// It is known and not offered.
    NotImplemented(String),
    /// It may not be asked.
    Forbidden(String),
    /// The body is larger than so many bytes.
    BodyTooLarge(usize),
    /// A bulk request has more operations than are done at once (RFC 7644, section 3.7.4).
    TooManyOperations(ScimError),
    /// The body took longer than this.
    BodyTooSlow(Duration),
    /// The client went away within the body.
    BodyBroken,
    /// The body is not of a kind that is read.
    UnsupportedMediaType(String),
    /// The work took too long.
    TooSlow,
    /// The directory refused.
    Directory(DirectoryError),
    /// A bug.
    Internal,
}

impl From<DirectoryError> for Failure {
    fn from(error: DirectoryError) -> Self {
        Self::Directory(error)
    }
}

impl From<ScimError> for Failure {
    fn from(error: ScimError) -> Self {
        Self::Directory(DirectoryError::Invalid(error))
    }
}

impl Failure {
    pub(super) fn no_route(path: &str) -> Self {
        Self::NotFound(format!(
            "There is nothing at \"{}\"; SCIM is served below {}.",
            excerpt(path, 200),
            super::BASE_PATH
        ))
    }

    /// Logs what the answer does not tell.
    pub(super) fn log(&self, request: &str) {
        if let Self::Directory(DirectoryError::Storage(error)) = self {
            tracing::error!(request, %error, "storage failed");
        }
    }

    /// The answer to the request with that id.
    pub(super) fn into_answer(self, request: &str, dialect: Dialect) -> Answer {
        let told = self.tell(request, dialect);
        let mut answer = respond::json_body(told.status, told.body(dialect).to_string());
        if let Some((name, value)) = told.header {
            answer.headers_mut().insert(name, value);
        }
        answer
    }

    /// The status and body of one operation of a bulk request.
    pub(super) fn into_body(self, dialect: Dialect) -> (StatusCode, Value) {
        let told = self.tell("", dialect);
        (told.status, told.body(dialect))
    }

    fn tell(self, request: &str, dialect: Dialect) -> Told {
        match self {
            Self::Unauthenticated => Told::new(
                StatusCode::UNAUTHORIZED,
                "The request was refused. Check the bearer token, the X-Request-Origin header and the \
                 address that the request comes from; scimd's log has the reason.",
            )
            .with(WWW_AUTHENTICATE, "Bearer realm=\"scim\""),
            Self::TooManyRefusals(wait) => Told::new(
                StatusCode::TOO_MANY_REQUESTS,
                "Too many requests from this address were refused of late, as this one is. Check the \
                 bearer token, the X-Request-Origin header and the address that the request comes from; \
                 scimd's log has the reason.",
            )
            .with(RETRY_AFTER, &seconds(wait)),
            Self::QuotaUsedUp(QuotaUsedUp { limit, left }) => Told::new(
                StatusCode::TOO_MANY_REQUESTS,
                format!(
                    "This connection has made its {limit} requests of today (daily_requests); more are \
                     taken from midnight UTC on."
                ),
            )
            .with(RETRY_AFTER, &seconds(left)),
            Self::NotFound(detail) => Told::new(StatusCode::NOT_FOUND, detail),
            Self::MethodNotAllowed(allow) => Told::new(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("This method is not for this path; allowed are {allow}."),
            )
            .with(ALLOW, &allow),
            Self::NotImplemented(detail) => Told::new(StatusCode::NOT_IMPLEMENTED, detail),
            Self::Forbidden(detail) => Told::new(StatusCode::FORBIDDEN, detail),
            Self::BodyTooLarge(limit) => Told::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("The body is too large; at most {limit} bytes are read."),
            ),
            Self::TooManyOperations(error) => Told {
                scim_type: Some(error.scim_type),
                ..Told::new(StatusCode::PAYLOAD_TOO_LARGE, error.detail)
            },
            Self::BodyTooSlow(limit) => Told::new(
                StatusCode::REQUEST_TIMEOUT,
                format!("The body did not arrive within {}.", duration::display(limit)),
            ),
            Self::BodyBroken => {
                Told::new(StatusCode::BAD_REQUEST, "The body broke off before its end.")
            }
            Self::UnsupportedMediaType(detail) => {
                Told::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
            }
            Self::TooSlow => Told::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The request took too long; a change that it asked for may or may not be made.",
            )
            .with(RETRY_AFTER, "1"),
            Self::Directory(error) => Told::of_directory(error, dialect),
            Self::Internal => Told::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("Something went wrong inside scimd; the request's id in its log is {request}."),
            ),
        }
    }
}

/// Whole seconds, and no fewer than they are.
fn seconds(wait: Duration) -> String {
    wait.as_millis().div_ceil(1_000).max(1).to_string()
}

/// What the client is told.
struct Told {
    status: StatusCode,
    scim_type: Option<ScimType>,
    detail: String,
    header: Option<(hyper::header::HeaderName, HeaderValue)>,
}

impl Told {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, scim_type: None, detail: detail.into(), header: None }
    }

    fn with(mut self, name: hyper::header::HeaderName, value: &str) -> Self {
        self.header = HeaderValue::from_str(value).ok().map(|value| (name, value));
        self
    }

    /// RFC 7644, section 3.12, where `status` is a text.
    fn body(&self, dialect: Dialect) -> Value {
        let status = match dialect {
            Dialect::Rfc => Value::from(self.status.as_str()),
            Dialect::Flat => Value::from(self.status.as_u16()),
        };
        let mut body = Map::new();
        body.insert("schemas".to_owned(), Value::from(vec![ERROR]));
        body.insert("status".to_owned(), status);
        if let Some(scim_type) = self.scim_type {
            body.insert("scimType".to_owned(), Value::from(scim_type.as_str()));
        }
        body.insert("detail".to_owned(), Value::from(shorten(&self.detail, MAX_DETAIL)));
        Value::Object(body)
    }

    fn of_directory(error: DirectoryError, dialect: Dialect) -> Self {
        match error {
            DirectoryError::Taken { kind, attribute, value, is_name } => {
                let detail = match (dialect, is_name) {
                    (Dialect::Flat, true) => format!("{kind} already exists in the database."),
                    _ => format!(
                        "Another {kind} already has the {attribute} \"{}\".",
                        value.escape_debug()
                    ),
                };
                let scim_type = ScimType::Uniqueness;
                Self { scim_type: Some(scim_type), ..Self::new(status_of(scim_type), detail) }
            }
            DirectoryError::Invalid(ScimError { scim_type, detail }) => {
                Self { scim_type: Some(scim_type), ..Self::new(status_of(scim_type), detail) }
            }
            DirectoryError::NotFound { kind, id } => Self::new(
                StatusCode::NOT_FOUND,
                format!("There is no {kind} with the id \"{id}\"."),
            ),
            DirectoryError::VersionMismatch { present } => Self::new(
                StatusCode::PRECONDITION_FAILED,
                format!("The resource has changed; it is now in version {present}."),
            ),
            DirectoryError::Forbidden(detail) => Self::new(StatusCode::FORBIDDEN, detail),
            DirectoryError::Storage(_)
            | DirectoryError::Stopped
            | DirectoryError::AccessInUse(_)
            | DirectoryError::Unfit(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The directory can't be read or changed at the moment; scimd's log says why.",
            )
            .with(RETRY_AFTER, "30"),
            DirectoryError::Held(detail) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).with(RETRY_AFTER, HELD_RETRY)
            }
            DirectoryError::Busy => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many changes are waiting; try again in a moment.",
            )
            .with(RETRY_AFTER, "1"),
            DirectoryError::Superseded => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The configuration has just changed; try again.",
            )
            .with(RETRY_AFTER, "1"),
        }
    }
}

/// The status of each keyword (RFC 7644, table 9 and section 7.5.2).
fn status_of(scim_type: ScimType) -> StatusCode {
    match scim_type {
        ScimType::Uniqueness => StatusCode::CONFLICT,
        ScimType::Sensitive => StatusCode::FORBIDDEN,
        ScimType::InvalidFilter
        | ScimType::TooMany
        | ScimType::Mutability
        | ScimType::InvalidSyntax
        | ScimType::InvalidPath
        | ScimType::NoTarget
        | ScimType::InvalidValue
        | ScimType::InvalidVers
        | ScimType::InvalidCursor
        | ScimType::ExpiredCursor
        | ScimType::InvalidCount => StatusCode::BAD_REQUEST,
    }
}
