//! Users, groups and memberships, as operators read them: in parts of bounded size.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use super::kind::ResourceKind;
use super::lookup;
use super::reply::{AccessPiece, OperatorReply, ResourceView};
use crate::access::{Entitlement, Source};
use crate::directory::{Directory, DirectoryError, Search, ShownResource};
use crate::scim::filter::Filter;
use crate::scim::projection::Projection;
use crate::scim::query::{PageRequest, Query, Start};
use crate::scim::resource::ResourceId;
use crate::scim::schema::ResourceType;
use crate::scim::schemas::access::ACCESS;
use crate::scim::schemas::user::ACTIVE;
use crate::store::StoreError;

/// The number of resources in one reply.
const RESOURCES: usize = 100;
/// The number of resources in one reply if it has their effective access.
const RESOURCES_WITH_ACCESS: usize = 10;
/// The number of members in one reply.
const MEMBERS: usize = 1_000;

/// Which resources of a kind to list; all by default.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ResourceFilter {
    /// Those that match a SCIM filter.
    pub filter: Option<String>,
    /// Those that are not active.
    pub inactive: bool,
    /// Those that a connection manages.
    pub connection: Option<String>,
    /// Those in a group: its displayName, id or externalId.
    pub group: Option<String>,
}

impl ResourceFilter {
    /// The SCIM filter for all but the connection.
    fn to_scim(&self, directory: &Directory) -> Result<Option<String>, DirectoryError> {
        let mut parts: Vec<String> = Vec::new();
        parts.extend(self.filter.as_ref().map(|filter| format!("({filter})")));
        parts.extend(self.inactive.then(|| format!("not ({ACTIVE} eq true)")));
        if let Some(group) = &self.group {
            let (_, group) = lookup::find(directory, ResourceKind::Group, group, &|_| false)?;
            parts.push(format!("groups.value eq \"{}\"", group.stored.id));
        }
        Ok((!parts.is_empty()).then(|| parts.join(" and ")))
    }
}

/// A page of resources in the order of their creation, without their members and groups.
pub(super) fn list(
    directory: &Directory,
    base_url: &str,
    kind: ResourceKind,
    cursor: String,
    access: bool,
    only: &ResourceFilter,
) -> Result<OperatorReply, DirectoryError> {
    let resource_type = kind.resource_type(directory)?;
    let text = only.to_scim(directory)?;
    let filter = text.as_ref().map(|text| Filter::parse(&resource_type, text)).transpose()?;
    let search = Search {
        targets: vec![(Arc::clone(&resource_type), Query { filter, sort: None })],
        page: PageRequest {
            start: Start::Cursor(cursor),
            count: if access { RESOURCES_WITH_ACCESS } else { RESOURCES },
        },
        fingerprint: format!("list {} {}", kind.as_str(), text.unwrap_or_default()),
    };
    let relations: Vec<&str> = resource_type.relations().map(|one| one.name.as_str()).collect();
    let projection = Projection::parse(&resource_type, None, Some(&relations.join(",")))?;
    let wanted = |name: &str| projection.wants(name) || (access && name == ACCESS);
    let mut views = Vec::new();
    let mut add = |resource_type: &ResourceType, shown: ShownResource| {
        let manager = shown.stored.record.manager();
        if only.connection.is_none() || manager == only.connection.as_deref() {
            views.push(view(base_url, resource_type, &shown, &projection));
        }
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
    let last = members.iter().last().filter(|_| members.len() == MEMBERS);
    Ok(OperatorReply::Members {
        next: last.map(|last| last.id.to_string()),
        members: members.iter().map(|member| member.served(base_url)).collect(),
    })
}

/// A resource as operators see it.
pub(super) fn view(
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

/// The number of accounts that a connection manages.
///
/// # Errors
///
/// `Storage`.
pub fn count_managed(directory: &Directory, name: &str) -> Result<usize, DirectoryError> {
    let (mut cursor, mut count) = (String::new(), 0);
    loop {
        let page =
            list(directory, "", ResourceKind::User, cursor, false, &ResourceFilter::default())?;
        let OperatorReply::Resources { resources, next } = page else { return Ok(count) };
        let managed = |account: &&ResourceView| account.connection.as_deref() == Some(name);
        count += resources.iter().filter(managed).count();
        match next {
            Some(next) => cursor = next,
            None => return Ok(count),
        }
    }
}
