//! Which hosts and origins a request may name.
//!
//! A page elsewhere can have a browser call the console under a name of its own that it resolves to the console's
//! address (DNS rebinding). Such a request names that host, and is refused.

use std::net::IpAddr;

use hyper::header::{HOST, HeaderMap, HeaderName, ORIGIN};

use crate::connection::PublicUrl;

/// Says where a request comes from, by the browser's own account.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The host and port that a request names, if the console is served under that host.
pub(super) fn served(headers: &HeaderMap, public_url: Option<&PublicUrl>) -> Option<String> {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(only), None) = (hosts.next(), hosts.next()) else { return None };
    let authority = only.to_str().ok()?.to_ascii_lowercase();
    // The same parser as for the configuration: a host, perhaps a port, nothing else.
    let named: PublicUrl = format!("https://{authority}").parse().ok()?;
    let root = named.as_str().strip_prefix("https://")?;
    let is_bare = !root.contains('/') && !authority.contains('/');
    let is_loopback = named.host() == "localhost"
        || named.host().parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
    let is_public = public_url.is_some_and(|url| url.host() == named.host());
    (is_bare && (is_loopback || is_public)).then_some(authority)
}

/// Whether a form was sent by a page of the console itself, as far as the browser says. With the policy that pages
/// carry, browsers send the origin `null`.
pub(super) fn is_same_origin(headers: &HeaderMap, host: &str) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return site == "same-origin";
    }
    let own = format!("https://{host}");
    headers.get(ORIGIN).is_none_or(|origin| origin == own.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_this_machine_and_the_configured_host_are_served() {
        let public: PublicUrl = "https://console.example.com".parse().unwrap();
        for host in [
            "localhost",
            "localhost:8444",
            "127.0.0.1:8444",
            "[::1]:8444",
            "127.9.9.9",
            "LOCALHOST:1",
        ] {
            assert!(served(&headers(&HOST, &[host]), None).is_some(), "{host}");
        }
        for host in ["console.example.com", "Console.Example.com:8444"] {
            assert!(served(&headers(&HOST, &[host]), Some(&public)).is_some(), "{host}");
            assert!(served(&headers(&HOST, &[host]), None).is_none(), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.0.2.1",
            "0.0.0.0",
            "",
            "localhost@evil",
            "localhost/x",
            "127.1",
            "console.example.com.evil",
        ] {
            assert!(served(&headers(&HOST, &[host]), Some(&public)).is_none(), "{host}");
        }
        assert!(served(&headers(&HOST, &["localhost", "localhost"]), None).is_none());
        assert!(served(&HeaderMap::new(), None).is_none());
    }

    #[test]
    fn a_form_comes_from_the_console_itself() {
        for (site, same) in
            [("same-origin", true), ("same-site", false), ("cross-site", false), ("none", false)]
        {
            assert_eq!(
                is_same_origin(&headers(&SEC_FETCH_SITE, &[site]), "localhost"),
                same,
                "{site}"
            );
        }
        for (origin, same) in
            [("https://localhost", true), ("https://evil", false), ("null", false)]
        {
            assert_eq!(is_same_origin(&headers(&ORIGIN, &[origin]), "localhost"), same, "{origin}");
        }
        assert!(
            is_same_origin(&HeaderMap::new(), "localhost"),
            "no browser; the CSRF token decides"
        );
    }
}
