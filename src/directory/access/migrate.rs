//! The migration of stored access to another catalogue: names change, and no account keeps access that is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::access::{AccessNames, followed};
use crate::directory::error::DirectoryError;
use crate::directory::settings::Settings;
use crate::directory::stored::{self, StoredResource};
use crate::directory::transaction::{Command, Transaction};
use crate::event::{Event, Verb};
use crate::log::Log;
use crate::scim::attribute::Attribute;
use crate::scim::resource::{Resource, ResourceId};
use crate::scim::schema::ResourceType;
use crate::scim::schemas::user::ROLES;
use crate::store::keys::{self, Kind};
use crate::store::{Read, Store, StoreError};
use crate::text::excerpt;

/// The most holders that an error names for each piece of access.
const MAX_NAMED: usize = 10;
/// The most pieces of access that an error names.
const MAX_PIECES: usize = 10;

/// What to do about access that accounts have and the configuration no longer knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownAccess {
    /// Fail, naming its holders.
    Refuse,
    /// Remove it from the accounts.
    Drop,
}

/// Accounts whose stored access differs from the catalogue.
pub(crate) struct OutdatedAccounts {
    /// The names in the catalogue.
    pub(crate) names: AccessNames,
    /// The names that all accounts conformed to before.
    pub(crate) before: Arc<AccessNames>,
    /// The accounts, by type.
    pub(crate) accounts: Vec<(Arc<ResourceType>, Vec<ResourceId>)>,
}

impl OutdatedAccounts {
    /// The names that accounts may hold until all are migrated; `None` if none are new.
    pub(crate) fn either(&self) -> Option<SaveNames> {
        let names = AccessNames::clone(&self.before).joined(&self.names);
        (names != *self.before).then_some(SaveNames { names })
    }
}

/// A look at all accounts that found no unknown access.
pub(crate) struct AccessCheck {
    /// The last change that the look has seen for sure.
    upto: u64,
    /// The names that accounts may hold, as they were stored then.
    kept: Option<Bytes>,
}

impl AccessCheck {
    /// Looks at all accounts, while changes go on.
    ///
    /// # Errors
    ///
    /// `AccessInUse`, as for [`check`]. `Storage`.
    pub(crate) fn beside_writer(
        store: &dyn Store,
        settings: &Settings,
    ) -> Result<Self, DirectoryError> {
        let upto = store.applied().sequence;
        let kept = store.get(keys::CATALOGUE)?;
        check(store, settings, UnknownAccess::Refuse)?;
        Ok(Self { upto, kept })
    }

    /// Looks at the accounts that were changed since; the names that accounts may hold until all are migrated.
    /// `None` if none are new.
    ///
    /// # Errors
    ///
    /// `AccessInUse`, as for [`check`]. `Storage`.
    pub(crate) fn complete(
        &self,
        state: &dyn Read,
        log: &dyn Log,
        settings: &Settings,
    ) -> Result<Option<SaveNames>, DirectoryError> {
        if state.get(keys::CATALOGUE)? != self.kept {
            // Other names were in force meanwhile.
            let outdated = check(state, settings, UnknownAccess::Refuse)?;
            return Ok(outdated.and_then(|outdated| outdated.either()));
        }
        let names = settings.catalogue.names();
        let before = self.kept.as_deref().and_then(|kept| serde_json::from_slice(kept).ok());
        if before.as_ref() == Some(&names) {
            return Ok(None);
        }
        let before: AccessNames = before.unwrap_or_default();
        let mut changed = BTreeSet::new();
        let read = log.read(self.upto, &mut |frame| {
            let keys = frame.writes.iter().map(|write| &write.key);
            changed.extend(keys.filter(|key| keys::is_record(key)).cloned());
            ControlFlow::Continue(())
        });
        read.map_err(StoreError::from)?;
        let mut in_use = UnknownInUse::default();
        for key in changed {
            let Some(Kind::Record(tag, id)) = keys::kind(&key) else { continue };
            let Some(resource_type) = settings.registry.by_tag(tag) else { continue };
            let Some(value) = state.get(&key)?.filter(|_| resource_type.is_account) else {
                continue;
            };
            let stored = StoredResource::new(id, stored::decode(&key, &value)?);
            differs(resource_type, &before, &stored, &mut in_use)?;
        }
        in_use.check(UnknownAccess::Refuse)?;
        let outdated = OutdatedAccounts { names, before: Arc::new(before), accounts: Vec::new() };
        Ok(outdated.either())
    }
}

/// Finds the accounts that differ from the catalogue; `None` if its names are the same as
/// before.
///
/// # Errors
///
/// `AccessInUse`, naming the unknown access and its holders. `Storage`.
pub(crate) fn check(
    state: &dyn Read,
    settings: &Settings,
    unknown: UnknownAccess,
) -> Result<Option<OutdatedAccounts>, DirectoryError> {
    let names = settings.catalogue.names();
    let before: Option<AccessNames> =
        state.get(keys::CATALOGUE)?.and_then(|kept| serde_json::from_slice(&kept).ok());
    if before.as_ref() == Some(&names) {
        return Ok(None);
    }
    let before = before.unwrap_or_default();
    let types = settings.registry.resource_types().iter();
    let accounts = types
        .filter(|resource_type| resource_type.is_account)
        .map(|resource_type| {
            let outdated = outdated(state, resource_type, &before, unknown)?;
            Ok((Arc::clone(resource_type), outdated))
        })
        .collect::<Result<_, DirectoryError>>()?;
    Ok(Some(OutdatedAccounts { names, before: Arc::new(before), accounts }))
}

/// The accounts of a type whose stored access differs from the catalogue.
fn outdated(
    state: &dyn Read,
    resource_type: &ResourceType,
    before: &AccessNames,
    unknown: UnknownAccess,
) -> Result<Vec<ResourceId>, DirectoryError> {
    let mut outdated = Vec::new();
    let mut in_use = UnknownInUse::default();
    let mut problem = Ok(());
    state.scan(&keys::records(resource_type.tag), None, &mut |key, value| {
        let looked = keys::trailing_id(key).map_or(Ok(()), |id| {
            let stored = StoredResource::new(id, stored::decode_scanned(state, key, &value)?);
            if differs(resource_type, before, &stored, &mut in_use)? {
                outdated.push(id);
            }
            Ok::<(), DirectoryError>(())
        });
        problem = looked;
        if problem.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    problem?;
    in_use.check(unknown)?;
    Ok(outdated)
}

/// Whether the stored access of an account differs from the catalogue; what is unknown of it is noted.
fn differs(
    resource_type: &ResourceType,
    before: &AccessNames,
    stored: &StoredResource,
    in_use: &mut UnknownInUse,
) -> Result<bool, DirectoryError> {
    let mut account = stored::attributes(resource_type, stored)?;
    let previous = account.clone();
    let gone = rewrite_access(resource_type, before, &mut account);
    let name = account.name(resource_type).unwrap_or_default();
    gone.iter().for_each(|piece| in_use.note(piece, name));
    Ok(account != previous)
}

/// Rewrites an account's access in the names of the catalogue; removes access that the catalogue no longer
/// has, and returns it.
pub(crate) fn rewrite_access(
    resource_type: &ResourceType,
    before: &AccessNames,
    account: &mut Resource,
) -> Vec<String> {
    let mut gone = Vec::new();
    for attribute in &resource_type.schema.attributes {
        let value = attribute.sub_attribute("value");
        let vocabulary = value.and_then(|value| value.vocabulary.as_ref());
        // Without a vocabulary roles are free texts, and those that were roles are gone.
        if vocabulary.is_none() && attribute.name != ROLES {
            continue;
        }
        let Some(Value::Array(elements)) = account.get(&attribute.name).cloned() else { continue };
        let mut kept: Vec<Value> = Vec::new();
        for mut element in elements {
            let text = element.get("value").and_then(Value::as_str).unwrap_or_default().to_owned();
            let known = match vocabulary {
                Some(vocabulary) => vocabulary
                    .canonical(&followed(before, &text))
                    .or_else(|_| vocabulary.canonical(&text))
                    .ok(),
                None => (!before.had_role(&text)).then(|| text.clone()),
            };
            match (known, element.as_object_mut()) {
                (Some(known), Some(parts)) => {
                    parts.insert("value".to_owned(), Value::String(known));
                    kept.push(element);
                }
                _ => gone.push(piece(attribute, &text)),
            }
        }
        account.put(resource_type, &attribute.name, Value::Array(kept));
    }
    gone
}

fn piece(attribute: &Attribute, text: &str) -> String {
    format!("{} \"{}\"", attribute.name, excerpt(text, 200))
}

/// The holders of access that is gone.
#[derive(Default)]
pub(crate) struct UnknownInUse {
    pieces: BTreeMap<String, (usize, Vec<String>)>,
}

impl UnknownInUse {
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(crate) fn note(&mut self, piece: &str, holder: &str) {
        let (count, named) = self.pieces.entry(piece.to_owned()).or_default();
        *count += 1;
        if named.len() < MAX_NAMED {
            named.push(holder.to_owned());
        }
    }

    fn check(&self, unknown: UnknownAccess) -> Result<(), DirectoryError> {
        if unknown == UnknownAccess::Drop || self.is_empty() {
            return Ok(());
        }
        Err(DirectoryError::AccessInUse(self.sentence(
            "Add it to the configuration again, or start once with --drop-unknown-access to remove it from them",
        )))
    }

    /// A sentence that names the access and its holders, and one that says what to do about it.
    pub(crate) fn sentence(&self, remedy: &str) -> String {
        let piece = |(piece, (count, named)): (&String, &(usize, Vec<String>))| {
            let more = if *count > named.len() { ", …" } else { "" };
            format!("{piece} ({count}: {}{more})", named.join(", "))
        };
        let pieces: Vec<String> = self.pieces.iter().take(MAX_PIECES).map(piece).collect();
        let more = match self.pieces.len().saturating_sub(MAX_PIECES) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        format!(
            "accounts have access that is not configured: {}{more}. {remedy}",
            pieces.join("; ")
        )
    }
}

/// Migrates one account to the catalogue.
pub(crate) struct MigrateAccount {
    pub(crate) resource_type: Arc<ResourceType>,
    pub(crate) id: ResourceId,
    pub(crate) before: Arc<AccessNames>,
}

impl Command for MigrateAccount {
    type Output = ();

    fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
        let resource_type = &self.resource_type;
        let present = stored::find(tx, resource_type, self.id)?;
        let previous = stored::attributes(resource_type, &present)?;
        let mut account = previous.clone();
        rewrite_access(resource_type, &self.before, &mut account);
        // A client may have changed it first.
        if account == previous {
            return Ok(());
        }
        tx.details().describe(resource_type, Some(&previous), Some(&account));
        let meta = stored::next_meta(tx, resource_type, &present)?;
        let manager = present.record.manager();
        // Nothing that is indexed has changed, and a longer name does not make it too large.
        stored::write(tx, resource_type, self.id, &meta, &account, Some(&account), manager)?;
        tx.record(stored::event(resource_type, Verb::Followed, self.id));
        Ok(())
    }
}

/// Saves the names that accounts may hold.
pub(crate) struct SaveNames {
    pub(crate) names: AccessNames,
}

impl Command for SaveNames {
    type Output = ();

    fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
        let names = serde_json::to_vec(&self.names).unwrap_or_default();
        tx.put(keys::CATALOGUE.to_vec(), names);
        let kind = "catalogue".to_owned();
        tx.record(Event { kind, verb: Verb::Followed, subject: String::new() });
        Ok(())
    }
}
