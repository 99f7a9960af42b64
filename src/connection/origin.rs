//! The expected value of `X-Request-Origin`.

use std::fmt;
use std::str::FromStr;

use super::host;
use crate::text::InvalidText;

/// Longest accepted text, in bytes.
const MAX_BYTES: usize = 255;

/// The origin that a connection's requests must name.
///
/// Written as a host with an optional port, optionally behind `http://` or
/// `https://`. The configured value and the header pass the same normalisation:
/// spaces and tabs around it, the scheme, one trailing slash and one trailing dot
/// of the host are dropped, and ASCII letters become lower case. Anything else (a
/// path, userinfo, spaces inside, control or non-ASCII characters, nothing at all,
/// more than 255 bytes) is refused.
///
/// A header matches when host and port are equal (no port equals only no port)
/// and it does not name another scheme than the configured one. Where either side
/// names no scheme, the scheme decides nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: Option<Scheme>,
    host: String,
    port: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Origin {
    /// The origin of the built-in connection.
    pub fn localhost() -> Self {
        Self { scheme: None, host: "localhost".to_owned(), port: None }
    }

    /// Whether a header's value names this origin; a malformed value never does.
    pub fn matches(&self, header: &str) -> bool {
        let Ok((scheme, host, port)) = split(header) else { return false };
        let same_scheme = match (self.scheme, scheme) {
            (Some(expected), Some(found)) => expected == found,
            _ => true,
        };
        same_scheme && port == self.port && host.eq_ignore_ascii_case(&self.host)
    }
}

impl FromStr for Origin {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let (scheme, host, port) = split(text)?;
        Ok(Self { scheme, host: host.to_ascii_lowercase(), port })
    }
}

/// Writes the normalised form, with its scheme where one was given.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme {
            Some(Scheme::Http) => f.write_str("http://")?,
            Some(Scheme::Https) => f.write_str("https://")?,
            None => {}
        }
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Normalises everything except the letter case of the host.
fn split(text: &str) -> Result<(Option<Scheme>, &str, Option<u16>), InvalidText> {
    let trimmed = text.trim_matches([' ', '\t']);
    if trimmed.len() > MAX_BYTES {
        return Err(InvalidText::new(format!("longer than {MAX_BYTES} bytes")));
    }
    let (scheme, rest) = if let Some(rest) = strip_prefix_ignore_case(trimmed, "https://") {
        (Some(Scheme::Https), rest)
    } else if let Some(rest) = strip_prefix_ignore_case(trimmed, "http://") {
        (Some(Scheme::Http), rest)
    } else {
        (None, trimmed)
    };
    let (host, port) = host::split(rest.strip_suffix('/').unwrap_or(rest)).map_err(|error| {
        InvalidText::new(format!("{text:?} is not an origin such as app.example.com: {error}"))
    })?;
    Ok((scheme, host, port))
}

fn strip_prefix_ignore_case<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(configured: &str, header: &str) -> bool {
        configured.parse::<Origin>().unwrap().matches(header)
    }

    #[test]
    fn spelling_does_not_matter() {
        for header in [
            "app.example.com",
            " APP.Example.com\t",
            "app.example.com.",
            "https://app.example.com/",
            "HTTP://app.example.com./",
        ] {
            assert!(matches("app.example.com", header), "{header:?}");
            assert!(matches(header, "app.example.com"), "{header:?}");
        }
    }

    #[test]
    fn host_port_and_scheme_do() {
        for (configured, header) in [
            ("app.example.com", "example.com"),
            ("app.example.com", "app.example.com.evil.org"),
            ("app.example.com", "app.example.com:443"),
            ("app.example.com:8443", "app.example.com"),
            ("https://app.example.com", "http://app.example.com"),
            ("app.example.com", "ftp://app.example.com"),
            ("app.example.com", "app.example.com//"),
            ("app.example.com", "app.example.com.."),
            ("app.example.com", ""),
        ] {
            assert!(!matches(configured, header), "{configured:?} {header:?}");
        }
        assert!(matches("https://app.example.com:8443", "app.example.com:8443"));
        assert!(matches("[::1]:8443", "https://[::1]:8443"));
    }

    #[test]
    fn malformed_origins_are_refused() {
        let long = format!("{}a", "a.".repeat(128));
        for text in [
            "",
            " ",
            "a b",
            "a/b",
            "user@a",
            "a\n",
            "\u{a0}a",
            "exämple.org",
            "https://",
            "a?b",
            "a#b",
            "a,b",
            &long,
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text:?}");
            assert!(!Origin::localhost().matches(text), "{text:?}");
        }
    }

    #[test]
    fn display_is_the_normal_form() {
        let origin: Origin = " HTTPS://App.Example.com.:8443/ ".parse().unwrap();
        assert_eq!(origin.to_string(), "https://app.example.com:8443");
        assert_eq!(origin.to_string().parse::<Origin>().unwrap(), origin);
    }
}
