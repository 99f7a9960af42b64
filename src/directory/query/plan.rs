//! The query plan: a filter is answered from an index where one helps, else by reading every resource.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::directory::error::DirectoryError;
use crate::directory::membership;
use crate::directory::stored::index;
use crate::scim::filter::{CompareOp, Comparison, Filter, Literal};
use crate::scim::resource::ResourceId;
use crate::scim::schema::{EqualityIndex, ResourceType};
use crate::store::{Read, StoreError, keys};

/// A resource that an index leads to, and the part of the filter that it must match.
pub(crate) type Candidate<'a> = (ResourceId, &'a Filter);

/// The resources to which an index leads, in the order of creation; `None` if no index helps.
///
/// A resource matches the filter if and only if it is a candidate and matches what stands beside it: an
/// index says where to look, not what is there. A resource is several candidates if several parts of an
/// `or` lead to it.
pub(crate) fn candidates<'a>(
    state: &dyn Read,
    resource_type: &ResourceType,
    filter: &'a Filter,
) -> Result<Option<Vec<Candidate<'a>>>, DirectoryError> {
    let mut found = Vec::new();
    if !collect(state, resource_type, filter, &mut found)? {
        return Ok(None);
    }
    found.sort_by_key(|(id, _)| *id);
    Ok(Some(found))
}

/// Adds the candidates of a filter; `false` if no index helps.
fn collect<'a>(
    state: &dyn Read,
    resource_type: &ResourceType,
    filter: &'a Filter,
    found: &mut Vec<Candidate<'a>>,
) -> Result<bool, DirectoryError> {
    let lookup = match filter {
        Filter::Or(parts) => {
            if !is_indexed(resource_type, filter) {
                return Ok(false);
            }
            for part in parts {
                collect(state, resource_type, part, found)?;
            }
            return Ok(true);
        }
        Filter::And(parts) => {
            let Some(part) = parts.iter().find(|part| is_indexed(resource_type, part)) else {
                return Ok(false);
            };
            let mut of_part = Vec::new();
            collect(state, resource_type, part, &mut of_part)?;
            of_part.dedup_by_key(|(id, _)| *id);
            found.extend(of_part.into_iter().map(|(id, _)| (id, filter)));
            return Ok(true);
        }
        Filter::Element(_, inner) => element_lookup(resource_type, inner),
        _ => lookup(resource_type, filter),
    };
    let Some((index, value)) = lookup else { return Ok(false) };
    let ids = holders(state, resource_type, &index, value)?;
    found.extend(ids.into_iter().map(|id| (id, filter)));
    Ok(true)
}

/// Whether an index narrows down the candidates of a filter.
pub(crate) fn is_indexed(resource_type: &ResourceType, filter: &Filter) -> bool {
    match filter {
        Filter::And(parts) => parts.iter().any(|part| is_indexed(resource_type, part)),
        Filter::Or(parts) => parts.iter().all(|part| is_indexed(resource_type, part)),
        Filter::Element(_, inner) => element_lookup(resource_type, inner).is_some(),
        Filter::Compare(_) => lookup(resource_type, filter).is_some(),
        Filter::Not(_) | Filter::Present(_) => false,
    }
}

/// How many index entries a filter leads to, or more than `most`; `None` if no index helps. A look at an
/// index that leads nowhere counts as one.
pub(crate) fn looks(
    state: &dyn Read,
    resource_type: &ResourceType,
    filter: &Filter,
    most: usize,
) -> Result<Option<usize>, StoreError> {
    let lookup = match filter {
        Filter::Or(parts) => {
            let mut all = 0;
            for part in parts {
                match looks(state, resource_type, part, most.saturating_sub(all))? {
                    Some(more) => all += more,
                    None => return Ok(None),
                }
                if all > most {
                    break;
                }
            }
            return Ok(Some(all));
        }
        Filter::And(parts) => {
            return match parts.iter().find(|part| is_indexed(resource_type, part)) {
                Some(part) => looks(state, resource_type, part, most),
                None => Ok(None),
            };
        }
        Filter::Element(_, inner) => element_lookup(resource_type, inner),
        _ => lookup(resource_type, filter),
    };
    let Some((index, value)) = lookup else { return Ok(None) };
    let prefix = match index {
        EqualityIndex::Members => ResourceId::parse(value).map(keys::memberships),
        EqualityIndex::Attribute(indexed) if !indexed.leaf().is_unique() => {
            Some(keys::index_value(resource_type.tag, &indexed, value))
        }
        EqualityIndex::Id | EqualityIndex::Attribute(_) => None,
    };
    let mut entries = 0;
    if let Some(prefix) = prefix {
        state.scan(&prefix, None, &mut |_, _| {
            entries += 1;
            if entries > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
    }
    Ok(Some(entries.max(1)))
}

/// The index that answers a comparison, and the value to look for.
fn lookup<'a>(
    resource_type: &'a ResourceType,
    filter: &'a Filter,
) -> Option<(EqualityIndex<'a>, &'a str)> {
    let Filter::Compare(Comparison { path, op: CompareOp::Eq, literal: Literal::Text(value) }) =
        filter
    else {
        return None;
    };
    Some((resource_type.equality_index(path)?, value))
}

/// The index that an element filter needs, as that of `value` in `emails[type eq "work" and value eq …]`.
fn element_lookup<'a>(
    resource_type: &'a ResourceType,
    inner: &'a Filter,
) -> Option<(EqualityIndex<'a>, &'a str)> {
    match inner {
        Filter::And(parts) => parts.iter().find_map(|part| element_lookup(resource_type, part)),
        Filter::Compare(_) => lookup(resource_type, inner),
        _ => None,
    }
}

/// The ids that an index entry leads to, in the order of creation.
fn holders(
    state: &dyn Read,
    resource_type: &ResourceType,
    index: &EqualityIndex<'_>,
    value: &str,
) -> Result<Vec<ResourceId>, StoreError> {
    match index {
        EqualityIndex::Id => Ok(ResourceId::parse(value).into_iter().collect()),
        EqualityIndex::Members => match ResourceId::parse(value) {
            Some(id) => membership::groups_of(state, id),
            None => Ok(Vec::new()),
        },
        EqualityIndex::Attribute(indexed) => index::holders(state, resource_type, indexed, value),
    }
}

/// The members that a filter on groups asks for by their ids, if the others can't make a difference to it:
/// then the rest of a large group need not be read.
pub(crate) fn named_members(
    resource_type: &ResourceType,
    filter: &Filter,
) -> Option<BTreeSet<ResourceId>> {
    let members = resource_type.members()?;
    let mut named = BTreeSet::new();
    let mut waiting = vec![filter];
    while let Some(filter) = waiting.pop() {
        let lookup = match filter {
            Filter::And(parts) | Filter::Or(parts) => {
                waiting.extend(parts);
                continue;
            }
            Filter::Not(part) => {
                waiting.push(part);
                continue;
            }
            Filter::Present(path) | Filter::Compare(Comparison { path, .. })
                if path.top_level() != members.name =>
            {
                continue;
            }
            Filter::Element(path, _) if path.top_level() != members.name => continue,
            Filter::Present(_) => return None,
            Filter::Compare(_) => lookup(resource_type, filter),
            Filter::Element(_, inner) => element_lookup(resource_type, inner),
        };
        match lookup {
            Some((EqualityIndex::Members, value)) => named.extend(ResourceId::parse(value)),
            _ => return None,
        }
    }
    Some(named)
}
