//! The settings of a directory, and state as it is read under them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::access::{self, AccessNames, Catalogue};
use crate::clock::Clock;
use crate::connection::{Brake, MayGrant, PublicUrl};
use crate::directory::error::DirectoryError;
use crate::scim::custom::SchemaProblem;
use crate::scim::registry::Registry;
use crate::settings::SharedSettings;
use crate::store::{Read, StoreError, keys};

/// The settings of this process alone: neither state nor the form of events depends on them.
#[derive(Clone, Debug)]
pub struct LocalSettings {
    /// The brake of each connection.
    pub brakes: Arc<BTreeMap<String, Brake>>,
    /// What access each connection may give that may not give all.
    pub may_grant: Arc<BTreeMap<String, MayGrant>>,
    /// The clock.
    pub clock: Clock,
    /// The largest size of a stored resource, in bytes.
    pub max_resource_bytes: usize,
    /// The largest number of resources and members that a search reads.
    pub max_scan: usize,
    /// The longest time that a search takes.
    pub max_search_time: Duration,
    /// Whether reads see what any node has acknowledged before, where nodes share a log.
    pub reads_latest: bool,
}

/// The settings of a directory. A request and a command go by one of them from beginning to end.
///
/// Registry and catalogue are always built from JSON, in the form in which the state holds it: so every
/// node, and every later start, builds the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The shared settings as canonical JSON.
    pub(crate) json: String,
    /// The base of `meta.location`; `None` where it is not known.
    pub(crate) public_url: Option<PublicUrl>,
    /// The resource types.
    pub(crate) registry: Arc<Registry>,
    /// The access that accounts can have.
    pub(crate) catalogue: Arc<Catalogue>,
    /// The settings of this process.
    pub(crate) local: LocalSettings,
}

impl Settings {
    /// Builds settings from the canonical JSON of the shared ones. `former` names of the catalogue are
    /// understood as well, for as long as accounts still have them.
    ///
    /// # Errors
    ///
    /// `Storage` if the text holds no settings, or schemas that this version can't add.
    pub(crate) fn new(
        json: String,
        former: Option<&AccessNames>,
        local: LocalSettings,
    ) -> Result<Self, DirectoryError> {
        let unusable = |reason: String| {
            StoreError::Folder(format!(
                "the settings in the log can't be used by this version of scimd: {reason}"
            ))
        };
        let shared =
            SharedSettings::from_json(&json).map_err(|error| unusable(error.to_string()))?;
        let catalogue = Catalogue::new(&shared.access);
        let catalogue = match former {
            Some(former) => catalogue.remembering(former),
            None => catalogue,
        };
        let (catalogue, registry) = build(&shared, catalogue).map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            unusable(problems.join("; "))
        })?;
        let (registry, public_url) = (Arc::new(registry), shared.public_url);
        Ok(Self { json, public_url, registry, catalogue, local })
    }

    /// Builds settings from those that the state holds, or from `unless_saved` if it holds none yet: data
    /// folders of versions up to 0.1.0 have none until their next start.
    ///
    /// # Errors
    ///
    /// As [`Settings::new`].
    pub(crate) fn of_state(
        state: &dyn Read,
        unless_saved: &SharedSettings,
        local: LocalSettings,
    ) -> Result<Self, DirectoryError> {
        let json = match saved_json(state)? {
            Some(json) => json,
            None => canonical_json(unless_saved)?,
        };
        Self::new(json, None, local)
    }
}

/// The canonical JSON of shared settings.
///
/// # Errors
///
/// None in practice.
pub(crate) fn canonical_json(shared: &SharedSettings) -> Result<String, StoreError> {
    let unwritable =
        |error| StoreError::Folder(format!("the settings can't be written as JSON: {error}"));
    shared.to_json().map_err(unwritable)
}

/// The shared settings that a state holds, as JSON; `None` before the first start that committed any.
///
/// # Errors
///
/// The state can't be read, or the value is not text.
pub(crate) fn saved_json(state: &dyn Read) -> Result<Option<String>, StoreError> {
    let Some(saved) = state.get(keys::SETTINGS)? else { return Ok(None) };
    let json = String::from_utf8(saved.into())
        .map_err(|error| StoreError::Folder(format!("the settings in the log: {error}")))?;
    Ok(Some(json))
}

/// The keys of the configuration whose values differ between two settings as JSON.
pub(crate) fn differing_keys(one: &str, other: &str) -> Vec<String> {
    differing(&by_key(one), &by_key(other))
}

/// The values of settings as JSON, by the keys of the configuration.
fn by_key(json: &str) -> BTreeMap<String, Value> {
    let mut keys = serde_json::from_str::<Map<String, Value>>(json).unwrap_or_default();
    let access = keys.remove("access");
    let mut keys: BTreeMap<String, Value> = keys.into_iter().collect();
    if let Some(Value::Object(access)) = access {
        // The configuration has these tables at its top, and the words in `[access]`.
        keys.extend(access.into_iter().map(|(key, value)| match key.as_str() {
            "words" => ("access".to_owned(), value),
            _ => (key, value),
        }));
    }
    keys
}

fn differing<T: PartialEq>(one: &BTreeMap<String, T>, other: &BTreeMap<String, T>) -> Vec<String> {
    let mut keys: Vec<String> = one.keys().chain(other.keys()).cloned().collect();
    keys.sort();
    keys.dedup();
    keys.retain(|key| one.get(key) != other.get(key));
    keys
}

/// A digest of the value of each key of the configuration in settings as JSON, as `key=digest` with spaces between.
pub(crate) fn digests(json: &str) -> String {
    let digest = |(key, value): (String, Value)| {
        let hash = Sha256::digest(value.to_string());
        format!("{key}={}", HEXLOWER.encode(hash.first_chunk::<8>().unwrap_or(&[0; 8])))
    };
    by_key(json).into_iter().map(digest).collect::<Vec<_>>().join(" ")
}

/// The keys whose values have other digests.
pub(crate) fn differing_digests(one: &str, other: &str) -> Vec<String> {
    let read = |digests: &str| -> BTreeMap<String, String> {
        let digests = digests.split(' ').filter_map(|digest| digest.split_once('='));
        digests.map(|(key, digest)| (key.to_owned(), digest.to_owned())).collect()
    };
    differing(&read(one), &read(other))
}

/// Builds the access catalogue and the resource types of shared settings.
///
/// # Errors
///
/// Schemas that can't be added.
pub fn vocabulary(
    shared: &SharedSettings,
) -> Result<(Arc<Catalogue>, Registry), Vec<SchemaProblem>> {
    build(shared, Catalogue::new(&shared.access))
}

fn build(
    shared: &SharedSettings,
    catalogue: Catalogue,
) -> Result<(Arc<Catalogue>, Registry), Vec<SchemaProblem>> {
    let registry = Registry::with(&shared.schemas)?;
    let catalogue = Arc::new(catalogue);
    let registry = registry.map(|resource_type| access::install(resource_type, &catalogue));
    Ok((catalogue, registry))
}

/// State under one configuration, for reading.
#[derive(Clone, Copy)]
pub(crate) struct DirectoryView<'a> {
    /// The state.
    pub(crate) state: &'a dyn Read,
    /// The settings that it is read under.
    pub(crate) settings: &'a Settings,
}

impl<'a> DirectoryView<'a> {
    /// The resource types.
    pub(crate) fn registry(self) -> &'a Registry {
        &self.settings.registry
    }
}

#[cfg(test)]
impl LocalSettings {
    /// Settings for tests: no brakes, and limits that are wide enough.
    pub(crate) fn for_tests(clock: Clock) -> Self {
        Self {
            brakes: Arc::default(),
            may_grant: Arc::default(),
            clock,
            max_resource_bytes: 65_536,
            max_scan: 1_000,
            max_search_time: Duration::from_secs(60),
            reads_latest: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_name_the_keys_that_differ() {
        let one = SharedSettings::default();
        let mut other = one.clone();
        other.access.workspaces.clear();
        let digest = |settings: &SharedSettings| digests(&canonical_json(settings).unwrap());
        assert_eq!(differing_digests(&digest(&one), &digest(&one)), Vec::<String>::new());
        assert_eq!(differing_digests(&digest(&one), &digest(&other)), ["workspaces"]);
        let (one, other) = (canonical_json(&one).unwrap(), canonical_json(&other).unwrap());
        assert_eq!(differing_keys(&one, &other), ["workspaces"]);
        // A later version has keys that this one lacks.
        assert_eq!(differing_digests("a=1", "a=1 later=2"), ["later"]);
    }
}
