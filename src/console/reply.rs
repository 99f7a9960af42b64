//! Answers of the console, with the headers that all of them carry.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
    REFERRER_POLICY, SET_COOKIE, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use hyper::{Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Scripts, styles and images come from the console alone, and no markup is made from text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// Headers of every answer.
const HEADERS: [(HeaderName, &str); 8] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

/// The characters of a text that is a value in a query.
const QUERY_VALUE: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text as a value in a query, or as one segment of a path.
pub(super) fn query_value(text: &str) -> String {
    utf8_percent_encode(text, QUERY_VALUE).to_string()
}

/// An answer.
#[derive(Debug)]
pub(super) struct ConsoleReply {
    pub(super) status: StatusCode,
    content_type: &'static str,
    cache: &'static str,
    location: Option<String>,
    cookies: Vec<String>,
    body: Bytes,
}

impl ConsoleReply {
    /// A page.
    pub(super) fn page(html: String) -> Self {
        Self::of("text/html; charset=utf-8", html.into())
    }

    /// Something to download or to read by programs.
    pub(super) fn of(content_type: &'static str, body: Bytes) -> Self {
        Self {
            status: StatusCode::OK,
            content_type,
            cache: "no-store",
            location: None,
            cookies: Vec::new(),
            body,
        }
    }

    /// Sends the browser to another page, to be read with GET.
    pub(super) fn redirect(path: impl Into<String>) -> Self {
        let mut reply = Self::of("text/plain; charset=utf-8", Bytes::new());
        reply.status = StatusCode::SEE_OTHER;
        reply.location = Some(path.into());
        reply
    }

    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Sets a cookie, written as in `Set-Cookie`.
    pub(super) fn with_cookie(mut self, cookie: String) -> Self {
        self.cookies.push(cookie);
        self
    }

    /// For what never changes under its name.
    pub(super) fn immutable(mut self) -> Self {
        self.cache = "public, max-age=31536000, immutable";
        self
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        for (name, value) in HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(self.cache));
        let location = self.location.and_then(|path| HeaderValue::try_from(path).ok());
        location.map(|location| headers.insert(LOCATION, location));
        for cookie in self.cookies {
            if let Ok(cookie) = HeaderValue::try_from(cookie) {
                headers.append(SET_COOKIE, cookie);
            }
        }
        response
    }
}

/// Why a request is not answered as asked.
#[derive(Debug)]
pub(super) enum ConsoleFailure {
    /// A page with this status and sentence.
    Status(StatusCode, String),
    /// The operator must sign in.
    SignIn,
    /// The operator must sign in again, and then goes on at this page.
    SignInAgain(String),
}

impl ConsoleFailure {
    /// A page with a status and a sentence.
    pub(super) fn status(status: StatusCode, reason: impl Into<String>) -> Self {
        Self::Status(status, reason.into())
    }

    /// The request is wrong.
    pub(super) fn bad(reason: impl Into<String>) -> Self {
        Self::status(StatusCode::BAD_REQUEST, reason)
    }

    /// What the request names is not there.
    pub(super) fn not_found(reason: impl Into<String>) -> Self {
        Self::status(StatusCode::NOT_FOUND, reason)
    }

    /// The request can't be carried out; the sentence says why and what to do.
    pub(super) fn refused(reason: impl Into<String>) -> Self {
        Self::status(StatusCode::CONFLICT, reason)
    }

    /// A fault of ours; the reason is logged, and not shown.
    pub(super) fn internal(reason: &str) -> Self {
        tracing::error!(reason, "a page of the console failed");
        Self::status(
            StatusCode::INTERNAL_SERVER_ERROR,
            "scimd could not make this page; the log says why",
        )
    }
}
