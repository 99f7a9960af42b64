//! Signs the head of the log: at the start, every hour, and once more at a clean stop.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::clock::Clock;
use crate::directory::Directory;
use crate::log::Log;
use crate::store::signatures::HeadSigner;
use crate::text::with_causes;

/// The time between signatures.
const HOURLY: Duration = Duration::from_secs(60 * 60);

/// Signs heads of the log of a server.
pub(super) struct HeadSignatures {
    signer: Mutex<HeadSigner>,
    log: Arc<dyn Log>,
}

impl HeadSignatures {
    /// Begins with the key of the data folder; makes one if there is none.
    ///
    /// # Errors
    ///
    /// The key can't be used.
    pub(super) fn open(data: &Path, directory: &Directory) -> Result<Arc<Self>> {
        let signer = HeadSigner::open(data).context("can't sign the audit log")?;
        Ok(Arc::new(Self { signer: Mutex::new(signer), log: directory.log_handle() }))
    }

    /// Signs the head at once and then every hour, until dropped.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            let this = Arc::clone(&self);
            // A failure is logged, and stops nothing else.
            let _ = tokio::task::spawn_blocking(move || this.sign()).await;
            tokio::time::sleep(HOURLY).await;
        }
    }

    /// Signs the head as it is now.
    pub(super) fn sign(&self) {
        let mut signer = self.signer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = signer.sign(self.log.head(), Clock::System.now()) {
            tracing::warn!(error = with_causes(&error), "the head of the audit log was not signed");
        }
    }
}
