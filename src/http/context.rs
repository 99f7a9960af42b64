//! The context of requests: everything that follows from the configuration, in one value.
//!
//! A reload builds a new context and swaps it in at once, so that no request sees a mix of two
//! configurations.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::BASE_PATH;
use super::discovery_documents::DiscoveryDocuments;
use super::error::Failure;
use super::gate::Gate;
use super::request_metrics::RequestMetrics;
use crate::config::Config;
use crate::connection::dialect::Dialect;
use crate::connection::method::ClientProfile;
use crate::directory::Directory;
use crate::scim::query::PageLimits;

/// How many searches may look at many resources at once, and how many long answers be written.
const MAX_AT_ONCE: usize = 4;

/// Limits on long-running work: a few requests at a time.
pub(super) struct WorkLimits {
    /// Permits for searches that look at many resources, held until their response is written.
    pub(super) scans: Arc<Semaphore>,
    /// Permits for other long responses.
    long_responses: Semaphore,
}

impl WorkLimits {
    pub(super) fn new() -> Self {
        let scans = Arc::new(Semaphore::new(MAX_AT_ONCE));
        Self { scans, long_responses: Semaphore::new(MAX_AT_ONCE) }
    }

    /// Runs work that may take long, once a permit is free. The runtime moves the other connections of
    /// this thread to other threads meanwhile.
    pub(super) async fn run_heavy<T>(
        &self,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let _permit = self.long_responses.acquire().await.map_err(|_| Failure::Internal)?;
        tokio::task::block_in_place(work)
    }
}

/// The settings and the directory that requests are answered with.
pub(super) struct HttpContext {
    pub(super) directory: Arc<Directory>,
    pub(super) gate: Gate,
    /// The dialect of error responses to clients whose connection is not known.
    pub(super) default_dialect: Dialect,
    pub(super) discovery_documents: DiscoveryDocuments,
    /// The URL below which resources are located.
    pub(super) base_url: String,
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
        Self {
            gate: Gate::new(config, request_metrics),
            default_dialect: if all_flat { Dialect::Flat } else { Dialect::Rfc },
            discovery_documents: DiscoveryDocuments::new(
                &base_url,
                page_limits,
                directory.registry(),
            ),
            base_url,
            page_limits,
            work_limits,
            max_body_bytes: config.limits.max_body_bytes,
            body_timeout: config.limits.body_timeout,
            request_timeout: config.limits.request_timeout,
            directory,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_few_long_responses_are_written_at_once_and_the_others_wait() {
        static WRITTEN: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        let work_limits = Arc::new(WorkLimits::new());
        let writes: Vec<_> = (0..3 * MAX_AT_ONCE)
            .map(|_| Arc::clone(&work_limits))
            .map(|work_limits| {
                tokio::spawn(async move {
                    let work = || {
                        MOST.fetch_max(
                            WRITTEN.fetch_add(1, Ordering::SeqCst) + 1,
                            Ordering::SeqCst,
                        );
                        std::thread::sleep(Duration::from_millis(50));
                        WRITTEN.fetch_sub(1, Ordering::SeqCst);
                        Ok(())
                    };
                    work_limits.run_heavy(work).await.is_ok()
                })
            })
            .collect();
        for write in writes {
            assert!(write.await.unwrap());
        }
        assert_eq!(MOST.load(Ordering::SeqCst), MAX_AT_ONCE);
    }
}
