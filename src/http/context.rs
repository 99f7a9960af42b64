//! The context of requests: everything that follows from the configuration, in one value.
//!
//! A reload builds a new context and swaps it in at once, so that no request sees a mix of two
//! configurations.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::BASE_PATH;
use super::authorization_server;
use super::discovery_documents::DiscoveryDocuments;
use super::federation::Trusts;
use super::gate::Gate;
use super::request_metrics::RequestMetrics;
use super::work_limits::WorkLimits;
use crate::config::Config;
use crate::connection::dialect::Dialect;
use crate::connection::method::ClientProfile;
use crate::directory::Directory;
use crate::feed::Feed;
use crate::scim::query::PageLimits;

/// The settings and the directory that requests are answered with.
pub(super) struct HttpContext {
    pub(super) directory: Arc<Directory>,
    pub(super) feed: Arc<Feed>,
    pub(super) gate: Gate,
    /// The dialect of error responses to clients whose connection is not known.
    pub(super) default_dialect: Dialect,
    pub(super) discovery_documents: DiscoveryDocuments,
    /// The issuers whose assertions stand for client secrets.
    pub(super) trusts: Trusts,
    /// What OAuth clients can learn of the token endpoint.
    pub(super) oauth_metadata: Bytes,
    /// The audiences of assertions that clients sign themselves: the issuer, and the token endpoint.
    pub(super) oauth_audiences: [String; 2],
    /// The URL below which resources are located.
    pub(super) base_url: Arc<str>,
    pub(super) page_limits: PageLimits,
    pub(super) work_limits: Arc<WorkLimits>,
    pub(super) max_body_bytes: usize,
    pub(super) body_timeout: Duration,
    pub(super) request_timeout: Duration,
}

impl HttpContext {
    /// Builds the context of a configuration, which `directory` has adopted too. All contexts of a
    /// service share `work_limits` and `request_metrics`.
    pub(super) fn new(
        directory: Arc<Directory>,
        feed: Arc<Feed>,
        config: &Config,
        work_limits: Arc<WorkLimits>,
        request_metrics: &RequestMetrics,
    ) -> Self {
        let public_url = directory.public_url().unwrap_or(&config.public_url);
        let base_url = format!("{}{BASE_PATH}", public_url.as_str());
        let page_limits = PageLimits {
            default_count: config.limits.default_count,
            max_count: config.limits.max_count,
            max_body_bytes: config.limits.max_body_bytes,
        };
        let mut methods = config.connections.values().map(|connection| connection.method);
        let all_flat = methods.all(|method| ClientProfile::of(method).dialect() == Dialect::Flat);
        let trusts = Trusts::new(config);
        Self {
            gate: Gate::new(config, request_metrics),
            default_dialect: if all_flat { Dialect::Flat } else { Dialect::Rfc },
            discovery_documents: DiscoveryDocuments::new(
                &base_url,
                page_limits,
                directory.registry(),
            ),
            oauth_metadata: authorization_server::description(public_url.as_str()),
            oauth_audiences: [
                public_url.as_str().to_owned(),
                authorization_server::token_endpoint(public_url.as_str()),
            ],
            trusts,
            base_url: base_url.into(),
            page_limits,
            work_limits,
            max_body_bytes: config.limits.max_body_bytes,
            body_timeout: config.limits.body_timeout,
            request_timeout: config.limits.request_timeout,
            directory,
            feed,
        }
    }
}
