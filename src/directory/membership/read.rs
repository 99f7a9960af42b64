//! Reading memberships: the members of a group, and the groups of a resource. Void ones do not count.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::directory::error::DirectoryError;
use crate::directory::membership::graph::ancestors;
use crate::directory::membership::value::display;
use crate::directory::membership::void::Voids;
use crate::directory::stored::{self, StoredResource};
use crate::scim::attribute::Storage;
use crate::scim::registry::Registry;
use crate::scim::resource::{ResourceId, stored_name};
use crate::scim::schema::ResourceType;
use crate::store::{Read, StoreError, keys};
use crate::text::json_text::{push_escaped, push_string};

/// A resource as another one refers to it: a member of a group, or a group that a resource belongs to.
#[derive(Clone, Debug)]
pub struct Reference {
    /// Its id.
    pub id: ResourceId,
    /// What it is.
    pub resource_type: Arc<ResourceType>,
    relation: Relation,
    /// Its display name.
    pub display: Box<str>,
}

/// How a resource stands to the one that refers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Relation {
    /// It is a member.
    Member,
    /// It is a group of which the other is a member, directly or through other groups.
    Group { direct: bool },
}

impl Reference {
    /// For a member its resource type, for a group `direct` or `indirect`.
    fn kind(&self) -> &str {
        match self.relation {
            Relation::Member => &self.resource_type.name,
            Relation::Group { direct: true } => "direct",
            Relation::Group { direct: false } => "indirect",
        }
    }

    /// The reference as it is served below a URL.
    pub fn served(&self, base_url: &str) -> Value {
        json!({
            "value": self.id.to_string(),
            "$ref": self.id.location(base_url, &self.resource_type.endpoint),
            "type": self.kind(),
            "display": self.display,
        })
    }

    /// About how many bytes of memory it takes.
    pub fn held_bytes(&self) -> usize {
        // A short text takes 16 bytes at least.
        size_of::<Self>() + self.display.len().next_multiple_of(16)
    }

    /// About how many bytes it has as it is served.
    pub fn served_bytes(&self, base_url: &str) -> usize {
        let names = base_url.len() + self.resource_type.endpoint.len() + self.kind().len();
        2 * 36 + names + self.display.len() + 56
    }

    /// The reference as filters see it.
    pub(crate) fn plain(&self) -> Value {
        json!({"value": self.id.to_string(), "type": self.kind(), "display": self.display})
    }
}

/// Writes the JSON of [`Reference::served`] for one reference after the other. What all of a kind share is built
/// once: a list has one kind as a rule.
pub struct ReferenceWriter<'a> {
    base_url: &'a str,
    kind: Option<(Arc<ResourceType>, Relation)>,
    /// The text between the two ids.
    between: Vec<u8>,
    /// The text between the second id and the name.
    behind: Vec<u8>,
}

impl<'a> ReferenceWriter<'a> {
    /// Writes references below a URL.
    pub fn new(base_url: &'a str) -> Self {
        Self { base_url, kind: None, between: Vec::new(), behind: Vec::new() }
    }

    /// Appends a reference.
    pub fn push(&mut self, reference: &Reference, out: &mut Vec<u8>) {
        let is_of = |(resource_type, relation): &(Arc<ResourceType>, Relation)| {
            Arc::ptr_eq(resource_type, &reference.resource_type) && *relation == reference.relation
        };
        if !self.kind.as_ref().is_some_and(is_of) {
            self.begin(reference);
        }
        let mut id = [0; ResourceId::LENGTH];
        let id = reference.id.encode(&mut id);
        out.extend_from_slice(b"{\"value\":\"");
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(&self.between);
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(&self.behind);
        push_string(&reference.display, out);
        out.push(b'}');
    }

    /// Builds the parts that all references of this kind share.
    fn begin(&mut self, reference: &Reference) {
        self.kind = Some((Arc::clone(&reference.resource_type), reference.relation));
        self.between.clear();
        self.between.extend_from_slice(b"\",\"$ref\":\"");
        push_escaped(self.base_url, &mut self.between);
        self.between.push(b'/');
        push_escaped(&reference.resource_type.endpoint, &mut self.between);
        self.between.push(b'/');
        self.behind.clear();
        self.behind.extend_from_slice(b"\",\"type\":\"");
        push_escaped(reference.kind(), &mut self.behind);
        self.behind.extend_from_slice(b"\",\"display\":");
    }
}

/// The references that a resource has, for those relations that are wanted. The markers are read once for a
/// page, before its memberships.
///
/// # Errors
///
/// `Large` if it has more than `most_members` of those; `Storage`.
pub(crate) fn references(
    state: &dyn Read,
    registry: &Registry,
    voids: &Voids,
    resource_type: &ResourceType,
    id: ResourceId,
    wanted: &dyn Fn(&str) -> bool,
    most_members: usize,
) -> Result<Vec<(String, Vec<Reference>)>, DirectoryError> {
    let mut all = Vec::new();
    for attribute in resource_type.relations().filter(|attribute| wanted(&attribute.name)) {
        let references = match attribute.storage {
            Storage::Members => {
                let one_more = most_members.saturating_add(1);
                let members = some_members(state, registry, voids, id, None, one_more)?;
                if members.len() > most_members {
                    return Err(DirectoryError::Large);
                }
                members
            }
            Storage::Memberships => groups(state, registry, voids, id)?,
            Storage::Record | Storage::Computed => Vec::new(),
        };
        if !references.is_empty() {
            all.push((attribute.name.clone(), references));
        }
    }
    Ok(all)
}

/// The digest of the groups that a resource shows, as it shows them: they change without its record. `None` if
/// there are none. Members do not count: the version of a group follows them.
///
/// Another build may have another digest for the same groups. A client then reads again what it knows.
pub(crate) fn digest_of_groups(references: &[(String, Vec<Reference>)]) -> Option<u64> {
    let mut groups = references
        .iter()
        .flat_map(|(_, references)| references)
        .filter(|reference| matches!(reference.relation, Relation::Group { .. }))
        .peekable();
    groups.peek()?;
    let mut digest = DefaultHasher::new();
    for group in groups {
        (group.id, group.relation, &group.display).hash(&mut digest);
    }
    Some(digest.finish())
}

/// A part of a group's members, in the order of their ids: those behind a member, or the first.
pub(crate) fn some_members(
    state: &dyn Read,
    registry: &Registry,
    voids: &Voids,
    group: ResourceId,
    after: Option<ResourceId>,
    count: usize,
) -> Result<Vec<Reference>, StoreError> {
    let mut members = Vec::new();
    visit_members(state, voids, group, after, &mut |id, value| {
        if members.len() == count {
            return ControlFlow::Break(());
        }
        members.extend(member(registry, id, &value));
        ControlFlow::Continue(())
    })?;
    Ok(members)
}

/// Those of some resources that are members of a group.
pub(crate) fn members_among(
    state: &dyn Read,
    registry: &Registry,
    voids: &Voids,
    group: ResourceId,
    ids: &BTreeSet<ResourceId>,
) -> Result<Vec<Reference>, StoreError> {
    let mut members = Vec::new();
    for id in ids {
        let value = state.get(&keys::member(group, *id))?;
        let value = value.filter(|value| !voids.contain(group, *id, value));
        members.extend(value.and_then(|value| member(registry, *id, &value)));
    }
    Ok(members)
}

/// A member as a group refers to it; `None` if its type is no longer configured.
fn member(registry: &Registry, id: ResourceId, value: &[u8]) -> Option<Reference> {
    Some(Reference {
        id,
        resource_type: Arc::clone(registry.by_tag(*value.first()?)?),
        relation: Relation::Member,
        display: display(value).into(),
    })
}

/// Visits the members of a group in the order of their ids, those behind `after` if it is given, each with
/// its type's byte and name as stored.
pub(crate) fn visit_members(
    state: &dyn Read,
    voids: &Voids,
    group: ResourceId,
    after: Option<ResourceId>,
    visit: &mut dyn FnMut(ResourceId, Bytes) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let after = after.map(|member| keys::member(group, member));
    state.scan(&keys::members(group), after.as_deref(), &mut |key, value| match keys::trailing_id(
        key,
    ) {
        Some(member) if !voids.contain(group, member, &value) => visit(member, value),
        _ => ControlFlow::Continue(()),
    })
}

/// The groups that a resource belongs to, directly first, then through other groups.
fn groups(
    state: &dyn Read,
    registry: &Registry,
    voids: &Voids,
    member: ResourceId,
) -> Result<Vec<Reference>, DirectoryError> {
    let mut found = Vec::new();
    for (group, direct) in ancestors(state, voids, member)? {
        let Some((group_type, stored)) =
            find_any(state, registry, group, |resource_type| resource_type.members().is_some())?
        else {
            continue;
        };
        let attributes = stored::attributes(&group_type, &stored)?;
        found.push(Reference {
            id: group,
            relation: Relation::Group { direct },
            display: attributes.display(&group_type).unwrap_or_default().into(),
            resource_type: group_type,
        });
    }
    Ok(found)
}

/// The name that the directory has for a resource: the unique one of its type.
pub(crate) fn name_of(
    state: &dyn Read,
    registry: &Registry,
    id: ResourceId,
) -> Result<Option<String>, DirectoryError> {
    let Some((resource_type, stored)) = find_any(state, registry, id, |_| true)? else {
        return Ok(None);
    };
    let name = stored_name(&resource_type, &stored.record.json);
    Ok(name.map_err(|_| StoreError::damaged(&keys::record(resource_type.tag, id)))?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_any_kind_are_written_as_they_are_served() {
        let registry = Registry::built_in();
        let of = |endpoint: &str| Arc::clone(registry.by_endpoint(endpoint).unwrap());
        let (users, groups) = (of("Users"), of("Groups"));
        let kinds = [
            (&users, Relation::Member),
            (&groups, Relation::Member),
            (&groups, Relation::Group { direct: true }),
            (&groups, Relation::Group { direct: false }),
        ];
        let mut writer = ReferenceWriter::new("https://example.com/\"scim\"/v2");
        // Each kind comes behind each.
        for (number, order) in
            [0, 0, 1, 1, 2, 2, 3, 3, 0, 2, 0, 3, 1, 3, 2, 1, 0].iter().enumerate()
        {
            let (resource_type, relation) = kinds[*order];
            let reference = Reference {
                id: ResourceId::from_bytes([number as u8; 16]),
                resource_type: Arc::clone(resource_type),
                relation,
                display: format!("\"{number}\\").into(),
            };
            let mut out = Vec::new();
            writer.push(&reference, &mut out);
            let written: Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(written, reference.served(writer.base_url), "{number}");
        }
    }
}
