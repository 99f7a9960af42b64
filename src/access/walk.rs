//! The walk over everything that an account is given: each role and each piece of access, with the way that
//! leads to it. What an account may do, why, and what would change it are all computed here.

use std::borrow::Cow;
use std::collections::HashMap;

use super::catalogue::Catalogue;
use super::direct::Direct;
use super::entitlement::Entitlement;
use super::grant::{GroupOfAccount, is_called, is_managed};
use super::item::AccessItem;
use super::settings::{Grant, GroupName, WorkspaceAccess};
use crate::scim::value::fold;

/// From how many groups on they are found by an index instead of one after the other.
const INDEXED_FROM: usize = 16;

/// The way to a role or a piece of access, outermost first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccessWay<'a> {
    /// The places of the group and of the grant for it, in the list of groups and in the catalogue;
    /// `None` if the account itself is the source.
    pub granted: Option<(usize, usize)>,
    /// The role that includes the access.
    pub role: Option<&'a str>,
    /// The permission set that includes the access.
    pub permission_set: Option<&'a str>,
}

impl AccessWay<'_> {
    /// The group that the way leads through.
    pub fn group<'g>(&self, groups: &'g [GroupOfAccount]) -> Option<&'g GroupOfAccount> {
        groups.get(self.granted?.0)
    }
}

/// Visits everything that an account is given by its own attributes and by its groups. What several ways
/// lead to is visited once for each.
pub fn walk(
    catalogue: &Catalogue,
    direct: &Direct,
    groups: &[GroupOfAccount],
    visit: &mut dyn FnMut(AccessItem, &AccessWay<'_>),
) {
    let mut walk = Walk { catalogue, visit };
    let own = (&direct.company_permissions, &direct.roles, &direct.workspaces);
    walk.give(AccessWay::default(), own);
    let index = GroupIndex::new(groups);
    for (place, grant) in catalogue.grants.iter().enumerate() {
        for group in index.meant_by(grant) {
            let way = AccessWay { granted: Some((group, place)), ..AccessWay::default() };
            walk.give(way, (&grant.company_permissions, &grant.roles, &grant.workspaces));
        }
    }
}

struct Walk<'a> {
    catalogue: &'a Catalogue,
    visit: &'a mut dyn FnMut(AccessItem, &AccessWay<'_>),
}

impl Walk<'_> {
    fn give(
        &mut self,
        way: AccessWay<'_>,
        (company_permissions, roles, workspaces): (
            &Vec<String>,
            &Vec<String>,
            &Vec<WorkspaceAccess>,
        ),
    ) {
        for permission in company_permissions {
            self.piece(Entitlement::Company { permission: permission.clone() }, &way);
        }
        for workspace in workspaces {
            self.workspace(workspace, way);
        }
        let catalogue = self.catalogue;
        for role in roles.iter().filter_map(|role| catalogue.role(role).ok()) {
            (self.visit)(AccessItem::Role(role.name.clone()), &way);
            for workspace in &role.workspaces {
                self.workspace(workspace, AccessWay { role: Some(&role.name), ..way });
            }
        }
    }

    fn workspace(&mut self, given: &WorkspaceAccess, way: AccessWay<'_>) {
        let workspace = || given.workspace.clone();
        self.piece(Entitlement::Workspace { workspace: workspace() }, &way);
        for permission in &given.permissions {
            let permission = permission.clone();
            self.piece(Entitlement::Permission { workspace: workspace(), permission }, &way);
        }
        let catalogue = self.catalogue;
        for set in given.permission_sets.iter().filter_map(|set| catalogue.permission_set(set).ok())
        {
            let name = set.name.clone();
            self.piece(Entitlement::PermissionSet { workspace: workspace(), set: name }, &way);
            let way = AccessWay { permission_set: Some(&set.name), ..way };
            for permission in &set.permissions {
                let permission = permission.clone();
                self.piece(Entitlement::Permission { workspace: workspace(), permission }, &way);
            }
        }
        for member in &given.teams {
            let team = || member.team.clone();
            self.piece(Entitlement::Team { workspace: workspace(), team: team() }, &way);
            for permission in &member.permissions {
                let permission = permission.clone();
                let (workspace, team) = (workspace(), team());
                let piece = Entitlement::TeamPermission { workspace, team, permission };
                self.piece(piece, &way);
            }
        }
    }

    fn piece(&mut self, entitlement: Entitlement, way: &AccessWay<'_>) {
        (self.visit)(AccessItem::Entitlement(entitlement), way);
    }
}

/// The groups of an account, as grants name them.
struct GroupIndex<'a> {
    groups: &'a [GroupOfAccount],
    /// The places of the groups; `None` for a few groups.
    places: Option<GroupPlaces<'a>>,
}

/// The places of groups, by what grants name them by.
#[derive(Default)]
struct GroupPlaces<'a> {
    /// By folded `displayName`.
    by_name: HashMap<Cow<'a, str>, Vec<usize>>,
    /// By `externalId`.
    by_id: HashMap<&'a str, Vec<usize>>,
}

impl<'a> GroupIndex<'a> {
    fn new(groups: &'a [GroupOfAccount]) -> Self {
        let places = (groups.len() >= INDEXED_FROM).then(|| {
            let mut places = GroupPlaces::default();
            for (place, group) in groups.iter().enumerate() {
                places.by_name.entry(fold(&group.display_name)).or_default().push(place);
                if let Some(id) = &group.external_id {
                    places.by_id.entry(id).or_default().push(place);
                }
            }
            places
        });
        Self { groups, places }
    }

    /// The places of the groups that a grant is for, in their order.
    fn meant_by(&self, grant: &Grant) -> Vec<usize> {
        let called = match &self.places {
            None => (0..self.groups.len()).collect(),
            Some(GroupPlaces { by_name, by_id }) => {
                let found = match &grant.group {
                    GroupName::DisplayName(name) => by_name.get(&fold(name)),
                    GroupName::ExternalId(id) => by_id.get(id.as_str()),
                };
                found.cloned().unwrap_or_default()
            }
        };
        let is_meant = |place: &usize| {
            let group = self.groups.get(*place);
            group.is_some_and(|group| is_called(grant, group) && is_managed(grant, group))
        };
        called.into_iter().filter(is_meant).collect()
    }
}
