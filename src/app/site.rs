//! How clients reach a server with a configuration, as the setup of connections needs it.

use std::path::PathBuf;

use super::certificate::self_signed;
use super::settings::{endpoint, token_url};
use crate::config::Config;
use crate::connection::setup::Reachability;

/// What the reachability of a server is made of.
pub struct Site<'a> {
    config: &'a Config,
    endpoint: String,
    token_endpoint: String,
    self_signed: Option<PathBuf>,
}

impl<'a> Site<'a> {
    /// That of a configuration.
    pub fn of(config: &'a Config) -> Self {
        // Whole, wherever the operator is.
        let whole = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let self_signed = self_signed(config).map(whole);
        let (endpoint, token_endpoint) = (endpoint(config), token_url(config));
        Self { config, endpoint, token_endpoint, self_signed }
    }

    /// How clients reach the server.
    pub fn reachability(&self) -> Reachability<'_> {
        let config = self.config;
        Reachability {
            public_url: &config.public_url,
            endpoint: &self.endpoint,
            token_endpoint: &self.token_endpoint,
            listen: config.listen.address,
            tls: config.listen.tls,
            trusted_proxies: &config.listen.trusted_proxies,
            self_signed: self.self_signed.as_deref(),
        }
    }
}
