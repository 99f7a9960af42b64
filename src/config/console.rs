//! `[console]`: the web console.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::listen::ListenAddress;
use super::oidc::OidcConfig;
use super::public_url::ConfiguredUrl;
use super::reader::Section;
use crate::connection::PublicUrl;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The web console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleConfig {
    /// Whether it is served.
    pub enabled: bool,
    /// The address and port to bind. It always speaks TLS.
    pub address: SocketAddr,
    /// The URL that links point at; `None` for the one of `address`.
    pub public_url: Option<PublicUrl>,
    /// How long a session lasts without a request; 1s to 1d.
    pub idle_timeout: Duration,
    /// How long a session lasts at most; 1s to 7d.
    pub session_lifetime: Duration,
    /// The OpenID provider at which operators sign in, if there is one.
    pub oidc: Option<OidcConfig>,
}

impl Default for ConsoleConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            address: (Ipv4Addr::LOCALHOST, 8444).into(),
            public_url: None,
            idle_timeout: Duration::from_secs(15 * 60),
            session_lifetime: DAY / 2,
            oidc: None,
        }
    }
}

impl ConsoleConfig {
    /// The URL by which browsers reach the console.
    pub fn url(&self) -> PublicUrl {
        self.public_url.clone().unwrap_or_else(|| PublicUrl::of_listener(self.address, true))
    }

    pub(super) fn read(section: &mut Section<'_, '_>, listen: SocketAddr) -> Self {
        let default = Self::default();
        let second = Duration::from_secs(1);
        let console = Self {
            enabled: section.boolean("enabled", default.enabled),
            address: section.parsed("address", ListenAddress(default.address)).0,
            public_url: section.optional("public_url").map(|ConfiguredUrl(url)| url),
            idle_timeout: section.duration("idle_timeout", second..=DAY, default.idle_timeout),
            session_lifetime: section.duration(
                "session_lifetime",
                second..=7 * DAY,
                default.session_lifetime,
            ),
            oidc: OidcConfig::of_console(section),
        };
        if let Some(url) = &console.public_url {
            let root = format!("{}/", url.as_str());
            if !url.is_https() || root.matches('/').count() != 3 {
                let message = format!(
                    "\"{url}\" is not the address of a console; expected https:// and a host, without a path"
                );
                section.problem("public_url", message);
            }
        }
        if console.enabled && console.address == listen {
            let message = format!(
                "\"{listen}\" is the address of [listen]; the console needs a port of its own, such as 8444"
            );
            section.problem("address", message);
        }
        console
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    #[test]
    fn an_address_has_no_path_and_a_port_of_its_own() {
        for (text, words) in [
            ("[console]\npublic_url = 'http://a'", ":2:1: console.public_url: \"http://a\" is not"),
            (
                "[console]\npublic_url = 'https://a/b'",
                "expected https:// and a host, without a path",
            ),
            (
                "[console]\naddress = '127.0.0.1:8443'",
                "2:1: console.address: \"127.0.0.1:8443\" is",
            ),
            ("[console]\nidle_timeout = '2d'", "is out of range; expected 1s to 1d"),
            ("[console]\nsession_lifetime = '8d'", "is out of range; expected 1s to 7d"),
        ] {
            let error = Config::parse(text, Path::new("config.toml")).unwrap_err().to_string();
            assert!(error.lines().count() == 1 && error.contains(words), "{error}");
        }
        let text =
            "[console]\npublic_url = 'https://a:1'\nidle_timeout = '1s'\nsession_lifetime = '7d'";
        let config = Config::parse(text, Path::new("config.toml")).unwrap();
        assert_eq!(config.console.url().as_str(), "https://a:1");
        let config = Config::parse("[console]\naddress = '0.0.0.0:1'", Path::new("")).unwrap();
        assert_eq!(config.console.url().as_str(), "https://127.0.0.1:1");
    }
}
