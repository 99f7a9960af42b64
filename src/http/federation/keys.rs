//! The keys of issuers: fetched when an assertion needs them, and kept.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use crate::clock::Stopwatch;
use crate::connection::assertion::{Assertion, KeySet};
use crate::connection::federation::{KeySetUrl, KeySource};
use crate::fetch;
use crate::file;

/// The time from one attempt to fetch the keys of an issuer to the next.
const ATTEMPTS: Duration = Duration::from_secs(300);
/// The age from which on keys are fetched again before they are used.
const OLD: Duration = Duration::from_secs(60 * 60);

/// The keys of all issuers whose keys are fetched. It outlives reloads.
#[derive(Default)]
pub(in crate::http) struct IssuerKeys {
    by_url: Mutex<HashMap<KeySetUrl, Arc<FetchedKeys>>>,
}

/// The keys of one issuer.
#[derive(Default)]
struct FetchedKeys {
    keys: ArcSwapOption<Fetched>,
    /// When the last attempt began; held during one, so that there is one at a time.
    attempt: tokio::sync::Mutex<Option<Stopwatch>>,
}

struct Fetched {
    keys: Arc<KeySet>,
    since: Stopwatch,
}

impl IssuerKeys {
    /// Forgets the keys of issuers that are not trusted any more.
    pub(in crate::http) fn retain(&self, trusted: &[&KeySetUrl]) {
        self.by_url().retain(|url, _| trusted.contains(&url));
    }

    fn by_url(&self) -> std::sync::MutexGuard<'_, HashMap<KeySetUrl, Arc<FetchedKeys>>> {
        self.by_url.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys for an assertion whose claims are as expected.
    ///
    /// # Errors
    ///
    /// Why there are none, for log and audit trail.
    pub(super) async fn of(
        &self,
        source: &KeySource,
        assertion: &Assertion,
    ) -> Result<Arc<KeySet>, String> {
        match source {
            KeySource::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read(&path)).await;
                read.unwrap_or_else(|_| Err("the file of keys could not be read".to_owned()))
                    .map(Arc::new)
            }
            KeySource::Url(url) => {
                let issuer = Arc::clone(self.by_url().entry(url.clone()).or_default());
                issuer.of(url, assertion).await
            }
        }
    }
}

impl FetchedKeys {
    async fn of(&self, url: &KeySetUrl, assertion: &Assertion) -> Result<Arc<KeySet>, String> {
        if let Some(keys) = self.fitting(assertion) {
            return Ok(keys);
        }
        let mut attempt = self.attempt.lock().await;
        // Another request may have fetched them meanwhile.
        if let Some(keys) = self.fitting(assertion) {
            return Ok(keys);
        }
        let kept = || self.keys.load().as_ref().map(|fetched| Arc::clone(&fetched.keys));
        if attempt.as_ref().is_some_and(|last| last.elapsed() < ATTEMPTS) {
            return kept().ok_or_else(|| {
                format!("the keys at {url} could not be fetched; the next attempt is made 5 minutes after the last")
            });
        }
        *attempt = Some(Stopwatch::start());
        match fetch(url).await {
            Ok(keys) => {
                let keys = Arc::new(keys);
                let fetched = Fetched { keys: Arc::clone(&keys), since: Stopwatch::start() };
                self.keys.store(Some(Arc::new(fetched)));
                Ok(keys)
            }
            Err(error) => {
                tracing::warn!(%url, error, "the keys of an issuer could not be fetched");
                kept().ok_or_else(|| format!("the keys at {url} could not be fetched: {error}"))
            }
        }
    }

    /// The keys that are kept, if they have that of an assertion and are not old.
    fn fitting(&self, assertion: &Assertion) -> Option<Arc<KeySet>> {
        let fetched = self.keys.load();
        let fetched = fetched.as_ref()?;
        let fits = fetched.keys.has_key_of(assertion) && fetched.since.elapsed() < OLD;
        fits.then(|| Arc::clone(&fetched.keys))
    }
}

async fn fetch(url: &KeySetUrl) -> Result<KeySet, String> {
    let set = fetch::get(url.as_str(), "application/json, application/jwk-set+json").await?;
    KeySet::parse(&set).map_err(|error| error.to_string())
}

/// Reads a set of keys from a file.
fn read(path: &Path) -> Result<KeySet, String> {
    let shown = path.display();
    let found =
        file::read(path).map_err(|error| format!("can't read jwks_file {shown}: {error}"))?;
    KeySet::parse(&found.bytes).map_err(|error| format!("jwks_file {shown}: {error}"))
}
