//! Query (RFC 7644, section 3.4.2).

pub(crate) mod cursor;
pub(crate) mod plan;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::clock::Stopwatch;
use crate::directory::error::DirectoryError;
use crate::directory::membership::{self, Reference, Voids};
use crate::directory::query::cursor::{CursorPosition, Cursors};
use crate::directory::settings::{DirectoryView, LocalSettings};
use crate::directory::shown::ShownResource;
use crate::directory::stored::{self, StoredResource};
use crate::scim::error::{ScimError, ScimType};
use crate::scim::filter::{Filter, MAX_TERMS};
use crate::scim::query::{PageRequest, Query, Start};
use crate::scim::resource::{ResourceId, pick};
use crate::scim::schema::ResourceType;
use crate::scim::sort::SortKey;
use crate::store::record::Record;
use crate::store::{StoreError, keys};

/// The most members and pieces of access that a list shows for all its resources together.
const MAX_REFERENCES: usize = 250_000;

/// A search.
pub struct Search {
    /// The resource types, each with its filter and order.
    pub targets: Vec<(Arc<ResourceType>, Query)>,
    /// The wanted part of the results.
    pub page: PageRequest,
    /// Distinguishes this search from others, for cursors.
    pub fingerprint: String,
}

impl Search {
    /// Whether an index answers the search, so that it reads few resources.
    pub fn is_quick(&self) -> bool {
        self.targets.iter().all(|(resource_type, query)| match &query.filter {
            Some(Filter::Or(parts)) if parts.len() > MAX_TERMS => false,
            Some(filter) => plan::is_indexed(resource_type, filter),
            None => false,
        })
    }
}

/// A part of the resources that match a search.
#[derive(Clone, Debug)]
pub struct Page {
    /// The number of all matches.
    pub total_results: usize,
    /// The index of the first resource of this part, from 1; `None` if a cursor was given.
    pub start_index: Option<usize>,
    /// The resources.
    pub resources: Vec<(Arc<ResourceType>, ShownResource)>,
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

/// Runs a search.
///
/// # Errors
///
/// As [`crate::directory::Directory::query`].
pub(crate) fn run(
    view: DirectoryView<'_>,
    cursors: &Cursors,
    search: &Search,
    wanted: &dyn Fn(&ResourceType, &str) -> bool,
) -> Result<Page, DirectoryError> {
    QueryRun { view, cursors }.run(search, wanted)
}

/// A search that runs.
struct QueryRun<'a> {
    view: DirectoryView<'a>,
    cursors: &'a Cursors,
}

impl QueryRun<'_> {
    fn run(
        &self,
        search: &Search,
        wanted: &dyn Fn(&ResourceType, &str) -> bool,
    ) -> Result<Page, DirectoryError> {
        let mut page = match search.targets.as_slice() {
            [(resource_type, Query { filter: None, sort: None })] => {
                self.list(resource_type, search)?
            }
            _ => self.select(search)?,
        };
        let voids = Voids::load(self.view.state)?;
        let mut shown = 0;
        for (resource_type, resource) in &mut page.resources {
            let wanted = |name: &str| wanted(resource_type, name);
            self.view.attach_relations(&voids, resource_type, resource, &wanted)?;
            shown += resource.references.iter().map(|(_, list)| list.len()).sum::<usize>();
            shown += resource.access.as_ref().map_or(0, |access| access.pieces.len());
            if shown > MAX_REFERENCES {
                return Err(ScimError::new(
                    ScimType::TooMany,
                    format!(
                        "The list would show more than {MAX_REFERENCES} members or pieces of access; ask \
                         with a smaller count, or without those attributes, as with \
                         excludedAttributes=members."
                    ),
                )
                .into());
            }
        }
        Ok(page)
    }

    /// Every resource of a type, in the order of creation: only the page is read.
    fn list(
        &self,
        resource_type: &Arc<ResourceType>,
        search: &Search,
    ) -> Result<Page, DirectoryError> {
        let state = self.view.state;
        let total = stored::total(state, resource_type)?;
        let (after, mut skip) = match self.position(search)? {
            CursorPosition::After(id) => (Some(keys::record(resource_type.tag, id)), 0),
            CursorPosition::Offset(offset) => (None, offset),
        };
        let mut resources = Vec::new();
        let mut more = false;
        let mut problem = Ok(());
        if skip < total {
            let prefix = keys::records(resource_type.tag);
            state.scan(&prefix, after.as_deref(), &mut |key, value| {
                if skip > 0 {
                    skip -= 1;
                    return ControlFlow::Continue(());
                }
                if resources.len() == search.page.count {
                    more = true;
                    return ControlFlow::Break(());
                }
                match (keys::trailing_id(key), stored::decode_scanned(state, key, &value)) {
                    (Some(id), Ok(record)) => {
                        resources.push((
                            Arc::clone(resource_type),
                            ShownResource::new(StoredResource::new(id, record)),
                        ));
                    }
                    (None, Ok(_)) => {}
                    (_, Err(error)) => {
                        problem = Err(error);
                        return ControlFlow::Break(());
                    }
                }
                ControlFlow::Continue(())
            })?;
        }
        problem?;
        let last = resources.last().map(|(_, shown)| CursorPosition::After(shown.stored.id));
        let next = last.filter(|_| more);
        Ok(self.page(search, usize::try_from(total).unwrap_or(usize::MAX), resources, next))
    }

    /// The page of a search with a filter or an order.
    fn select(&self, search: &Search) -> Result<Page, DirectoryError> {
        let state = self.view.state;
        let mut hits = Vec::new();
        let mut budget = SearchBudget::new(&self.view.settings.local);
        for target in 0..search.targets.len() {
            self.find(search, target, &mut budget, &mut hits)?;
        }
        // Stable: what compares equal stays in the order of creation.
        hits.sort_by(|a, b| a.key.cmp(&b.key));
        let total = hits.len();
        let offset = match self.position(search)? {
            CursorPosition::Offset(offset) => usize::try_from(offset).unwrap_or(usize::MAX),
            CursorPosition::After(id) => hits.partition_point(|hit| hit.id <= id),
        };
        let mut resources = Vec::new();
        for hit in hits.iter_mut().skip(offset).take(search.page.count) {
            let Some((resource_type, _)) = search.targets.get(hit.target) else { continue };
            let read = hit.read.take();
            match read.map_or_else(|| stored::find(state, resource_type, hit.id), Ok) {
                Ok(stored) => {
                    resources.push((Arc::clone(resource_type), ShownResource::new(stored)));
                }
                // Deleted since it was found.
                Err(DirectoryError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let end = offset.saturating_add(search.page.count);
        // In the order of creation the next page begins after a resource, whatever is deleted meanwhile.
        let by_creation = matches!(search.targets.as_slice(), [(_, Query { sort: None, .. })]);
        let next = match hits.get(end.saturating_sub(1)) {
            _ if end >= total || search.page.count == 0 => None,
            Some(last) if by_creation => Some(CursorPosition::After(last.id)),
            _ => Some(CursorPosition::Offset(end as u64)),
        };
        Ok(self.page(search, total, resources, next))
    }

    /// Adds the hits of one target of a search.
    fn find(
        &self,
        search: &Search,
        target: usize,
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
        let voids = Voids::load(state)?;
        let hit = |id, record: &Record, filter: Option<&Filter>, budget: &mut SearchBudget| {
            let attributes = look.read(self.view, &voids, id, record, budget)?;
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

    fn page(
        &self,
        search: &Search,
        total_results: usize,
        resources: Vec<(Arc<ResourceType>, ShownResource)>,
        next: Option<CursorPosition>,
    ) -> Page {
        let (start_index, next_cursor) = match &search.page.start {
            Start::Index(index) => (Some(*index), None),
            Start::Cursor(_) => {
                let make = |position| self.cursors.make(&search.fingerprint, position);
                (None, next.map(make))
            }
        };
        Page { total_results, start_index, resources, next_cursor }
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
        let mut all =
            membership::references(state, registry, voids, self.resource_type, id, &wanted)?;
        if let Some((ids, members)) = named.filter(|(ids, _)| !ids.is_empty()) {
            let found = membership::members_among(state, registry, voids, id, ids)?;
            all.push((members.name.clone(), found));
        }
        for (name, references) in all {
            budget.spend(references.len())?;
            attributes.insert(name, references.iter().map(Reference::plain).collect());
        }
        Ok(attributes)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Clock;
    use crate::directory::{ConnectionRules, Create, Directory};
    use crate::event::Actor;
    use crate::scim::exchange::Exchange;
    use crate::scim::filter::Filter;
    use crate::scim::validate::validate;
    use crate::settings::SharedSettings;
    use crate::store::folder::DataFolder;
    use crate::store::local::{LocalStore, StoreLimits};
    use crate::store::overlay::Overlay;

    fn create(directory: &Directory, endpoint: &str, body: Value) -> ResourceId {
        let resource_type = directory.registry().by_endpoint(endpoint).unwrap().clone();
        let Value::Object(body) = body else { panic!("no object") };
        let resource = validate(&resource_type, Exchange::Create, body).unwrap().resource;
        let create =
            Create { resource_type, id: None, resource, rules: ConnectionRules::default() };
        directory.submit(Actor::System, create).wait().unwrap().id
    }

    /// What a filter finds in a state.
    fn found(
        directory: &Directory,
        state: &Overlay<'_>,
        endpoint: &str,
        filter: &str,
    ) -> Vec<ResourceId> {
        let resource_type = directory.registry().by_endpoint(endpoint).unwrap().clone();
        let filter = Some(Filter::parse(&resource_type, filter).unwrap());
        let page = PageRequest { start: Start::Index(1), count: 100 };
        let targets = vec![(resource_type, Query { filter, sort: None })];
        let search = Search { targets, page, fingerprint: String::new() };
        assert!(search.is_quick());
        let view = DirectoryView { state, ..directory.view() };
        let page = run(view, &directory.shared.cursors, &search, &|_, _| false).unwrap();
        page.resources.iter().map(|(_, shown)| shown.stored.id).collect()
    }

    #[test]
    fn an_index_entry_that_leads_to_another_resource_finds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let limits = StoreLimits { cache_mib: 8, memory_mib: 64, min_free_mib: 0 };
        let opened = DataFolder::open(folder.path()).unwrap();
        let now = jiff::Timestamp::UNIX_EPOCH;
        let store = Arc::new(LocalStore::open(opened, limits, [7; 16], now).unwrap());
        let local = LocalSettings::for_tests(Clock::System);
        let shared = SharedSettings::default();
        let directory =
            Directory::open_as_saved(store.log(), store.clone(), &shared, local).unwrap();
        let ada = create(&directory, "Users", json!({"userName": "ada", "externalId": "A"}));
        let bob = create(&directory, "Users", json!({"userName": "bob", "externalId": "B"}));
        let members = json!([{"value": ada.to_string()}]);
        let group = create(&directory, "Groups", json!({"displayName": "G", "members": members}));

        let user = directory.registry().by_endpoint("Users").unwrap();
        let mut state = Overlay::new(store.as_ref());
        for indexed in user.indexed() {
            match indexed.leaf().name.as_str() {
                "userName" => {
                    let key = keys::unique(user.tag, &indexed, "cyd");
                    state.put(key, ada.as_bytes().to_vec().into());
                }
                "externalId" => {
                    state.put(keys::index(user.tag, &indexed, "A", bob), bytes::Bytes::new());
                }
                _ => {}
            }
        }
        state.put(keys::membership(bob, group), bytes::Bytes::new());
        for (endpoint, filter, expected) in [
            ("Users", "userName eq \"cyd\"".to_owned(), vec![]),
            ("Users", "userName eq \"ADA\"".to_owned(), vec![ada]),
            ("Users", "externalId eq \"A\"".to_owned(), vec![ada]),
            ("Users", "userName eq \"cyd\" or externalId eq \"A\"".to_owned(), vec![ada]),
            ("Groups", format!("members.value eq \"{ada}\""), vec![group]),
            ("Groups", format!("members eq \"{bob}\""), vec![]),
            ("Groups", format!("members[value eq \"{bob}\"] or id eq \"{group}\""), vec![group]),
            ("Groups", format!("id eq \"{group}\" and not (members eq \"{bob}\")"), vec![group]),
            ("Groups", format!("id eq \"{group}\" and members.value ne \"{bob}\""), vec![group]),
            ("Groups", format!("id eq \"{group}\" and members.display co \"ad\""), vec![group]),
        ] {
            assert_eq!(found(&directory, &state, endpoint, &filter), expected, "{filter}");
        }
    }
}
