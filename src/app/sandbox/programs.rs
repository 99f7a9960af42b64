//! What the server may do beyond its own files and clients: start programs, connect to others.

use std::collections::BTreeSet;

use crate::config::Config;
use crate::connection::federation::{KeySetUrl, KeySource};

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

/// The port of name servers.
const DNS: u16 = 53;
/// The variables that name a proxy, whose port may be any.
const PROXIES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// Whether the environment names a proxy.
fn has_proxy() -> bool {
    PROXIES.iter().any(|name| std::env::var_os(name).is_some())
}

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
        if has_proxy() && config.webhooks.values().any(|webhook| webhook.url.is_https) {
            return Self::Any;
        }
        let mail = config.notify.mail.iter().flat_map(|mail| [mail.server.port, DNS]);
        let webhooks = config.webhooks.values().flat_map(|webhook| [webhook.url.port, DNS]);
        Self::Ports(mail.chain(webhooks).chain(ports).collect())
    }

    /// What fetching the keys of issuers needs.
    pub(super) fn of_federation(config: &Config) -> Self {
        let urls: Vec<&KeySetUrl> = config
            .connections
            .values()
            .filter_map(|connection| match &connection.federation.as_ref()?.keys {
                KeySource::Url(url) => Some(url),
                KeySource::File(_) => None,
            })
            .collect();
        match !urls.is_empty() && has_proxy() {
            true => Self::Any,
            false => Self::Ports(urls.into_iter().flat_map(|url| [url.port(), DNS]).collect()),
        }
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
