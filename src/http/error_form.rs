//! The forms of error responses: media type and body.
//!
//! A failure becomes a report once, in `error`; the form of the route renders it.

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::error_report::ErrorReport;
use super::respond::{self, HttpResponse, JSON, SCIM_JSON};
use crate::connection::dialect::Dialect;
use crate::scim::discovery::ERROR;

/// The form of the errors of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorForm {
    /// SCIM's (RFC 7644, section 3.12).
    Scim,
    /// Problem details (RFC 9457).
    Problem,
    /// OAuth's (RFC 6749, section 5.2).
    Oauth,
}

impl ErrorForm {
    /// The media type of the body.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Scim => SCIM_JSON,
            Self::Problem => "application/problem+json",
            Self::Oauth => JSON,
        }
    }

    /// The response that reports a failure to a client of that dialect.
    pub(super) fn respond(self, report: ErrorReport, dialect: Dialect) -> HttpResponse {
        let body = self.render(&report, dialect);
        let mut answer = respond::body(report.status, self.media_type(), body);
        if let Some((name, value)) = report.header {
            answer.headers_mut().insert(name, value);
        }
        answer
    }

    /// The body for a client of that dialect.
    fn render(self, report: &ErrorReport, dialect: Dialect) -> Bytes {
        match self {
            Self::Scim => scim_error(report, dialect).to_string().into(),
            Self::Problem => problem(report).to_string().into(),
            Self::Oauth => oauth_error(report).to_string().into(),
        }
    }
}

/// Problem details without a type of their own, so that the title is that of the status (RFC 9457, section 4.2.1).
fn problem(report: &ErrorReport) -> Value {
    let mut body = Map::new();
    body.insert("title".to_owned(), report.status.canonical_reason().into());
    body.insert("status".to_owned(), report.status.as_u16().into());
    body.insert("detail".to_owned(), Value::from(report.shown_detail()));
    Value::Object(body)
}

/// An error in OAuth's form. Its description has ASCII alone, without quotes and backslashes.
fn oauth_error(report: &ErrorReport) -> Value {
    let code = report.oauth_error.unwrap_or_else(|| match report.status {
        StatusCode::UNAUTHORIZED => "invalid_client",
        status if status.is_server_error() => "server_error",
        StatusCode::TOO_MANY_REQUESTS => "temporarily_unavailable",
        _ => "invalid_request",
    });
    let allowed = |character: char| match character {
        '"' => '\'',
        ' '..='[' | ']'..='~' => character,
        _ => '?',
    };
    let description: String = report.shown_detail().chars().map(allowed).collect();
    json!({"error": code, "error_description": description})
}

/// An error in SCIM's form, where `status` is a text; in the flat dialect it is a number.
pub(super) fn scim_error(report: &ErrorReport, dialect: Dialect) -> Value {
    let status = match dialect {
        Dialect::Rfc => Value::from(report.status.as_str()),
        Dialect::Flat => Value::from(report.status.as_u16()),
    };
    let mut body = Map::new();
    body.insert("schemas".to_owned(), Value::from(vec![ERROR]));
    body.insert("status".to_owned(), status);
    if let Some(scim_type) = report.scim_type {
        body.insert("scimType".to_owned(), Value::from(scim_type.as_str()));
    }
    body.insert("detail".to_owned(), Value::from(report.shown_detail()));
    Value::Object(body)
}
