//! Who has some access: the accounts that are given a role or piece of access, one part of all accounts at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::time::Duration;

use crate::access::{AccessItem, AccessPattern, GroupOfAccount, Source, walk};
use crate::clock::Stopwatch;
use crate::directory::error::DirectoryError;
use crate::directory::membership::{self, Voids};
use crate::directory::settings::DirectoryView;
use crate::directory::stored::{self, StoredResource};
use crate::scim::pick::pick;
use crate::scim::resource::ResourceId;
use crate::scim::schema::ResourceType;
use crate::store::{StoreError, keys};

/// The most accounts of one part that have the access.
const MAX_FOUND: usize = 100;
/// The most accounts that are examined for one part.
const MAX_EXAMINED: usize = 20_000;
/// About the longest time that one part takes; at least one account is examined.
const MAX_TIME: Duration = Duration::from_millis(25);
/// The most groups that are kept in memory while a part is worked out.
const MAX_GROUPS: usize = 10_000;

/// The accounts with some access, of one part of all accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessHolders {
    /// The accounts, in the order of their creation.
    pub accounts: Vec<AccessHolder>,
    /// How many accounts were examined.
    pub examined: usize,
    /// The last account that was examined, if there are more after it.
    pub next: Option<ResourceId>,
}

/// An account that has some access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessHolder {
    /// Its id.
    pub id: ResourceId,
    /// Its name.
    pub name: String,
    /// What it has of what was asked for, each with where it comes from.
    pub items: BTreeMap<AccessItem, Vec<Source>>,
}

impl DirectoryView<'_> {
    /// The accounts that have some access, of a part of all accounts: those after one, or the first.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub(crate) fn access_holders(
        self,
        resource_type: &ResourceType,
        wanted: &AccessPattern,
        after: Option<ResourceId>,
    ) -> Result<AccessHolders, DirectoryError> {
        // Before any membership is read.
        let voids = Voids::load(self.state)?;
        let mut search = HolderSearch { view: self, voids, wanted, groups: HashMap::new() };
        let (mut holders, since) = (AccessHolders::default(), Stopwatch::start());
        let (mut last, mut outcome) = (None, Ok(()));
        let after = after.map(|id| keys::record(resource_type.tag, id));
        self.state.scan(
            &keys::records(resource_type.tag),
            after.as_deref(),
            &mut |key, value| {
                let is_full =
                    holders.examined == MAX_EXAMINED || holders.accounts.len() == MAX_FOUND;
                if is_full || holders.examined > 0 && since.elapsed() > MAX_TIME {
                    holders.next = last;
                    return ControlFlow::Break(());
                }
                let Some(id) = keys::trailing_id(key) else { return ControlFlow::Continue(()) };
                (last, holders.examined) = (Some(id), holders.examined + 1);
                let found = stored::decode_scanned(self.state, key, &value)
                    .map_err(DirectoryError::from)
                    .and_then(|record| {
                        search.look(resource_type, &StoredResource::new(id, record))
                    });
                match found {
                    Ok(found) => holders.accounts.extend(found),
                    Err(error) => outcome = Err(error),
                }
                if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            },
        )?;
        outcome.map(|()| holders)
    }
}

/// A search for accounts with some access. Groups are read once.
struct HolderSearch<'a> {
    view: DirectoryView<'a>,
    voids: Voids,
    wanted: &'a AccessPattern,
    groups: HashMap<ResourceId, Option<GroupOfAccount>>,
}

impl HolderSearch<'_> {
    /// The account, if it has what is wanted.
    fn look(
        &mut self,
        resource_type: &ResourceType,
        stored: &StoredResource,
    ) -> Result<Option<AccessHolder>, DirectoryError> {
        let Some(direct) = self.view.own_access(resource_type, stored)? else { return Ok(None) };
        let catalogue = &self.view.settings.catalogue;
        let mut groups = Vec::new();
        if !catalogue.grants.is_empty() {
            for (id, _) in membership::ancestors(self.view.state, &self.voids, stored.id)? {
                groups.extend(self.group(id)?);
            }
        }
        let mut items: BTreeMap<AccessItem, Vec<Source>> = BTreeMap::new();
        walk(catalogue, &direct, &groups, &mut |item, way| {
            if self.wanted.matches(&item) {
                let (source, sources) = (Source::of(way, &groups), items.entry(item).or_default());
                if !sources.contains(&source) {
                    sources.push(source);
                }
            }
        });
        if items.is_empty() {
            return Ok(None);
        }
        let id = stored.id;
        let attribute = resource_type.name_attribute().map_or("", |name| name.name.as_str());
        let attributes = pick(&stored.record.json, &BTreeSet::from([attribute]))
            .map_err(|_| StoreError::damaged(&keys::record(resource_type.tag, id)))?;
        let name = attributes.get(attribute).and_then(|name| name.as_str());
        Ok(Some(AccessHolder { id, name: name.unwrap_or_default().to_owned(), items }))
    }

    fn group(&mut self, id: ResourceId) -> Result<Option<GroupOfAccount>, DirectoryError> {
        if let Some(known) = self.groups.get(&id) {
            return Ok(known.clone());
        }
        let group = self.view.group_of_account(id)?;
        if self.groups.len() < MAX_GROUPS {
            self.groups.insert(id, group.clone());
        }
        Ok(group)
    }
}
