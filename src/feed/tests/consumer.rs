//! A consumer that applies events, and the same worked out from the state itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use serde_json::Value;

use crate::directory::membership::{Voids, visit_members};
use crate::directory::settings::{DirectoryView, Settings};
use crate::directory::stored::{self, StoredResource};
use crate::scim::resource::ResourceId;
use crate::store::keys;
use crate::store::{Read, StoreError};

/// What a consumer of the feed knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Replica {
    /// The accounts, less `meta`.
    pub(super) users: BTreeMap<String, Value>,
    /// The groups, less `meta`.
    pub(super) groups: BTreeMap<String, Value>,
    /// The members of each group.
    pub(super) members: BTreeMap<String, BTreeSet<String>>,
    /// The access of each account that has any.
    pub(super) access: BTreeMap<String, BTreeSet<String>>,
}

fn texts(list: &Value) -> BTreeSet<String> {
    let texts = list.as_array().map(Vec::as_slice).unwrap_or_default();
    texts.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn without_meta(resource: &Value) -> Value {
    let mut resource = resource.clone();
    resource.as_object_mut().unwrap().remove("meta");
    resource
}

impl Replica {
    /// Applies an event, which must say what has changed and nothing else.
    pub(super) fn apply(&mut self, event: &Value) {
        let (kind, data) = (event["type"].as_str().unwrap(), &event["data"]);
        let id = event["subject"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let resource = || without_meta(&data["resource"]);
        match kind {
            "user.created" => assert_eq!(self.users.insert(id, resource()), None),
            "user.updated" | "user.activated" | "user.deactivated" => {
                let before = self.users.insert(id, resource()).unwrap();
                assert_ne!(before, resource(), "{event}");
                let active = [&before, &resource()].map(|one| one["active"] == true);
                let expected = match active {
                    [false, true] => "user.activated",
                    [true, false] => "user.deactivated",
                    _ => "user.updated",
                };
                assert_eq!(kind, expected);
            }
            "user.deleted" => drop(self.users.remove(&id).unwrap()),
            "group.created" => {
                assert_eq!(self.groups.insert(id.clone(), resource()), None);
                self.change_members(&id, &data["members"]);
            }
            "group.updated" => {
                let before = self.groups.insert(id.clone(), resource()).unwrap();
                assert!(before != resource() || data.get("members").is_some(), "{event}");
                self.change_members(&id, &data["members"]);
            }
            "group.deleted" => {
                self.groups.remove(&id).unwrap();
                self.members.remove(&id);
            }
            "access.changed" => {
                let [before, after] = ["before", "after"].map(|side| texts(&data["access"][side]));
                assert_ne!(before, after);
                let known = match after.is_empty() {
                    true => self.access.remove(&id),
                    false => self.access.insert(id, after),
                };
                assert_eq!(known.unwrap_or_default(), before, "{event}");
            }
            _ => panic!("{kind}"),
        }
    }

    fn change_members(&mut self, group: &str, changes: &Value) {
        let members = self.members.entry(group.to_owned()).or_default();
        for added in texts(&changes["added"]) {
            assert!(members.insert(added));
        }
        for removed in texts(&changes["removed"]) {
            assert!(members.remove(&removed));
        }
    }

    /// What a state holds.
    pub(super) fn of_state(state: &dyn Read, settings: &Settings) -> Self {
        let mut replica = Self::default();
        let voids = Voids::load(state).unwrap();
        for resource_type in settings.registry.resource_types() {
            let mut visit = |key: &[u8], value| -> Result<(), StoreError> {
                let id = keys::trailing_id(key).unwrap();
                let stored = StoredResource::new(id, stored::decode(key, &value)?);
                let resource = without_meta(&serde_json::from_slice(&stored.record.json).unwrap());
                if !resource_type.is_account {
                    replica.members.insert(id.to_string(), members(state, &voids, id));
                    replica.groups.insert(id.to_string(), resource);
                    return Ok(());
                }
                replica.users.insert(id.to_string(), resource);
                let view = DirectoryView { state, settings };
                let access = view.access(&voids, resource_type, &stored).unwrap();
                let access: BTreeSet<String> =
                    access.pieces.keys().map(ToString::to_string).collect();
                if !access.is_empty() {
                    replica.access.insert(id.to_string(), access);
                }
                Ok(())
            };
            state
                .scan(&keys::records(resource_type.tag), None, &mut |key, value| {
                    visit(key, value).unwrap();
                    ControlFlow::Continue(())
                })
                .unwrap();
        }
        replica
    }
}

fn members(state: &dyn Read, voids: &Voids, group: ResourceId) -> BTreeSet<String> {
    let mut members = BTreeSet::new();
    visit_members(state, voids, group, None, &mut |member, _| {
        members.insert(member.to_string());
        ControlFlow::Continue(())
    })
    .unwrap();
    members
}
