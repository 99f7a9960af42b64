//! Undo against what is known of the state: random changes, then back.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::apply::{Apply, Outcome};
use super::{Undo, UndoReport};
use crate::clock::Clock;
use crate::connection::token::TokenOwner;
use crate::directory::GenerateToken;
use crate::directory::membership::{Voids, ancestors, display, find_any};
use crate::directory::stored;
use crate::directory::{
    ConnectionRules, Create, Delete, Directory, DirectoryError, LocalSettings, Replace, verify,
};
use crate::event::Actor;
use crate::scim::exchange::{Exchange, Renaming};
use crate::scim::registry::Registry;
use crate::scim::resource::ResourceId;
use crate::scim::validate::validate;
use crate::settings::SharedSettings;
use crate::store::folder::DataFolder;
use crate::store::keys::{self, Kind};
use crate::store::local::{LocalStore, StoreLimits};
use crate::store::maintenance::Maintenance as _;
use crate::store::{Read as _, record};

const LIMITS: StoreLimits = StoreLimits { cache_mib: 8, memory_mib: 64, min_free_mib: 0 };

/// One attempt to change something; names and ids are few, so that many get in each other's way.
#[derive(Clone, Debug)]
enum Attempt {
    CreateUser { name: u8, title: u8 },
    CreateGroup { name: u8, members: Vec<usize> },
    ReplaceUser { which: usize, name: u8, title: u8, active: bool },
    ReplaceGroup { which: usize, name: u8, members: Vec<usize> },
    Delete { which: usize },
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let (name, title, which) = (0..6_u8, 0..3_u8, 0..12_usize);
    let members = proptest::collection::vec(0..12_usize, 0..4);
    prop_oneof![
        (name.clone(), title.clone()).prop_map(|(name, title)| Attempt::CreateUser { name, title }),
        (name.clone(), members.clone())
            .prop_map(|(name, members)| Attempt::CreateGroup { name, members }),
        (which.clone(), name.clone(), title, any::<bool>()).prop_map(
            |(which, name, title, active)| Attempt::ReplaceUser { which, name, title, active }
        ),
        (which.clone(), name, members).prop_map(|(which, name, members)| Attempt::ReplaceGroup {
            which,
            name,
            members
        }),
        which.prop_map(|which| Attempt::Delete { which }),
    ]
}

fn attempts() -> impl Strategy<Value = Vec<(bool, Attempt)>> {
    proptest::collection::vec((any::<bool>(), attempt()), 0..16)
}

/// A store, and the ids that were ever given, each with its endpoint.
struct World {
    store: Arc<LocalStore>,
    /// The id of the token that changes are made with.
    token: String,
    ids: Vec<(&'static str, ResourceId)>,
}

fn moment(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn asked(since: i64, through: Option<&str>) -> Undo {
    Undo {
        since: moment(since),
        connection: through.map(ToOwned::to_owned),
        delete_created: true,
        ..Undo::default()
    }
}

impl World {
    fn new(folder: &Path) -> Self {
        let folder = DataFolder::open(folder).unwrap();
        let store = LocalStore::open(folder, LIMITS, [7; 16], moment(0)).unwrap();
        let mut world = Self { store: Arc::new(store), token: String::new(), ids: Vec::new() };
        let generate = GenerateToken {
            owner: TokenOwner::Connection("a".to_owned()),
            valid_for: None,
            description: None,
        };
        world.token = world.at(0).submit(Actor::System, generate).wait().unwrap().token.id;
        world
    }

    /// The directory, at a moment.
    fn at(&self, second: i64) -> Directory {
        let settings = LocalSettings {
            brakes: Arc::default(),
            may_grant: Arc::default(),
            clock: Clock::Fixed(moment(second)),
            max_resource_bytes: 65_536,
            max_scan: 1_000,
            max_search_time: Duration::from_secs(60),
            reads_latest: false,
        };
        Directory::open_as_saved(
            self.store.log(),
            self.store.clone(),
            &SharedSettings::default(),
            settings,
        )
        .unwrap()
    }

    /// Tries changes at a moment, some through connection a and the others through b; those that
    /// can't be made are not.
    fn attempt(&mut self, second: i64, attempts: &[(bool, Attempt)]) {
        let directory = self.at(second);
        for (through_a, attempt) in attempts {
            let actor = Actor::Connection {
                name: if *through_a { "a" } else { "b" }.to_owned(),
                token: self.token.clone(),
                address: [127, 0, 0, 1].into(),
            };
            self.one(&directory, actor, attempt);
        }
    }

    fn one(&mut self, directory: &Directory, actor: Actor, attempt: &Attempt) {
        let named = |members: &[usize]| -> Vec<Value> {
            let ids = members.iter().filter_map(|&place| self.ids.get(place));
            ids.map(|(_, id)| json!({"value": id.to_string()})).collect()
        };
        let user = |name: &u8, title: &u8| {
            json!({"userName": format!("user{name}"), "title": format!("title{title}"),
                "emails": [{"value": format!("{title}@example.com")}]})
        };
        match attempt {
            Attempt::CreateUser { name, title } => {
                self.create(directory, actor, "Users", user(name, title));
            }
            Attempt::CreateGroup { name, members } => {
                let body =
                    json!({"displayName": format!("group{name}"), "members": named(members)});
                self.create(directory, actor, "Groups", body);
            }
            Attempt::ReplaceUser { which, name, title, active } => {
                let mut body = user(name, title);
                body["active"] = json!(active);
                self.replace(directory, actor, "Users", *which, body);
            }
            Attempt::ReplaceGroup { which, name, members } => {
                let body =
                    json!({"displayName": format!("group{name}"), "members": named(members)});
                self.replace(directory, actor, "Groups", *which, body);
            }
            Attempt::Delete { which } => {
                let Some((endpoint, id)) = self.ids.get(*which) else { return };
                let resource_type = directory.registry().by_endpoint(endpoint).unwrap().clone();
                let (id, rules) = (id.to_string(), ConnectionRules::default());
                let _ = directory
                    .submit(actor, Delete { resource_type, id, expected: None, rules })
                    .wait();
            }
        }
    }

    fn create(&mut self, directory: &Directory, actor: Actor, endpoint: &'static str, body: Value) {
        let resource_type = directory.registry().by_endpoint(endpoint).unwrap().clone();
        let Value::Object(body) = body else { unreachable!() };
        let resource = validate(&resource_type, Exchange::Create, body).unwrap().resource;
        let create =
            Create { resource_type, id: None, resource, rules: ConnectionRules::default() };
        if let Ok(stored) = directory.submit(actor, create).wait() {
            self.ids.push((endpoint, stored.id));
        }
    }

    fn replace(
        &self,
        directory: &Directory,
        actor: Actor,
        endpoint: &str,
        which: usize,
        body: Value,
    ) {
        let Some((_, id)) = self.ids.get(which).filter(|(known, _)| *known == endpoint) else {
            return;
        };
        let resource_type = directory.registry().by_endpoint(endpoint).unwrap().clone();
        let Value::Object(body) = body else { unreachable!() };
        let renaming = Renaming::Allowed;
        let exchange = Exchange::Replace(renaming);
        let resource = validate(&resource_type, exchange, body).unwrap().resource;
        let replace = Replace {
            resource_type,
            id: id.to_string(),
            expected: None,
            resource,
            renaming,
            rules: ConnectionRules::default(),
        };
        let _ = directory.submit(actor, replace).wait();
    }

    fn undo(
        &self,
        second: i64,
        since: i64,
        through: Option<&str>,
    ) -> Result<UndoReport, DirectoryError> {
        self.at(second)
            .undo(&Actor::Operator { name: None, uid: None, sudo: None }, &asked(since, through))
    }

    /// All state but for tokens, marks, versions, times, and what waits to be cleared.
    fn state(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut state = BTreeMap::new();
        let voids = Voids::load(self.store.as_ref()).unwrap();
        self.store
            .scan(&[], None, &mut |key, value| {
                let kept = match keys::kind(key).unwrap() {
                    Kind::Record(..) => {
                        let record = record::decode(&value).unwrap();
                        Some(record.json[..record.meta_at].to_vec())
                    }
                    Kind::Mark | Kind::Token | Kind::Client | Kind::Operator => None,
                    Kind::Void(_) | Kind::Cleared(_) | Kind::Renamed(_) => None,
                    // What is void does not count, and names may be on their way: `faults` looks at those.
                    Kind::Member(group, member) if voids.contain(group, member, &value) => None,
                    Kind::Membership(member, group)
                        if voids.contain_stored(self.store.as_ref(), group, member).unwrap() =>
                    {
                        None
                    }
                    Kind::Member(..) => Some(value[..1].to_vec()),
                    // None of a type, and not yet any of it.
                    Kind::Count(_) if value == [0; 8][..] => None,
                    _ => Some(value.to_vec()),
                };
                state.extend(kept.map(|kept| (key.to_vec(), kept)));
                ControlFlow::Continue(())
            })
            .unwrap();
        state
    }

    fn versions(&self) -> BTreeMap<Vec<u8>, u64> {
        let mut versions = BTreeMap::new();
        self.store
            .scan(b"r", None, &mut |key, value| {
                versions.insert(key.to_vec(), record::decode(&value).unwrap().version.0);
                ControlFlow::Continue(())
            })
            .unwrap();
        versions
    }

    /// How much is wrong: what a check finds, members that are shown under another name than theirs,
    /// and groups in themselves.
    fn faults(&self) -> u64 {
        let directory = self.at(9);
        directory.wait_for_clearing().unwrap();
        drop(directory);
        let (state, registry) = (self.store.as_ref(), Registry::built_in());
        let mut faults = verify(state, &registry).iter().map(|check| check.faults).sum();
        state
            .scan(b"g", None, &mut |key, value| {
                let Some(Kind::Member(group, member)) = keys::kind(key) else { unreachable!() };
                let (member_type, stored) =
                    find_any(state, &registry, member, |_| true).unwrap().unwrap();
                let attributes = stored::attributes(&member_type, &stored).unwrap();
                let shown = attributes.display(&member_type).unwrap_or_default();
                faults += u64::from(display(&value) != shown);
                let above = ancestors(state, &Voids::load(state).unwrap(), group).unwrap();
                faults += u64::from(above.iter().any(|(above, _)| *above == group));
                ControlFlow::Continue(())
            })
            .unwrap();
        faults
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_is_as_it_was_and_an_undo_can_be_undone(
        first in attempts(),
        second in attempts(),
        snapshot in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut world = World::new(folder.path());
        world.attempt(1, &first);
        let then = (world.state(), world.versions());
        if snapshot {
            world.store.snapshot(moment(2)).unwrap();
        }
        world.attempt(3, &second);
        let before = (world.state(), world.versions());
        world.undo(4, 2, None).unwrap();
        prop_assert_eq!(&world.state(), &then.0);
        for (key, version) in world.versions() {
            for (state, versions) in [&then, &before] {
                let unchanged = then.0.get(&key) == before.0.get(&key);
                let least = versions.get(&key).copied().unwrap_or_default();
                prop_assert!(version > least || (unchanged && version >= least), "{key:?} {}", state.len());
            }
        }
        prop_assert_eq!(world.faults(), 0);
        world.undo(5, 4, None).unwrap();
        prop_assert_eq!(&world.state(), &before.0);
        prop_assert_eq!(world.faults(), 0);
    }

    #[test]
    fn of_a_connection_only_what_it_alone_has_changed_goes_back(
        first in attempts(),
        second in attempts(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut world = World::new(folder.path());
        world.attempt(1, &first);
        let then = world.state();
        world.attempt(3, &second);
        let before = world.state();
        let report = match world.undo(4, 2, Some("a")) {
            Ok(report) => report,
            // Others hold a name by now, or a has done nothing.
            Err(DirectoryError::Unfit(_)) => {
                prop_assert_eq!(&world.state(), &before);
                return Ok(());
            }
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        let after = world.state();
        for (key, content) in after.iter().filter(|(key, _)| keys::is_record(key)) {
            prop_assert!(before.get(key) == Some(content) || then.get(key) == Some(content));
            if report.resources.is_empty() {
                prop_assert_eq!(before.get(key), Some(content));
            }
        }
        prop_assert_eq!(world.faults(), 0);
        // Where nobody else did anything, nothing is left of it.
        if second.iter().all(|(through_a, _)| *through_a) {
            prop_assert_eq!(&after, &then);
        }
    }
}

#[test]
fn a_plan_that_something_has_overtaken_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    let replace = |title| Attempt::ReplaceUser { which: 0, name: 0, title, active: true };
    world.attempt(1, &[(true, Attempt::CreateUser { name: 0, title: 0 })]);
    world.attempt(3, &[(true, replace(1))]);
    let directory = world.at(4);
    let (plan, _) = directory.plan_undo(&asked(2, None)).unwrap();
    drop(directory);
    world.attempt(5, &[(false, replace(2))]);
    let before = world.state();
    let command = Apply {
        plan: Arc::new(plan),
        subject: String::new(),
        most: 99_999,
        dry_run: false,
        keeps_created: false,
    };
    let outcome = world.at(6).submit(Actor::System, command).wait().unwrap();
    assert!(matches!(outcome, Outcome::Overtaken));
    assert_eq!(world.state(), before);
}

#[test]
fn an_undo_counts_for_an_operator_unless_it_puts_back_what_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    let replace = |title| Attempt::ReplaceUser { which: 0, name: 0, title, active: true };
    world.attempt(1, &[(true, Attempt::CreateUser { name: 0, title: 0 })]);
    world.attempt(3, &[(true, replace(1))]);
    world.undo(5, 2, None).unwrap();
    let then = world.state();
    world.attempt(7, &[(false, replace(2))]);
    let before = world.state();
    // What a did was taken back on purpose: b alone can't bring it back.
    let report = world.undo(8, 4, Some("b")).unwrap();
    assert_eq!(report.resources[0].also_changed_by, ["an operator"]);
    assert_eq!(world.state(), before);
    // Seen from before, the undo put back what was: nobody but b has changed it since.
    let report = world.undo(9, 2, Some("b")).unwrap();
    assert!(report.resources[0].also_changed_by.is_empty());
    assert_eq!(world.state(), then);
}

#[test]
fn more_than_memory_is_to_hold_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    let directory = world.at(3);
    for number in 0..20 {
        let user = json!({"userName": format!("user{number}"), "title": "x".repeat(60_000)});
        world.create(&directory, Actor::System, "Users", user);
    }
    let undo = |since: i64| directory.undo(&Actor::System, &asked(since, None));
    let Err(DirectoryError::Unfit(told)) = undo(2) else { panic!("it is too much") };
    assert!(told.contains("needs more than 1 MiB of memory; undo a part first"), "{told}");
    assert!(undo(4).is_ok());
}

#[test]
fn what_is_too_much_at_once_is_undone_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    let user =
        |number: usize, title: String| json!({"userName": format!("user{number}"), "title": title});
    let directory = world.at(1);
    for number in 0..12 {
        world.create(&directory, Actor::System, "Users", user(number, "x".repeat(10_000)));
    }
    drop(directory);
    let then = world.state();
    for second in 3..6 {
        let directory = world.at(second);
        let part = (second as usize - 3) * 4;
        for number in std::iter::once(0).chain(part..part + 4) {
            let title = format!("{second}");
            world.replace(&directory, Actor::System, "Users", number, user(number, title));
        }
    }
    let undo = |second: i64, since: i64| {
        let (directory, operator) =
            (world.at(second), Actor::Operator { name: None, uid: None, sudo: None });
        directory.undo_within(&operator, &asked(since, None), 70_000)
    };
    // What was put back once is not taken for the last that was done.
    for (second, later) in [(6, 5), (7, 4)] {
        let before = world.state();
        let refused = undo(second, 2).unwrap_err().to_string();
        assert!(refused.contains("undo what came last first"), "{refused}");
        assert!(
            refused.contains(&format!("`scimd undo --since {} --delete-created`", moment(later))),
            "{refused}"
        );
        assert_eq!(world.state(), before);
        undo(second, later).unwrap();
    }
    undo(8, 2).unwrap();
    assert_eq!(world.state(), then);

    let refused = world.at(9).undo_within(&Actor::System, &asked(1, None), 100).unwrap_err();
    assert!(refused.to_string().contains("there are no parts; restore a backup"), "{refused}");
}
