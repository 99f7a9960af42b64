//! Webhooks: events, sent to applications that asked for them (Standard Webhooks 1.0).
//!
//! One task for each webhook reads the change feed and sends batches in order, so that a receiver that fails holds up
//! no other.
//!
//! | file | contents |
//! | --- | --- |
//! | `endpoint` | the task: what is next, retries, what is stored |
//! | `delivery` | one POST |
//! | `signature` | secrets and signatures |
//! | `turn` | which node sends, where several share the log |
//! | `waived` | when a node leaves that to others |

mod delivery;
mod endpoint;
mod signature;
#[cfg(test)]
mod tests;
mod turn;
mod waived;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

pub use delivery::Receiver;
use endpoint::Endpoint;
pub use endpoint::WebhookSettings;
pub use signature::SigningKeys;
use turn::lease_of;

use crate::directory::Directory;
use crate::feed::Feed;
use crate::operator::{WebhookControl, WebhookInfo};

/// A webhook and the task that delivers.
type RunningEndpoint = (Arc<Endpoint>, JoinHandle<()>);

/// The webhooks of a running server.
pub struct Webhooks {
    directory: Arc<Directory>,
    feed: Arc<Feed>,
    runtime: Handle,
    endpoints: Arc<Mutex<BTreeMap<String, RunningEndpoint>>>,
}

impl Webhooks {
    /// No webhooks yet; on a thread of the runtime that drives them.
    pub fn new(directory: Arc<Directory>, feed: Arc<Feed>) -> Self {
        let endpoints = Arc::<Mutex<BTreeMap<String, RunningEndpoint>>>::default();
        // The feed must not keep what keeps the feed.
        let held = Arc::downgrade(&endpoints);
        feed.hold(move || {
            let endpoints = held.upgrade()?;
            let endpoints = endpoints.lock().unwrap_or_else(PoisonError::into_inner);
            endpoints.values().filter_map(|(endpoint, _)| endpoint.needed()).min()
        });
        Self { directory, feed, runtime: Handle::current(), endpoints }
    }

    /// Begins to deliver by these settings, and ends what they lack.
    pub fn set(&self, mut settings: BTreeMap<String, WebhookSettings>) {
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        endpoints.retain(|name, (endpoint, task)| match settings.remove(name) {
            Some(settings) => {
                endpoint.settings.store(Arc::new(settings));
                endpoint.wake.notify_one();
                true
            }
            None => {
                task.abort();
                false
            }
        });
        for (name, settings) in settings {
            let settings = ArcSwap::from_pointee(settings);
            let (directory, feed) = (Arc::clone(&self.directory), Arc::clone(&self.feed));
            let endpoint = Arc::new(Endpoint::new(name.clone(), settings, directory, feed));
            let task = self.runtime.spawn(Arc::clone(&endpoint).run());
            endpoints.insert(name, (endpoint, task));
        }
        self.directory.log().want_leases(endpoints.keys().map(|name| lease_of(name)).collect());
    }

    /// Has the log trimmed although webhooks hold it, while it is too large: parks the slowest, and if that is not enough
    /// the next one. `trim` removes what is not needed behind a change, `None` for everything, and answers whether
    /// that was anything: a webhook that does not keep it from that goes on.
    pub fn give_up_slowest(
        &self,
        is_too_large: impl Fn() -> bool,
        trim: impl Fn(Option<u64>) -> bool,
    ) {
        while is_too_large() {
            let (slowest, next) = {
                let endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
                let active = endpoints.values();
                let active = active.filter_map(|(one, _)| Some((one.needed()?, Arc::clone(one))));
                let mut active: Vec<_> = active.collect();
                active.sort_by_key(|(needed, _)| *needed);
                let mut active = active.into_iter();
                (active.next(), active.next().map(|(needed, _)| needed))
            };
            // The events go before the webhook is parked: after a crash between the two it finds that some are missing.
            match slowest.filter(|_| trim(next)) {
                Some((_, slowest)) => self.runtime.block_on(slowest.give_up()),
                None => return,
            }
        }
    }

    /// Ends all deliveries.
    pub fn stop(&self) {
        self.set(BTreeMap::new());
    }

    fn find(&self, name: &str) -> Result<Arc<Endpoint>, String> {
        let endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        endpoints.get(name).map(|(endpoint, _)| Arc::clone(endpoint)).ok_or_else(|| {
            let known: Vec<&str> = endpoints.keys().map(String::as_str).collect();
            format!(
                "there is no webhook \"{}\"; the configuration has {}",
                name.escape_debug(),
                if known.is_empty() { "none".to_owned() } else { known.join(", ") }
            )
        })
    }
}

impl WebhookControl for Webhooks {
    fn list(&self) -> Vec<WebhookInfo> {
        let endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        endpoints.values().map(|(endpoint, _)| endpoint.info()).collect()
    }

    fn test(&self, name: &str) -> Result<(), String> {
        let endpoint = self.find(name)?;
        self.runtime.block_on(endpoint.test())
    }

    fn resend(&self, name: &str, after: &str) -> Result<(), String> {
        self.find(name)?.resend(after)
    }
}
