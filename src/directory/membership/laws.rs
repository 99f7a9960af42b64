//! Memberships against simple models: sets for what is stored, JSON for what a filter selects.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::list::MemberList;
use super::{Voids, display, groups_of, is_pending, some_members, ungrouped};
use crate::clock::Clock;
use crate::directory::{
    Command, ConnectionRules, Create, Delete, Directory, LocalSettings, Patch, Pending, Replace,
    verify,
};
use crate::event::Actor;
use crate::scim::exchange::{Exchange, Renaming};
use crate::scim::filter::Filter;
use crate::scim::patch::PatchRequest;
use crate::scim::registry::Registry;
use crate::scim::resource::ResourceId;
use crate::scim::schema::ResourceType;
use crate::scim::validate::validate;
use crate::settings::SharedSettings;
use crate::store::Read as _;
use crate::store::folder::DataFolder;
use crate::store::keys::{self, Kind};
use crate::store::local::{LocalStore, StoreLimits};

pub(super) const USERS: usize = 8;
const GROUPS: usize = 3;

/// A change; those to groups and users that are gone fail.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Add {
        group: usize,
        members: Vec<usize>,
    },
    Remove {
        group: usize,
        members: Vec<usize>,
    },
    RemoveNamed {
        group: usize,
        text: String,
    },
    RemoveAll {
        group: usize,
    },
    Set {
        group: usize,
        members: Vec<usize>,
    },
    Put {
        group: usize,
        members: Vec<usize>,
    },
    /// Additions (`true`) and removals: in one PATCH, or in several that wait together.
    Several {
        group: usize,
        parts: Vec<(bool, Vec<usize>)>,
        in_one: bool,
    },
    Rename {
        user: usize,
        name: u8,
    },
    DeleteUser {
        user: usize,
    },
    DeleteGroup {
        group: usize,
    },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let (group, user) = (0..GROUPS, 0..USERS);
    let members = proptest::collection::vec(0..USERS, 0..USERS);
    let parts = proptest::collection::vec((any::<bool>(), members.clone()), 2..6);
    prop_oneof![
        6 => (group.clone(), members.clone()).prop_map(|(group, members)| Step::Add { group, members }),
        2 => (group.clone(), members.clone()).prop_map(|(group, members)| Step::Remove { group, members }),
        2 => (group.clone(), "[0-7a]").prop_map(|(group, text)| Step::RemoveNamed { group, text }),
        2 => group.clone().prop_map(|group| Step::RemoveAll { group }),
        2 => (group.clone(), members.clone()).prop_map(|(group, members)| Step::Set { group, members }),
        2 => (group.clone(), members).prop_map(|(group, members)| Step::Put { group, members }),
        6 => (group.clone(), parts, any::<bool>())
            .prop_map(|(group, parts, in_one)| Step::Several { group, parts, in_one }),
        2 => (user.clone(), any::<u8>()).prop_map(|(user, name)| Step::Rename { user, name }),
        1 => user.prop_map(|user| Step::DeleteUser { user }),
        1 => group.prop_map(|group| Step::DeleteGroup { group }),
        1 => Just(Step::Restart),
    ]
}

/// A directory, and what it should hold.
pub(super) struct World {
    pub(super) store: Arc<LocalStore>,
    directory: Option<Directory>,
    pub(super) users: Vec<ResourceId>,
    pub(super) groups: Vec<ResourceId>,
    /// The name of each user that is there.
    pub(super) names: BTreeMap<ResourceId, String>,
    /// The members of each group that is there.
    pub(super) members: BTreeMap<ResourceId, BTreeSet<ResourceId>>,
}

fn open(store: &Arc<LocalStore>) -> Directory {
    let settings = LocalSettings {
        brakes: Arc::default(),
        may_grant: Arc::default(),
        clock: Clock::System,
        max_resource_bytes: 65_536,
        max_scan: 1_000,
        max_search_time: Duration::from_secs(60),
        reads_latest: false,
    };
    Directory::open_as_saved(store.log(), store.clone(), &SharedSettings::default(), settings)
        .unwrap()
}

impl World {
    pub(super) fn new(folder: &Path) -> Self {
        let folder = DataFolder::open(folder).unwrap();
        let limits = StoreLimits { cache_mib: 8, memory_mib: 64, min_free_mib: 0 };
        let now = jiff::Timestamp::UNIX_EPOCH;
        let store = Arc::new(LocalStore::open(folder, limits, [7; 16], now).unwrap());
        let directory = Some(open(&store));
        let (users, groups) = (Vec::new(), Vec::new());
        let (names, members) = (BTreeMap::new(), BTreeMap::new());
        let mut world = Self { store, directory, users, groups, names, members };
        for user in 0..USERS {
            let name = format!("user{user}");
            let id = world.create("Users", json!({"userName": name, "displayName": name}));
            world.users.push(id);
            world.names.insert(id, name);
        }
        for group in 0..GROUPS {
            let id = world.create("Groups", json!({"displayName": format!("group{group}")}));
            world.groups.push(id);
            world.members.insert(id, BTreeSet::new());
        }
        world
    }

    fn directory(&self) -> &Directory {
        self.directory.as_ref().unwrap()
    }

    pub(super) fn submit<C: Command>(&self, command: C) -> Pending<C::Output> {
        self.directory().submit(Actor::System, command)
    }

    fn resource_type(&self, endpoint: &str) -> Arc<ResourceType> {
        self.directory().registry().by_endpoint(endpoint).unwrap().clone()
    }

    fn create(&self, endpoint: &str, body: Value) -> ResourceId {
        let resource_type = self.resource_type(endpoint);
        let Value::Object(body) = body else { unreachable!() };
        let resource = validate(&resource_type, Exchange::Create, body).unwrap().resource;
        let rules = ConnectionRules::default();
        let create = Create { resource_type, id: None, resource, rules };
        self.submit(create).wait().unwrap().id
    }

    /// Whether a PATCH of a resource succeeded.
    fn patch(&self, endpoint: &str, id: ResourceId, operation: &Value) -> bool {
        let patch = self.patch_of(endpoint, id, std::slice::from_ref(operation));
        self.submit(patch).wait().is_ok()
    }

    pub(super) fn patch_of(&self, endpoint: &str, id: ResourceId, operations: &[Value]) -> Patch {
        let resource_type = self.resource_type(endpoint);
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": operations});
        let Value::Object(body) = body else { unreachable!() };
        let request = PatchRequest::parse(&resource_type, body).unwrap();
        let (id, rules) = (id.to_string(), ConnectionRules::default());
        Patch { resource_type, id, expected: None, request, rules }
    }

    fn put(&self, id: ResourceId, members: &[Value]) -> bool {
        let resource_type = self.resource_type("Groups");
        let body = json!({"displayName": "put", "members": members});
        let Value::Object(body) = body else { unreachable!() };
        let renaming = Renaming::Allowed;
        let resource =
            validate(&resource_type, Exchange::Replace(renaming), body).unwrap().resource;
        let (id, rules) = (id.to_string(), ConnectionRules::default());
        let replace = Replace { resource_type, id, expected: None, resource, renaming, rules };
        self.submit(replace).wait().is_ok()
    }

    fn delete(&self, endpoint: &str, id: ResourceId) -> bool {
        self.submit(self.delete_of(endpoint, id)).wait().is_ok()
    }

    pub(super) fn delete_of(&self, endpoint: &str, id: ResourceId) -> Delete {
        let resource_type = self.resource_type(endpoint);
        let (id, rules) = (id.to_string(), ConnectionRules::default());
        Delete { resource_type, id, expected: None, rules }
    }

    pub(super) fn take(&mut self, step: &Step) {
        let ids = |places: &[usize]| -> BTreeSet<ResourceId> {
            let ids = places.iter().map(|place| self.users[*place]);
            ids.filter(|id| self.names.contains_key(id)).collect()
        };
        let values = |ids: &BTreeSet<ResourceId>| -> Vec<Value> {
            ids.iter().map(|id| json!({"value": id.to_string()})).collect()
        };
        match step {
            Step::Add { group, members } => {
                let (group, ids) = (self.groups[*group], ids(members));
                let operation = json!({"op": "add", "path": "members", "value": values(&ids)});
                if self.patch("Groups", group, &operation) {
                    self.members.get_mut(&group).unwrap().extend(ids);
                }
            }
            Step::Remove { group, members } => {
                let (group, ids) = (self.groups[*group], ids(members));
                let operation = json!({"op": "remove", "path": "members", "value": values(&ids)});
                if self.patch("Groups", group, &operation) {
                    self.members.get_mut(&group).unwrap().retain(|id| !ids.contains(id));
                }
            }
            Step::RemoveNamed { group, text } => {
                let group = self.groups[*group];
                // Names follow a rename in time; what is found by name is known once they have.
                self.settle();
                let path = format!("members[display co \"{text}\"]");
                if self.patch("Groups", group, &json!({"op": "remove", "path": path})) {
                    let names = &self.names;
                    let members = self.members.get_mut(&group).unwrap();
                    members.retain(|id| !names[id].contains(text.as_str()));
                }
            }
            Step::RemoveAll { group } => {
                let group = self.groups[*group];
                if self.patch("Groups", group, &json!({"op": "remove", "path": "members"})) {
                    self.members.get_mut(&group).unwrap().clear();
                }
            }
            Step::Set { group, members } => {
                let (group, ids) = (self.groups[*group], ids(members));
                let operation = json!({"op": "replace", "path": "members", "value": values(&ids)});
                if self.patch("Groups", group, &operation) {
                    self.members.insert(group, ids);
                }
            }
            Step::Put { group, members } => {
                let (group, ids) = (self.groups[*group], ids(members));
                if self.put(group, &values(&ids)) {
                    self.members.insert(group, ids);
                }
            }
            Step::Several { group, parts, in_one } => {
                let group = self.groups[*group];
                let parts: Vec<_> = parts.iter().map(|(add, users)| (*add, ids(users))).collect();
                let operation = |(add, ids): &(bool, BTreeSet<ResourceId>)| {
                    let op = if *add { "add" } else { "remove" };
                    json!({"op": op, "path": "members", "value": values(ids)})
                };
                let operations: Vec<Value> = parts.iter().map(operation).collect();
                let at_once = if *in_one { operations.len() } else { 1 };
                let patches = operations.chunks(at_once);
                let submit = |some| self.submit(self.patch_of("Groups", group, some));
                let waiting: Vec<_> = patches.map(submit).collect();
                let done = waiting.into_iter().all(|patch| patch.wait().is_ok());
                let Some(members) = self.members.get_mut(&group) else { return assert!(!done) };
                assert!(done);
                for (add, ids) in parts {
                    match add {
                        true => members.extend(ids),
                        false => members.retain(|id| !ids.contains(id)),
                    }
                }
            }
            Step::Rename { user, name } => {
                let (id, name) = (self.users[*user], format!("a{name}"));
                let operation = json!({"op": "replace", "path": "displayName", "value": name});
                if self.patch("Users", id, &operation) {
                    self.names.insert(id, name);
                }
            }
            Step::DeleteUser { user } => {
                let id = self.users[*user];
                if self.delete("Users", id) {
                    self.names.remove(&id);
                    self.members.values_mut().for_each(|members| {
                        members.remove(&id);
                    });
                }
            }
            Step::DeleteGroup { group } => {
                let id = self.groups[*group];
                if self.delete("Groups", id) {
                    self.members.remove(&id);
                }
            }
            Step::Restart => {
                drop(self.directory.take());
                self.directory = Some(open(&self.store));
            }
        }
    }

    pub(super) fn settle(&self) {
        while is_pending(self.store.as_ref()).unwrap() {
            std::thread::yield_now();
        }
    }

    /// Whether all reads are as they should be, whatever is still to be cleared.
    pub(super) fn check(&self) {
        let state = self.store.as_ref();
        let registry = self.directory().registry();
        for group in &self.groups {
            let members = some_members(
                state,
                registry,
                &Voids::load(state).unwrap(),
                *group,
                None,
                usize::MAX,
            )
            .unwrap();
            let members: BTreeSet<_> = members.iter().map(|member| member.id).collect();
            assert_eq!(members, self.members.get(group).cloned().unwrap_or_default());
        }
        ungrouped::check(state, &[&self.users[..], &self.groups[..]].concat());
        for user in &self.users {
            let groups: BTreeSet<_> = groups_of(state, *user).unwrap().into_iter().collect();
            let expected = self.members.iter().filter(|(_, members)| members.contains(user));
            assert_eq!(groups, expected.map(|(group, _)| *group).collect());
        }
        assert_eq!(verify(state, registry).iter().map(|check| check.faults).sum::<u64>(), 0);
    }

    /// Whether all keys are as they should be, once all is cleared.
    pub(super) fn check_cleared(&self) {
        self.settle();
        let mut stored = BTreeSet::new();
        let mut other = 0;
        self.store
            .scan(&[], None, &mut |key, value| {
                match keys::kind(key) {
                    Some(Kind::Member(group, member)) => {
                        let name = &self.names[&member];
                        assert_eq!(display(&value), name);
                        stored.insert((group, member));
                    }
                    Some(Kind::Membership(..)) => other += 1,
                    _ => {}
                }
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        let expected: BTreeSet<_> = self
            .members
            .iter()
            .flat_map(|(group, members)| members.iter().map(|member| (*group, *member)))
            .collect();
        assert_eq!((other, &stored), (expected.len(), &expected));
    }
}

/// A text of few letters, in several cases and compositions.
fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![
            Just("a"),
            Just("A"),
            Just("b"),
            Just("\u{e9}"),
            Just("E\u{301}"),
            Just("\u{df}"),
            Just(" ")
        ],
        0..4,
    )
    .prop_map(|parts| parts.concat())
}

/// A filter on the elements of `members`.
fn filter() -> impl Strategy<Value = String> {
    let attribute =
        prop_oneof![4 => Just("display"), 1 => Just("value"), 1 => Just("type"), 1 => Just("$ref")];
    let op = prop_oneof![
        Just("eq"),
        Just("ne"),
        Just("co"),
        Just("sw"),
        Just("ew"),
        Just("gt"),
        Just("le")
    ];
    let compare = (attribute.clone(), op, text())
        .prop_map(|(attribute, op, text)| format!("{attribute} {op} \"{text}\""));
    let leaf = prop_oneof![
        6 => compare,
        1 => attribute.clone().prop_map(|attribute| format!("{attribute} pr")),
        1 => attribute.prop_map(|attribute| format!("{attribute} ne null")),
        1 => Just("type eq \"group\"".to_owned()),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) and ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) or ({b})")),
            inner.prop_map(|a| format!("not ({a})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reads_are_right_while_memberships_are_cleared(steps in proptest::collection::vec(step(), 1..24)) {
        let folder = tempfile::tempdir().unwrap();
        let mut world = World::new(folder.path());
        for step in &steps {
            world.take(step);
            world.check();
        }
        world.check_cleared();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn filters_select_the_same_members_in_memory_as_in_json(
        names in proptest::collection::vec((any::<bool>(), text()), 0..12),
        gone in proptest::collection::vec(0..12_usize, 0..8),
        late in text(),
        filter in filter(),
    ) {
        let registry = Registry::built_in();
        let group_type = registry.by_endpoint("Groups").unwrap();
        let types = [registry.by_endpoint("Users").unwrap(), group_type];
        let mut list = MemberList::default();
        let mut plain = BTreeMap::new();
        let push = |list: &mut MemberList, plain: &mut BTreeMap<_, _>, is_group: bool, name: &str| {
            let resource_type = types[usize::from(is_group)];
            let id = ResourceId::from_bytes([plain.len() as u8 + 1; 16]);
            list.push(&registry, id, Bytes::from([&[resource_type.tag], name.as_bytes()].concat()));
            let element = json!({"value": id.to_string(), "type": resource_type.name, "display": name});
            plain.insert(id, element);
        };
        for (is_group, name) in &names {
            push(&mut list, &mut plain, *is_group, name);
        }
        let text = format!("members[{filter}]");
        let filter = Filter::parse(group_type, &text).unwrap();
        let check = |list: &mut MemberList, plain: &BTreeMap<ResourceId, Value>| {
            let filters = match &filter {
                Filter::Element(_, inner) => vec![&filter, inner],
                other => vec![other],
            };
            for filter in filters {
                let found = list.matching("members", filter, || Ok::<_, ()>(())).unwrap();
                let found: BTreeSet<_> = found.into_iter().collect();
                let expected = plain.iter().filter(|(_, element)| {
                    let elements = Value::Array(vec![(*element).clone()]);
                    filter.matches(&Map::from_iter([("members".to_owned(), elements)]))
                });
                assert_eq!(found, expected.map(|(id, _)| *id).collect(), "{text}");
            }
        };
        check(&mut list, &plain);
        for place in gone {
            let id = ResourceId::from_bytes([place as u8 + 1; 16]);
            list.remove(id);
            if let Some(element) = plain.get_mut(&id) {
                *element = Value::Null;
            }
        }
        let mut left: BTreeMap<_, _> =
            plain.iter().filter(|(_, element)| !element.is_null()).map(|(id, e)| (*id, e.clone())).collect();
        check(&mut list, &left);
        let count = plain.len();
        push(&mut list, &mut plain, false, &late);
        let id = ResourceId::from_bytes([count as u8 + 1; 16]);
        left.insert(id, plain[&id].clone());
        check(&mut list, &left);
        prop_assert_eq!(list.len(), left.len());
    }
}
