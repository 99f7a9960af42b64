//! Query (RFC 7644, section 3.4.2).

pub(crate) mod cursor;
pub(crate) mod part;
pub(crate) mod plan;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::clock::Stopwatch;
use crate::directory::error::DirectoryError;
use crate::directory::membership::{self, Ungrouped, Voids};
use crate::directory::query::cursor::{CursorPosition, Cursors};
use crate::directory::settings::{DirectoryView, LocalSettings};
use crate::directory::shown::ShownResource;
use crate::directory::stored::{self, StoredResource};
use crate::scim::error::{ScimError, ScimType};
use crate::scim::filter::Filter;
use crate::scim::pick::pick;
use crate::scim::query::{PageRequest, Query, Start};
use crate::scim::resource::ResourceId;
use crate::scim::schema::ResourceType;
use crate::scim::schemas::access::ACCESS;
use crate::scim::sort::SortKey;
use crate::store::record::Record;
use crate::store::{StoreError, keys};

/// The most members and pieces of access that a list shows for all its resources together.
const MAX_REFERENCES: usize = 250_000;

/// The most index entries that a search follows without being one that looks at many resources.
const MAX_LOOKS: usize = 64;

/// The most resources of a list that counts as short, and the most that it may have to pass over.
const SHORT_LIST: usize = 200;

/// A search.
pub struct Search {
    /// The resource types, each with its filter and order.
    pub targets: Vec<(Arc<ResourceType>, Query)>,
    /// The wanted part of the results.
    pub page: PageRequest,
    /// Distinguishes this search from others, for cursors.
    pub fingerprint: String,
}

/// How much work a search is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SearchWork {
    /// An index leads to one resource at most, and no members are read.
    Short,
    /// A few resources are read, one after the other in the order of creation, without members and access.
    List,
    /// An index leads to a few resources.
    Long,
    /// Many resources are looked at.
    Scan,
}

/// What is known of a part of the resources that match a search, once its resources have been added.
#[derive(Clone, Debug)]
pub struct Page {
    /// The number of all matches.
    pub total_results: usize,
    /// The index of the first resource of this part, from 1; `None` if a cursor was given.
    pub start_index: Option<usize>,
    /// The cursor of the next page, if a cursor was requested and there is a next page.
    pub next_cursor: Option<String>,
}

/// A resource that matches.
struct Hit {
    /// Its sort key; `None` if the order is that of creation.
    key: Option<SortKey>,
    target: usize,
    id: ResourceId,
    /// The resource as it was read, if an index led to it and it can stand on the page.
    read: Option<StoredResource>,
}

/// How much work a search is.
///
/// # Errors
///
/// `Storage`.
pub(crate) fn work(
    view: DirectoryView<'_>,
    search: &Search,
    wanted: &dyn Fn(&ResourceType, &str) -> bool,
) -> Result<SearchWork, DirectoryError> {
    let reads_members = |resource_type: &ResourceType, filter: Option<&Filter>| {
        resource_type.members().is_some_and(|members| {
            wanted(resource_type, &members.name)
                || filter.is_some_and(|filter| filter.mentions().contains(&*members.name))
        })
    };
    if let [(resource_type, Query { filter: None, sort: None })] = &*search.targets
        && search.page.count <= SHORT_LIST
        && !reads_members(resource_type, None)
        && !(resource_type.is_account && wanted(resource_type, ACCESS))
    {
        let is_near = match &search.page.start {
            Start::Cursor(_) => true,
            Start::Index(index) => {
                let (total, offset) =
                    (stored::total(view.state, resource_type)?, *index as u64 - 1);
                // What memory does not hold is passed over one by one.
                let skip = || view.state.skip(&keys::records(resource_type.tag), offset).1;
                offset >= total || skip() <= SHORT_LIST as u64
            }
        };
        return Ok(if is_near { SearchWork::List } else { SearchWork::Scan });
    }
    let (mut looks, mut work) = (0, SearchWork::Short);
    for (resource_type, query) in &search.targets {
        let Some(filter) = &query.filter else { return Ok(SearchWork::Scan) };
        let left = MAX_LOOKS - looks;
        match plan::looks(view.state, resource_type, filter, left)? {
            Some(more) if more <= left => looks += more,
            _ => return Ok(SearchWork::Scan),
        }
        if looks > 1 || reads_members(resource_type, Some(filter)) {
            work = SearchWork::Long;
        }
    }
    Ok(work)
}

/// Runs a search, and adds each resource of the wanted part, until `add` says that the part ends without it.
///
/// # Errors
///
/// As [`crate::directory::Directory::query`].
pub(crate) fn run(
    view: DirectoryView<'_>,
    cursors: &Cursors,
    search: &Search,
    wanted: &dyn Fn(&ResourceType, &str) -> bool,
    left_bytes: usize,
    add: &mut dyn FnMut(&ResourceType, ShownResource) -> bool,
) -> Result<Page, DirectoryError> {
    let run = QueryRun { view, cursors };
    // Before any membership is read.
    let voids = Voids::load(view.state)?;
    let ungrouped = Ungrouped::default();
    let mut adding = Adding { view, voids, wanted, left_bytes, add, ungrouped, references: 0 };
    match search.targets.as_slice() {
        [(resource_type, Query { filter: None, sort: None })] => {
            run.list(resource_type, search, &mut adding)
        }
        _ => run.select(search, &mut adding),
    }
}

/// What happens to each resource of a page.
struct Adding<'a> {
    view: DirectoryView<'a>,
    voids: Voids,
    wanted: &'a dyn Fn(&ResourceType, &str) -> bool,
    /// The bytes that the members of the next resource may take.
    left_bytes: usize,
    add: &'a mut dyn FnMut(&ResourceType, ShownResource) -> bool,
    ungrouped: Ungrouped,
    /// The members and pieces of access of the resources so far.
    references: usize,
}

impl Adding<'_> {
    /// Adds a resource with its relations; `false` if the page ends without it.
    fn add(
        &mut self,
        resource_type: &ResourceType,
        stored: StoredResource,
    ) -> Result<bool, DirectoryError> {
        let mut shown = ShownResource::new(stored);
        let memberships = resource_type.memberships().map(|attribute| attribute.name.as_str());
        let memberships = memberships.filter(|name| (self.wanted)(resource_type, name));
        let is_ungrouped = match memberships {
            Some(_) => self.ungrouped.contains(self.view.state, shown.stored.id)?,
            None => false,
        };
        let wanted = |name: &str| {
            (self.wanted)(resource_type, name) && !(is_ungrouped && memberships == Some(name))
        };
        let (voids, most) = (&self.voids, self.left_bytes);
        self.view.attach_relations(voids, resource_type, &mut shown, &wanted, most)?;
        self.ungrouped.note(shown.references.iter().any(|(name, _)| Some(&**name) == memberships));
        let of_this = shown.references.iter().map(|(_, list)| list.len()).sum::<usize>()
            + shown.access.as_ref().map_or(0, |access| access.pieces.len());
        if of_this > MAX_REFERENCES {
            return Err(ScimError::new(
                ScimType::TooMany,
                format!(
                    "A resource of the list has more than {MAX_REFERENCES} members or pieces of access; \
                     ask without those attributes, as with excludedAttributes=members."
                ),
            )
            .into());
        }
        self.references += of_this;
        let held = shown.references.iter().map(|(_, list)| list.held_bytes()).sum();
        self.left_bytes = self.left_bytes.saturating_sub(held);
        Ok(self.references <= MAX_REFERENCES && (self.add)(resource_type, shown))
    }
}

/// A search that runs.
struct QueryRun<'a> {
    view: DirectoryView<'a>,
    cursors: &'a Cursors,
}

impl QueryRun<'_> {
    /// Every resource of a type, in the order of creation: only the page is read.
    fn list(
        &self,
        resource_type: &ResourceType,
        search: &Search,
        adding: &mut Adding<'_>,
    ) -> Result<Page, DirectoryError> {
        let state = self.view.state;
        let total = stored::total(state, resource_type)?;
        let prefix = keys::records(resource_type.tag);
        let (after, mut skip) = match self.position(search)? {
            CursorPosition::After(id) => (Some(keys::record(resource_type.tag, id)), 0),
            CursorPosition::Offset(offset) if offset < total => state.skip(&prefix, offset),
            CursorPosition::Offset(offset) => (None, offset),
        };
        let (mut count, mut last, mut more) = (0, None, false);
        let mut problem = Ok(());
        if skip < total {
            state.scan(&prefix, after.as_deref(), &mut |key, value| {
                if skip > 0 {
                    skip -= 1;
                    return ControlFlow::Continue(());
                }
                if count == search.page.count {
                    more = true;
                    return ControlFlow::Break(());
                }
                let Some(id) = keys::trailing_id(key) else { return ControlFlow::Continue(()) };
                let added = stored::decode_scanned(state, key, &value)
                    .map_err(DirectoryError::from)
                    .and_then(|record| adding.add(resource_type, StoredResource::new(id, record)));
                match added {
                    Ok(true) => (count, last) = (count + 1, Some(id)),
                    Ok(false) => more = true,
                    Err(error) => problem = Err(error),
                }
                if more || problem.is_err() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })?;
        }
        problem?;
        let next = last.filter(|_| more).map(CursorPosition::After);
        Ok(self.page(search, usize::try_from(total).unwrap_or(usize::MAX), next))
    }

    /// The page of a search with a filter or an order.
    fn select(&self, search: &Search, adding: &mut Adding<'_>) -> Result<Page, DirectoryError> {
        let state = self.view.state;
        let mut hits = Vec::new();
        let mut budget = SearchBudget::new(&self.view.settings.local);
        for target in 0..search.targets.len() {
            self.find(search, target, &adding.voids, &mut budget, &mut hits)?;
        }
        // Stable: what compares equal stays in the order of creation.
        hits.sort_by(|a, b| a.key.cmp(&b.key));
        let total = hits.len();
        let offset = match self.position(search)? {
            CursorPosition::Offset(offset) => usize::try_from(offset).unwrap_or(usize::MAX),
            CursorPosition::After(id) => hits.partition_point(|hit| hit.id <= id),
        };
        let mut end = offset;
        for hit in hits.iter_mut().skip(offset).take(search.page.count) {
            if let Some((resource_type, _)) = search.targets.get(hit.target) {
                let read = hit.read.take();
                match read.map_or_else(|| stored::find(state, resource_type, hit.id), Ok) {
                    Ok(stored) => {
                        if !adding.add(resource_type, stored)? {
                            break;
                        }
                    }
                    // Deleted since it was found.
                    Err(DirectoryError::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            end += 1;
        }
        // In the order of creation the next page begins after a resource, whatever is deleted meanwhile.
        let by_creation = matches!(search.targets.as_slice(), [(_, Query { sort: None, .. })]);
        let next = match hits.get(end.saturating_sub(1)) {
            _ if end >= total || search.page.count == 0 => None,
            Some(last) if by_creation => Some(CursorPosition::After(last.id)),
            _ => Some(CursorPosition::Offset(end as u64)),
        };
        Ok(self.page(search, total, next))
    }

    /// Adds the hits of one target of a search.
    fn find(
        &self,
        search: &Search,
        target: usize,
        voids: &Voids,
        budget: &mut SearchBudget,
        hits: &mut Vec<Hit>,
    ) -> Result<(), DirectoryError> {
        let Some((resource_type, query)) = search.targets.get(target) else { return Ok(()) };
        let state = self.view.state;
        let candidates = match &query.filter {
            Some(filter) => plan::candidates(state, resource_type, filter)?,
            None => None,
        };
        let look = Look::new(resource_type, query);
        let hit = |id, record: &Record, filter: Option<&Filter>, budget: &mut SearchBudget| {
            let attributes = look.read(self.view, voids, id, record, budget)?;
            let matches = filter.is_none_or(|filter| filter.matches(&attributes));
            let key = || query.sort.as_ref().map(|sort| sort.key(&attributes));
            Ok::<_, DirectoryError>(matches.then(|| Hit { key: key(), target, id, read: None }))
        };
        let Some(candidates) = candidates else {
            let filter = query.filter.as_ref();
            let mut needles = filter.and_then(|filter| filter.needles(resource_type));
            let mut problem = Ok(());
            state.scan(&keys::records(resource_type.tag), None, &mut |key, value| {
                problem = stored::decode_scanned(state, key, &value)
                    .map_err(DirectoryError::from)
                    .and_then(|record| {
                        budget.spend(1)?;
                        let stored = record.json.get(..record.meta_at).unwrap_or(&record.json);
                        if needles.as_mut().is_some_and(|needles| !needles.may_match(stored)) {
                            return Ok(());
                        }
                        if let Some(id) = keys::trailing_id(key) {
                            hits.extend(hit(id, &record, filter, budget)?);
                        }
                        Ok(())
                    });
                if problem.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            return problem;
        };
        for (id, filter) in candidates {
            if hits.last().is_some_and(|hit| hit.target == target && hit.id == id) {
                continue;
            }
            budget.spend(1)?;
            match stored::find(state, resource_type, id) {
                Ok(stored) => {
                    let found = hit(id, &stored.record, Some(filter), budget)?;
                    // Not all of them are kept: there may be more than stand on a page.
                    let read = (hits.len() < search.page.count).then_some(stored);
                    hits.extend(found.map(|found| Hit { read, ..found }));
                }
                Err(DirectoryError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The beginning of the wanted page.
    fn position(&self, search: &Search) -> Result<CursorPosition, DirectoryError> {
        Ok(match &search.page.start {
            Start::Index(index) => CursorPosition::Offset(*index as u64 - 1),
            Start::Cursor(cursor) if cursor.is_empty() => CursorPosition::Offset(0),
            Start::Cursor(cursor) => self.cursors.read(&search.fingerprint, cursor)?,
        })
    }

    fn page(&self, search: &Search, total_results: usize, next: Option<CursorPosition>) -> Page {
        let (start_index, next_cursor) = match &search.page.start {
            Start::Index(index) => (Some(*index), None),
            Start::Cursor(_) => {
                let make = |position| self.cursors.make(&search.fingerprint, position);
                (None, next.map(make))
            }
        };
        Page { total_results, start_index, next_cursor }
    }
}

/// The resources that a search may still read, and its deadline.
struct SearchBudget {
    left: usize,
    max_scan: usize,
    max_time: Duration,
    since: Stopwatch,
}

impl SearchBudget {
    fn new(settings: &LocalSettings) -> Self {
        let LocalSettings { max_scan, max_search_time: max_time, .. } = *settings;
        Self { left: max_scan, max_scan, max_time, since: Stopwatch::start() }
    }

    fn spend(&mut self, looks: usize) -> Result<(), DirectoryError> {
        let too_long = |budget: &Self| budget.since.elapsed() > budget.max_time;
        match self.left.checked_sub(looks) {
            // Reading the clock costs more than reading a resource: every 256th time is enough.
            Some(left) if left % 256 != 0 || !too_long(self) => {
                self.left = left;
                Ok(())
            }
            _ => {
                let detail = format!(
                    "The search would look at more than {} resources or take too long; use a filter \
                     that an index answers, such as one with id and eq.",
                    self.max_scan
                );
                Err(ScimError::new(ScimType::TooMany, detail).into())
            }
        }
    }
}

/// The attributes of each resource that the filter and the order need.
struct Look<'a> {
    resource_type: &'a ResourceType,
    names: BTreeSet<&'a str>,
    /// The members of groups to look for, if the others need not be read.
    named_members: Option<BTreeSet<ResourceId>>,
}

impl<'a> Look<'a> {
    fn new(resource_type: &'a ResourceType, query: &'a Query) -> Self {
        let filter = query.filter.as_ref();
        let mut names = filter.map(|filter| filter.mentions()).unwrap_or_default();
        let sort = query.sort.as_ref().map(|sort| sort.path.top_level());
        let is_sorted_by_members =
            resource_type.members().is_some_and(|members| sort == Some(members.name.as_str()));
        names.extend(sort);
        let named_members = filter
            .filter(|_| !is_sorted_by_members)
            .and_then(|filter| plan::named_members(resource_type, filter));
        Self { resource_type, names, named_members }
    }

    fn read(
        &self,
        view: DirectoryView<'_>,
        voids: &Voids,
        id: ResourceId,
        record: &Record,
        budget: &mut SearchBudget,
    ) -> Result<Map<String, Value>, DirectoryError> {
        if self.names.is_empty() {
            return Ok(Map::new());
        }
        let (state, registry) = (view.state, view.registry());
        let mut attributes = pick(&record.json, &self.names)
            .map_err(|_| StoreError::damaged(&keys::record(self.resource_type.tag, id)))?;
        let named = self.named_members.as_ref().zip(self.resource_type.members());
        let wanted = |name: &str| {
            self.names.contains(name) && named.is_none_or(|(_, members)| members.name != name)
        };
        let (resource_type, most) = (self.resource_type, usize::MAX);
        let mut all =
            membership::references(state, registry, voids, resource_type, id, &wanted, most)?;
        if let Some((ids, members)) = named.filter(|(ids, _)| !ids.is_empty()) {
            let found = membership::members_among(state, registry, voids, id, ids)?;
            all.push((members.name.clone(), found));
        }
        for (name, references) in all {
            budget.spend(references.len())?;
            attributes.insert(name, references.iter().map(|one| one.plain()).collect());
        }
        Ok(attributes)
    }
}
