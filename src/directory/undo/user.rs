//! The accounts that an undo is limited to.

use std::collections::BTreeSet;

use super::history::ChangedItems;
use crate::directory::Directory;
use crate::directory::error::DirectoryError;
use crate::directory::stored::{self, StoredResource};
use crate::scim::resource::ResourceId;
use crate::scim::value::fold;
use crate::store::keys::{self, Kind};

impl Directory {
    /// The accounts with an id, or with a name that they have or had at the moment to go back to.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is none; `Storage`.
    pub(super) fn users_named(
        &self,
        changed: &ChangedItems,
        user: &str,
    ) -> Result<BTreeSet<ResourceId>, DirectoryError> {
        if let Some(id) = ResourceId::parse(user) {
            return Ok(BTreeSet::from([id]));
        }
        let mut found = BTreeSet::new();
        let types = self.registry().resource_types();
        for resource_type in types.iter().filter(|resource_type| resource_type.is_account) {
            let Some(attribute) = resource_type.name_attribute() else { continue };
            match self.look_up(resource_type, &attribute.name, user, &|_| false) {
                Ok(present) => found.extend([present.stored.id]),
                Err(DirectoryError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
            for (key, item) in &changed.records {
                let (Some(Kind::Record(tag, id)), Some(was)) = (keys::kind(key), &item.was) else {
                    continue;
                };
                if tag == resource_type.tag {
                    let stored = StoredResource::new(id, stored::decode(key, was)?);
                    let past = stored::attributes(resource_type, &stored)?;
                    let name = past.name(resource_type).unwrap_or_default();
                    found.extend((fold(name) == fold(user)).then_some(id));
                }
            }
        }
        if found.is_empty() {
            return Err(DirectoryError::NotFound { kind: "User".to_owned(), id: user.to_owned() });
        }
        Ok(found)
    }
}
