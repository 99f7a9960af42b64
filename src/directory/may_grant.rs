//! What access a connection may give: `may_grant` in its settings, enforced wherever access is given.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::access::{Grant, GroupOfAccount, gains_grants};
use crate::directory::error::DirectoryError;
use crate::directory::transaction::Transaction;
use crate::event::Reason;
use crate::scim::resource::Resource;
use crate::scim::schema::ResourceType;
use crate::scim::schemas::user::{ENTITLEMENTS, ROLES};

/// Checks what a resource gives that is written in place of `previous`: an account its own roles and
/// entitlements, a group that a grant is now for, that grant.
///
/// # Errors
///
/// `Forbidden`, naming the access and the setting.
pub(crate) fn check_written(
    tx: &Transaction<'_>,
    resource_type: &ResourceType,
    resource: &Resource,
    previous: Option<&Resource>,
    manager: Option<&str>,
) -> Result<(), DirectoryError> {
    let Some(may_grant) = tx.may_grant() else { return Ok(()) };
    let catalogue = &tx.settings().catalogue;
    if resource_type.is_account {
        let added = |name: &str| {
            let before = texts(previous.and_then(|previous| previous.get(name)));
            let added = texts(resource.get(name)).into_iter();
            added.filter(|text| !before.contains(text)).collect::<Vec<_>>()
        };
        // Without a role of that name in the catalogue, the text gives nothing.
        let roles = added(ROLES).into_iter().filter_map(|role| catalogue.role(role).ok());
        if let Some(role) = roles.map(|role| &role.name).find(|name| !may_grant.covers_role(name)) {
            return Err(refusal(tx, &format!("role:{role}")));
        }
        let mut entitlements = added(ENTITLEMENTS).into_iter();
        if let Some(text) = entitlements.find(|text| !may_grant.covers(text)) {
            return Err(refusal(tx, text));
        }
    } else if resource_type.members().is_some() && !catalogue.grants.is_empty() {
        let group = |attributes| GroupOfAccount::new(resource_type, attributes, manager);
        let (before, after) = (previous.map(group), group(resource));
        check_grants(tx, gains_grants(catalogue, before.as_ref(), &after))?;
    }
    Ok(())
}

/// Checks that grants may be given.
///
/// # Errors
///
/// `Forbidden`, naming the access and the setting.
pub(crate) fn check_grants<'g>(
    tx: &Transaction<'_>,
    mut grants: impl Iterator<Item = &'g Grant>,
) -> Result<(), DirectoryError> {
    let Some(may_grant) = tx.may_grant() else { return Ok(()) };
    match grants.find_map(|grant| may_grant.lacks(grant)) {
        Some(piece) => Err(refusal(tx, &piece)),
        None => Ok(()),
    }
}

fn refusal(tx: &Transaction<'_>, piece: &str) -> DirectoryError {
    tx.record_denied(Reason::MayGrant);
    let connection = tx.connection().unwrap_or_default();
    DirectoryError::Forbidden(format!(
        "Connection \"{connection}\" may not give \"{piece}\": may_grant in [connections.{connection}] does not \
         include it."
    ))
}

fn texts(attribute: Option<&Value>) -> BTreeSet<&str> {
    let elements = attribute.and_then(Value::as_array).into_iter().flatten();
    elements.filter_map(|element| element.get("value")?.as_str()).collect()
}
