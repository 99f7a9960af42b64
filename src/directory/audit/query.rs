//! Filters for reading the audit trail.

use jiff::Timestamp;

use crate::event::{Actor, Verb};
use crate::log::Frame;
use crate::scim::registry::Registry;
use crate::scim::resource::ResourceId;
use crate::scim::schema::ResourceType;
use crate::scim::value::fold;
use crate::store::keys::{self, Kind};

/// A filter for changes.
#[derive(Clone, Debug, Default)]
pub struct ChangeFilter {
    /// Only changes made at this moment or later.
    pub since: Option<Timestamp>,
    /// Only changes made before this moment.
    pub until: Option<Timestamp>,
    /// Only changes through this connection, or of its brake.
    pub connection: Option<String>,
    /// Only these events, such as `user.created`, or all of a kind, such as `user`; empty for all.
    pub events: Vec<String>,
    /// Only changes that concern one of these accounts, also as members of a group; empty for all.
    pub accounts: Vec<ResourceId>,
    /// Whether to include the records of token use.
    pub notes: bool,
}

impl ChangeFilter {
    /// Whether a change matches.
    pub fn takes(&self, frame: &Frame) -> bool {
        let concerns = |frame: &Frame| {
            let subject = ResourceId::parse(&frame.head.event.subject);
            subject.is_some_and(|id| self.accounts.contains(&id))
                || frame.writes.iter().any(|write| match keys::kind(&write.key) {
                    Some(Kind::Record(_, id) | Kind::Membership(id, _)) => {
                        self.accounts.contains(&id)
                    }
                    _ => false,
                })
        };
        let event = &frame.head.event;
        let through = |connection: &String| {
            matches!(&frame.head.actor, Actor::Connection { name, .. } if name == connection)
                || (event.kind == "connection" && event.subject == *connection)
        };
        (self.notes || event.verb != Verb::Used)
            && self.until.is_none_or(|until| frame.head.time < until)
            && self.connection.as_ref().is_none_or(through)
            && (self.events.is_empty()
                || self.events.iter().any(|one| *one == event.kind || *one == event.to_string()))
            && self.since.is_none_or(|since| frame.head.time >= since)
            && (self.accounts.is_empty() || concerns(frame))
    }
}

/// The accounts that had a name in the course of time, found in the changes.
pub struct NameHistory {
    accounts: Vec<Account>,
}

/// A type of account, and how a change shows that one of that type got or lost the name.
struct Account {
    /// Its name in events.
    kind: String,
    /// The key of the unique index.
    key: Option<Vec<u8>>,
    /// The name, folded.
    name: String,
}

impl NameHistory {
    /// The accounts that had a name, in any letter case.
    pub fn new(registry: &Registry, name: &str) -> Self {
        let types = registry.resource_types().iter().filter(|one| one.is_account);
        let account = |resource_type: &ResourceType| Account {
            kind: resource_type.name.to_ascii_lowercase(),
            key: name_key(resource_type, name),
            name: fold(name).into_owned(),
        };
        Self { accounts: types.map(|one| account(one)).collect() }
    }

    /// The account that had the name when a change was made, or got or lost it by the change.
    pub fn holder_in(&self, frame: &Frame) -> Option<ResourceId> {
        let event = &frame.head.event;
        self.accounts.iter().find_map(|account| {
            let write = frame.writes.iter().find(|write| account.key.as_ref() == Some(&write.key));
            let named = || {
                let name = frame.head.details.name.as_deref()?;
                (event.kind == account.kind && fold(name) == account.name).then_some(())
            };
            match write.map(|write| write.value.as_deref()) {
                Some(Some(holder)) => keys::trailing_id(holder),
                Some(None) => ResourceId::parse(&event.subject),
                None => named().and_then(|()| ResourceId::parse(&event.subject)),
            }
        })
    }
}

/// The key of the index entry for a name.
fn name_key(resource_type: &ResourceType, name: &str) -> Option<Vec<u8>> {
    let named = resource_type.name_attribute()?;
    let indexed = resource_type
        .indexed()
        .find(|one| one.extension.is_none() && std::ptr::eq(one.leaf(), named))?;
    Some(keys::unique(resource_type.tag, &indexed, name))
}
