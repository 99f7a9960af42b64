//! Ties between groups and their members.
//!
//! A membership is two keys, one from each end, never a list inside a record: what a change costs does
//! not depend on how many members a group has. The name that is shown beside a member is kept with the
//! tie, so that listing members reads no other record; it follows when the member is renamed.

use std::collections::{HashSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::connection::UnknownMembers;
use crate::directory::error::DirectoryError;
use crate::directory::rules::ConnectionRules;
use crate::directory::stored::{self, StoredResource};
use crate::directory::transaction::Transaction;
use crate::scim::attribute::Storage;
use crate::scim::error::{ScimError, ScimType};
use crate::scim::filter::{CompareOp, Comparison, Filter, Literal};
use crate::scim::resource::{Resource, ResourceId};
use crate::scim::schema::{Registry, ResourceType};
use crate::store::{Read, StoreError, keys};
use crate::text::excerpt;

/// How many groups may stand between a member and the topmost group that it belongs to, all told.
const MAX_ANCESTORS: usize = 10_000;
/// How many characters of a member's name are kept with the tie.
const MAX_DISPLAY: usize = 256;

/// A resource as another one refers to it: a member of a group, or a group that someone belongs to.
#[derive(Clone, Debug)]
pub struct Reference {
    /// Its id.
    pub id: ResourceId,
    /// What it is.
    pub resource_type: Arc<ResourceType>,
    tie: Tie,
    /// The name by which people know it.
    pub display: String,
}

/// A reference as it is served.
#[derive(Serialize)]
pub struct Served<'a> {
    value: String,
    #[serde(rename = "$ref")]
    location: String,
    #[serde(rename = "type")]
    kind: &'a str,
    display: &'a str,
}

/// How a resource stands to the one that refers to it.
#[derive(Clone, Copy, Debug)]
enum Tie {
    /// It is a member.
    Member,
    /// It is a group of which the other is a member, directly or through other groups.
    Group { direct: bool },
}

impl Reference {
    /// For a member its resource type, for a group `direct` or `indirect`.
    fn kind(&self) -> &str {
        match self.tie {
            Tie::Member => &self.resource_type.name,
            Tie::Group { direct: true } => "direct",
            Tie::Group { direct: false } => "indirect",
        }
    }

    /// The reference as it is served below a URL.
    pub fn served<'a>(&'a self, base_url: &str) -> Served<'a> {
        Served {
            value: self.id.to_string(),
            location: format!("{base_url}/{}/{}", self.resource_type.endpoint, self.id),
            kind: self.kind(),
            display: &self.display,
        }
    }

    /// About how many bytes it has as it is served.
    pub(crate) fn served_bytes(&self, base_url: &str) -> usize {
        let names = base_url.len() + self.resource_type.endpoint.len() + self.kind().len();
        2 * 36 + names + self.display.len() + 56
    }

    /// The reference as filters see it.
    pub(crate) fn plain(&self) -> Value {
        json!({"value": self.id.to_string(), "type": self.kind(), "display": self.display})
    }
}

/// The references that a resource has, for those relations that are wanted.
pub(crate) fn references(
    state: &dyn Read,
    registry: &Registry,
    resource_type: &ResourceType,
    id: ResourceId,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Vec<(String, Vec<Reference>)>, DirectoryError> {
    let mut all = Vec::new();
    for attribute in resource_type.relations().filter(|attribute| wanted(&attribute.name)) {
        let references = match attribute.storage {
            Storage::Members => members(state, registry, id)?,
            Storage::Memberships => groups(state, registry, id)?,
            Storage::Record | Storage::Computed => Vec::new(),
        };
        if !references.is_empty() {
            all.push((attribute.name.clone(), references));
        }
    }
    Ok(all)
}

/// The members of a group, in the order of their ids.
fn members(
    state: &dyn Read,
    registry: &Registry,
    group: ResourceId,
) -> Result<Vec<Reference>, DirectoryError> {
    some_members(state, registry, group, None, usize::MAX)
}

pub(crate) fn some_members(
    state: &dyn Read,
    registry: &Registry,
    group: ResourceId,
    after: Option<ResourceId>,
    count: usize,
) -> Result<Vec<Reference>, DirectoryError> {
    let after = after.map(|member| keys::member(group, member));
    let mut members = Vec::new();
    state.scan(&keys::members(group), after.as_deref(), &mut |key, value| {
        if members.len() == count {
            return ControlFlow::Break(());
        }
        let resource_type = value.first().and_then(|tag| registry.by_tag(*tag));
        if let (Some(id), Some(resource_type)) = (keys::trailing_id(key), resource_type) {
            members.push(Reference {
                id,
                resource_type: Arc::clone(resource_type),
                tie: Tie::Member,
                display: display(&value),
            });
        }
        ControlFlow::Continue(())
    })?;
    Ok(members)
}

/// The groups that a resource belongs to, directly first, then through other groups.
fn groups(
    state: &dyn Read,
    registry: &Registry,
    member: ResourceId,
) -> Result<Vec<Reference>, DirectoryError> {
    let mut found = Vec::new();
    for (group, direct) in ancestors(state, member)? {
        let Some((group_type, stored)) =
            find_any(state, registry, group, |resource_type| resource_type.members().is_some())?
        else {
            continue;
        };
        let attributes = stored::attributes(&group_type, &stored)?;
        found.push(Reference {
            id: group,
            tie: Tie::Group { direct },
            display: attributes.display(&group_type).unwrap_or_default().to_owned(),
            resource_type: group_type,
        });
    }
    Ok(found)
}

/// Every group above a resource, nearest first, and whether it is directly above.
pub(crate) fn ancestors(
    state: &dyn Read,
    member: ResourceId,
) -> Result<Vec<(ResourceId, bool)>, StoreError> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut waiting = VecDeque::from([(member, true)]);
    while let Some((below, direct)) = waiting.pop_front() {
        for group in groups_of(state, below)? {
            if seen.len() < MAX_ANCESTORS && seen.insert(group) {
                found.push((group, direct));
                waiting.push_back((group, false));
            }
        }
    }
    Ok(found)
}

/// The groups that a resource belongs to directly.
pub(crate) fn groups_of(
    state: &dyn Read,
    member: ResourceId,
) -> Result<Vec<ResourceId>, StoreError> {
    trailing_ids(state, &keys::memberships(member))
}

fn members_of(state: &dyn Read, group: ResourceId) -> Result<Vec<ResourceId>, StoreError> {
    trailing_ids(state, &keys::members(group))
}

fn trailing_ids(state: &dyn Read, prefix: &[u8]) -> Result<Vec<ResourceId>, StoreError> {
    let mut ids = Vec::new();
    state.scan(prefix, None, &mut |key, _| {
        ids.extend(keys::trailing_id(key));
        ControlFlow::Continue(())
    })?;
    Ok(ids)
}

/// Finds a resource whose type is not known, among the types that will do.
pub(crate) fn find_any(
    state: &dyn Read,
    registry: &Registry,
    id: ResourceId,
    will_do: impl Fn(&ResourceType) -> bool,
) -> Result<Option<(Arc<ResourceType>, StoredResource)>, DirectoryError> {
    for resource_type in registry.resource_types().iter().filter(|one| will_do(one)) {
        match stored::find(state, resource_type, id) {
            Ok(stored) => return Ok(Some((Arc::clone(resource_type), stored))),
            Err(DirectoryError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// A member that a request names.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    id: ResourceId,
    /// The name that the client has for it.
    display: Option<String>,
}

/// The members that a list in canonical form names.
///
/// # Errors
///
/// `invalidValue` naming what can't be the id of a member, if unknown members are refused.
pub(crate) fn named(members: &[Value], unknown: UnknownMembers) -> Result<Vec<Named>, ScimError> {
    let mut named = Vec::with_capacity(members.len());
    for element in members {
        let text = |name: &str| element.get(name).and_then(Value::as_str);
        let value = text("value").unwrap_or_default();
        match ResourceId::parse(value) {
            Some(id) => {
                named.push(Named { id, display: text("display").map(ToOwned::to_owned) });
            }
            None if unknown == UnknownMembers::Refuse => return Err(no_member(value)),
            None => {}
        }
    }
    Ok(named)
}

fn no_member(value: &str) -> ScimError {
    ScimError::invalid_value(format!(
        "There is no resource with the id \"{}\" that could be a member.",
        excerpt(value, 64)
    ))
}

/// Makes resources members of a group; whether one of them was none before.
///
/// # Errors
///
/// `invalidValue` if there is no such resource and unknown members are refused, or if the group would
/// come to contain itself; `Forbidden` for what the connection may not change.
pub(crate) fn add(
    tx: &mut Transaction<'_>,
    group: ResourceId,
    members: &[Named],
    rules: ConnectionRules,
) -> Result<bool, DirectoryError> {
    let mut changed = false;
    let mut above = None;
    for member in members {
        if tx.get(&keys::membership(member.id, group))?.is_some() {
            continue;
        }
        let registry = &tx.settings().registry;
        let Some((member_type, stored)) = find_any(tx, registry, member.id, |_| true)? else {
            if rules.unknown_members == UnknownMembers::Ignore {
                continue;
            }
            return Err(no_member(&member.id.to_string()).into());
        };
        // Membership can give access: who may not change an account may not give it any.
        rules.check_scope(tx, &member_type, &stored)?;
        if member_type.members().is_some() {
            // New members change nothing above the group: it is looked up once.
            let above = match &mut above {
                Some(above) => above,
                none => none.insert(above_and_itself(tx, group)?),
            };
            if above.contains(&member.id) {
                return Err(ScimError::invalid_value(format!(
                    "The group {} can't be a member: the group would contain itself.",
                    member.id
                ))
                .into());
            }
        }
        let attributes = stored::attributes(&member_type, &stored)?;
        let display = member.display.as_deref().or_else(|| attributes.display(&member_type));
        tie(tx, group, member.id, &member_type, display.unwrap_or_default());
        tx.details().member_added(member.id, display.unwrap_or_default());
        changed = true;
    }
    Ok(changed)
}

/// The groups that can't become members of a group: those above it, and itself.
fn above_and_itself(
    tx: &Transaction<'_>,
    group: ResourceId,
) -> Result<HashSet<ResourceId>, DirectoryError> {
    let above = ancestors(tx, group)?;
    if above.len() >= MAX_ANCESTORS {
        return Err(ScimError::new(
            ScimType::TooMany,
            format!("The group {group} stands below {MAX_ANCESTORS} others; it can't hold groups."),
        )
        .into());
    }
    Ok(above.into_iter().map(|(id, _)| id).chain([group]).collect())
}

pub(crate) fn tie(
    tx: &mut Transaction<'_>,
    group: ResourceId,
    member: ResourceId,
    member_type: &ResourceType,
    display: &str,
) {
    let display: String = display.chars().take(MAX_DISPLAY).collect();
    let value = [&[member_type.tag], display.as_bytes()].concat();
    tx.put(keys::member(group, member), value);
    tx.put(keys::membership(member, group), Bytes::new());
}

/// Ends memberships; whether there was one of them.
pub(crate) fn remove(
    tx: &mut Transaction<'_>,
    group: ResourceId,
    members: impl IntoIterator<Item = ResourceId>,
) -> Result<bool, DirectoryError> {
    let mut changed = false;
    for member in members {
        if tx.get(&keys::membership(member, group))?.is_some() {
            let display = match tx.details().names_removed() {
                true => tx.get(&keys::member(group, member))?.as_deref().map(display),
                false => None,
            };
            untie(tx, group, member);
            tx.details().member_removed(member, display);
            changed = true;
        }
    }
    Ok(changed)
}

fn untie(tx: &mut Transaction<'_>, group: ResourceId, member: ResourceId) {
    tx.delete(keys::member(group, member));
    tx.delete(keys::membership(member, group));
}

/// The name that is kept with a tie.
fn display(tie: &[u8]) -> String {
    String::from_utf8_lossy(tie.get(1..).unwrap_or_default()).into_owned()
}

/// The ids of members that a request names.
pub(crate) fn ids(members: &[Named]) -> impl Iterator<Item = ResourceId> {
    members.iter().map(|member| member.id)
}

/// Ends every membership of a group; whether there was any.
pub(crate) fn remove_all(
    tx: &mut Transaction<'_>,
    group: ResourceId,
) -> Result<bool, DirectoryError> {
    let members = members_of(tx, group)?;
    remove(tx, group, members)
}

/// The members of a group that a filter on its elements selects.
pub(crate) fn matching(
    tx: &Transaction<'_>,
    group_type: &ResourceType,
    group: ResourceId,
    filter: &Filter,
) -> Result<Vec<ResourceId>, DirectoryError> {
    if let Some(named) = named_by(filter) {
        // The usual case costs nothing that depends on the size of the group.
        return Ok(ResourceId::parse(named).into_iter().collect());
    }
    let Some(attribute) = group_type.members() else { return Ok(Vec::new()) };
    let all = members(tx, &tx.settings().registry, group)?;
    Ok(all
        .iter()
        .filter(|member| {
            let element = Value::Array(vec![member.plain()]);
            filter.matches(&Map::from_iter([(attribute.name.clone(), element)]))
        })
        .map(|member| member.id)
        .collect())
}

/// The one member that a filter `value eq "…"` names.
fn named_by(filter: &Filter) -> Option<&str> {
    match filter {
        Filter::Compare(Comparison { path, op: CompareOp::Eq, literal: Literal::Text(id) })
            if path.sub_attribute.as_deref() == Some("value") =>
        {
            Some(id)
        }
        _ => None,
    }
}

/// Makes these, and no others, the members of a group; whether that changes anything.
pub(crate) fn set(
    tx: &mut Transaction<'_>,
    group: ResourceId,
    members: &[Named],
    rules: ConnectionRules,
) -> Result<bool, DirectoryError> {
    let keep: HashSet<ResourceId> = ids(members).collect();
    let present = members_of(tx, group)?;
    let gone = present.into_iter().filter(|member| !keep.contains(member));
    let removed = remove(tx, group, gone)?;
    Ok(add(tx, group, members, rules)? || removed)
}

/// Ends every tie of a resource that ceases to be; its groups are other groups afterwards.
pub(crate) fn sever(tx: &mut Transaction<'_>, id: ResourceId) -> Result<(), DirectoryError> {
    for group in untie_all(tx, id)? {
        let name = touch_group(tx, group)?;
        tx.details().left_group(group, name);
    }
    Ok(())
}

/// Ends every tie of a resource; answers the groups that it was a member of.
pub(crate) fn untie_all(
    tx: &mut Transaction<'_>,
    id: ResourceId,
) -> Result<Vec<ResourceId>, DirectoryError> {
    remove_all(tx, id)?;
    let groups = groups_of(tx, id)?;
    for group in &groups {
        untie(tx, *group, id);
    }
    Ok(groups)
}

/// Shows a member under its new name in all its groups, which are other groups afterwards.
pub(crate) fn rename(
    tx: &mut Transaction<'_>,
    member_type: &ResourceType,
    id: ResourceId,
    previous: &Resource,
    present: &Resource,
) -> Result<(), DirectoryError> {
    let display = present.display(member_type);
    if previous.display(member_type) == display {
        return Ok(());
    }
    for group in show_as(tx, member_type, id, display.unwrap_or_default())? {
        touch_group(tx, group)?;
    }
    Ok(())
}

/// Shows a member under a name in all its groups, which are answered.
pub(crate) fn show_as(
    tx: &mut Transaction<'_>,
    member_type: &ResourceType,
    id: ResourceId,
    display: &str,
) -> Result<Vec<ResourceId>, DirectoryError> {
    let groups = groups_of(tx, id)?;
    for group in &groups {
        tie(tx, *group, id, member_type, display);
    }
    Ok(groups)
}

/// Writes a group in its next version, if it is there: who is in it has changed. Answers its name.
pub(crate) fn touch_group(
    tx: &mut Transaction<'_>,
    group: ResourceId,
) -> Result<Option<String>, DirectoryError> {
    let registry = &tx.settings().registry;
    let found = find_any(tx, registry, group, |one| one.members().is_some())?;
    let Some((group_type, stored)) = found else { return Ok(None) };
    let attributes = stored::attributes(&group_type, &stored)?;
    stored::touch(tx, &group_type, &stored, &attributes)?;
    Ok(attributes.display(&group_type).map(ToOwned::to_owned))
}
