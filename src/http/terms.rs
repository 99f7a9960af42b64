//! The terms of a request: all that follows from the configuration, in one piece.
//!
//! A reload makes new ones and puts them in place of the old at once, so that no request goes by a mix
//! of the two.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::BASE_PATH;
use super::gate::Gate;
use super::scim::discovery::Discovery;
use super::traffic::Traffic;
use crate::config::Config;
use crate::connection::dialect::Dialect;
use crate::connection::method::Manner;
use crate::directory::Directory;
use crate::scim::query::PageLimits;

/// What requests are answered by.
pub(super) struct Terms {
    pub(super) directory: Arc<Directory>,
    pub(super) gate: Gate,
    /// In which dialect those are answered who have not shown which connection they are.
    pub(super) strangers: Dialect,
    pub(super) discovery: Discovery,
    /// The URL below which resources are located.
    pub(super) base_url: String,
    pub(super) page_limits: PageLimits,
    /// Searches that look at many resources, at once.
    pub(super) scans: Arc<Semaphore>,
    pub(super) max_body_bytes: usize,
    pub(super) body_timeout: Duration,
    pub(super) request_timeout: Duration,
}

impl Terms {
    /// What a configuration comes to. The directory goes by the same; `scans` and `traffic` are those of
    /// all terms.
    pub(super) fn new(
        directory: Arc<Directory>,
        config: &Config,
        scans: Arc<Semaphore>,
        traffic: &Traffic,
    ) -> Self {
        let base_url = format!("{}{BASE_PATH}", config.public_url.as_str());
        let page_limits = PageLimits {
            default_count: config.limits.default_count,
            max_count: config.limits.max_count,
            max_body_bytes: config.limits.max_body_bytes,
        };
        let mut methods = config.connections.values().map(|connection| connection.method);
        let all_flat = methods.all(|method| Manner::of(method).dialect() == Dialect::Flat);
        Self {
            gate: Gate::new(config, traffic),
            strangers: if all_flat { Dialect::Flat } else { Dialect::Rfc },
            discovery: Discovery::new(&base_url, page_limits, directory.registry()),
            base_url,
            page_limits,
            scans,
            max_body_bytes: config.limits.max_body_bytes,
            body_timeout: config.limits.body_timeout,
            request_timeout: config.limits.request_timeout,
            directory,
        }
    }
}
