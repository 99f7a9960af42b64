//! Which grants are for which groups.

use super::catalogue::Catalogue;
use super::settings::{Grant, GroupName, NO_CONNECTION};
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
