//! What all requests of the console share.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::deactivations::DeactivationSearches;
use super::link::ConsoleLinks;
use super::provider::OidcState;
use super::session::Sessions;
use super::settings::ConsoleSettings;
use super::verification::Verifications;
use crate::clock::Stopwatch;
use crate::operator::{Identity, IdentitySource, OperatorContext, ServerStatus};

/// How long a status is shown to all who look: it reads the request log of an hour.
const FRESH: Duration = Duration::from_secs(2);

/// Sessions, links, and what is behind the console.
pub(super) struct ConsoleState {
    pub(super) sessions: Sessions,
    pub(super) links: Arc<ConsoleLinks>,
    pub(super) settings: ArcSwap<ConsoleSettings>,
    pub(super) operator: OnceLock<Arc<ArcSwap<OperatorContext>>>,
    pub(super) oidc: OidcState,
    pub(super) verifications: Arc<Verifications>,
    pub(super) deactivations: DeactivationSearches,
    status: Mutex<Option<(Stopwatch, Arc<ServerStatus>)>>,
}

impl ConsoleState {
    pub(super) fn new(links: Arc<ConsoleLinks>, settings: ConsoleSettings) -> Self {
        Self {
            sessions: Sessions::default(),
            links,
            settings: ArcSwap::from_pointee(settings),
            operator: OnceLock::new(),
            oidc: OidcState::default(),
            verifications: Arc::default(),
            deactivations: DeactivationSearches::default(),
            status: Mutex::default(),
        }
    }

    /// Whether an operator still is who signed in: a named one may have been removed or changed since.
    pub(super) fn is_current(&self, identity: &Identity) -> bool {
        let IdentitySource::Named { epoch } = &identity.source else { return true };
        let account = self
            .operator
            .get()
            .and_then(|operator| operator.load().directory.operator(&identity.name));
        account.is_some_and(|account| account.epoch == *epoch)
    }

    /// The status of the server, at most seconds old; `make` makes a new one.
    ///
    /// # Errors
    ///
    /// Those of `make`.
    pub(super) fn status<E>(
        &self,
        make: impl FnOnce() -> Result<Arc<ServerStatus>, E>,
    ) -> Result<Arc<ServerStatus>, E> {
        // Held while the status is made: the others wait for the same.
        let mut cached = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, status)) = &*cached
            && since.elapsed() < FRESH
        {
            return Ok(Arc::clone(status));
        }
        let status = make()?;
        *cached = Some((Stopwatch::start(), Arc::clone(&status)));
        Ok(status)
    }
}
