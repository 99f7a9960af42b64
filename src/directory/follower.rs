//! What follows the log beside the directory, and a log that other nodes append to.

use std::sync::{Arc, PoisonError};

use tokio::sync::oneshot;

use crate::access::AccessNames;
use crate::directory::connection_record::{self, ConnectionFile};
use crate::directory::core::ConnectionTrouble;
use crate::directory::error::DirectoryError;
use crate::directory::settings::{self, Settings, canonical_json};
use crate::directory::{Directory, LocalSettings};
use crate::log::Log;
use crate::settings::SharedSettings;
use crate::store::Store;

impl Directory {
    /// The log, the state that follows it, and the settings of this process, for who derives something from them.
    pub(crate) fn parts_to_follow(&self) -> (Arc<dyn Log>, Arc<dyn Store>, LocalSettings) {
        let (log, store) = (Arc::clone(&self.shared.log), Arc::clone(&self.shared.store));
        (log, store, self.settings.local.clone())
    }

    /// Why this node should get no requests although it runs, if so: the database of a shared log can't be used, or its
    /// settings are not those in force.
    pub fn problem(&self) -> Option<String> {
        let noted = self.shared.problem.lock().unwrap_or_else(PoisonError::into_inner).clone();
        noted.or_else(|| self.connection_trouble().problem).or_else(|| {
            let reason = self.shared.log.problem()?;
            Some(format!("the database can't be used: {reason}"))
        })
    }

    /// Notes that the settings of this node are not those in force, or that they are.
    pub(crate) fn note_problem(&self, problem: Option<String>) {
        self.shared.note_problem(problem);
    }

    /// What should be looked at on this node although it gets requests, if so.
    pub fn warning(&self) -> Option<String> {
        self.connection_trouble().warning
    }

    fn connection_trouble(&self) -> ConnectionTrouble {
        self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes why connections that other nodes have changed are not in force here, or not in `conf.d`.
    pub(crate) fn note_connections(&self, problem: Option<String>, warning: Option<String>) {
        let trouble = ConnectionTrouble { problem, warning };
        *self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// The files of connections that all nodes are to have, by name.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub fn connection_files(&self) -> Result<Vec<(String, ConnectionFile)>, DirectoryError> {
        Ok(connection_record::files(self.shared.store.as_ref())?)
    }

    /// Answers when a connection was changed that all nodes are to have: see [`Directory::connection_files`].
    pub fn connections_followed(&self) -> impl Future<Output = ()> + use<> {
        let shared = Arc::clone(&self.shared);
        async move { shared.connections_followed.notified().await }
    }

    /// Has [`Directory::connections_followed`] answer again.
    pub fn ring_connections(&self) {
        self.shared.connections_followed.notify_one();
    }

    /// Notes how the settings of the configuration differ from those in force, if they do.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub fn compare_settings(&self, configured: &SharedSettings) -> Result<(), DirectoryError> {
        let keys = self.differing_settings(configured)?;
        self.note_problem((!keys.is_empty()).then(|| {
            format!(
                "the settings in force on all nodes differ from the configuration of this one in {}; `scimd reload` puts \
                 the configuration of this node in force on all",
                keys.join(", ")
            )
        }));
        Ok(())
    }

    /// Before a read that must see what other nodes have acknowledged: answers once the state has it. `None` if there
    /// are no other nodes, or reads are local.
    pub fn latest(&self) -> Option<oneshot::Receiver<Result<(), DirectoryError>>> {
        (self.settings.local.reads_latest && self.shared.log.is_shared())
            .then(|| self.shared.latest.wait())
    }

    /// Answers when another node has changed the settings: [`Directory::follow_settings`] makes the directory under them.
    pub fn settings_followed(&self) -> impl Future<Output = ()> + use<> {
        let shared = Arc::clone(&self.shared);
        async move { shared.settings_followed.notified().await }
    }

    /// Has [`Directory::settings_followed`] answer again.
    pub fn ring_settings(&self) {
        self.shared.settings_followed.notify_one();
    }

    /// Gives the directory under the settings that the log has to `publish`, as [`Directory::change_settings`] does, and
    /// changes nothing. Another node has checked them.
    ///
    /// # Errors
    ///
    /// `Superseded` if they are changed again meanwhile; `Storage`; `Stopped`.
    pub fn follow_settings(
        &self,
        former: Option<&AccessNames>,
        local: LocalSettings,
        publish: impl FnOnce(Self) + Send + 'static,
    ) -> Result<(), DirectoryError> {
        let Some(json) = settings::saved_json(self.shared.store.as_ref())? else { return Ok(()) };
        self.put_in_force(Settings::new(json, former, local)?, None, true, publish)
    }

    /// A digest of each key's value in settings, as one line that other nodes can compare.
    ///
    /// # Errors
    ///
    /// None in practice.
    pub fn settings_digests(&self, settings: &SharedSettings) -> Result<String, DirectoryError> {
        Ok(settings::digests(&canonical_json(settings)?))
    }

    /// The keys whose digests differ.
    pub fn differing_digests(&self, one: &str, other: &str) -> Vec<String> {
        settings::differing_digests(one, other)
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
}
