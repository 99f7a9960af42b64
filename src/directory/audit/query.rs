//! Reading the audit trail: which changes somebody is looking for.

use jiff::Timestamp;

use crate::directory::Directory;
use crate::event::Verb;
use crate::log::{Frame, Log};
use crate::scim::resource::ResourceId;
use crate::scim::schema::{Registry, ResourceType};
use crate::scim::value::fold;
use crate::store::keys::{self, Kind};

impl Directory {
    /// The log: every change that was made.
    pub fn log(&self) -> &dyn Log {
        self.shared.log.as_ref()
    }
}

/// The changes that somebody wants to see.
#[derive(Clone, Debug, Default)]
pub struct ChangeFilter {
    /// Those made at this moment or later.
    pub since: Option<Timestamp>,
    /// Those that concern one of these accounts, also as members of a group; all if there is none.
    pub accounts: Vec<ResourceId>,
    /// Also what scimd notes for itself: when tokens were used.
    pub notes: bool,
}

impl ChangeFilter {
    /// Whether a change is one of them.
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
        (self.notes || frame.head.event.verb != Verb::Used)
            && self.since.is_none_or(|since| frame.head.time >= since)
            && (self.accounts.is_empty() || concerns(frame))
    }
}

/// Finds out who had a name, by what changes say.
pub struct NameHistory {
    accounts: Vec<Account>,
}

/// A kind of account, and what a change has in it if one of that kind got or lost the name.
struct Account {
    /// The word for it in events.
    kind: String,
    /// The key of the unique index.
    key: Option<Vec<u8>>,
    /// The name, folded.
    name: String,
}

impl NameHistory {
    /// Those accounts whose name this was, in any letter case.
    pub fn new(registry: &Registry, name: &str) -> Self {
        let types = registry.resource_types().iter().filter(|one| one.is_account);
        let account = |resource_type: &ResourceType| Account {
            kind: resource_type.name.to_ascii_lowercase(),
            key: name_key(resource_type, name),
            name: fold(name).into_owned(),
        };
        Self { accounts: types.map(|one| account(one)).collect() }
    }

    /// The one who had the name when a change was made, or got or lost it with that.
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

/// The key of the entry that says who has a name.
fn name_key(resource_type: &ResourceType, name: &str) -> Option<Vec<u8>> {
    let named = resource_type.name_attribute()?;
    let indexed = resource_type
        .indexed()
        .find(|one| one.extension.is_none() && std::ptr::eq(one.leaf(), named))?;
    Some(keys::unique(resource_type.tag, &indexed, name))
}
