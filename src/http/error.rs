//! The one place where a failure becomes a status and a sentence for the client.
//!
//! What the client reads and what the log says are two texts: of storage failures and bugs, the client
//! learns a request id at most. The form of the body is that of the route (`error_form`).

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::Value;

use super::daily_quota::QuotaExceeded;
use super::error_form;
use super::error_report::ErrorReport;
use crate::connection::dialect::Dialect;
use crate::directory::DirectoryError;
use crate::feed::FeedError;
use crate::scim::error::{ScimError, ScimType};
use crate::text::duration;
use crate::text::excerpt;

/// The seconds after which a connection whose changes are held may try again: an operator has to act.
const HELD_RETRY: &str = "60";

/// Why a request fails.
#[derive(Debug)]
pub(super) enum Failure {
    /// The gate denied the request.
    Unauthenticated,
    /// The gate denied the request, and the client's network is over its limit for this long.
    TooManyDenials(Duration),
    /// An OAuth client did not prove itself.
    InvalidClient {
        /// Whether it sent an Authorization header of the scheme Basic.
        basic: bool,
    },
    /// A token request is wrong, with the code of RFC 6749, section 5.2.
    TokenRequest {
        /// The code.
        error: &'static str,
        /// What to change.
        detail: String,
    },
    /// An OAuth client asks for too many access tokens; it may ask again after this time.
    TooManyTokenRequests(Duration),
    /// The connection has used its quota of the day.
    QuotaExceeded(QuotaExceeded),
    /// The head of the request is ambiguous or malformed.
    MalformedHead(String),
    /// The path has no route.
    NotFound(String),
    /// The path has routes for these methods only.
    MethodNotAllowed(String),
    /// The RFC's feature is not implemented.
    NotImplemented(String),
    /// The caller may not do this.
    Forbidden(String),
    /// A parameter of the query has a wrong value, or there is none of its name.
    BadParameter(String),
    /// The feed can't be read, or not from this cursor.
    Feed(FeedError),
    /// The application has this many consumers that wait or stream, and may not have more.
    TooManyConsumers(usize),
    /// The body is larger than this many bytes.
    BodyTooLarge(usize),
    /// A bulk request has too many operations (RFC 7644, section 3.7.4).
    TooManyOperations(ScimError),
    /// The body took longer than this.
    BodyTooSlow(Duration),
    /// The client closed the connection within the body.
    BodyBroken,
    /// The media type or encoding of the body is not supported.
    UnsupportedMediaType(String),
    /// The request timed out.
    TooSlow,
    /// The directory returned an error.
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
            "\"{}\" not found. The SCIM base path is {}.",
            excerpt(path, 200),
            super::BASE_PATH
        ))
    }

    /// Logs the details that the response omits.
    pub(super) fn log(&self, request: &str) {
        if let Self::Directory(DirectoryError::Storage(error)) = self {
            tracing::error!(request, %error, "storage failed");
        }
    }

    /// The status and body of one operation of a bulk request.
    pub(super) fn into_body(self, dialect: Dialect) -> (StatusCode, Value) {
        let report = self.report("", dialect);
        (report.status, error_form::scim_error(&report, dialect))
    }

    /// What the client learns, who sent the request with that id.
    pub(super) fn report(self, request: &str, dialect: Dialect) -> ErrorReport {
        match self {
            Self::Unauthenticated | Self::Directory(DirectoryError::Unauthenticated) => ErrorReport::new(
                StatusCode::UNAUTHORIZED,
                "Authentication failed. Check the bearer token, the X-Request-Origin header and the client's \
                 address; scimd's log has the reason.",
            )
            .with_header(WWW_AUTHENTICATE, "Bearer realm=\"scim\""),
            Self::TooManyDenials(wait) => ErrorReport::new(
                StatusCode::TOO_MANY_REQUESTS,
                "Too many failed authentication attempts from this address. Check the bearer token, the \
                 X-Request-Origin header and the client's address; scimd's log has the reason.",
            )
            .with_header(RETRY_AFTER, &seconds(wait)),
            Self::InvalidClient { basic } => {
                let report = ErrorReport::new(
                    StatusCode::UNAUTHORIZED,
                    "The client was not authenticated. Check client id and secret, and the address that the request \
                     comes from; scimd's log has the reason.",
                );
                if basic { report.with_header(WWW_AUTHENTICATE, "Basic realm=\"scim\"") } else { report }
            }
            Self::TokenRequest { error, detail } => ErrorReport {
                oauth_error: Some(error),
                ..ErrorReport::new(StatusCode::BAD_REQUEST, detail)
            },
            Self::TooManyTokenRequests(wait) => ErrorReport::new(
                StatusCode::TOO_MANY_REQUESTS,
                "This client asks for too many access tokens; use the one that it has until it expires.",
            )
            .with_header(RETRY_AFTER, &seconds(wait)),
            Self::QuotaExceeded(QuotaExceeded { limit, left }) => ErrorReport::new(
                StatusCode::TOO_MANY_REQUESTS,
                format!(
                    "This connection has used its {limit} requests for today (daily_requests); more are accepted \
                     from midnight UTC."
                ),
            )
            .with_header(RETRY_AFTER, &seconds(left)),
            Self::MalformedHead(detail) => ErrorReport::new(StatusCode::BAD_REQUEST, detail),
            Self::NotFound(detail) => ErrorReport::new(StatusCode::NOT_FOUND, detail),
            Self::MethodNotAllowed(allow) => ErrorReport::new(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("Method not allowed; use {allow}."),
            )
            .with_header(ALLOW, &allow),
            Self::NotImplemented(detail) => ErrorReport::new(StatusCode::NOT_IMPLEMENTED, detail),
            Self::Forbidden(detail) => ErrorReport::new(StatusCode::FORBIDDEN, detail),
            Self::BadParameter(detail) => ErrorReport::new(StatusCode::BAD_REQUEST, detail),
            Self::Feed(error @ (FeedError::Foreign | FeedError::Trimmed { .. })) => {
                ErrorReport::new(StatusCode::GONE, error.to_string())
            }
            Self::Feed(error @ FeedError::Unavailable(_)) => {
                ErrorReport::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
                    .with_header(RETRY_AFTER, "5")
            }
            Self::TooManyConsumers(most) => ErrorReport::new(
                StatusCode::TOO_MANY_REQUESTS,
                format!(
                    "This application has {most} consumers that wait or stream, which is the limit. Close one, or ask \
                     without \"wait\"."
                ),
            )
            .with_header(RETRY_AFTER, "5"),
            Self::BodyTooLarge(limit) => ErrorReport::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("The body is too large; at most {limit} bytes are allowed."),
            ),
            Self::TooManyOperations(error) => ErrorReport {
                scim_type: Some(error.scim_type),
                ..ErrorReport::new(StatusCode::PAYLOAD_TOO_LARGE, error.detail)
            },
            Self::BodyTooSlow(limit) => ErrorReport::new(
                StatusCode::REQUEST_TIMEOUT,
                format!("The body did not arrive within {}.", duration::display(limit)),
            ),
            Self::BodyBroken => {
                ErrorReport::new(StatusCode::BAD_REQUEST, "The body ended early.")
            }
            Self::UnsupportedMediaType(detail) => {
                ErrorReport::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
            }
            Self::TooSlow => ErrorReport::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The request took too long; a requested change may or may not have been made.",
            )
            .with_header(RETRY_AFTER, "1"),
            Self::Internal | Self::Directory(DirectoryError::Internal) => ErrorReport::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("Internal error. The id of this request in scimd's log is {request}."),
            ),
            Self::Directory(error) => report_directory_error(error, dialect),
        }
    }
}

/// Whole seconds, rounded up, at least 1.
fn seconds(wait: Duration) -> String {
    wait.as_millis().div_ceil(1_000).max(1).to_string()
}

/// What the client learns of an error of the directory.
fn report_directory_error(error: DirectoryError, dialect: Dialect) -> ErrorReport {
    match error {
        DirectoryError::Taken { kind, attribute, value, is_name } => {
            let detail = match (dialect, is_name) {
                (Dialect::Flat, true) => format!("{kind} already exists in the database."),
                _ => format!(
                    "A {kind} with {attribute} \"{}\" already exists.",
                    value.escape_debug()
                ),
            };
            let scim_type = ScimType::Uniqueness;
            ErrorReport {
                scim_type: Some(scim_type),
                ..ErrorReport::new(status_of(scim_type), detail)
            }
        }
        DirectoryError::Invalid(ScimError { scim_type, detail }) => ErrorReport {
            scim_type: Some(scim_type),
            ..ErrorReport::new(status_of(scim_type), detail)
        },
        DirectoryError::NotFound { kind, id } => {
            ErrorReport::new(StatusCode::NOT_FOUND, format!("{kind} \"{id}\" not found."))
        }
        DirectoryError::VersionMismatch { present } => ErrorReport::new(
            StatusCode::PRECONDITION_FAILED,
            format!("The resource has changed; its version is now {present}."),
        ),
        DirectoryError::Forbidden(detail) => ErrorReport::new(StatusCode::FORBIDDEN, detail),
        DirectoryError::Storage(error) if error.is_unavailable() => ErrorReport::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The database that keeps the directory does not answer. A change may or may not have been made: read \
             before sending it again.",
        )
        .with_header(RETRY_AFTER, "5"),
        DirectoryError::Storage(_)
        | DirectoryError::Internal
        | DirectoryError::Unauthenticated
        | DirectoryError::Stopped
        | DirectoryError::Large
        | DirectoryError::AccessInUse(_)
        | DirectoryError::Unfit(_) => ErrorReport::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The directory is not available at the moment; scimd's log says why.",
        )
        .with_header(RETRY_AFTER, "30"),
        DirectoryError::Held(detail) => ErrorReport::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .with_header(RETRY_AFTER, HELD_RETRY),
        DirectoryError::Busy => ErrorReport::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many changes are waiting; retry in a moment.",
        )
        .with_header(RETRY_AFTER, "1"),
        DirectoryError::Superseded => ErrorReport::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The configuration has just changed; retry.",
        )
        .with_header(RETRY_AFTER, "1"),
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
