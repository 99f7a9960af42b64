//! The change of settings while the directory is open.
//!
//! The writer takes new settings in the order of its queue. Commands submitted before run under the old
//! settings; commands that were prepared under the old settings and arrive later fail with
//! [`DirectoryError::Superseded`], and the door prepares them again. No command runs between the check of
//! what accounts hold and the change, so that no account can be given access that is being removed.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::directory::access::migrate::AccessCheck;
use crate::directory::adoption::SaveSettings;
use crate::directory::error::DirectoryError;
use crate::directory::settings::{Settings, saved_json};
use crate::directory::stored::reindex;
use crate::directory::transaction::{Command, Transaction};
use crate::log::Log;
use crate::store::StoreError;

/// New settings on their way to the writer.
pub(crate) struct SettingsChange {
    save: CheckAndSave,
    /// Puts the new settings in force at the doors, before any later change is made.
    publish: Box<dyn FnOnce() + Send>,
    reply: oneshot::Sender<Result<(), DirectoryError>>,
}

impl SettingsChange {
    pub(crate) fn new(
        save: CheckAndSave,
        publish: impl FnOnce() + Send + 'static,
        reply: oneshot::Sender<Result<(), DirectoryError>>,
    ) -> Self {
        Self { save, publish: Box::new(publish), reply }
    }

    /// Checks the settings and puts them in force; returns them if they are. `carry_out` commits, on the writer's
    /// thread, which names accounts may hold from then on, before any account can hold a new one, and the settings.
    pub(crate) fn run(
        self,
        carry_out: impl FnOnce(CheckAndSave) -> Result<(), DirectoryError>,
    ) -> Option<Arc<Settings>> {
        let Self { save, publish, reply } = self;
        let next = Arc::clone(&save.next);
        let outcome = carry_out(save);
        let in_force = outcome.is_ok().then_some(next);
        if in_force.is_some() {
            publish();
        }
        // The settings stand, also if the caller has gone.
        let _ = reply.send(outcome);
        in_force
    }

    pub(crate) fn fail(self, error: DirectoryError) {
        let _ = self.reply.send(Err(error));
    }
}

/// Checks that no account holds access that the next settings do not know, and saves the names that
/// accounts may hold until all are migrated, and the settings. It is one command, so that nothing happens
/// in between.
pub(crate) struct CheckAndSave {
    pub(crate) next: Arc<Settings>,
    pub(crate) log: Arc<dyn Log>,
    /// What was looked at beside the writer; `None` if another node has checked the settings.
    pub(crate) checked: Option<AccessCheck>,
    /// Whether nothing is done unless the state holds these settings already.
    pub(crate) only_if_saved: bool,
}

impl Command for CheckAndSave {
    type Output = ();
    const OUTLASTS_SETTINGS: bool = true;

    /// # Errors
    ///
    /// `Superseded` if other settings are saved meanwhile, where that counts; `AccessInUse`; `Storage`, also if the schemas differ: indexes follow them only at a start.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
        if reindex::fingerprint(&self.next.registry)
            != reindex::fingerprint(&tx.settings().registry)
        {
            let reason = "the schemas can't change while the directory is open";
            return Err(StoreError::Folder(reason.to_owned()).into());
        }
        if self.only_if_saved && saved_json(tx)?.as_ref() != Some(&self.next.json) {
            return Err(DirectoryError::Superseded);
        }
        let Some(checked) = &self.checked else { return Ok(()) };
        if let Some(save) = checked.complete(tx, self.log.as_ref(), &self.next)? {
            tx.nested(&save)?;
        }
        tx.nested(&SaveSettings { next: Arc::clone(&self.next) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::connection::token::TokenOwner;
    use crate::directory::Directory;
    use crate::directory::{GenerateToken, LocalSettings, Pending};
    use crate::event::Actor;
    use crate::settings::SharedSettings;
    use crate::store::folder::DataFolder;
    use crate::store::local::{LocalStore, StoreLimits};

    fn settings() -> LocalSettings {
        LocalSettings {
            brakes: Arc::default(),
            may_grant: Arc::default(),
            clock: Clock::System,
            max_resource_bytes: 65_536,
            max_scan: 100,
            max_search_time: Duration::from_secs(1),
            reads_latest: false,
        }
    }

    fn directory(folder: &std::path::Path) -> Directory {
        let folder = DataFolder::open(folder).unwrap();
        let limits = StoreLimits { cache_mib: 8, memory_mib: 64, min_free_mib: 0 };
        let store = LocalStore::open(folder, limits, [7; 16], jiff::Timestamp::UNIX_EPOCH).unwrap();
        Directory::open_as_saved(
            store.log(),
            Arc::new(store),
            &SharedSettings::default(),
            settings(),
        )
        .unwrap()
    }

    /// Keeps the writer busy until the channel says to continue.
    struct Busy(Mutex<Receiver<()>>);

    impl Command for Busy {
        type Output = ();

        fn run(&self, _tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
            let _ = self.0.lock().unwrap().recv();
            Ok(())
        }
    }

    /// Changes nothing, under the settings of its time.
    struct Nothing;

    impl Command for Nothing {
        type Output = ();

        fn run(&self, _tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
            Ok(())
        }
    }

    fn is_superseded(pending: Pending<()>) -> bool {
        matches!(pending.wait(), Err(DirectoryError::Superseded))
    }

    #[test]
    fn what_was_prepared_before_is_done_before_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let directory = directory(folder.path());
        let token = GenerateToken {
            owner: TokenOwner::Connection("default".to_owned()),
            valid_for: None,
            description: None,
        };
        let token = directory.submit(Actor::System, token).wait().unwrap().token.id;
        let client = || Actor::Connection {
            name: "default".to_owned(),
            token: token.clone(),
            address: [127, 0, 0, 1].into(),
        };
        let (go_on, wait) = channel();
        let busy = directory.submit(Actor::System, Busy(Mutex::new(wait)));
        let mut before = vec![directory.submit(Actor::System, Nothing)];
        before.extend((0..3).map(|_| directory.submit(client(), Nothing)));
        let (tell, told) = channel();
        std::thread::scope(|scope| {
            let adopting = scope.spawn(|| {
                directory.change_settings(
                    &SharedSettings::default(),
                    None,
                    settings(),
                    move |next| {
                        // A change that comes while the settings change is already one too late for the old ones.
                        tell.send(next).unwrap();
                    },
                )
            });
            go_on.send(()).unwrap();
            adopting.join().unwrap().unwrap();
        });
        busy.wait().unwrap();
        for before in before {
            before.wait().unwrap();
        }
        let next = told.recv().unwrap();
        assert!(is_superseded(directory.submit(Actor::System, Nothing)));
        next.submit(Actor::System, Nothing).wait().unwrap();
        next.submit(client(), Nothing).wait().unwrap();
        let token = GenerateToken {
            owner: TokenOwner::Connection("default".to_owned()),
            valid_for: None,
            description: None,
        };
        directory.submit(Actor::System, token).wait().unwrap();
        directory.ping_writer().wait().unwrap();
        assert_eq!(next.tokens().len(), 2, "both are one directory");
    }

    #[test]
    fn a_writer_that_is_stuck_gives_no_sign_of_life() {
        let folder = tempfile::tempdir().unwrap();
        let directory = directory(folder.path());
        let (go_on, wait) = channel();
        let busy = directory.submit(Actor::System, Busy(Mutex::new(wait)));
        let mut pulse = directory.ping_writer();
        std::thread::sleep(Duration::from_millis(50));
        assert!(matches!(pulse.answer.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
        go_on.send(()).unwrap();
        busy.wait().unwrap();
        pulse.wait().unwrap();
    }
}
