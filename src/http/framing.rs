//! Checks on the head of a request that hyper leaves to its user.
//!
//! A proxy in front of scimd reads the same bytes. What the two could read in different ways is refused,
//! and the connection ends, so that no request hides in another.

use std::net::Ipv6Addr;

use hyper::Version;
use hyper::header::{HOST, TRANSFER_ENCODING};
use hyper::http::request::Parts;

use super::error::Failure;

/// Checks the Host and the Transfer-Encoding of a request (RFC 9112, sections 3.2 and 6.1).
///
/// # Errors
///
/// 400 if Host is missing, repeated or no host; 501 for a transfer coding other than one `chunked`.
pub(super) fn check(parts: &Parts) -> Result<(), Failure> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host.as_bytes()) => {}
        (None, _) if parts.version < Version::HTTP_11 => {}
        _ => {
            return Err(Failure::MalformedHead(
                "The header Host is required exactly once, with a host and an optional port."
                    .to_owned(),
            ));
        }
    }
    let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Failure::NotImplemented(
            "The only supported transfer coding is \"chunked\", applied once.".to_owned(),
        )),
    }
}

/// Whether a value is a host, and perhaps a port (RFC 3986, section 3.2.2).
fn is_host(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return false };
    let (is_host, rest) = match text.strip_prefix('[') {
        Some(text) => {
            let (address, rest) = text.split_once(']').unwrap_or_default();
            (address.parse::<Ipv6Addr>().is_ok(), rest)
        }
        None => {
            let (name, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            (!name.is_empty() && name.bytes().all(is_name_byte), rest)
        }
    };
    let is_port = |port: &str| {
        port.bytes().all(|byte| byte.is_ascii_digit())
            && (port.is_empty() || port.parse::<u16>().is_ok())
    };
    is_host && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

/// Whether a registered name may contain a byte: unreserved, a part of an escape, or a sub-delimiter.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for host in [
            "x",
            "scim.example.com",
            "my_host:8443",
            "192.0.2.1:443",
            "[2001:db8::1]",
            "[::1]:1",
            "x:",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "", ":443", "a b", "a/b", "user@x", "x:y", "x:70000", "x:1:2", "[", "[]", "[x]",
            "[::1]x", "[::1", "::1", "x,y z", "http://x", "x?", "x#", "é",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
