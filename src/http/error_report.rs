//! What the client learns of a failure: `error` fills in the report, `error_form` renders it.

use std::borrow::Cow;

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};

use crate::scim::error::ScimType;
use crate::text::shorten;

/// How many bytes of a detail are sent: it may repeat what the client sent, which may be long.
const MAX_DETAIL: usize = 600;

/// What the client learns of a failure, in any form of body.
#[derive(Debug)]
pub(super) struct ErrorReport {
    pub(super) status: StatusCode,
    /// The keyword of RFC 7644, table 9.
    pub(super) scim_type: Option<ScimType>,
    /// The code of RFC 6749, section 5.2.
    pub(super) oauth_error: Option<&'static str>,
    /// A sentence that says what was wrong.
    pub(super) detail: String,
    /// A header that belongs to the status, such as Retry-After.
    pub(super) header: Option<(HeaderName, HeaderValue)>,
}

impl ErrorReport {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, scim_type: None, oauth_error: None, detail: detail.into(), header: None }
    }

    /// The sentence as the client gets it.
    pub(super) fn shown_detail(&self) -> Cow<'_, str> {
        shorten(&self.detail, MAX_DETAIL)
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        self.header = HeaderValue::from_str(value).ok().map(|value| (name, value));
        self
    }
}
