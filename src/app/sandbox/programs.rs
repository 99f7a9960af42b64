//! What the server may do beyond its own files and clients: start programs, connect to others.

use std::collections::BTreeSet;

use crate::app::database;
use crate::config::{Config, OidcConfig};
use crate::connection::federation::{KeySetUrl, KeySource};
use crate::fetch;

/// Whether the server may start programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Programs {
    /// It may not.
    Refused,
    /// It may. They inherit the sandbox.
    Allowed,
}

impl Programs {
    /// What a configuration needs.
    pub(super) fn of(config: &Config) -> Self {
        match config.notify.command {
            Some(_) => Self::Allowed,
            None => Self::Refused,
        }
    }
}

/// The ports of name servers and of HTTPS: a reload may add the first issuer whose keys are fetched.
const ALWAYS: [u16; 2] = [53, 443];

/// The TCP ports of other machines that the server, and the programs that it starts, may connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outgoing {
    /// Any: a program may need any.
    Any,
    /// These alone.
    Ports(BTreeSet<u16>),
}

impl Outgoing {
    /// What a configuration needs.
    pub(super) fn of(config: &Config) -> Self {
        if Programs::of(config) == Programs::Allowed {
            return Self::Any;
        }
        let Self::Ports(ports) = Self::of_federation(config) else { return Self::Any };
        let mail = config.notify.mail.iter().map(|mail| mail.server.port);
        let webhooks = config.webhooks.values().map(|webhook| webhook.url.port);
        // The provider says itself where its other endpoints are: at its own port, or at that of HTTPS.
        let provider = config.console.oidc.iter().map(OidcConfig::port);
        let all = mail.chain(webhooks).chain(provider).chain(ports).chain(database::ports(config));
        Self::Ports(all.collect())
    }

    /// What fetching the keys of issuers needs, also of such as a reload adds.
    pub(super) fn of_federation(config: &Config) -> Self {
        let urls = config.connections.values().filter_map(|connection| {
            match &connection.federation.as_ref()?.keys {
                KeySource::Url(url) => Some(url),
                KeySource::File(_) => None,
            }
        });
        let urls = urls.map(KeySetUrl::port);
        Self::Ports(urls.chain(ALWAYS).chain(fetch::proxy_port()).collect())
    }

    /// Whether another is within this.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Ports(_), Self::Any) => false,
            (Self::Ports(ours), Self::Ports(others)) => others.is_subset(ours),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_first_issuer_with_a_url_needs_no_restart_unless_its_port_is_unusual() {
        let with = |url: &str| {
            let federation = format!(
                "[connections.c]\nmethod = 'entra'\n[connections.c.federation]\nissuer = 'i'\nsubject = 's'\n\
                 audiences = ['a']\njwks_url = '{url}'\n"
            );
            Outgoing::of_federation(&Config::parse(&federation, Path::new("c.toml")).unwrap())
        };
        let none = Outgoing::of(&Config::parse("", Path::new("c.toml")).unwrap());
        assert!(none.covers(&with("https://keys.example/k")));
        assert!(!none.covers(&with("https://keys.example:4321/k")));
        assert!(with("https://keys.example:4321/k").covers(&with("https://keys.example:4321/x")));
    }
}
