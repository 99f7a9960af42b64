//! Access explained: everything that an account is given, each with every path that leads to it; also under an
//! assumption, which changes nothing.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::graph::{Chains, GroupGraph};
use crate::access::{AccessItem, AccessPattern, Catalogue, Direct, Grant, GroupName, walk};
use crate::directory::error::DirectoryError;
use crate::directory::membership::{self, Voids};
use crate::directory::settings::DirectoryView;
use crate::directory::stored::StoredResource;
use crate::scim::resource::ResourceId;
use crate::scim::schema::ResourceType;

/// The most paths that are listed for one role or piece of access.
const MAX_PATHS: usize = 100;
/// The most paths of an explanation.
const MAX_ALL_PATHS: usize = 10_000;
/// The most memberships between groups that an explanation follows.
const MAX_MEMBERSHIPS: usize = 100_000;

/// What is assumed of an account, beside what is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assumption {
    /// The groups that it would join.
    pub joined: Vec<ResourceId>,
    /// The groups that it would leave.
    pub left: Vec<ResourceId>,
    /// The roles and pieces of access that it would be granted.
    pub given: Vec<AccessItem>,
}

/// Everything that an account is given, with the paths that lead to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExplainedAccess {
    /// Whether the account is active. An account that is not has no access.
    pub is_active: bool,
    /// The roles and pieces of access, in order.
    pub items: BTreeMap<AccessItem, AccessPaths>,
}

/// The paths to one role or piece of access.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessPaths {
    /// The paths.
    pub paths: Vec<AccessPath>,
    /// Whether there are more.
    pub has_more: bool,
}

/// One path to a role or a piece of access: groups, grant, role and permission set, each as far as the path has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AccessPath {
    /// The groups, from the one that has the account as a member to the one that the grant is for. None if the
    /// account's own attributes give the access.
    pub groups: Vec<PathGroup>,
    /// The grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<PathGrant>,
    /// The role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The permission set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission_set: Option<String>,
}

/// Writes the path as in `group "Team" > group "Engineers" > grant 1 > role "Developer"`.
impl fmt::Display for AccessPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in &self.groups {
            write!(f, "group \"{}\" > ", group.name)?;
        }
        match &self.grant {
            Some(grant) => write!(f, "grant {}", grant.number)?,
            None => f.write_str("the user")?,
        }
        if let Some(role) = &self.role {
            write!(f, " > role \"{role}\"")?;
        }
        match &self.permission_set {
            Some(set) => write!(f, " > permission set \"{set}\""),
            None => Ok(()),
        }
    }
}

/// A group on a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PathGroup {
    /// Its id.
    pub id: String,
    /// Its `displayName`.
    pub name: String,
}

/// A grant on a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PathGrant {
    /// Its place among the grants of the configuration, from 1.
    pub number: usize,
    /// The `displayName` or `externalId` by which it names its group.
    pub group: String,
}

impl PathGrant {
    fn new(place: usize, grant: &Grant) -> Self {
        let (GroupName::DisplayName(group) | GroupName::ExternalId(group)) = &grant.group;
        Self { number: place + 1, group: group.clone() }
    }
}

/// Explains what the groups of an account and its own attributes give it, as far as it is `wanted`.
pub(crate) fn explain(
    catalogue: &Catalogue,
    direct: &Direct,
    graph: &GroupGraph,
    wanted: Option<&AccessPattern>,
) -> BTreeMap<AccessItem, AccessPaths> {
    let mut items: BTreeMap<AccessItem, AccessPaths> = BTreeMap::new();
    let mut chains: HashMap<usize, Chains> = HashMap::new();
    let (mut left, own) = (MAX_ALL_PATHS, Chains { chains: vec![Vec::new()], is_complete: true });
    walk(catalogue, direct, graph.groups(), &mut |item, way| {
        if wanted.is_some_and(|wanted| !wanted.matches(&item)) {
            return;
        }
        let ways = match way.granted {
            None => &own,
            Some((group, _)) => chains.entry(group).or_insert_with(|| graph.chains(group)),
        };
        let grant = way.granted.and_then(|(_, place)| {
            catalogue.grants.get(place).map(|grant| PathGrant::new(place, grant))
        });
        let of_item = items.entry(item).or_default();
        of_item.has_more |= !ways.is_complete;
        for chain in &ways.chains {
            if left == 0 || of_item.paths.len() == MAX_PATHS {
                of_item.has_more = true;
                break;
            }
            let group = |place: &usize| {
                let (id, name) = graph.group(*place)?;
                Some(PathGroup { id: id.to_string(), name: name.to_owned() })
            };
            let path = AccessPath {
                groups: chain.iter().filter_map(group).collect(),
                grant: grant.clone(),
                role: way.role.map(ToOwned::to_owned),
                permission_set: way.permission_set.map(ToOwned::to_owned),
            };
            if !of_item.paths.contains(&path) {
                of_item.paths.push(path);
                left -= 1;
            }
        }
    });
    items
}

impl DirectoryView<'_> {
    /// What an account is given under an assumption, with every path that leads to it, as far as it is `wanted`.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub(crate) fn explain_access(
        self,
        resource_type: &ResourceType,
        stored: &StoredResource,
        assumption: &Assumption,
        wanted: Option<&AccessPattern>,
    ) -> Result<ExplainedAccess, DirectoryError> {
        // Before any membership is read.
        let voids = Voids::load(self.state)?;
        let Some(mut direct) = self.own_access(resource_type, stored)? else {
            return Ok(ExplainedAccess::default());
        };
        assumption.given.iter().for_each(|item| direct.give(item));
        let graph = self.group_graph(&voids, stored.id, assumption)?;
        let items = explain(&self.settings.catalogue, &direct, &graph, wanted);
        Ok(ExplainedAccess { is_active: true, items })
    }

    /// The groups above an account under an assumption; none where there are no grants.
    fn group_graph(
        self,
        voids: &Voids,
        account: ResourceId,
        assumption: &Assumption,
    ) -> Result<GroupGraph, DirectoryError> {
        let mut graph = GroupGraph::default();
        if self.settings.catalogue.grants.is_empty() {
            return Ok(graph);
        }
        let mut direct = membership::groups_of(self.state, account)?;
        direct.retain(|group| !assumption.left.contains(group));
        let joined = assumption.joined.iter().filter(|group| !direct.contains(group));
        let joined: Vec<_> = joined.copied().collect();
        direct.extend(joined);
        let (mut found, mut memberships) = (Vec::new(), Vec::new());
        membership::climb(self.state, voids, account, direct, &mut |below, group, is_new| {
            if is_new {
                found.push(group);
            }
            if is_new || memberships.len() < MAX_MEMBERSHIPS {
                memberships.push(((below != account).then_some(below), group));
            }
        })?;
        for id in found {
            if let Some(group) = self.group_of_account(id)? {
                graph.add_group(id, group);
            }
        }
        memberships.into_iter().for_each(|(below, group)| graph.add_membership(below, group));
        Ok(graph)
    }
}
