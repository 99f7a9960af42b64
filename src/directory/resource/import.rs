//! Import: resources that exist elsewhere already, as an operator brings them in.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::access::DefaultAccess;
use crate::directory::error::DirectoryError;
use crate::directory::membership::{self, Voids};
use crate::directory::resource::create::new_id;
use crate::directory::resource::operator_change::Transfer;
use crate::directory::resource::patch::Patch;
use crate::directory::rules::ConnectionRules;
use crate::directory::stored::{self, StoredResource, index};
use crate::directory::transaction::{Command, Transaction};
use crate::event::Verb;
use crate::scim::patch::PatchRequest;
use crate::scim::resource::{Meta, Resource, ResourceId, Version};
use crate::scim::schema::ResourceType;
use crate::scim::schemas::common::EXTERNAL_ID;

/// A resource from elsewhere, without members.
pub struct ImportedResource {
    /// The resource type.
    pub resource_type: Arc<ResourceType>,
    /// The id that it has if it is new, unless that is or was in use.
    pub id: Option<ResourceId>,
    /// The attributes.
    pub resource: Resource,
    /// The connection that manages it.
    pub connection: Option<String>,
    /// What a new account that names no workspace gets.
    pub default_access: Option<Arc<DefaultAccess>>,
}

/// What an import did with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportAction {
    /// It did not exist.
    Created,
    /// It existed and took over what the import says.
    Updated,
    /// It existed and was as the import says.
    Unchanged,
}

/// Creates resources, or brings those that match in line, each on its own.
///
/// A match has the same name (`userName`, `displayName`), or else the same `externalId`. It takes over the attributes
/// that the import gives, as by a PATCH that replaces them, and keeps all others.
pub struct Import {
    /// The resources.
    pub resources: Vec<ImportedResource>,
    /// Whether to find out what would happen, and to change nothing.
    pub dry_run: bool,
}

impl Command for Import {
    type Output = Vec<Result<(ImportAction, ResourceId), DirectoryError>>;

    /// # Errors
    ///
    /// `Storage`. Each resource may fail on its own: `Invalid`, `Taken`, `Unfit`.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<Self::Output, DirectoryError> {
        let mut outcomes = Vec::new();
        for resource in &self.resources {
            let outcome = match self.dry_run {
                true => tx.tried(resource),
                false => tx.nested(resource),
            };
            match outcome {
                Err(error @ (DirectoryError::Storage(_) | DirectoryError::Stopped)) => {
                    return Err(error);
                }
                outcome => outcomes.push(outcome),
            }
        }
        Ok(outcomes)
    }
}

impl Command for ImportedResource {
    type Output = (ImportAction, ResourceId);

    fn run(&self, tx: &mut Transaction<'_>) -> Result<Self::Output, DirectoryError> {
        match self.present(tx)? {
            Some(present) => self.update(tx, &present),
            None => self.create(tx),
        }
    }
}

impl ImportedResource {
    /// The resource that is here already.
    fn present(&self, tx: &Transaction<'_>) -> Result<Option<StoredResource>, DirectoryError> {
        let resource_type = &self.resource_type;
        for indexed in resource_type.indexed().filter(|indexed| indexed.leaf().is_unique()) {
            for value in self.resource.indexed_values(&indexed) {
                if let Some(id) = index::holders(tx, resource_type, &indexed, value)?.first() {
                    return stored::find(tx, resource_type, *id).map(Some);
                }
            }
        }
        let mut found: Option<StoredResource> = None;
        for indexed in resource_type.indexed().filter(|one| one.leaf().name == EXTERNAL_ID) {
            for value in self.resource.indexed_values(&indexed) {
                for id in index::holders(tx, resource_type, &indexed, value)? {
                    let holder = stored::find(tx, resource_type, id)?;
                    let manager = holder.record.manager();
                    // Connections give external ids of their own.
                    if manager.is_some()
                        && self.connection.is_some()
                        && manager != self.connection.as_deref()
                    {
                        continue;
                    }
                    if let Some(other) = &found {
                        return Err(DirectoryError::Unfit(format!(
                            "several {}s have the {EXTERNAL_ID} \"{}\": {} and {id}; name the one that is meant",
                            resource_type.name,
                            value.escape_debug(),
                            other.id
                        )));
                    }
                    found = Some(holder);
                }
            }
        }
        Ok(found)
    }

    fn create(
        &self,
        tx: &mut Transaction<'_>,
    ) -> Result<(ImportAction, ResourceId), DirectoryError> {
        let resource_type = &self.resource_type;
        let now = tx.now();
        let id = match self.id {
            Some(id) if !is_known(tx, id)? => id,
            _ => new_id(now),
        };
        let mut resource = self.resource.clone();
        if let Some(access) = &self.default_access {
            access.assign(&tx.settings().catalogue, resource_type, &mut resource);
        }
        resource.complete(resource_type, None);
        let meta = Meta { created: now, last_modified: now, version: Version::FIRST };
        let connection = self.connection.as_deref();
        stored::write(tx, resource_type, id, &meta, &resource, None, connection)?;
        stored::count(tx, resource_type, |count| count.saturating_add(1))?;
        tx.details().describe(resource_type, None, Some(&resource));
        tx.record(stored::event(resource_type, Verb::Created, id));
        Ok((ImportAction::Created, id))
    }

    fn update(
        &self,
        tx: &mut Transaction<'_>,
        present: &StoredResource,
    ) -> Result<(ImportAction, ResourceId), DirectoryError> {
        let resource_type = &self.resource_type;
        let manager = present.record.manager();
        let adopts = match (manager, &self.connection) {
            (None, Some(connection)) => Some(connection.clone()),
            (Some(manager), Some(connection)) if manager != connection => {
                return Err(DirectoryError::Unfit(format!(
                    "it is here already (id {}) and managed by the connection \"{manager}\", not by \"{connection}\"; \
                     run `scimd user transfer` first, or import it for \"{manager}\"",
                    present.id
                )));
            }
            _ => None,
        };
        let value = Value::Object(self.resource.attributes().clone());
        let body =
            Map::from_iter([("Operations".to_owned(), json!([{"op": "replace", "value": value}]))]);
        let patch = Patch {
            resource_type: Arc::clone(resource_type),
            id: present.id.to_string(),
            expected: None,
            request: PatchRequest::parse(resource_type, body)?,
            rules: ConnectionRules::default(),
        };
        let mut changed = tx.nested(&patch)?.record.version != present.record.version;
        if let Some(connection) = adopts {
            changed = true;
            let (resource_type, id) = (Arc::clone(resource_type), present.id);
            tx.nested(&Transfer { resource_type, id, connection, reason: None })?;
        }
        let action = if changed { ImportAction::Updated } else { ImportAction::Unchanged };
        Ok((action, present.id))
    }
}

/// Whether a resource has an id, or a deleted one had it and its memberships are not cleared yet.
fn is_known(tx: &Transaction<'_>, id: ResourceId) -> Result<bool, DirectoryError> {
    let holder = membership::find_any(tx, &tx.settings().registry, id, |_| true)?;
    Ok(holder.is_some() || Voids::load(tx)?.get(id).is_some())
}
