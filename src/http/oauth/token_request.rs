//! The form that clients send to the token endpoint, and how they prove themselves.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use data_encoding::BASE64;
use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;

use crate::http::error::Failure;
use crate::secret::Secret;

/// The parameters that this endpoint reads.
const KNOWN: [&str; 6] = [
    "grant_type",
    "scope",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
];
/// The only type of assertions (RFC 7523, section 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A request for an access token.
pub(in crate::http) struct TokenRequest {
    /// The parameters that this endpoint reads; absent where the value is empty (RFC 6749, section 3.2).
    parameters: HashMap<&'static str, Secret>,
    credentials: ClientCredentials,
    is_basic: bool,
}

/// What a client proves itself with.
pub(in crate::http) enum ClientCredentials {
    /// Nothing that could be read; the text says why.
    None(&'static str),
    /// Its id and its secret.
    Secret {
        /// The id.
        id: String,
        /// The secret.
        secret: Secret,
    },
    /// An assertion.
    Assertion {
        /// The id, if the request has one.
        id: Option<String>,
        /// The assertion.
        assertion: Secret,
    },
}

fn invalid(detail: impl Into<String>) -> Failure {
    Failure::TokenRequest { error: "invalid_request", detail: detail.into() }
}

impl TokenRequest {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// `TokenRequest` with what to change.
    pub(in crate::http) fn read(parts: &Parts, body: &[u8]) -> Result<Self, Failure> {
        if parts.uri.query().is_some_and(|query| !query.is_empty()) {
            return Err(invalid(
                "The token endpoint takes its parameters in the body, not in the URL. If the URL had a secret, it may \
                 be in logs now: revoke the client, and generate another.",
            ));
        }
        let parameters = parameters(body)?;
        let text = |name| parameters.get(name).map(Secret::expose);
        let (id, secret) = (text("client_id"), text("client_secret"));
        let assertion = text("client_assertion");
        let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
        let header = headers.next();
        if headers.next().is_some() {
            return Err(invalid("Several Authorization headers were sent; send one."));
        }
        let ways = [header.is_some(), secret.is_some(), assertion.is_some()];
        if ways.into_iter().filter(|way| *way).count() > 1 {
            return Err(invalid(
                "The client authenticates in several ways; send one of Authorization, client_secret and \
                 client_assertion.",
            ));
        }
        let kind = text("client_assertion_type");
        if kind != assertion.map(|_| JWT_BEARER) {
            return Err(invalid(format!(
                "client_assertion and client_assertion_type belong together; the type is {JWT_BEARER}."
            )));
        }
        if let Some(assertion) = assertion {
            let id = id.map(ToOwned::to_owned);
            let assertion = Secret::new(assertion.to_owned());
            let credentials = ClientCredentials::Assertion { id, assertion };
            return Ok(Self { parameters, credentials, is_basic: false });
        }
        let credentials = match (header, id, secret) {
            (Some(header), id, _) => match basic(header.as_bytes()) {
                Some((basic_id, _)) if id.is_some_and(|id| id != basic_id) => {
                    return Err(invalid(
                        "client_id is not the client of the Authorization header; send one of them.",
                    ));
                }
                Some((id, secret)) => ClientCredentials::Secret { id, secret },
                None => ClientCredentials::None(
                    "the Authorization header is not Basic with client id and secret",
                ),
            },
            (None, Some(id), Some(secret)) => ClientCredentials::Secret {
                id: id.to_owned(),
                secret: Secret::new(secret.to_owned()),
            },
            (None, _, Some(_)) => {
                return Err(invalid("client_id is missing; send it with client_secret."));
            }
            (None, _, None) => ClientCredentials::None("no client credentials were sent"),
        };
        Ok(Self { parameters, credentials, is_basic: header.is_some_and(is_basic) })
    }

    /// The value of a parameter, if it has one.
    pub(in crate::http) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(Secret::expose)
    }

    pub(in crate::http) fn credentials(&self) -> &ClientCredentials {
        &self.credentials
    }

    /// Whether the client sent an Authorization header of the scheme Basic.
    pub(in crate::http) fn is_basic(&self) -> bool {
        self.is_basic
    }
}

/// The parameters that this endpoint reads. Others are ignored, but none may be sent twice.
fn parameters(body: &[u8]) -> Result<HashMap<&'static str, Secret>, Failure> {
    let mut sent: HashMap<Cow<'_, str>, Cow<'_, str>> = HashMap::new();
    for (name, value) in form_urlencoded::parse(body) {
        match sent.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert(value);
            }
            Entry::Occupied(entry) => {
                let known = KNOWN.iter().find(|known| *known == entry.key());
                let name = known.copied().unwrap_or("a parameter");
                return Err(invalid(format!("{name} was sent several times; send it once.")));
            }
        }
    }
    let read = KNOWN.iter().filter_map(|name| {
        let value = sent.get(*name).filter(|value| !value.is_empty())?;
        Some((*name, Secret::new(value.clone().into_owned())))
    });
    Ok(read.collect())
}

fn is_basic(header: &hyper::header::HeaderValue) -> bool {
    header.as_bytes().get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic "))
}

/// Client id and secret of a header of the scheme Basic, each form-encoded before (RFC 6749, section 2.3.1).
fn basic(header: &[u8]) -> Option<(String, Secret)> {
    let (scheme, encoded) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = BASE64.decode(encoded.trim_ascii()).ok()?;
    let text = Secret::new(String::from_utf8(decoded).ok()?);
    let (id, secret) = text.expose().split_once(':')?;
    let (id, secret) = (form_decoded(id)?, form_decoded(secret)?);
    (!id.is_empty() && !secret.is_empty()).then(|| (id, Secret::new(secret)))
}

fn form_decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn read(uri: &str, authorization: &[&str], body: &str) -> Result<TokenRequest, Failure> {
        let mut request = Request::builder().uri(uri);
        for value in authorization {
            request = request.header(AUTHORIZATION, *value);
        }
        TokenRequest::read(&request.body(()).unwrap().into_parts().0, body.as_bytes())
    }

    fn credentials(authorization: &[&str], body: &str) -> Option<(String, String)> {
        match read("/oauth2/token", authorization, body).ok()?.credentials {
            ClientCredentials::Secret { id, secret } => Some((id, secret.expose().to_owned())),
            ClientCredentials::None(_) | ClientCredentials::Assertion { .. } => None,
        }
    }

    fn of_basic(text: &str) -> String {
        format!("Basic {}", BASE64.encode(text.as_bytes()))
    }

    #[test]
    fn a_client_proves_itself_in_the_header_or_in_the_form() {
        let expected = Some(("a b".to_owned(), "s:c".to_owned()));
        assert_eq!(credentials(&[&of_basic("a+b:s%3Ac")], "grant_type=x"), expected);
        assert_eq!(credentials(&[&of_basic("a%20b:s:c")], "client_id=a+b"), expected);
        assert_eq!(credentials(&[], "client_id=a+b&client_secret=s%3Ac"), expected);
        let lower = of_basic("a+b:s%3Ac").replace("Basic", "basic");
        assert_eq!(credentials(&[&lower], ""), expected);
    }

    #[test]
    fn what_is_no_credential_proves_nothing() {
        for header in [
            "",
            "Basic",
            "Basic ",
            "Basic ***",
            "Bearer x",
            &of_basic("a"),
            &of_basic(":b"),
            &of_basic("a:"),
        ] {
            assert_eq!(credentials(&[header], ""), None, "{header}");
        }
        for body in ["", "client_id=a", "client_secret=", "client_id=a&client_secret="] {
            assert_eq!(credentials(&[], body), None, "{body}");
        }
    }

    #[test]
    fn ambiguous_requests_are_refused_with_what_to_change() {
        let basic = of_basic("a:b");
        for (uri, headers, body, expected) in [
            ("/oauth2/token?client_secret=b", vec![], "", "in the body, not in the URL"),
            ("/oauth2/token?x", vec![], "", "in the body, not in the URL"),
            ("/oauth2/token", vec![], "scope=a&scope=b", "scope was sent several times"),
            ("/oauth2/token", vec![], "x=a&x=b", "a parameter was sent several times"),
            (
                "/oauth2/token",
                vec![],
                "client_secret=&client_secret=b",
                "client_secret was sent several times",
            ),
            ("/oauth2/token", vec![], "client_secret=b", "client_id is missing"),
            ("/oauth2/token", vec![&basic], "client_id=a&client_secret=b", "in several ways"),
            ("/oauth2/token", vec![&basic], "client_assertion=b", "in several ways"),
            ("/oauth2/token", vec![], "client_assertion=b&client_secret=c", "in several ways"),
            ("/oauth2/token", vec![], "client_assertion=b", "belong together"),
            (
                "/oauth2/token",
                vec![],
                "client_assertion=b&client_assertion_type=x",
                "belong together",
            ),
            ("/oauth2/token", vec![&basic], "client_id=c", "client_id is not the client"),
            ("/oauth2/token", vec![&basic, &basic], "", "Several Authorization headers"),
        ] {
            let headers: Vec<&str> = headers.into_iter().map(String::as_str).collect();
            let Err(Failure::TokenRequest { error, detail }) = read(uri, &headers, body) else {
                panic!("{uri} {body} is taken")
            };
            assert!(error == "invalid_request" && detail.contains(expected), "{detail}");
        }
    }
}
