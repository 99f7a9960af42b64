//! Grants that give nothing, because the group that they name is managed by another connection.

use super::Directory;
use super::error::DirectoryError;
use super::query::plan;
use super::stored;
use crate::access::{Grant, GroupName, GroupOfAccount, is_called, is_managed};
use crate::scim::filter::Filter;
use crate::scim::schemas::common::EXTERNAL_ID;

/// A grant that is not for the group that its name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissedGrant {
    /// The name or `externalId` of the group, as the configuration has it.
    pub group: String,
    /// Whose group it must be.
    pub managers: Vec<String>,
    /// Whose group it is; `None` for no connection's.
    pub manager: Option<String>,
}

impl Directory {
    /// The grants of the catalogue whose group is there and managed by another connection than the grant asks for.
    /// An `externalId` may stand for several groups: one that fits is enough.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub fn missed_grants(&self) -> Result<Vec<MissedGrant>, DirectoryError> {
        let mut missed = Vec::new();
        for grant in &self.catalogue().grants {
            let Some(managers) = &grant.managers else { continue };
            let groups = self.groups_called(grant)?;
            if let Some(other) = groups.first()
                && !groups.iter().any(|group| is_managed(grant, group))
            {
                let (GroupName::DisplayName(group) | GroupName::ExternalId(group)) = &grant.group;
                missed.push(MissedGrant {
                    group: group.clone(),
                    managers: managers.clone(),
                    manager: other.manager.clone(),
                });
            }
        }
        Ok(missed)
    }

    /// The groups of the name in a grant, of all connections.
    fn groups_called(&self, grant: &Grant) -> Result<Vec<GroupOfAccount>, DirectoryError> {
        let state = self.view().state;
        let mut groups = Vec::new();
        for group_type in self.registry().resource_types() {
            let Some(name) = group_type.name_attribute().filter(|_| group_type.members().is_some())
            else {
                continue;
            };
            let (attribute, text) = match &grant.group {
                GroupName::DisplayName(text) => (name.name.as_str(), text),
                GroupName::ExternalId(text) => (EXTERNAL_ID, text),
            };
            let text = serde_json::Value::from(text.as_str());
            let filter = Filter::parse(group_type, &format!("{attribute} eq {text}"))?;
            let candidates = plan::candidates(state, group_type, &filter)?;
            for (id, _) in candidates.unwrap_or_default() {
                let found = match stored::find(state, group_type, id) {
                    // Deleted since it was found.
                    Err(DirectoryError::NotFound { .. }) => continue,
                    found => found?,
                };
                let attributes = stored::attributes(group_type, &found)?;
                let group = GroupOfAccount::new(group_type, &attributes, found.record.manager());
                groups.extend(Some(group).filter(|group| is_called(grant, group)));
            }
        }
        Ok(groups)
    }
}
