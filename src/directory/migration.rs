//! The migration of accounts to another access catalogue.

use std::sync::Arc;

use crate::access::AccessNames;
use crate::directory::Directory;
use crate::directory::access::migrate::{
    AccessCheck, MigrateAccount, OutdatedAccounts, SaveNames, UnknownAccess, check,
};
use crate::directory::error::DirectoryError;
use crate::directory::settings::{LocalSettings, Settings, canonical_json};
use crate::directory::writer::pending::Pending;
use crate::event::Actor;
use crate::settings::SharedSettings;
use crate::store::keys;

/// How many changes are submitted before the answers are awaited.
const STEP: usize = 256;

impl Directory {
    /// The names that accounts may hold: those of the catalogue, and former ones of accounts that are not
    /// migrated yet.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub fn names_in_use(&self) -> Result<AccessNames, DirectoryError> {
        let kept = self.shared.store.get(keys::CATALOGUE)?;
        let kept = kept.and_then(|kept| serde_json::from_slice(&kept).ok());
        Ok(kept.unwrap_or_else(|| self.catalogue().names()))
    }

    /// Checks that accounts hold no access that other settings do not know, as [`Directory::change_settings`] and a
    /// start do. Changes nothing.
    ///
    /// # Errors
    ///
    /// `AccessInUse`; `Storage`.
    pub fn check_settings(
        &self,
        wanted: &SharedSettings,
        local: LocalSettings,
    ) -> Result<(), DirectoryError> {
        let settings = Settings::new(canonical_json(wanted)?, None, local)?;
        AccessCheck::beside_writer(self.shared.store.as_ref(), &settings).map(|_| ())
    }

    /// Brings the access of all accounts in line with the catalogue, if the catalogue has changed, and takes
    /// access that it does not know from them: that this may happen was decided when the settings were
    /// adopted. It asks `go_on` between two steps; the next call migrates the accounts that are left.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub fn migrate_accounts(&self, go_on: &dyn Fn() -> bool) -> Result<(), DirectoryError> {
        let state = self.shared.store.as_ref();
        let Some(outdated) = check(state, &self.settings, UnknownAccess::Drop)? else {
            return Ok(());
        };
        // From here on it is on record what accounts may hold, whatever happens.
        if let Some(either) = outdated.either() {
            self.submit_in_turn(Actor::System, either).wait()?;
        }
        let OutdatedAccounts { names, before, accounts } = outdated;
        for (resource_type, outdated) in &accounts {
            if !outdated.is_empty() {
                tracing::info!(
                    accounts = outdated.len(),
                    "access catalogue changed; updating accounts"
                );
            }
            for step in outdated.chunks(STEP) {
                if !go_on() {
                    return Ok(());
                }
                let pending: Vec<Pending<()>> = step
                    .iter()
                    .map(|id| {
                        let (resource_type, before) =
                            (Arc::clone(resource_type), Arc::clone(&before));
                        self.submit_in_turn(
                            Actor::System,
                            MigrateAccount { resource_type, id: *id, before },
                        )
                    })
                    .collect();
                pending.into_iter().try_for_each(migrated_if_present)?;
            }
        }
        self.submit_in_turn(Actor::System, SaveNames { names }).wait()
    }
}

/// An account that was deleted meanwhile is not migrated.
fn migrated_if_present(pending: Pending<()>) -> Result<(), DirectoryError> {
    match pending.wait() {
        Err(DirectoryError::NotFound { .. }) => Ok(()),
        outcome => outcome,
    }
}
