//! Effective access: every piece of an account's access, with its sources.

use std::collections::BTreeMap;
use std::fmt;

use super::catalogue::Catalogue;
use super::direct::Direct;
use super::entitlement::Entitlement;
use super::settings::{Grant, GroupName, NO_CONNECTION, WorkspaceAccess};
use crate::scim::resource::Resource;
use crate::scim::schema::ResourceType;
use crate::scim::schemas::common::EXTERNAL_ID;
use crate::scim::value::fold;

/// A group that an account belongs to, directly or through other groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOfAccount {
    /// The group's `displayName`.
    pub display_name: String,
    /// The group's `externalId`.
    pub external_id: Option<String>,
    /// The connection that manages the group.
    pub manager: Option<String>,
}

impl GroupOfAccount {
    /// Returns what grants need to know of a group with these attributes.
    pub fn new(resource_type: &ResourceType, attributes: &Resource, manager: Option<&str>) -> Self {
        let external_id = attributes.get(EXTERNAL_ID).and_then(|id| id.as_str());
        Self {
            display_name: attributes.display(resource_type).unwrap_or_default().to_owned(),
            external_id: external_id.map(ToOwned::to_owned),
            manager: manager.map(ToOwned::to_owned),
        }
    }
}

/// The source of a piece of access: group, role and permission set, outermost first. All are `None`
/// if the account itself is the source.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// The group whose grant includes the access.
    pub group: Option<String>,
    /// The role that includes the access.
    pub role: Option<String>,
    /// The permission set that includes the access.
    pub permission_set: Option<String>,
}

/// Writes the source as in `group "Engineers", role "Developer"`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("group", &self.group),
            ("role", &self.role),
            ("permission set", &self.permission_set),
        ];
        let mut named = parts.iter().filter_map(|(kind, name)| Some((kind, name.as_ref()?)));
        match named.next() {
            None => f.write_str("direct"),
            Some((kind, name)) => {
                write!(f, "{kind} \"{name}\"")?;
                named.try_for_each(|(kind, name)| write!(f, ", {kind} \"{name}\""))
            }
        }
    }
}

/// The effective access of an account: each piece once, with all its sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effective {
    /// The pieces, in order.
    pub pieces: BTreeMap<Entitlement, Vec<Source>>,
}

impl Effective {
    /// Computes the effective access from direct access and group memberships.
    pub fn new(catalogue: &Catalogue, direct: &Direct, groups: &[GroupOfAccount]) -> Self {
        let mut effective = Self::default();
        let own = Source::default();
        effective.give(
            catalogue,
            &own,
            (&direct.company_permissions, &direct.roles, &direct.workspaces),
        );
        for grant in &catalogue.grants {
            for group in groups.iter().filter(|group| is_for(grant, group)) {
                let source = Source { group: Some(group.display_name.clone()), ..own.clone() };
                let given = (&grant.company_permissions, &grant.roles, &grant.workspaces);
                effective.give(catalogue, &source, given);
            }
        }
        effective
    }

    fn give(
        &mut self,
        catalogue: &Catalogue,
        source: &Source,
        (company_permissions, roles, workspaces): (
            &Vec<String>,
            &Vec<String>,
            &Vec<WorkspaceAccess>,
        ),
    ) {
        for permission in company_permissions {
            self.add(Entitlement::Company { permission: permission.clone() }, source);
        }
        for workspace in workspaces {
            self.add_workspace(catalogue, workspace, source);
        }
        for role in roles.iter().filter_map(|role| catalogue.role(role).ok()) {
            let source = Source { role: Some(role.name.clone()), ..source.clone() };
            for workspace in &role.workspaces {
                self.add_workspace(catalogue, workspace, &source);
            }
        }
    }

    fn add_workspace(&mut self, catalogue: &Catalogue, given: &WorkspaceAccess, source: &Source) {
        let workspace = || given.workspace.clone();
        self.add(Entitlement::Workspace { workspace: workspace() }, source);
        for permission in &given.permissions {
            let permission = permission.clone();
            self.add(Entitlement::Permission { workspace: workspace(), permission }, source);
        }
        for set in given.permission_sets.iter().filter_map(|set| catalogue.permission_set(set).ok())
        {
            let name = set.name.clone();
            self.add(
                Entitlement::PermissionSet { workspace: workspace(), set: name.clone() },
                source,
            );
            let source = Source { permission_set: Some(name), ..source.clone() };
            for permission in &set.permissions {
                let permission = permission.clone();
                self.add(Entitlement::Permission { workspace: workspace(), permission }, &source);
            }
        }
        for member in &given.teams {
            let team = || member.team.clone();
            self.add(Entitlement::Team { workspace: workspace(), team: team() }, source);
            for permission in &member.permissions {
                let permission = permission.clone();
                let entitlement = Entitlement::TeamPermission {
                    workspace: workspace(),
                    team: team(),
                    permission,
                };
                self.add(entitlement, source);
            }
        }
    }

    fn add(&mut self, entitlement: Entitlement, source: &Source) {
        let sources = self.pieces.entry(entitlement).or_default();
        if !sources.contains(source) {
            sources.push(source.clone());
        }
    }
}

/// Whether a grant applied to a group before a change, and no longer applies.
pub fn loses_grant(catalogue: &Catalogue, before: &GroupOfAccount, after: &GroupOfAccount) -> bool {
    catalogue.grants.iter().any(|grant| is_for(grant, before) && !is_for(grant, after))
}

/// Whether a group gives its members permissions in the company after a change that it did not give before.
pub fn gains_company_permissions(
    catalogue: &Catalogue,
    before: Option<&GroupOfAccount>,
    after: &GroupOfAccount,
) -> bool {
    gains_grants(catalogue, before, after).any(|grant| !grant.company_permissions.is_empty())
}

/// The grants that apply to a group after a change and did not before.
pub fn gains_grants<'a>(
    catalogue: &'a Catalogue,
    before: Option<&'a GroupOfAccount>,
    after: &'a GroupOfAccount,
) -> impl Iterator<Item = &'a Grant> {
    let gave = move |grant: &Grant| before.is_some_and(|before| is_for(grant, before));
    catalogue.grants.iter().filter(move |grant| is_for(grant, after) && !gave(grant))
}

/// The grants that apply to a group.
pub fn grants_of<'a>(
    catalogue: &'a Catalogue,
    group: &'a GroupOfAccount,
) -> impl Iterator<Item = &'a Grant> {
    gains_grants(catalogue, None, group)
}

/// Whether a grant is for a group: by its name, and by whose group it is.
fn is_for(grant: &Grant, group: &GroupOfAccount) -> bool {
    is_called(grant, group) && is_managed(grant, group)
}

/// Whether a group has the name in a grant.
pub fn is_called(grant: &Grant, group: &GroupOfAccount) -> bool {
    match &grant.group {
        GroupName::DisplayName(name) => fold(name) == fold(&group.display_name),
        GroupName::ExternalId(id) => group.external_id.as_ref() == Some(id),
    }
}

/// Whether a group is managed by one for whose groups a grant is.
pub fn is_managed(grant: &Grant, group: &GroupOfAccount) -> bool {
    let manager = group.manager.as_deref().unwrap_or(NO_CONNECTION);
    grant.managers.as_ref().is_none_or(|managers| managers.iter().any(|one| one == manager))
}
