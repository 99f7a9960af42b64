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
        let names = BTreeSet::from([ACTIVE, ENTITLEMENTS, ROLES]);
        let attributes = pick(&stored.record.json, &names)
            .map_err(|_| StoreError::damaged(&keys::record(resource_type.tag, stored.id)))?;
        if attributes.get(ACTIVE) != Some(&true.into()) {
            return Ok(Effective::default());
        }
        let catalogue = &self.settings.catalogue;
        let direct = Direct::of(catalogue, attributes.get(ROLES), attributes.get(ENTITLEMENTS));
        let groups =
            if catalogue.grants.is_empty() { Vec::new() } else { self.groups_of(voids, stored)? };
        Ok(Effective::new(catalogue, &direct, &groups))
    }

    /// The groups that an account belongs to, directly or through other groups.
    fn groups_of(
        self,
        voids: &Voids,
        stored: &StoredResource,
    ) -> Result<Vec<GroupOfAccount>, DirectoryError> {
        let state = self.state;
        let mut groups = Vec::new();
        for (id, _) in membership::ancestors(state, voids, stored.id)? {
            let found =
                membership::find_any(state, self.registry(), id, |one| one.members().is_some())?;
            let Some((group_type, group)) = found else { continue };
            let attributes = stored::attributes(&group_type, &group)?;
            groups.push(GroupOfAccount::new(&group_type, &attributes, group.record.manager()));
        }
        Ok(groups)
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
