//! What operators read: resources as they are served, in parts of bounded size.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{OperatorReply, failed};
use crate::access::{Entitlement, Source};
use crate::directory::{Directory, DirectoryError, Search, ShownResource};
use crate::scim::projection::Projection;
use crate::scim::query::{PageRequest, Query, Start};
use crate::scim::resource::ResourceId;
use crate::scim::schema::ResourceType;
use crate::scim::schemas::access::ACCESS;
use crate::scim::schemas::{group, user};
use crate::store::StoreError;

/// How many resources one reply holds.
const RESOURCES: usize = 100;
/// How many, if their access is told of.
const RESOURCES_WITH_ACCESS: usize = 10;
/// How many members one reply holds.
const MEMBERS: usize = 1_000;

/// A kind of resource that operators read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// Users, by id or userName.
    User,
    /// Groups, by id or displayName.
    Group,
}

impl ResourceKind {
    /// The word for one of them.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
        }
    }

    /// The attribute that names one of them.
    fn name(self) -> &'static str {
        match self {
            Self::User => user::USER_NAME,
            Self::Group => group::DISPLAY_NAME,
        }
    }

    fn resource_type(self, directory: &Directory) -> Result<Arc<ResourceType>, DirectoryError> {
        let types = directory.registry().resource_types();
        let found = types.iter().find(|one| one.name.eq_ignore_ascii_case(self.as_str()));
        found.map(Arc::clone).ok_or_else(|| DirectoryError::NotFound {
            kind: "resource type".to_owned(),
            id: self.as_str().to_owned(),
        })
    }
}

/// A resource that is told of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResourceView {
    /// The resource, as it is served.
    pub resource: Map<String, Value>,
    /// The connection that manages it, if it is known.
    pub connection: Option<String>,
    /// What its access comes to, if somebody asked.
    pub access: Option<Vec<AccessPiece>>,
}

/// A piece of an account's access.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessPiece {
    /// The entitlement.
    pub value: String,
    /// The same, for people.
    pub meaning: String,
    /// Where it comes from.
    pub sources: Vec<String>,
}

/// A page of resources, in the order of their creation, without what is not in their records.
pub(super) fn list(
    directory: &Directory,
    base_url: &str,
    kind: ResourceKind,
    cursor: String,
    access: bool,
) -> OperatorReply {
    let page = kind.resource_type(directory).and_then(|resource_type| {
        let search = Search {
            targets: vec![(Arc::clone(&resource_type), Query { filter: None, sort: None })],
            page: PageRequest {
                start: Start::Cursor(cursor),
                count: if access { RESOURCES_WITH_ACCESS } else { RESOURCES },
            },
            fingerprint: format!("list {}", kind.as_str()),
        };
        let tied: Vec<&str> = resource_type.tied().map(|tied| tied.name.as_str()).collect();
        let projection = Projection::parse(&resource_type, None, Some(&tied.join(",")))?;
        let wanted = |name: &str| projection.wants(name) || (access && name == ACCESS);
        let page = directory.query(&search, &|_, name| wanted(name))?;
        let resources = page
            .resources
            .iter()
            .map(|(resource_type, shown)| show(base_url, resource_type, shown, &projection))
            .collect::<Result<_, _>>()?;
        Ok((resources, page.next_cursor))
    });
    match page {
        Ok((resources, next)) => OperatorReply::Resources { resources, next },
        Err(error) => failed(error),
    }
}

/// One resource, with all but its members.
pub(super) fn retrieve(
    directory: &Directory,
    base_url: &str,
    kind: ResourceKind,
    name: &str,
    access: bool,
) -> OperatorReply {
    let resource = kind.resource_type(directory).and_then(|resource_type| {
        let members = resource_type.members().map(|members| members.name.as_str());
        let projection = Projection::parse(&resource_type, None, members)?;
        let wanted = |name: &str| projection.wants(name) || (access && name == ACCESS);
        let shown = directory.look_up(&resource_type, kind.name(), name, &wanted)?;
        show(base_url, &resource_type, &shown, &projection)
    });
    resource.map_or_else(failed, OperatorReply::Resource)
}

/// A part of a group's members: those behind one, or the first.
pub(super) fn members(
    directory: &Directory,
    base_url: &str,
    group: &str,
    after: Option<&str>,
) -> OperatorReply {
    let Some(group) = ResourceId::parse(group) else {
        return OperatorReply::Members { members: Vec::new(), next: None };
    };
    match directory.members(group, after.and_then(ResourceId::parse), MEMBERS) {
        Ok(members) => {
            let last = members.last().filter(|_| members.len() == MEMBERS);
            OperatorReply::Members {
                next: last.map(|last| last.id.to_string()),
                members: members.iter().map(|member| json!(member.served(base_url))).collect(),
            }
        }
        Err(error) => failed(error),
    }
}

fn show(
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
        access,
    })
}
