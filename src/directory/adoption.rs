//! The adoption of shared settings: a start or a reload puts them into the log, and all nodes go by that.
//!
//! The frame `settings.changed` carries the settings as canonical JSON under one key, and is appended only
//! if they differ from those that the state holds. A start proceeds in an order in which each step can
//! be the last one before a crash:
//!
//! 1. Checks that no account has access that the settings do not know. Nothing has changed yet.
//! 2. Brings the indexes in line with the schemas, or refuses because values are not unique. Each start
//!    compares the indexes with its schemas, so the next one continues, or goes back.
//! 3. Appends the frame. From here on every reader goes by the new settings.
//! 4. Migrates accounts ([`Directory::migrate_accounts`](crate::directory::Directory::migrate_accounts)),
//!    which compares names that the state keeps apart; the next start completes it.

use std::sync::Arc;

use jiff::Timestamp;

use crate::directory::access::migrate::{self, UnknownAccess};
use crate::directory::audit::settings_details::differences;
use crate::directory::error::DirectoryError;
use crate::directory::settings::{Settings, saved_json};
use crate::directory::stored::reindex;
use crate::directory::transaction::{Command, Transaction};
use crate::event::{Actor, Details, Event, Head, Verb};
use crate::log::{Append, Log, LogEntry, Write};
use crate::store::{Store, StoreError, follow, keys};

/// The number of attempts when another writer of the log is faster.
const ATTEMPTS: usize = 64;

/// Commits the settings at a start, at the moment `now`, unless the state holds the same ones, and brings the indexes in line.
///
/// # Errors
///
/// `AccessInUse` if accounts have access that the settings do not know, and `unknown` says to refuse that;
/// `Storage` if resources share a value that the schemas make unique. Then the log has no such frame.
pub(crate) fn adopt(
    log: &dyn Log,
    store: &dyn Store,
    next: &Settings,
    unknown: UnknownAccess,
    now: Timestamp,
) -> Result<(), DirectoryError> {
    for _ in 0..ATTEMPTS {
        let checked = store.applied();
        let saved = saved_json(store)?;
        let is_saved = saved.as_ref() == Some(&next.json);
        if !is_saved {
            migrate::check(store, next, unknown)?;
        }
        reindex::follow_schemas(log, store, &next.registry, now)?;
        if is_saved {
            return Ok(());
        }
        // The check must hold for the state that the frame is appended to.
        if store.applied() != checked {
            continue;
        }
        // Nothing was written until here, so the indexes fit the settings that the state holds.
        match store.check_writable() {
            Err(error @ StoreError::Full { .. }) => {
                tracing::error!(
                    %error,
                    "changed settings could not be saved; the previous ones stay in use until the next start"
                );
                return Ok(());
            }
            writable => writable?,
        }
        let details = Details::of(None, differences(saved.as_deref(), &next.json));
        let head = Head { time: now, actor: Actor::System, event: event(), details };
        let write = Write { key: keys::SETTINGS.to_vec(), value: Some(next.json.clone().into()) };
        match log.append(vec![LogEntry { head, writes: vec![write] }], checked) {
            Ok(Append::Done(frames)) => return Ok(store.apply(&frames)?),
            Ok(Append::Moved(_)) => {
                follow::read_on(log, store, &mut |frames| store.apply(frames))?;
            }
            Err(error) => return Err(StoreError::from(error).into()),
        }
    }
    Err(DirectoryError::Busy)
}

/// Saves the shared settings, unless the state holds the same ones.
pub(crate) struct SaveSettings {
    /// The settings under which the directory is to be from now on.
    pub(crate) next: Arc<Settings>,
}

impl Command for SaveSettings {
    type Output = ();

    fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
        let (saved, json) = (saved_json(tx)?, &self.next.json);
        if saved.as_ref() != Some(json) {
            tx.put(keys::SETTINGS.to_vec(), json.clone());
            tx.details().changed(differences(saved.as_deref(), json));
            tx.record(event());
        }
        Ok(())
    }
}

/// The event `settings.changed`.
fn event() -> Event {
    Event { kind: "settings".to_owned(), verb: Verb::Changed, subject: String::new() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::access::{AccessSettings, Role};
    use crate::clock::Clock;
    use crate::directory::access::migrate::AccessCheck;
    use crate::directory::settings::{LocalSettings, canonical_json};
    use crate::directory::{ConnectionRules, Create, Directory, DirectoryError, stored};
    use crate::scim::attribute::Uniqueness;
    use crate::scim::custom::{AttributeSettings, SchemaSettings};
    use crate::scim::exchange::Exchange;
    use crate::scim::resource::ResourceId;
    use crate::scim::validate::validate;
    use crate::settings::SharedSettings;
    use crate::store::Read as _;
    use crate::store::folder::DataFolder;
    use crate::store::local::{LocalStore, StoreLimits};

    fn store(folder: &std::path::Path) -> Arc<LocalStore> {
        let folder = DataFolder::open(folder).unwrap();
        let limits = StoreLimits { cache_mib: 8, memory_mib: 64, min_free_mib: 0 };
        Arc::new(LocalStore::open(folder, limits, [7; 16], Timestamp::UNIX_EPOCH).unwrap())
    }

    fn local() -> LocalSettings {
        LocalSettings::for_tests(Clock::System)
    }

    fn open(store: &Arc<LocalStore>, wanted: &SharedSettings) -> Directory {
        let unknown = UnknownAccess::Refuse;
        Directory::open(store.log(), store.clone(), wanted, unknown, local()).unwrap()
    }

    fn with_role(name: &str) -> SharedSettings {
        let role = Role { name: name.to_owned(), id: name.to_lowercase(), workspaces: Vec::new() };
        let access = AccessSettings { roles: vec![role], ..AccessSettings::default() };
        SharedSettings { access, ..SharedSettings::default() }
    }

    /// Settings that make an attribute of the operator's own unique.
    fn with_schema() -> SharedSettings {
        let attribute = AttributeSettings {
            name: "badge".to_owned(),
            uniqueness: Uniqueness::Server,
            ..AttributeSettings::default()
        };
        let schema = SchemaSettings {
            id: "urn:example:hr".to_owned(),
            name: "HR".to_owned(),
            attributes: vec![attribute],
            ..SchemaSettings::default()
        };
        SharedSettings { schemas: vec![schema], ..SharedSettings::default() }
    }

    fn create_with_role_a(directory: &Directory) -> ResourceId {
        let resource_type = directory.registry().by_endpoint("Users").unwrap().clone();
        let body = json!({"userName": "ada", "roles": [{"value": "A"}]});
        let Value::Object(body) = body else { panic!("no object") };
        let resource = validate(&resource_type, Exchange::Create, body).unwrap().resource;
        let rules = ConnectionRules::default();
        let create = Create { resource_type, id: None, resource, rules };
        directory.submit(Actor::System, create).wait().unwrap().id
    }

    /// The kinds of the events in the log.
    fn events(store: &LocalStore) -> Vec<String> {
        let mut events = Vec::new();
        let mut visit = |frame: Arc<crate::log::Frame>| {
            events.push(frame.head.event.to_string());
            std::ops::ControlFlow::Continue(())
        };
        store.log().read(0, &mut visit).unwrap();
        events
    }

    fn saved(store: &LocalStore) -> Option<String> {
        saved_json(store).unwrap()
    }

    #[test]
    fn a_frame_is_appended_only_when_the_settings_differ() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        for wanted in [with_role("A"), with_role("A"), with_role("B"), with_role("B")] {
            let directory = open(&store, &wanted);
            assert!(directory.catalogue().role(&wanted.access.roles[0].name).is_ok());
            assert_eq!(saved(&store), Some(wanted.to_json().unwrap()));
        }
        assert_eq!(events(&store), ["settings.changed"; 2]);
    }

    #[test]
    fn a_reload_appends_one_and_what_is_opened_as_saved_goes_by_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let directory = open(&store, &with_role("A"));
        for _ in 0..2 {
            let wanted = with_role("B");
            directory.change_settings(&wanted, None, local(), |_| {}).unwrap();
        }
        drop(directory);
        let changes = events(&store);
        let changes = changes.iter().filter(|event| *event == "settings.changed");
        assert_eq!(changes.count(), 2);
        let edited = with_role("C");
        let (log, before) = (store.log(), store.applied());
        let opened = Directory::open_as_saved(log, store.clone(), &edited, local()).unwrap();
        assert!(opened.catalogue().role("B").is_ok() && opened.catalogue().role("C").is_err());
        let reader = Directory::open_read_only(store.log(), store.clone(), &edited, local());
        assert!(reader.unwrap().catalogue().role("C").is_err());
        assert_eq!(store.applied(), before, "nothing was appended");
        drop(opened);
        let changed = with_schema();
        let refused =
            open(&store, &with_role("B")).change_settings(&changed, None, local(), |_| {});
        assert!(matches!(refused, Err(DirectoryError::Storage(_))));
        assert_eq!(saved(&store), Some(with_role("B").to_json().unwrap()));
    }

    #[test]
    fn an_account_that_was_changed_after_all_were_looked_at_is_looked_at_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let directory = open(&store, &with_role("A"));
        directory.migrate_accounts(&|| true).unwrap();
        let wanted = canonical_json(&with_role("B")).unwrap();
        let next = Settings::new(wanted, None, local()).unwrap();
        let check = || AccessCheck::beside_writer(store.as_ref(), &next);
        let checked = check().unwrap();
        let complete = || checked.complete(store.as_ref(), store.log().as_ref(), &next);
        assert!(complete().unwrap().is_some(), "accounts may hold new names");
        create_with_role_a(&directory);
        assert!(matches!(complete(), Err(DirectoryError::AccessInUse(_))));
        assert!(matches!(check(), Err(DirectoryError::AccessInUse(_))));
        let refused = directory.change_settings(&with_role("B"), None, local(), |_| {});
        assert!(matches!(refused, Err(DirectoryError::AccessInUse(_))));
    }

    #[test]
    fn a_crash_before_accounts_are_migrated_is_completed_without_asking_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let directory = open(&store, &with_role("A"));
        directory.migrate_accounts(&|| true).unwrap();
        let id = create_with_role_a(&directory);
        drop(directory);
        let roles = |directory: &Directory| {
            let resource_type = directory.registry().by_endpoint("Users").unwrap();
            let found = stored::find(store.as_ref(), resource_type, id).unwrap();
            stored::attributes(resource_type, &found).unwrap().get("roles").cloned()
        };
        let next = with_role("B");
        let refused =
            Directory::open(store.log(), store.clone(), &next, UnknownAccess::Refuse, local());
        assert!(matches!(refused, Err(DirectoryError::AccessInUse(_))));
        let dropping = UnknownAccess::Drop;
        let crashed = Directory::open(store.log(), store.clone(), &next, dropping, local());
        assert!(roles(&crashed.unwrap()).is_some(), "not migrated yet");
        let directory = open(&store, &next);
        directory.migrate_accounts(&|| true).unwrap();
        assert_eq!(roles(&directory), None);
    }

    #[test]
    fn a_crash_between_the_indexes_and_the_frame_is_completed_or_taken_back() {
        for next in [with_schema(), SharedSettings::default()] {
            let folder = tempfile::tempdir().unwrap();
            let store = store(folder.path());
            drop(open(&store, &SharedSettings::default()));
            let crashed = Settings::new(canonical_json(&with_schema()).unwrap(), None, local());
            let registry = crashed.unwrap().registry;
            let now = Clock::System.now();
            reindex::follow_schemas(store.log().as_ref(), store.as_ref(), &registry, now).unwrap();
            assert_eq!(saved(&store), Some(SharedSettings::default().to_json().unwrap()));
            let directory = open(&store, &next);
            assert_eq!(saved(&store), Some(next.to_json().unwrap()));
            let kept = store.get(keys::INDEXES).unwrap().unwrap();
            assert_eq!(kept, reindex::fingerprint(directory.registry()).as_bytes());
        }
    }
}
