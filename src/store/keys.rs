//! Every key on disk. Later versions must read these keys.
//!
//! | key | value |
//! | --- | --- |
//! | `m` `applied` | the sequence that the state has reached, u64 little-endian |
//! | `m` `journal` | the identity of the journal that the state belongs to |
//! | `m` `indexes` | which attributes the indexes below are kept for |
//! | `m` `catalogue` | the names of the access catalogue that all accounts follow, as JSON |
//! | `m` `settings` | the settings that all nodes share, as canonical JSON; see [`crate::settings`] |
//! | `m` `held.` connection | why the changes of a connection are held, as JSON |
//! | `m` `allowed.` connection | what an operator allows the connection beyond its brake, as JSON |
//! | `m` `deactivated.` id | that an operator has deactivated an account, since when and why, as JSON |
//! | `m` `webhook.` name | how far events were delivered to a webhook, as JSON |
//! | `m` `connection.` name | the file of a connection that nodes share, as JSON |
//! | `r` type id | the record of a resource, see [`super::record`] |
//! | `u` type attribute 0 value | the id of the one resource that holds the value |
//! | `i` type attribute 0 value 0 id | nothing: a resource that holds the value |
//! | `c` type | how many resources of the type there are, u64 little-endian |
//! | `t` token id | a token as JSON |
//! | `o` client id | an OAuth client as JSON |
//! | `a` operator name | a named operator of the console as JSON |
//! | `g` group id, member id | the member's type and the name that is shown |
//! | `h` member id, group id | nothing: the same membership, keyed by member |
//! | `dc` id | up to which member the void memberships of a resource are deleted |
//! | `dv` id | which memberships of a resource are void and not deleted yet |
//! | `dn` id | how far a renamed member's memberships show its new name |
//!
//! `type` is the resource type's byte, `id` the 16 bytes of a resource id, `attribute` the path of an
//! attribute. Values are folded where letter case does not matter; they hold no zero byte.

use crate::scim::resource::ResourceId;
use crate::scim::schema::IndexedAttribute;
use crate::scim::value::fold;

const RECORD: u8 = b'r';
const UNIQUE: u8 = b'u';
const INDEX: u8 = b'i';
const COUNT: u8 = b'c';
const TOKEN: u8 = b't';
const CLIENT: u8 = b'o';
const OPERATOR: u8 = b'a';
const MEMBER: u8 = b'g';
const MEMBERSHIP: u8 = b'h';
/// The prefix of all markers of pending work.
pub const PENDING: [u8; 1] = [b'd'];
/// The prefix of markers that void memberships.
pub const VOIDS: [u8; 2] = *b"dv";
/// The prefix of markers of renamed members.
const RENAMED: [u8; 2] = *b"dn";
/// The prefix of what tells how far void memberships are cleared.
const CLEARED: [u8; 2] = *b"dc";

/// How far the state has followed the journal.
pub const APPLIED: &[u8] = b"mapplied";
/// Which journal the state follows.
pub(super) const JOURNAL: &[u8] = b"mjournal";

/// Whether a key says where the state stands, rather than being part of it.
pub(super) fn is_position(key: &[u8]) -> bool {
    [APPLIED, JOURNAL].contains(&key)
}

/// Which attributes indexes are kept for.
pub const INDEXES: &[u8] = b"mindexes";
/// The access catalogue that all accounts follow.
pub const CATALOGUE: &[u8] = b"mcatalogue";
/// The settings that access, validation and events depend on.
pub const SETTINGS: &[u8] = b"msettings";
/// The prefix of holds; the name of the connection follows.
pub const HELD: &[u8] = b"mheld.";
/// The prefix of allowances; the name of the connection follows.
const ALLOWED: &[u8] = b"mallowed.";
/// The prefix of operators' deactivations; the id of the account follows.
const DEACTIVATED: &[u8] = b"mdeactivated.";
/// The prefix of the states of webhooks; the name follows.
const WEBHOOK: &[u8] = b"mwebhook.";
/// The prefix of the files of connections; the name follows.
pub const CONNECTION: &[u8] = b"mconnection.";
/// The prefixes of all index entries.
pub const INDEX_KINDS: [[u8; 1]; 2] = [[UNIQUE], [INDEX]];

/// The kind of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It says where the state stands, which indexes are kept, that a connection is held, or that an operator has
    /// deactivated an account.
    Mark,
    /// The settings that all nodes share.
    Settings,
    /// The record of a resource.
    Record(u8, ResourceId),
    /// The entry of a unique index; its value is the id.
    Unique(u8),
    /// The entry of an index.
    Index(u8, ResourceId),
    /// How many resources of a type there are.
    Count(u8),
    /// A token.
    Token,
    /// An OAuth client.
    Client,
    /// A named operator of the console.
    Operator,
    /// A membership, keyed by group.
    Member(ResourceId, ResourceId),
    /// A membership, keyed by member.
    Membership(ResourceId, ResourceId),
    /// A marker that voids memberships of a resource.
    Void(ResourceId),
    /// How far the void memberships of a resource are cleared.
    Cleared(ResourceId),
    /// A marker of a member that was renamed.
    Renamed(ResourceId),
}

/// Returns the kind of a key; `None` for an unknown key.
pub fn kind(key: &[u8]) -> Option<Kind> {
    let (kind, rest) = key.split_first()?;
    let two_ids = || {
        let (first, second) = rest.split_first_chunk()?;
        let second = second.try_into().ok()?;
        Some((ResourceId::from_bytes(*first), ResourceId::from_bytes(second)))
    };
    Some(match (*kind, rest) {
        (b'd', [b'v', id @ ..]) => Kind::Void(ResourceId::from_bytes(id.try_into().ok()?)),
        (b'd', [b'c', id @ ..]) => Kind::Cleared(ResourceId::from_bytes(id.try_into().ok()?)),
        (b'd', [b'n', id @ ..]) => Kind::Renamed(ResourceId::from_bytes(id.try_into().ok()?)),
        (b'm', _) if is_position(key) || [INDEXES, CATALOGUE].contains(&key) => Kind::Mark,
        (b'm', _) if key == SETTINGS => Kind::Settings,
        (b'm', _)
            if [HELD, ALLOWED, DEACTIVATED, WEBHOOK, CONNECTION]
                .iter()
                .any(|mark| key.starts_with(mark)) =>
        {
            Kind::Mark
        }
        (RECORD, [tag, id @ ..]) => Kind::Record(*tag, ResourceId::from_bytes(id.try_into().ok()?)),
        (UNIQUE, [tag, ..]) => Kind::Unique(*tag),
        (INDEX, [tag, ..]) => Kind::Index(*tag, trailing_id(key)?),
        (COUNT, [tag]) => Kind::Count(*tag),
        (TOKEN, [_, ..]) => Kind::Token,
        (CLIENT, [_, ..]) => Kind::Client,
        (OPERATOR, [_, ..]) => Kind::Operator,
        (MEMBER, _) => two_ids().map(|(group, member)| Kind::Member(group, member))?,
        (MEMBERSHIP, _) => two_ids().map(|(member, group)| Kind::Membership(member, group))?,
        _ => return None,
    })
}

/// The record of a resource.
pub fn record(tag: u8, id: ResourceId) -> Vec<u8> {
    let mut key = vec![RECORD, tag];
    key.extend_from_slice(id.as_bytes());
    key
}

/// The prefix of the records of a type.
pub fn records(tag: u8) -> [u8; 2] {
    [RECORD, tag]
}

/// Whether a key is that of a record.
pub fn is_record(key: &[u8]) -> bool {
    key.first() == Some(&RECORD)
}

/// The id at the end of a record's or an index entry's key.
pub fn trailing_id(key: &[u8]) -> Option<ResourceId> {
    key.last_chunk().map(|id| ResourceId::from_bytes(*id))
}

/// How many resources of a type there are.
pub fn count(tag: u8) -> [u8; 2] {
    [COUNT, tag]
}

/// The type whose resources are counted at a key; `None` if it holds no count.
pub(super) fn counted(key: &[u8]) -> Option<u8> {
    match key {
        [COUNT, tag] => Some(*tag),
        _ => None,
    }
}

/// The key of a membership, by group.
pub fn member(group: ResourceId, member: ResourceId) -> Vec<u8> {
    [&members(group), member.as_bytes().as_slice()].concat()
}

/// The prefix of the memberships of a group.
pub fn members(group: ResourceId) -> Vec<u8> {
    [&[MEMBER], group.as_bytes().as_slice()].concat()
}

/// The key of a membership, by member.
pub fn membership(member: ResourceId, group: ResourceId) -> Vec<u8> {
    [&memberships(member), group.as_bytes().as_slice()].concat()
}

/// The prefix of all memberships, by member.
pub const ALL_MEMBERSHIPS: &[u8] = &[MEMBERSHIP];

/// The prefix of the memberships of a member.
pub fn memberships(member: ResourceId) -> Vec<u8> {
    [&[MEMBERSHIP], member.as_bytes().as_slice()].concat()
}

/// The marker that voids memberships of a resource.
pub fn void(id: ResourceId) -> Vec<u8> {
    [VOIDS.as_slice(), id.as_bytes()].concat()
}

/// How far the void memberships of a resource are cleared.
pub fn cleared(id: ResourceId) -> Vec<u8> {
    [CLEARED.as_slice(), id.as_bytes()].concat()
}

/// The marker of a member that was renamed.
pub fn renamed(id: ResourceId) -> Vec<u8> {
    [RENAMED.as_slice(), id.as_bytes()].concat()
}

/// The key of the hold of a connection.
pub fn held(connection: &str) -> Vec<u8> {
    [HELD, connection.as_bytes()].concat()
}

/// The key of the allowance of a connection.
pub fn allowed(connection: &str) -> Vec<u8> {
    [ALLOWED, connection.as_bytes()].concat()
}

/// The key of an operator's deactivation of an account.
pub fn deactivated(id: ResourceId) -> Vec<u8> {
    [DEACTIVATED, id.as_bytes()].concat()
}

/// The key of the state of a webhook.
pub fn webhook(name: &str) -> Vec<u8> {
    [WEBHOOK, name.as_bytes()].concat()
}

/// The file of a connection, as all nodes have it.
pub fn connection(name: &str) -> Vec<u8> {
    [CONNECTION, name.as_bytes()].concat()
}

/// A token.
pub fn token(id: &str) -> Vec<u8> {
    let mut key = tokens().to_vec();
    key.extend_from_slice(id.as_bytes());
    key
}

/// The prefix of tokens.
pub fn tokens() -> [u8; 1] {
    [TOKEN]
}

/// An OAuth client.
pub fn client(id: &str) -> Vec<u8> {
    [clients().as_slice(), id.as_bytes()].concat()
}

/// The prefix of OAuth clients.
pub fn clients() -> [u8; 1] {
    [CLIENT]
}

/// A named operator of the console.
pub fn operator(name: &str) -> Vec<u8> {
    [operators().as_slice(), name.as_bytes()].concat()
}

/// The prefix of named operators.
pub fn operators() -> [u8; 1] {
    [OPERATOR]
}

/// The key of an entry of a unique index.
pub fn unique(tag: u8, indexed: &IndexedAttribute<'_>, value: &str) -> Vec<u8> {
    entry(UNIQUE, tag, indexed, value)
}

/// The prefix of the entries of an index for one value.
pub fn index_value(tag: u8, indexed: &IndexedAttribute<'_>, value: &str) -> Vec<u8> {
    let mut key = entry(INDEX, tag, indexed, value);
    key.push(0);
    key
}

/// The entry of an index: this resource holds this value.
pub fn index(tag: u8, indexed: &IndexedAttribute<'_>, value: &str, id: ResourceId) -> Vec<u8> {
    let mut key = index_value(tag, indexed, value);
    key.extend_from_slice(id.as_bytes());
    key
}

fn entry(kind: u8, tag: u8, indexed: &IndexedAttribute<'_>, value: &str) -> Vec<u8> {
    let mut key = vec![kind, tag];
    let attribute = Some(indexed.attribute.name.as_str());
    let sub_attribute = indexed.sub_attribute.map(|attribute| attribute.name.as_str());
    for part in [indexed.extension, attribute, sub_attribute].into_iter().flatten() {
        key.extend_from_slice(part.as_bytes());
        key.push(b'.');
    }
    key.push(0);
    let value = if indexed.leaf().case_exact { value.into() } else { fold(value) };
    key.extend_from_slice(value.as_bytes());
    key
}
