//! What follows the log beside the directory, and a log that other nodes append to.

use std::sync::{Arc, PoisonError};

use tokio::sync::oneshot;

use crate::directory::error::DirectoryError;
use crate::directory::settings::{self, canonical_json};
use crate::directory::{Directory, LocalSettings};
use crate::log::Log;
use crate::settings::SharedSettings;
use crate::store::{Store, StoreError};

impl Directory {
    /// The log, the state that follows it, and the settings of this process, for who derives something from them.
    pub(crate) fn parts_to_follow(&self) -> (Arc<dyn Log>, Arc<dyn Store>, LocalSettings) {
        let (log, store) = (Arc::clone(&self.shared.log), Arc::clone(&self.shared.store));
        (log, store, self.settings.local.clone())
    }

    /// Why this node should get no requests although it runs, if so: the database of a shared log can't be used, or its
    /// configuration is not what is in force.
    pub fn problem(&self) -> Option<String> {
        let differing = self.shared.differing.lock().unwrap_or_else(PoisonError::into_inner);
        let differing = (!differing.is_empty()).then(|| {
            format!(
                "the settings in force on all nodes differ from the configuration of this one in {}; `scimd reload` puts \
                 the configuration of this node in force on all",
                differing.join(", ")
            )
        });
        let unusable = || {
            let reason = self.shared.log.problem()?;
            Some(format!("the database can't be used: {reason}"))
        };
        differing.or_else(unusable)
    }

    /// Notes which settings of the configuration differ from those in force; none once it is in force.
    pub(crate) fn note_differing(&self, keys: Vec<String>) {
        *self.shared.differing.lock().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// Before a read that must see what other nodes have acknowledged: answers once the state has it. `None` if there
    /// are no other nodes, or reads are local.
    pub fn latest(&self) -> Option<oneshot::Receiver<Result<(), DirectoryError>>> {
        (self.settings.local.reads_latest && self.shared.log.is_shared())
            .then(|| self.shared.latest.wait())
    }

    /// Answers when another node has changed the settings: then [`Directory::change_settings`] to
    /// [`Directory::saved_settings`] makes the directory under them.
    pub fn settings_followed(&self) -> impl Future<Output = ()> + use<> {
        let shared = Arc::clone(&self.shared);
        async move { shared.settings_followed.notified().await }
    }

    /// The keys whose values in the log differ from those of other settings.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub fn differing_settings(
        &self,
        other: &SharedSettings,
    ) -> Result<Vec<String>, DirectoryError> {
        let saved = settings::saved_json(self.shared.store.as_ref())?.unwrap_or_default();
        Ok(settings::differing_keys(&saved, &canonical_json(other)?))
    }

    /// The shared settings as the log has them; `None` before the first start.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub fn saved_settings(&self) -> Result<Option<SharedSettings>, DirectoryError> {
        let json = settings::saved_json(self.shared.store.as_ref())?;
        let parsed = json.map(|json| SharedSettings::from_json(&json)).transpose();
        parsed
            .map_err(|error| StoreError::Folder(format!("the settings in the log: {error}")).into())
    }
}
