//! `[webhooks.NAME]`: one table for each address that events are sent to.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::connection::is_name;
use super::reader::Section;
use crate::text::InvalidText;

/// An address that events are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfig {
    /// The address.
    pub url: WebhookUrl,
    /// The file with one secret, or two during a rotation.
    pub secret_file: PathBuf,
    /// The wanted types, such as `user.*`; empty for all.
    pub events: Vec<String>,
    /// The PEM file with the CA of the receiver; `None` for the public CAs that this machine trusts.
    pub ca_file: Option<PathBuf>,
}

/// The URL of a webhook: https, or http on the loopback interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookUrl {
    /// Whether the connection is encrypted.
    pub is_https: bool,
    /// The host name or address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The host and port as they are written.
    pub authority: String,
    /// The path and query.
    pub path: String,
}

impl FromStr for WebhookUrl {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let wrong = |why: &str| {
            InvalidText::new(format!(
                "{text:?} {why}; expected such as \"https://crm.example.com/hooks/scimd\""
            ))
        };
        let (is_https, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(wrong("is not an https URL")),
        };
        let visible = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&byte);
        if text.len() > 2048 || !text.bytes().all(visible) {
            return Err(wrong("is not a URL"));
        }
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        if authority.contains('@') {
            return Err(wrong("contains a user name"));
        }
        let bracket = authority.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match authority.get(bracket..).and_then(|rest| rest.rfind(':')) {
            Some(at) => authority.split_at(bracket + at),
            None => (authority, ""),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| wrong("has no valid port"))?,
            None if is_https => 443,
            None => 80,
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() || port == 0 {
            return Err(wrong("has no host"));
        }
        let is_local = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        if !is_https && !is_local {
            return Err(wrong("is not encrypted, and http is for the loopback interface alone"));
        }
        Ok(Self { is_https, host, port, authority: authority.to_owned(), path })
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

/// Reads the webhooks by name; a name is like that of a connection.
pub(super) fn read_webhooks(root: &mut Section<'_, '_>) -> BTreeMap<String, WebhookConfig> {
    let read = root.named_tables("webhooks", WebhookConfig::read).unwrap_or_default();
    read.into_iter().filter_map(|(name, webhook)| Some((name, webhook?))).collect()
}

impl WebhookConfig {
    fn read(name: &str, section: &mut Section<'_, '_>) -> Option<Self> {
        if !is_name(name) {
            section.refuse(format!(
                "webhook name {name:?} is wrong; expected 1 to 32 of the characters a-z, 0-9, _ and -"
            ));
        }
        let url = section.required("url", "an https URL");
        let secret_file = section.path("secret_file");
        if !section.is_written("secret_file") {
            section.missing("secret_file", "missing; expected the path of a file with a secret");
        }
        let events = section.array("events").unwrap_or_default();
        let ca_file = section.path("ca_file");
        Some(Self { url: url?, secret_file: secret_file?, events, ca_file })
    }

    /// The files that are read for deliveries.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.secret_file).chain(&self.ca_file)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("etc/config.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_webhook_has_an_address_and_files_beside_the_configuration() {
        let text = "[webhooks.crm]\nurl = 'https://[2001:db8::1]:8443?a=b'\nsecret_file = 's/crm'\n\
                    events = ['user.*']\n[webhooks.b]\nurl = 'http://127.0.0.1/x'\nsecret_file = '/s'\n";
        let webhooks = parse(text).unwrap().webhooks;
        let crm = &webhooks["crm"];
        assert_eq!(
            (crm.url.host.as_str(), crm.url.port, crm.url.path.as_str()),
            ("2001:db8::1", 8443, "/?a=b")
        );
        assert_eq!(crm.secret_file, Path::new("etc/s/crm"));
        assert_eq!(webhooks["b"].url.to_string(), "http://127.0.0.1/x");
        assert_eq!(webhooks["b"].url.port, 80);
    }

    #[test]
    fn every_mistake_is_named_with_what_is_expected() {
        for (line, words) in [
            ("url = 'http://crm.example.com/'", "http is for the loopback interface alone"),
            ("url = 'ftp://crm'", "is not an https URL"),
            ("url = 'https://a:b@crm'", "contains a user name"),
            ("url = 'https://crm:x'", "has no valid port"),
            ("url = 'https:///x'", "has no host"),
            ("url = 'https://crm/ü'", "is not a URL"),
            ("", "webhooks.crm.url: missing"),
        ] {
            let error = parse(&format!("[webhooks.crm]\nsecret_file = 's'\n{line}\n")).unwrap_err();
            assert!(error.contains(words), "{error}\nfor {line}");
        }
        let error = parse("[webhooks.crm]\nurl = 'https://crm'").unwrap_err();
        assert!(error.contains("webhooks.crm.secret_file: missing"), "{error}");
    }
}
