//! The forms of error responses: media type and body.
//!
//! A failure becomes a report once, in `error`; the form of the route renders it.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::error_report::ErrorReport;
use super::respond::SCIM_JSON;
use crate::connection::dialect::Dialect;
use crate::scim::discovery::ERROR;
use crate::text::shorten;

/// How many bytes of a detail are sent: it may repeat what the client sent, which may be long.
const MAX_DETAIL: usize = 600;

/// The form of the errors of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorForm {
    /// SCIM's (RFC 7644, section 3.12).
    Scim,
}

impl ErrorForm {
    /// The media type of the body.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Scim => SCIM_JSON,
        }
    }

    /// The body for a client of that dialect.
    pub(super) fn render(self, report: &ErrorReport, dialect: Dialect) -> Bytes {
        match self {
            Self::Scim => scim_error(report, dialect).to_string().into(),
        }
    }
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
    body.insert("detail".to_owned(), Value::from(shorten(&report.detail, MAX_DETAIL)));
    Value::Object(body)
}
