//! A check of all state: every record is intact, and everything that is stored twice agrees.
//!
//! Changes may go on meanwhile. An apparent fault is checked again until no change happened in
//! between.

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::connection::client::Client;
use crate::connection::token::Token;
use crate::credential::OperatorAccount;
use crate::directory::Directory;
use crate::directory::membership::{Marker, Voids};
use crate::directory::settings::{saved_json, vocabulary};
use crate::directory::stored::reindex;
use crate::directory::stored::{self, StoredResource};
use crate::scim::registry::Registry;
use crate::scim::resource::{Resource, ResourceId};
use crate::scim::schema::{IndexedAttribute, ResourceType};
use crate::settings::SharedSettings;
use crate::store::check::Check;
use crate::store::keys::{self, Kind};
use crate::store::{Read, StoreError};

/// How often a key is checked again while changes go on.
const ATTEMPTS: usize = 1_000;
/// How often all resources of a type are counted again while changes go on.
const COUNT_ATTEMPTS: usize = 5;

impl Directory {
    /// Checks log, snapshots, database and state, while changes go on.
    pub fn verify(&self) -> Vec<Check> {
        let store = &self.shared.store;
        match store.maintenance() {
            Some(maintenance) => {
                let mut checks = maintenance.check();
                checks.extend(verify(maintenance.at_rest(), self.registry()));
                checks
            }
            None => verify(store.as_ref(), self.registry()),
        }
    }
}

/// Checks all state against the schemas that it holds; against those of `unless_saved` if it holds none.
pub fn verify_as_saved(state: &dyn Read, unless_saved: &SharedSettings) -> Vec<Check> {
    let saved = saved_json(state).ok().flatten().map(|json| SharedSettings::from_json(&json));
    // Settings that can't be read are a fault of their key.
    let shared = saved.and_then(Result::ok);
    match vocabulary(shared.as_ref().unwrap_or(unless_saved)) {
        Ok((_, registry)) => verify(state, &registry),
        Err(_) => verify(state, &Registry::built_in()),
    }
}

/// Checks all state.
pub fn verify(state: &dyn Read, registry: &Registry) -> Vec<Check> {
    let mut checks = Checks {
        records: Check::new("records"),
        indexes: Check::new("index entries"),
        members: Check::new("memberships"),
        counts: Check::new("counts"),
        tokens: Check::new("tokens"),
        unknown: Check::new("other keys"),
    };
    if let Err(error) = (Verification { state, registry, indexed: false }).run(&mut checks) {
        checks.records.error(&error);
    }
    let Checks { records, indexes, members, counts, tokens, unknown } = checks;
    vec![records, indexes, members, counts, tokens, unknown]
}

struct Checks {
    records: Check,
    indexes: Check,
    members: Check,
    counts: Check,
    tokens: Check,
    unknown: Check,
}

struct Verification<'a> {
    state: &'a dyn Read,
    registry: &'a Registry,
    /// Whether the indexes are those of the present schemas.
    indexed: bool,
}

/// The entries that keep others from taking values that look like those of a resource.
fn look_alikes(resource_type: &ResourceType, attributes: &Resource) -> Vec<Vec<u8>> {
    let key = |indexed: &IndexedAttribute<'_>, value: &str| {
        stored::index::look_alike(resource_type, indexed, value)
    };
    resource_type
        .indexed()
        .flat_map(|indexed| {
            let values = attributes.indexed_values(&indexed).into_iter();
            values.filter_map(|value| key(&indexed, value)).collect::<Vec<_>>()
        })
        .collect()
}

/// The faults of one key; empty if it is intact.
type Faults = Result<Vec<String>, StoreError>;

impl Verification<'_> {
    fn run(mut self, checks: &mut Checks) -> Result<(), StoreError> {
        let kept = match self.state.get(keys::INDEXES)? {
            Some(kept) => String::from_utf8_lossy(&kept).into_owned(),
            None => reindex::fingerprint(&Registry::built_in()),
        };
        self.indexed = kept == reindex::fingerprint(self.registry);
        if !self.indexed {
            checks.indexes.note =
                "not compared: the schemas have changed, and indexes are updated at the next start"
                    .to_owned();
        }
        // The markers, as they were when the first membership of this group was looked at.
        let mut voids = (None, Voids::default());
        self.state.scan(&[], None, &mut |key, value| {
            let kind = keys::kind(key);
            let check = match kind {
                Some(Kind::Record(..)) => &mut checks.records,
                Some(Kind::Unique(_) | Kind::Index(..)) => &mut checks.indexes,
                Some(Kind::Member(..) | Kind::Membership(..)) => &mut checks.members,
                Some(Kind::Token | Kind::Client | Kind::Operator) => &mut checks.tokens,
                Some(Kind::Mark | Kind::Count(_)) => return ControlFlow::Continue(()),
                Some(Kind::Void(_) | Kind::Cleared(_) | Kind::Renamed(_)) => &mut checks.members,
                Some(Kind::Settings) | None => &mut checks.unknown,
            };
            check.checked += 1;
            if let Some(Kind::Member(group, _)) = kind
                && voids.0 != Some(group)
            {
                match Voids::load(self.state) {
                    Ok(loaded) => voids = (Some(group), loaded),
                    Err(error) => check.error(&error),
                }
            }
            match self.settled(key, &value, &voids.1) {
                Ok(faults) => faults.into_iter().for_each(|fault| check.fault(fault)),
                Err(error) => check.error(&error),
            }
            ControlFlow::Continue(())
        })?;
        for resource_type in self.registry.resource_types() {
            self.count(resource_type, &mut checks.counts)?;
        }
        Ok(())
    }

    /// The last change that the state has applied.
    fn reached(&self) -> Result<Option<Bytes>, StoreError> {
        self.state.get(keys::APPLIED)
    }

    /// The faults of a key, checked between two changes.
    fn settled(&self, key: &[u8], value: &Bytes, voids: &Voids) -> Faults {
        let mut faults = self.look(key, value, voids);
        for _ in 0..ATTEMPTS {
            if faults.as_ref().is_ok_and(Vec::is_empty) {
                break;
            }
            let before = self.reached()?;
            faults = match self.state.get(key)? {
                Some(value) => self.look(key, &value, &Voids::load(self.state)?),
                None => Ok(Vec::new()),
            };
            if self.reached()? == before {
                break;
            }
        }
        faults
    }

    fn look(&self, key: &[u8], value: &Bytes, voids: &Voids) -> Faults {
        match keys::kind(key) {
            Some(Kind::Record(tag, id)) => self.record(key, value, tag, id),
            Some(Kind::Unique(tag)) => match value.as_ref().try_into() {
                Ok(id) => self.index_entry(key, tag, ResourceId::from_bytes(id)),
                Err(_) => Ok(vec![format!("{} contains no id", shown(key))]),
            },
            Some(Kind::Index(tag, id)) => self.index_entry(key, tag, id),
            Some(Kind::Member(group, member)) => self.member(value, group, member, voids),
            Some(Kind::Membership(member, group)) => Ok(self.twin(
                &keys::member(group, member),
                format!("{member} has a membership in {group}, but {group} does not list it"),
            )?),
            Some(Kind::Token) => Ok(token(key, value)),
            Some(Kind::Client) => Ok(client(key, value)),
            Some(Kind::Operator) => Ok(operator(key, value)),
            Some(Kind::Settings) => Ok(shared_settings(value)),
            Some(Kind::Void(_)) => Marker::decode(key, value).map(|_| Vec::new()),
            Some(Kind::Cleared(_)) if value.len() != 16 => {
                Ok(vec![format!("{} contains no id", shown(key))])
            }
            Some(Kind::Cleared(id)) => self.twin(
                &keys::void(id),
                format!("memberships of {id} are marked for clearing without a reason"),
            ),
            Some(Kind::Mark | Kind::Count(_) | Kind::Renamed(_)) => Ok(Vec::new()),
            None => Ok(vec![format!("{} is not a key of this version", shown(key))]),
        }
    }

    /// A record must be intact and have its index entries.
    fn record(&self, key: &[u8], value: &Bytes, tag: u8, id: ResourceId) -> Faults {
        let Some(resource_type) = self.registry.by_tag(tag) else {
            return Ok(vec![format!("{} has an unknown resource type", shown(key))]);
        };
        // Reading a damaged record makes the store mark the database for a rebuild.
        let record = stored::decode_scanned(self.state, key, value)?;
        let stored = StoredResource::new(id, record);
        stored::meta(resource_type, &stored)?;
        let attributes = stored::attributes(resource_type, &stored)?;
        let mut faults = Vec::new();
        for (key, unique) in self.index_keys(resource_type, id, &attributes) {
            let entry = self.state.get(&key)?;
            if !entry.is_some_and(|value| !unique || value == id.as_bytes()[..]) {
                let endpoint = &resource_type.endpoint;
                faults.push(format!("{endpoint}/{id} is not found by {}", shown(&key)));
            }
        }
        Ok(faults)
    }

    /// The index entries that a resource needs, and which of them are unique.
    fn index_keys(
        &self,
        resource_type: &ResourceType,
        id: ResourceId,
        attributes: &Resource,
    ) -> Vec<(Vec<u8>, bool)> {
        let indexed = resource_type.indexed().filter(|_| self.indexed);
        indexed
            .flat_map(|indexed| {
                let values = attributes.indexed_values(&indexed).into_iter();
                let unique = indexed.leaf().is_unique();
                let key = move |value| stored::index::index_key(resource_type, &indexed, id, value);
                values.map(move |value| (key(value), unique)).collect::<Vec<_>>()
            })
            .collect()
    }

    /// An index entry must be of a resource that has the value.
    fn index_entry(&self, key: &[u8], tag: u8, id: ResourceId) -> Faults {
        if !self.indexed {
            return Ok(Vec::new());
        }
        let needed = match self.resource(tag, id)? {
            Some((resource_type, attributes)) => {
                let mut needed = self.index_keys(resource_type, id, &attributes).into_iter();
                needed.any(|(needed, _)| needed == key)
                    || look_alikes(resource_type, &attributes).contains(&key.to_vec())
            }
            None => false,
        };
        let fault = || format!("{} leads to {id}, which does not have that value", shown(key));
        Ok(if needed { Vec::new() } else { vec![fault()] })
    }

    /// A membership must lead from a group to a member of that type, and have both its keys.
    fn member(
        &self,
        value: &Bytes,
        group: ResourceId,
        member: ResourceId,
        voids: &Voids,
    ) -> Faults {
        let mut faults = self.twin(
            &keys::membership(member, group),
            format!("{group} lists the member {member}, which has no membership in it"),
        )?;
        // A void membership waits to be cleared: its ends may be gone.
        if voids.contain(group, member, value) {
            return Ok(faults);
        }
        let types = self.registry.resource_types().iter();
        let mut groups = types.filter(|resource_type| resource_type.members().is_some());
        let mut present = false;
        for resource_type in &mut groups {
            present |= self.state.get(&keys::record(resource_type.tag, group))?.is_some();
        }
        if !present {
            faults.push(format!("{group} lists the member {member} but does not exist"));
        }
        let tag = value.first().copied().unwrap_or_default();
        if self.state.get(&keys::record(tag, member))?.is_none() {
            faults.push(format!("{group} lists the member {member}, which does not exist"));
        }
        Ok(faults)
    }

    fn twin(&self, key: &[u8], fault: String) -> Faults {
        Ok(if self.state.get(key)?.is_some() { Vec::new() } else { vec![fault] })
    }

    fn resource(
        &self,
        tag: u8,
        id: ResourceId,
    ) -> Result<Option<(&ResourceType, Resource)>, StoreError> {
        let Some(resource_type) = self.registry.by_tag(tag) else { return Ok(None) };
        let key = keys::record(tag, id);
        let Some(value) = self.state.get(&key)? else { return Ok(None) };
        let stored = StoredResource::new(id, stored::decode(&key, &value)?);
        Ok(Some((resource_type, stored::attributes(resource_type, &stored)?)))
    }

    /// A count must be right, if it can be taken between two changes.
    fn count(&self, resource_type: &ResourceType, check: &mut Check) -> Result<(), StoreError> {
        for _ in 0..COUNT_ATTEMPTS {
            let before = self.reached()?;
            let counted = stored::total(self.state, resource_type)?;
            let mut found = 0;
            self.state.scan(&keys::records(resource_type.tag), None, &mut |_, _| {
                found += 1;
                ControlFlow::Continue(())
            })?;
            if self.reached()? == before {
                check.checked += 1;
                if counted != found {
                    let endpoint = &resource_type.endpoint;
                    check
                        .fault(format!("found {found} {endpoint}, but the counter says {counted}"));
                }
                return Ok(());
            }
        }
        check.note = "not all were compared: changes were made meanwhile".to_owned();
        Ok(())
    }
}

fn token(key: &[u8], value: &Bytes) -> Vec<String> {
    match serde_json::from_slice::<Token>(value) {
        Ok(token) if keys::token(&token.id) == key => Vec::new(),
        Ok(token) => vec![format!("{} contains the token {}", shown(key), token.id)],
        Err(error) => vec![format!("{} contains no token: {error}", shown(key))],
    }
}

fn client(key: &[u8], value: &Bytes) -> Vec<String> {
    match serde_json::from_slice::<Client>(value) {
        Ok(client) if keys::client(&client.id) == key => Vec::new(),
        Ok(client) => vec![format!("{} holds the client {}", shown(key), client.id)],
        Err(error) => vec![format!("{} holds no client: {error}", shown(key))],
    }
}

fn operator(key: &[u8], value: &Bytes) -> Vec<String> {
    match serde_json::from_slice::<OperatorAccount>(value) {
        Ok(operator) if keys::operator(&operator.name) == key => Vec::new(),
        Ok(operator) => vec![format!("{} holds the operator {}", shown(key), operator.name)],
        Err(error) => vec![format!("{} holds no operator: {error}", shown(key))],
    }
}

fn shared_settings(value: &Bytes) -> Vec<String> {
    let read = std::str::from_utf8(value).map_err(|error| error.to_string());
    let read =
        read.and_then(|json| SharedSettings::from_json(json).map_err(|error| error.to_string()));
    match read {
        Ok(_) => Vec::new(),
        Err(error) => vec![format!("{} contains no settings: {error}", shown(keys::SETTINGS))],
    }
}

/// A key as readable text; other bytes are escaped.
fn shown(key: &[u8]) -> String {
    format!("the key \"{}\"", key.escape_ascii())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::clock::Clock;
    use crate::connection::token::TokenOwner;
    use crate::directory::{ConnectionRules, Create, GenerateToken, LocalSettings, UnknownAccess};
    use crate::event::Actor;
    use crate::scim::exchange::Exchange;
    use crate::scim::validate::validate;
    use crate::store::folder::DataFolder;
    use crate::store::local::{LocalStore, StoreLimits};
    use crate::store::overlay::Overlay;

    /// A store with users, groups and a token.
    fn populated(folder: &std::path::Path) -> Arc<LocalStore> {
        let folder = DataFolder::open(folder).unwrap();
        let now = jiff::Timestamp::UNIX_EPOCH;
        let limits = StoreLimits { cache_mib: 8, memory_mib: 64, min_free_mib: 0 };
        let store = Arc::new(LocalStore::open(folder, limits, [7; 16], now).unwrap());
        let (settings, local) =
            (SharedSettings::default(), LocalSettings::for_tests(Clock::System));
        let unknown = UnknownAccess::Refuse;
        let directory =
            Directory::open(store.log(), store.clone(), &settings, unknown, local).unwrap();
        let create = |endpoint: &str, body: Value| {
            let resource_type = directory.registry().by_endpoint(endpoint).unwrap().clone();
            let Value::Object(body) = body else { panic!("no object") };
            let resource = validate(&resource_type, Exchange::Create, body).unwrap().resource;
            let create =
                Create { resource_type, id: None, resource, rules: ConnectionRules::default() };
            directory.submit(Actor::System, create).wait().unwrap().id.to_string()
        };
        let ids: Vec<String> = (0..3)
            .map(|number| {
                let emails = json!([{"value": format!("{number}@example.com")}]);
                let name = format!("user{number}");
                create("Users", json!({"userName": name, "externalId": name, "emails": emails}))
            })
            .collect();
        let members = json!([{"value": ids[0]}, {"value": ids[1]}]);
        let group = create("Groups", json!({"displayName": "G", "members": members}));
        create("Groups", json!({"displayName": "H", "members": [{"value": group}]}));
        let token = GenerateToken {
            owner: TokenOwner::Connection("default".to_owned()),
            valid_for: None,
            description: None,
        };
        directory.submit(Actor::System, token).wait().unwrap();
        store
    }

    fn faults(state: &dyn Read) -> u64 {
        verify(state, &Registry::built_in()).iter().map(|check| check.faults).sum()
    }

    #[test]
    fn every_key_that_is_missing_altered_or_strange_is_a_fault() {
        let folder = tempfile::tempdir().unwrap();
        let store = populated(folder.path());
        assert_eq!(faults(store.as_ref()), 0);
        let mut keys = Vec::new();
        store
            .scan(&[], None, &mut |key, value| {
                keys.push((key.to_vec(), value));
                ControlFlow::Continue(())
            })
            .unwrap();
        let (mut missing, mut altered) = (0, 0);
        for (key, value) in &keys {
            let kind = keys::kind(key).unwrap();
            if !matches!(
                kind,
                Kind::Mark | Kind::Token | Kind::Client | Kind::Operator | Kind::Settings
            ) {
                let mut state = Overlay::new(store.as_ref());
                state.delete(key.clone());
                assert!(faults(&state) > 0, "{} is not missed", shown(key));
                missing += 1;
            }
            if !value.is_empty() && kind != Kind::Mark {
                let mut state = Overlay::new(store.as_ref());
                let mut bytes = value.to_vec();
                bytes[0] ^= 4;
                state.put(key.clone(), bytes.into());
                assert!(faults(&state) > 0, "{} may hold anything", shown(key));
                altered += 1;
            }
        }
        assert!(missing > 20 && altered > 10, "{missing} {altered}");
        let other = ResourceId::from_bytes([9; 16]);
        for key in [b"x".to_vec(), b"r\x01short".to_vec(), keys::record(77, other)] {
            let mut state = Overlay::new(store.as_ref());
            state.put(key.clone(), Bytes::new());
            assert!(faults(&state) > 0, "{} is not noticed", shown(&key));
        }
    }
}
