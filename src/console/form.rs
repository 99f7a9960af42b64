//! Fields of queries and forms, and their limits.

use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use percent_encoding::percent_decode;

use super::reply::ConsoleFailure;

/// The size of a form, in bytes.
const MAX_FORM_BYTES: usize = 64 * 1024;
/// The size of a form that is kept while its operator signs in again, in bytes.
const MAX_KEPT_BYTES: usize = 8 * 1024;
/// The number of fields of a form or a query.
const MAX_FIELDS: usize = 256;
/// The time that a browser has to send a form.
const FORM_TIME: Duration = Duration::from_secs(10);
const FORM: &str = "application/x-www-form-urlencoded";

/// Names with their values, in the order in which they were sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded`.
    ///
    /// # Errors
    ///
    /// A field is not UTF-8, or there are too many.
    pub(super) fn parse(text: &[u8]) -> Result<Self, ConsoleFailure> {
        let mut fields = Vec::new();
        for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            if fields.len() == MAX_FIELDS {
                return Err(ConsoleFailure::bad(format!(
                    "the request has more than {MAX_FIELDS} fields"
                )));
            }
            let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let (name, value) = pair.split_at(at);
            fields.push((decoded(name)?, decoded(value.get(1..).unwrap_or_default())?));
        }
        Ok(Self(fields))
    }

    /// The value of a field, without blanks at both ends; empty if it was not sent.
    pub(super) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.trim())
    }

    /// The value of a field as it was sent, with its blanks; empty if it was not sent.
    pub(super) fn whole(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// The fields without the token that ties them to a session, if they are few enough to be kept.
    pub(super) fn to_keep(&self) -> Option<Self> {
        let kept = self.0.iter().filter(|(name, _)| name != "csrf").cloned();
        let kept = Self(kept.collect());
        let bytes: usize = kept.0.iter().map(|(name, value)| name.len() + value.len()).sum();
        (bytes <= MAX_KEPT_BYTES).then_some(kept)
    }

    /// Whether a field was sent, with whatever value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }
}

fn decoded(text: &[u8]) -> Result<String, ConsoleFailure> {
    let spaced: Vec<u8> =
        text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let text = percent_decode(&spaced).decode_utf8();
    Ok(text.map_err(|_| ConsoleFailure::bad("a field is not UTF-8"))?.into_owned())
}

/// Reads the form of a request.
///
/// # Errors
///
/// It is no form, too large, or too slow.
pub(super) async fn read(headers: &HeaderMap, body: Incoming) -> Result<Fields, ConsoleFailure> {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case(FORM) {
        return Err(ConsoleFailure::status(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("a form is sent as {FORM}"),
        ));
    }
    let whole = tokio::time::timeout(FORM_TIME, Limited::new(body, MAX_FORM_BYTES).collect());
    match whole.await {
        Ok(Ok(collected)) => Fields::parse(&collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(ConsoleFailure::status(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("a form may have {MAX_FORM_BYTES} bytes"),
            ))
        }
        Ok(Err(_)) => Err(ConsoleFailure::bad("the form is incomplete")),
        Err(_) => Err(ConsoleFailure::status(
            StatusCode::REQUEST_TIMEOUT,
            "the form arrived too slowly; send it again",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded() {
        let fields = Fields::parse(b"a=1&b=x+y%26%C3%A9&b=2&c&&d=+e+=f").unwrap();
        assert_eq!((fields.get("a"), fields.get("b"), fields.get("c")), ("1", "x y&é", ""));
        assert_eq!((fields.get("d"), fields.get("x")), ("e =f", ""));
        assert!(fields.has("c") && !fields.has("x"));
        assert!(Fields::parse(b"a=%ff").is_err(), "not UTF-8");
    }

    #[test]
    fn a_form_is_kept_without_its_token_up_to_a_size() {
        let form = |size: usize| format!("csrf=secret&a={}", "x".repeat(size));
        let kept = Fields::parse(form(MAX_KEPT_BYTES - 1).as_bytes()).unwrap().to_keep().unwrap();
        assert!(kept.has("a") && !kept.has("csrf"));
        assert!(Fields::parse(form(MAX_KEPT_BYTES).as_bytes()).unwrap().to_keep().is_none());
    }

    #[test]
    fn there_are_no_more_fields_than_the_limit() {
        assert!(Fields::parse("a=1&".repeat(MAX_FIELDS).as_bytes()).is_ok());
        assert!(Fields::parse("a=1&".repeat(MAX_FIELDS + 1).as_bytes()).is_err());
    }
}
