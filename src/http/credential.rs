//! The credential of a SCIM request: a token, in one of the ways in which clients send it.

use data_encoding::BASE64;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

use super::denial::DenyReason;
use crate::connection::token::TokenSecret;
use crate::secret::Secret;

/// What a client sends to authenticate.
pub(super) struct Credential {
    pub(super) secret: TokenSecret,
    /// The user name of HTTP Basic, if it was sent that way.
    pub(super) user: Option<String>,
}

/// The token in the Authorization header: after `Bearer`, or alone, as some clients send it, or as the password of
/// `Basic`.
pub(super) fn credential(headers: &HeaderMap) -> Result<Credential, DenyReason> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let header = sent.next().ok_or(DenyReason::NoToken)?;
    if sent.next().is_some() {
        return Err(DenyReason::SeveralTokens);
    }
    let text = header.to_str().map_err(|_| DenyReason::Malformed)?.trim();
    let token = match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer") => token.trim(),
        Some((scheme, encoded)) if scheme.eq_ignore_ascii_case("Basic") => {
            return basic_credential(encoded.trim()).ok_or(DenyReason::Malformed);
        }
        _ => text,
    };
    let secret = TokenSecret::parse(token).ok_or(DenyReason::Malformed)?;
    Ok(Credential { secret, user: None })
}

fn basic_credential(encoded: &str) -> Option<Credential> {
    let decoded = BASE64.decode(encoded.as_bytes()).ok()?;
    let text = Secret::new(String::from_utf8(decoded).ok()?);
    let (user, password) = text.expose().split_once(':')?;
    Some(Credential { secret: TokenSecret::parse(password)?, user: Some(user.to_owned()) })
}
