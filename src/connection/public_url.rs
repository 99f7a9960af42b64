//! The address under which clients reach scimd.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::host;
use crate::text::InvalidText;

/// An `https` or `http` URL: a host, optionally a port and a path prefix.
///
/// Scheme and host are lower case, and there is no slash at the end. A query, a
/// fragment and userinfo are refused. In a checked configuration the scheme is
/// `http` only where the listener speaks plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    text: String,
    is_https: bool,
    host: String,
    port: Option<u16>,
}

impl PublicUrl {
    /// Returns the URL of a listener that clients reach directly.
    ///
    /// A listener on every interface is named by its loopback address, the only one that is known.
    pub fn of_listener(mut address: SocketAddr, tls: bool) -> Self {
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let scheme = if tls { "https" } else { "http" };
        Self {
            text: format!("{scheme}://{address}"),
            is_https: tls,
            host: address.ip().to_string(),
            port: Some(address.port()),
        }
    }

    /// The URL, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host: a name or an address; an IPv6 address is without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where the URL names one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether the scheme is `https`.
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// Whether the host is this machine: `localhost` or a loopback address.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    }
}

impl FromStr for PublicUrl {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let wrong = |what: String| {
            InvalidText::new(format!(
                "{text:?}: {what}; expected for example \"https://scim.example.com\""
            ))
        };
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| wrong("not a URL with scheme and host".to_owned()))?;
        let scheme = scheme.to_ascii_lowercase();
        if !matches!(scheme.as_str(), "https" | "http") {
            return Err(wrong(format!("unknown scheme {scheme:?}")));
        }
        for (mark, what) in [('?', "a query"), ('#', "a fragment"), ('@', "userinfo")] {
            if rest.contains(mark) {
                return Err(wrong(format!("{what} is not allowed")));
            }
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = host::split(authority).map_err(|error| wrong(error.to_string()))?;
        let path = path.strip_suffix('/').unwrap_or(path);
        if !path.split('/').skip(1).all(is_segment) {
            return Err(wrong(format!(
                "path {path:?} has an empty segment or a special character"
            )));
        }
        let host = host.to_ascii_lowercase();
        let shown_port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Ok(Self {
            text: format!("{scheme}://{host}{shown_port}{path}"),
            is_https: scheme == "https",
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
        })
    }
}

impl Serialize for PublicUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for PublicUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The unreserved characters of RFC 3986, section 2.3, are enough for a prefix.
fn is_segment(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        && segment
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart() {
        let url: PublicUrl = "HTTPS://Scim.Example.com:8443/Prefix/".parse().unwrap();
        assert_eq!(url.as_str(), "https://scim.example.com:8443/Prefix");
        assert_eq!((url.host(), url.port()), ("scim.example.com", Some(8443)));
        assert!(url.is_https() && !url.is_loopback());
        let url: PublicUrl = "http://[::1]/".parse().unwrap();
        assert_eq!((url.as_str(), url.host(), url.port()), ("http://[::1]", "::1", None));
        assert!(!url.is_https() && url.is_loopback());
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "scim.example.com",
            "ftp://a",
            "https://",
            "https:///x",
            "https://a?q",
            "https://a#f",
            "https://u@a",
            "https://a//",
            "https://a/../b",
            "https://a/b c",
            "https://a/%2e",
            "https://a:b",
            " https://a",
            "https://a\\b",
            "https://é",
        ] {
            let error = text.parse::<PublicUrl>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text:?}: ")), "{error}");
        }
    }

    #[test]
    fn a_listener_has_a_url() {
        let url = PublicUrl::of_listener("127.0.0.1:8443".parse().unwrap(), true);
        assert_eq!(url.as_str(), "https://127.0.0.1:8443");
        let url = PublicUrl::of_listener("[::]:80".parse().unwrap(), false);
        assert_eq!(url.as_str(), "http://[::1]:80");
        assert_eq!(url, "http://[::1]:80".parse().unwrap());
    }
}
