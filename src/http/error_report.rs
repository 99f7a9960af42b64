//! What the client learns of a failure: `error` fills in the report, `error_form` renders it.

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};

use crate::scim::error::ScimType;

/// What the client learns of a failure, in any form of body.
#[derive(Debug)]
pub(super) struct ErrorReport {
    pub(super) status: StatusCode,
    /// The keyword of RFC 7644, table 9.
    pub(super) scim_type: Option<ScimType>,
    /// A sentence that says what was wrong.
    pub(super) detail: String,
    /// A header that belongs to the status, such as Retry-After.
    pub(super) header: Option<(HeaderName, HeaderValue)>,
}

impl ErrorReport {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, scim_type: None, detail: detail.into(), header: None }
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        self.header = HeaderValue::from_str(value).ok().map(|value| (name, value));
        self
    }
}
