//! Workload identity federation: an issuer whose assertions stand for a client secret.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::assertion::AssertionAlgorithm;
use crate::text::InvalidText;

/// What the id of every trust begins with.
pub const TRUST_PREFIX: &str = "federation-";
/// How long an assertion may be valid that may be used again, in seconds.
pub const MAX_LIFE: i64 = 24 * 60 * 60;

/// The trust of a connection in the assertions of an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Federation {
    /// The issuer of the assertions.
    pub issuer: String,
    /// Their subject.
    pub subject: String,
    /// The audiences of which one must be among theirs; never empty.
    pub audiences: Vec<String>,
    /// The client identifier of requests; `None` for the name of the connection.
    pub client_id: Option<String>,
    /// Where the keys of the issuer come from.
    pub keys: KeySource,
    /// The algorithms that may sign them; never empty.
    pub algorithms: Vec<AssertionAlgorithm>,
}

/// Where the keys of an issuer come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// They are fetched.
    Url(KeySetUrl),
    /// They are in a file.
    File(PathBuf),
}

/// An `https` URL of a set of keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeySetUrl(String);

impl KeySetUrl {
    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The port of the server.
    pub fn port(&self) -> u16 {
        let authority = self.0.split('/').nth(2).unwrap_or_default();
        let authority = authority.split('?').next().unwrap_or_default();
        let after_host = authority.rsplit(']').next().unwrap_or_default();
        after_host.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(443)
    }
}

impl FromStr for KeySetUrl {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let rest = text.strip_prefix("https://").unwrap_or_default();
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if host.is_empty() || host.contains('@') || text.contains('#') || !is_plain {
            return Err(InvalidText::new(format!(
                "{text:?} is no URL of keys; expected such as \
                 \"https://login.microsoftonline.com/TENANT/discovery/v2.0/keys\""
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for KeySetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Federation {
    /// The id of the trust of a connection. It changes with the trust: access tokens of a trust that was changed
    /// open nothing.
    pub fn trust_id(&self, connection: &str) -> String {
        let mut hash = Sha256::new();
        let algorithms = self.algorithms.iter().map(|one| one.as_str());
        let source = match &self.keys {
            KeySource::Url(url) => url.as_str().to_owned(),
            KeySource::File(path) => path.to_string_lossy().into_owned(),
        };
        let parts = [self.issuer.as_str(), &self.subject, &source];
        let audiences = self.audiences.iter().map(String::as_str);
        for part in parts.into_iter().chain(audiences).chain(algorithms) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        let short = HEXLOWER.encode(digest.get(..4).unwrap_or_default());
        format!("{TRUST_PREFIX}{connection}-{short}")
    }

    /// The client identifier of the requests of a connection.
    pub fn client_id<'a>(&'a self, connection: &'a str) -> &'a str {
        self.client_id.as_deref().unwrap_or(connection)
    }

    /// Whether no assertion could tell the two apart.
    pub fn equals(&self, other: &Self) -> bool {
        (&self.issuer, &self.subject) == (&other.issuer, &other.subject)
            && self.audiences.iter().any(|audience| other.audiences.contains(audience))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn federation() -> Federation {
        Federation {
            issuer: "https://issuer".to_owned(),
            subject: "s".to_owned(),
            audiences: vec!["a".to_owned()],
            client_id: None,
            keys: KeySource::File("keys.json".into()),
            algorithms: vec![AssertionAlgorithm::Rs256],
        }
    }

    #[test]
    fn the_id_of_a_trust_changes_with_it() {
        let id = federation().trust_id("entra");
        assert!(id.starts_with("federation-entra-") && id == federation().trust_id("entra"));
        let changes: [fn(&mut Federation); 5] = [
            |one| one.issuer.push('/'),
            |one| one.subject.push('t'),
            |one| one.audiences.push("b".to_owned()),
            |one| one.keys = KeySource::File("other.json".into()),
            |one| one.algorithms.push(AssertionAlgorithm::Es256),
        ];
        for change in changes {
            let mut changed = federation();
            change(&mut changed);
            assert_ne!(changed.trust_id("entra"), id);
        }
    }

    #[test]
    fn a_url_has_a_port() {
        for (url, port) in [
            ("https://a", 443),
            ("https://a/x:1", 443),
            ("https://a:8443?x", 8_443),
            ("https://[::1]/k", 443),
            ("https://[::1]:9/k", 9),
        ] {
            assert_eq!(url.parse::<KeySetUrl>().unwrap().port(), port, "{url}");
        }
    }

    #[test]
    fn keys_are_fetched_over_https_alone() {
        for good in ["https://a", "https://a.example:8443/keys?v=2", "https://[::1]/k"] {
            assert_eq!(good.parse::<KeySetUrl>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "http://a",
            "https://",
            "https:///k",
            "https://u:p@a/k",
            "https://a/k#f",
            "https://a b",
            "ftp://a",
        ] {
            assert!(bad.parse::<KeySetUrl>().is_err(), "{bad}");
        }
    }
}
