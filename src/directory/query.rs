//! Query (RFC 7644, section 3.4.2).

use std::ops::ControlFlow;

use super::Directory;
use super::error::DirectoryError;
use super::resource::{self, Stored};
use crate::scim::error::ScimError;
use crate::scim::filter::{CompareOp, Comparison, Filter, Literal};
use crate::scim::query::Query;
use crate::scim::resource::ResourceId;
use crate::scim::schema::{IndexedAttribute, ResourceType};
use crate::store::{Read, keys};

/// A part of the resources that match a query.
#[derive(Clone, Debug)]
pub struct Page {
    /// How many match in all.
    pub total_results: usize,
    /// Where this part begins, counted from 1.
    pub start_index: usize,
    /// The resources, in the order in which they were created.
    pub resources: Vec<Stored>,
}

impl Directory {
    /// The resources of a type that match a query.
    ///
    /// # Errors
    ///
    /// `Invalid` with `invalidFilter` for a filter that no index answers; `Storage`.
    pub fn query(
        &self,
        resource_type: &ResourceType,
        query: &Query,
    ) -> Result<Page, DirectoryError> {
        let state = self.shared.store.as_ref();
        match &query.filter {
            None => list(state, resource_type, query),
            Some(filter) => {
                let (indexed, value) = lookup(resource_type, filter)?;
                let ids = holders(state, resource_type, &indexed, value)?;
                select(state, resource_type, query, ids)
            }
        }
    }
}

/// Every resource, in the order of creation.
fn list(
    state: &dyn Read,
    resource_type: &ResourceType,
    query: &Query,
) -> Result<Page, DirectoryError> {
    let total = resource::total(state, resource_type)?;
    let mut resources = Vec::new();
    let mut problem = Ok(());
    let mut skip = query.start_index - 1;
    if query.count > 0 && (skip as u64) < total {
        state.scan(&keys::records(resource_type.tag), None, &mut |key, value| {
            if skip > 0 {
                skip -= 1;
                return ControlFlow::Continue(());
            }
            match (keys::trailing_id(key), resource::decode(key, &value)) {
                (Some(id), Ok(record)) => resources.push(Stored { id, record }),
                (None, Ok(_)) => {}
                (_, Err(error)) => problem = Err(error),
            }
            if resources.len() < query.count && problem.is_ok() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
    }
    problem?;
    let total_results = usize::try_from(total).unwrap_or(usize::MAX);
    Ok(Page { total_results, start_index: query.start_index, resources })
}

/// The index entry that answers a filter.
fn lookup<'a>(
    resource_type: &'a ResourceType,
    filter: &'a Filter,
) -> Result<(IndexedAttribute<'a>, &'a str), ScimError> {
    if let Filter::Compare(Comparison { path, op: CompareOp::Eq, literal: Literal::Text(value) }) =
        filter
    {
        let indexed = resource_type.indexed().find(|indexed| indexed.is_at(path));
        if let Some(indexed) = indexed {
            return Ok((indexed, value));
        }
    }
    Err(ScimError::invalid_filter(
        "The filter is understood, but this version answers only filters of the form \
         userName eq \"…\", externalId eq \"…\" and emails.value eq \"…\".",
    ))
}

/// The ids of the resources that hold a value.
fn holders(
    state: &dyn Read,
    resource_type: &ResourceType,
    indexed: &IndexedAttribute<'_>,
    value: &str,
) -> Result<Vec<ResourceId>, DirectoryError> {
    let tag = resource_type.tag;
    if indexed.leaf().is_unique() {
        let holder = state.get(&keys::unique(tag, indexed, value))?;
        return Ok(holder.and_then(|id| keys::trailing_id(&id)).into_iter().collect());
    }
    let mut ids = Vec::new();
    state.scan(&keys::index_value(tag, indexed, value), None, &mut |key, _| {
        ids.extend(keys::trailing_id(key));
        ControlFlow::Continue(())
    })?;
    Ok(ids)
}

/// The page of a query out of the ids that match it.
fn select(
    state: &dyn Read,
    resource_type: &ResourceType,
    query: &Query,
    ids: Vec<ResourceId>,
) -> Result<Page, DirectoryError> {
    let mut resources = Vec::new();
    let total_results = ids.len();
    for id in ids.into_iter().skip(query.start_index - 1).take(query.count) {
        match resource::find(state, resource_type, id) {
            Ok(stored) => resources.push(stored),
            // Deleted since the index was read.
            Err(DirectoryError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Page { total_results, start_index: query.start_index, resources })
}
