//! Users, groups and memberships, as operators read them: in parts of bounded size.

use std::sync::Arc;

use serde_json::json;

pub use super::kind::ResourceKind;
use super::lookup;
use super::reply::{AccessPiece, OperatorReply, ResourceView};
use crate::access::{Entitlement, Source};
use crate::directory::{Directory, DirectoryError, Search, ShownResource};
use crate::scim::projection::Projection;
use crate::scim::query::{PageRequest, Query, Start};
use crate::scim::resource::ResourceId;
use crate::scim::schema::ResourceType;
use crate::scim::schemas::access::ACCESS;
use crate::store::StoreError;

/// The number of resources in one reply.
const RESOURCES: usize = 100;
/// The number of resources in one reply if it has their effective access.
const RESOURCES_WITH_ACCESS: usize = 10;
/// The number of members in one reply.
const MEMBERS: usize = 1_000;

/// A page of resources in the order of their creation, without their members and groups.
pub(super) fn list(
    directory: &Directory,
    base_url: &str,
    kind: ResourceKind,
    cursor: String,
    access: bool,
) -> Result<OperatorReply, DirectoryError> {
    let resource_type = kind.resource_type(directory)?;
    let search = Search {
        targets: vec![(Arc::clone(&resource_type), Query { filter: None, sort: None })],
        page: PageRequest {
            start: Start::Cursor(cursor),
            count: if access { RESOURCES_WITH_ACCESS } else { RESOURCES },
        },
        fingerprint: format!("list {}", kind.as_str()),
    };
    let relations: Vec<&str> = resource_type.relations().map(|one| one.name.as_str()).collect();
    let projection = Projection::parse(&resource_type, None, Some(&relations.join(",")))?;
    let wanted = |name: &str| projection.wants(name) || (access && name == ACCESS);
    let mut views = Vec::new();
    let mut add = |resource_type: &ResourceType, shown: ShownResource| {
        views.push(view(base_url, resource_type, &shown, &projection));
        true
    };
    let page = directory.query(&search, &|_, name| wanted(name), usize::MAX, &mut add)?;
    let resources = views.into_iter().collect::<Result<_, _>>()?;
    Ok(OperatorReply::Resources { resources, next: page.next_cursor })
}

/// One resource with everything but its members.
pub(super) fn show(
    directory: &Directory,
    base_url: &str,
    kind: ResourceKind,
    name: &str,
    access: bool,
) -> Result<OperatorReply, DirectoryError> {
    let resource_type = kind.resource_type(directory)?;
    let members = resource_type.members().map(|members| members.name.as_str());
    let projection = Projection::parse(&resource_type, None, members)?;
    let wanted = |name: &str| projection.wants(name) || (access && name == ACCESS);
    let (_, found) = lookup::find(directory, kind, name, &wanted)?;
    let mut view = view(base_url, &resource_type, &found, &projection)?;
    view.deactivation = directory.deactivation(found.stored.id)?;
    Ok(OperatorReply::Resource(view))
}

/// A part of the members of a group: those after the member with the id `after`, or the first ones. A
/// group that does not exist has none.
pub(super) fn members(
    directory: &Directory,
    base_url: &str,
    group: &str,
    after: Option<&str>,
) -> Result<OperatorReply, DirectoryError> {
    let Some(group) = ResourceId::parse(group) else {
        return Ok(OperatorReply::Members { members: Vec::new(), next: None });
    };
    let members = directory.members(group, after.and_then(ResourceId::parse), MEMBERS)?;
    let last = members.last().filter(|_| members.len() == MEMBERS);
    Ok(OperatorReply::Members {
        next: last.map(|last| last.id.to_string()),
        members: members.iter().map(|member| json!(member.served(base_url))).collect(),
    })
}

fn view(
    base_url: &str,
    resource_type: &ResourceType,
    shown: &ShownResource,
    projection: &Projection,
) -> Result<ResourceView, DirectoryError> {
    let access = shown.access.as_ref().map(|effective| {
        let piece = |(entitlement, sources): (&Entitlement, &Vec<Source>)| AccessPiece {
            value: entitlement.to_string(),
            meaning: entitlement.in_words(),
            sources: sources.iter().map(ToString::to_string).collect(),
        };
        effective.pieces.iter().map(piece).collect()
    });
    let mut whole = Vec::new();
    shown.serve(base_url, resource_type, &mut whole);
    let whole = serde_json::from_slice(&whole)
        .map_err(|_| StoreError::Damaged { key: shown.stored.id.to_string() })?;
    Ok(ResourceView {
        resource: projection.apply(resource_type, whole),
        connection: shown.stored.record.manager().map(ToOwned::to_owned),
        deactivation: None,
        access,
    })
}
