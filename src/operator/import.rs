//! Import: users and groups that exist elsewhere already, in batches of bounded size.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::kind::ResourceKind;
use super::lookup;
use crate::access::DefaultAccess;
use crate::directory::{
    ConnectionRules, Directory, DirectoryError, Import, ImportAction, ImportedResource, Patch,
};
use crate::event::Actor;
use crate::scim::exchange::Exchange;
use crate::scim::patch::PatchRequest;
use crate::scim::resource::ResourceId;
use crate::scim::validate::{Validated, validate};

/// The number of members that one change adds.
const MEMBERS: usize = 1_000;

/// Users and groups to import.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImportBatch {
    /// The resources.
    pub rows: Vec<ImportRow>,
    /// Whether new accounts that name no workspace get the default access of their connection.
    pub default_access: bool,
    /// Whether to find out what would happen, and to change nothing.
    pub dry_run: bool,
}

/// A user or group, without members.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImportRow {
    /// Which of the two.
    pub kind: ResourceKind,
    /// The id that it has where it comes from.
    pub id: Option<String>,
    /// Its attributes in SCIM's form.
    pub resource: Map<String, Value>,
    /// The connection that manages it.
    pub connection: Option<String>,
}

/// What became of a row, or would.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportOutcome {
    /// The resource is here.
    Done {
        /// What was done.
        action: ImportVerb,
        /// Its id here.
        id: String,
        /// The attributes that no schema knows.
        ignored: Vec<String>,
    },
    /// It can't be imported beside what is here; a sentence that says why.
    Conflict(String),
    /// It is not valid; a sentence that says why.
    Invalid(String),
}

/// What was done with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportVerb {
    /// A resource was created.
    Create,
    /// A resource that was here took over what the row says.
    Update,
    /// A resource that was here is as the row says.
    Keep,
}

/// Members to add to a group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImportMembers {
    /// The id of the group; `None` to find the members alone.
    pub group: Option<String>,
    /// The members: each an id, a name, or an externalId that only one resource has.
    pub members: Vec<String>,
}

/// What became of members.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImportedMembers {
    /// Those that do not exist, by their number in the request, each with a sentence that says so.
    pub unknown: Vec<(usize, String)>,
    /// Whether the group has changed.
    pub changed: bool,
}

/// Imports a batch, or finds out what that would do; `connections` has those of the configuration, with
/// what accounts that name no workspace get.
pub(super) fn rows(
    directory: &Directory,
    connections: &BTreeMap<String, Arc<DefaultAccess>>,
    actor: Actor,
    batch: ImportBatch,
) -> Result<Vec<ImportOutcome>, DirectoryError> {
    let ImportBatch { rows, default_access, dry_run } = batch;
    let mut outcomes: Vec<Option<ImportOutcome>> = Vec::new();
    let (mut resources, mut ignored) = (Vec::new(), Vec::new());
    for row in rows {
        let resource_type = row.kind.resource_type(directory)?;
        if let Some(connection) = &row.connection
            && !connections.contains_key(connection)
        {
            outcomes.push(Some(ImportOutcome::Invalid(format!(
                "the configuration has no connection \"{}\"; add it, or import with --connection",
                connection.escape_debug()
            ))));
            continue;
        }
        match validate(&resource_type, Exchange::Create, row.resource) {
            Ok(Validated { mut resource, unknown, .. }) => {
                resource.take_members(&resource_type);
                let assigned = row.connection.as_ref().filter(|_| default_access);
                resources.push(ImportedResource {
                    id: row.id.as_deref().and_then(ResourceId::parse),
                    resource,
                    default_access: assigned.and_then(|name| connections.get(name)).cloned(),
                    connection: row.connection,
                    resource_type,
                });
                ignored.push(unknown);
                outcomes.push(None);
            }
            Err(error) => outcomes.push(Some(ImportOutcome::Invalid(error.detail))),
        }
    }
    let done = directory.submit(actor, Import { resources, dry_run }).wait()?;
    let mut done =
        done.into_iter().zip(ignored).map(|(outcome, ignored)| outcome_of(outcome, ignored));
    let all = outcomes.into_iter().filter_map(|refused| refused.or_else(|| done.next()));
    Ok(all.collect())
}

fn outcome_of(
    outcome: Result<(ImportAction, ResourceId), DirectoryError>,
    ignored: Vec<String>,
) -> ImportOutcome {
    match outcome {
        Ok((action, id)) => {
            let action = match action {
                ImportAction::Created => ImportVerb::Create,
                ImportAction::Updated => ImportVerb::Update,
                ImportAction::Unchanged => ImportVerb::Keep,
            };
            ImportOutcome::Done { action, id: id.to_string(), ignored }
        }
        Err(DirectoryError::Invalid(error)) => ImportOutcome::Invalid(error.detail),
        Err(error) => ImportOutcome::Conflict(error.to_string()),
    }
}

/// Adds members to a group, unless one of them does not exist.
pub(super) fn members(
    directory: &Directory,
    actor: &Actor,
    asked: ImportMembers,
) -> Result<ImportedMembers, DirectoryError> {
    let (mut ids, mut unknown) = (Vec::new(), Vec::new());
    for (number, member) in asked.members.iter().enumerate() {
        match find_member(directory, member) {
            Ok(id) => ids.push(json!({"value": id})),
            Err(error @ (DirectoryError::NotFound { .. } | DirectoryError::Unfit(_))) => {
                let reason = match error {
                    DirectoryError::Unfit(reason) => reason,
                    _ => format!("there is no user or group \"{}\"", member.escape_debug()),
                };
                unknown.push((number, reason));
            }
            Err(error) => return Err(error),
        }
    }
    let mut changed = false;
    if let (Some(group), true) = (asked.group, unknown.is_empty()) {
        let resource_type = ResourceKind::Group.resource_type(directory)?;
        let retrieve = || directory.retrieve(&resource_type, &group, &|_| false, 0);
        let before = retrieve()?.stored.record.version;
        for part in ids.chunks(MEMBERS) {
            let operation = json!({"op": "add", "path": "members", "value": part});
            let body = Map::from_iter([("Operations".to_owned(), json!([operation]))]);
            let patch = Patch {
                request: PatchRequest::parse(&resource_type, body)?,
                resource_type: Arc::clone(&resource_type),
                id: group.clone(),
                expected: None,
                rules: ConnectionRules::default(),
            };
            changed |= directory.submit(actor.clone(), patch).wait()?.record.version != before;
        }
    }
    Ok(ImportedMembers { unknown, changed })
}

/// The id of the user or group that a text names.
fn find_member(directory: &Directory, text: &str) -> Result<String, DirectoryError> {
    match lookup::find(directory, ResourceKind::User, text, &|_| false) {
        Err(DirectoryError::NotFound { .. }) => {}
        found => return found.map(|(_, user)| user.stored.id.to_string()),
    }
    let (_, group) = lookup::find(directory, ResourceKind::Group, text, &|_| false)?;
    Ok(group.stored.id.to_string())
}
