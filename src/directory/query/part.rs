//! One part of a search that reads every resource: bounded in resources and in time, whatever the filter.

use std::ops::ControlFlow;
use std::time::Duration;

use super::{Look, SearchBudget};
use crate::clock::Stopwatch;
use crate::directory::error::DirectoryError;
use crate::directory::membership::Voids;
use crate::directory::settings::DirectoryView;
use crate::directory::shown::ShownResource;
use crate::directory::stored::{self, StoredResource};
use crate::scim::filter::Filter;
use crate::scim::query::Query;
use crate::scim::resource::ResourceId;
use crate::scim::schema::ResourceType;
use crate::store::keys;

/// The most resources that one part examines.
const MAX_EXAMINED: usize = 20_000;
/// About the longest time that one part takes; at least one resource is examined.
const MAX_TIME: Duration = Duration::from_millis(25);

/// The resources that match, of one part of all resources of a type.
#[derive(Clone, Debug, Default)]
pub struct SearchPart {
    /// The resources, in the order of their creation, without their relations.
    pub resources: Vec<ShownResource>,
    /// How many resources were examined.
    pub examined: usize,
    /// The last resource that was examined, if there are more after it.
    pub next: Option<ResourceId>,
}

/// The resources of a type that match, of a part of them: those after one, or the first; at most `count`.
///
/// # Errors
///
/// `Storage`; `Invalid` with `tooMany` if one resource has more members than a search may read.
pub(crate) fn run(
    view: DirectoryView<'_>,
    resource_type: &ResourceType,
    filter: Option<&Filter>,
    after: Option<ResourceId>,
    count: usize,
) -> Result<SearchPart, DirectoryError> {
    // Before any membership is read.
    let voids = Voids::load(view.state)?;
    let query = Query { filter: filter.cloned(), sort: None };
    let look = Look::new(resource_type, &query);
    let mut needles = filter.and_then(|filter| filter.needles(resource_type));
    let mut budget = SearchBudget::new(&view.settings.local);
    let (mut part, since) = (SearchPart::default(), Stopwatch::start());
    let (mut last, mut outcome) = (None, Ok(()));
    let after = after.map(|id| keys::record(resource_type.tag, id));
    view.state.scan(&keys::records(resource_type.tag), after.as_deref(), &mut |key, value| {
        let is_full = part.examined == MAX_EXAMINED || part.resources.len() == count;
        // Reading the clock costs more than reading a resource.
        let is_late = part.examined % 64 == 1 && since.elapsed() > MAX_TIME;
        if is_full || is_late {
            part.next = last;
            return ControlFlow::Break(());
        }
        let Some(id) = keys::trailing_id(key) else { return ControlFlow::Continue(()) };
        (last, part.examined) = (Some(id), part.examined + 1);
        outcome = stored::decode_scanned(view.state, key, &value)
            .map_err(DirectoryError::from)
            .and_then(|record| {
                let text = record.json.get(..record.meta_at).unwrap_or(&record.json);
                if needles.as_mut().is_some_and(|needles| !needles.may_match(text)) {
                    return Ok(());
                }
                let attributes = look.read(view, &voids, id, &record, &mut budget)?;
                if filter.is_none_or(|filter| filter.matches(&attributes)) {
                    part.resources.push(ShownResource::new(StoredResource::new(id, record)));
                }
                Ok(())
            });
        if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    outcome.map(|()| part)
}
