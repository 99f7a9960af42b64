//! The effective access of accounts, computed when it is read, so that every change of a membership takes
//! effect at once.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::access::{Direct, Effective, GroupOfAccount};
use crate::directory::error::DirectoryError;
use crate::directory::membership::{self, Voids};
use crate::directory::settings::DirectoryView;
use crate::directory::stored;
use crate::directory::stored::StoredResource;
use crate::scim::pick::pick;
use crate::scim::resource::ResourceId;
use crate::scim::schema::ResourceType;
use crate::scim::schemas::access::{EFFECTIVE, MANAGED_BY};
use crate::scim::schemas::user::{ACTIVE, ENTITLEMENTS, ROLES};
use crate::store::{StoreError, keys};

impl DirectoryView<'_> {
    /// The effective access of an account; none for an inactive account.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub(crate) fn access(
        self,
        voids: &Voids,
        resource_type: &ResourceType,
        stored: &StoredResource,
    ) -> Result<Effective, DirectoryError> {
        let Some(direct) = self.own_access(resource_type, stored)? else {
            return Ok(Effective::default());
        };
        let catalogue = &self.settings.catalogue;
        let mut groups = Vec::new();
        if !catalogue.grants.is_empty() {
            for (id, _) in membership::ancestors(self.state, voids, stored.id)? {
                groups.extend(self.group_of_account(id)?);
            }
        }
        Ok(Effective::new(catalogue, &direct, &groups))
    }

    /// The access in an account's own attributes; `None` for an inactive account.
    pub(crate) fn own_access(
        self,
        resource_type: &ResourceType,
        stored: &StoredResource,
    ) -> Result<Option<Direct>, DirectoryError> {
        let names = BTreeSet::from([ACTIVE, ENTITLEMENTS, ROLES]);
        let attributes = pick(&stored.record.json, &names)
            .map_err(|_| StoreError::damaged(&keys::record(resource_type.tag, stored.id)))?;
        let is_active = attributes.get(ACTIVE) == Some(&true.into());
        let (roles, entitlements) = (attributes.get(ROLES), attributes.get(ENTITLEMENTS));
        let own = || Direct::of(&self.settings.catalogue, roles, entitlements);
        Ok(is_active.then(own))
    }

    /// What grants need to know of a group; `None` if it does not exist.
    pub(crate) fn group_of_account(
        self,
        id: ResourceId,
    ) -> Result<Option<GroupOfAccount>, DirectoryError> {
        let found =
            membership::find_any(self.state, self.registry(), id, |one| one.members().is_some())?;
        let Some((group_type, group)) = found else { return Ok(None) };
        let attributes = stored::attributes(&group_type, &group)?;
        Ok(Some(GroupOfAccount::new(&group_type, &attributes, group.record.manager())))
    }
}

/// The effective access of an account as it is served (the extension of `scim/schemas/access.rs`).
pub(crate) fn served(effective: &Effective, manager: Option<&str>) -> Value {
    let pieces = effective.pieces.iter().map(|(entitlement, sources)| {
        let sources: Vec<String> = sources.iter().map(ToString::to_string).collect();
        json!({"value": entitlement.to_string(), "sources": sources})
    });
    let mut access = Map::new();
    if let Some(manager) = manager {
        access.insert(MANAGED_BY.to_owned(), manager.into());
    }
    access.insert(EFFECTIVE.to_owned(), pieces.collect());
    Value::Object(access)
}
