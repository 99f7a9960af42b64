//! The `host[:port]` part that URLs and origins have in common.

use std::net::Ipv6Addr;

use crate::text::InvalidText;

/// Longest DNS name in its text form, RFC 1035.
const MAX_NAME: usize = 253;

/// Splits `host[:port]` and checks both; one trailing dot of a name is dropped.
///
/// A host is a DNS name or IPv4 address (letters, digits, `-`, `_`, dots), or an
/// IPv6 address in brackets, which stay on. A port is 1 to 65535 without leading
/// zeros. Letter case is kept.
pub(super) fn split(text: &str) -> Result<(&str, Option<u16>), InvalidText> {
    let host_length = match text.strip_prefix('[') {
        Some(rest) => rest.find(']').map(|end| end + 2),
        None => Some(text.find(':').unwrap_or(text.len())),
    };
    let (host, rest) =
        host_length.and_then(|length| text.split_at_checked(length)).ok_or_else(|| {
            InvalidText::new(format!("{text:?}: the bracket of the host is not closed"))
        })?;
    let host = host.strip_suffix('.').unwrap_or(host);
    if !is_host(host) {
        return Err(InvalidText::new(format!(
            "{host:?} is not a host; expected a name such as app.example.com (non-ASCII names in \
             their xn-- form), an IPv4 address, or an IPv6 address in brackets"
        )));
    }
    let port = match rest.strip_prefix(':') {
        Some(digits) => Some(port(digits)?),
        None if rest.is_empty() => None,
        None => return Err(InvalidText::new(format!("{text:?}: expected a port after the host"))),
    };
    Ok((host, port))
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok());
    }
    host.len() <= MAX_NAME && host.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn port(digits: &str) -> Result<u16, InvalidText> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    plain.then(|| digits.parse().ok()).flatten().ok_or_else(|| {
        InvalidText::new(format!("{digits:?} is not a port; expected a number from 1 to 65535"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        assert_eq!(split("app.example.com").unwrap(), ("app.example.com", None));
        assert_eq!(split("app.example.com.:443").unwrap(), ("app.example.com", Some(443)));
        assert_eq!(split("[::1]").unwrap(), ("[::1]", None));
        assert_eq!(split("[::1]:8443").unwrap(), ("[::1]", Some(8443)));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "", ".", "a..b", "a..", "a b", "a:", "a:0", "a:08", "a:+1", "a:65536", "a:1:2", "::1",
            "[::1", "[::1]8", "[::1%lo]", "[]", "é", "a/b", "u@h", "a\0",
        ] {
            assert!(split(text).is_err(), "{text:?}");
        }
    }
}
