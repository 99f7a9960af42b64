//! The query plan: a filter is answered from an index where one helps, else by reading every resource.

use crate::directory::error::DirectoryError;
use crate::directory::membership;
use crate::directory::stored::index;
use crate::scim::attribute::Storage;
use crate::scim::filter::{CompareOp, Comparison, Filter, Literal};
use crate::scim::path::AttrPath;
use crate::scim::resource::ResourceId;
use crate::scim::schema::{IndexedAttribute, ResourceType};
use crate::scim::schemas::common::ID;
use crate::store::{Read, StoreError};

/// A set of resources that contains all matches.
pub(crate) enum Candidates {
    /// These, in the order of creation.
    These(Vec<ResourceId>),
    /// All of the type.
    All,
}

/// An index entry that answers a comparison.
enum IndexLookup<'a> {
    Id(&'a str),
    Index(IndexedAttribute<'a>, &'a str),
    Member(&'a str),
}

/// The candidates of a filter, and whether every candidate matches.
pub(crate) fn candidates(
    state: &dyn Read,
    resource_type: &ResourceType,
    filter: &Filter,
) -> Result<(Candidates, bool), DirectoryError> {
    if let Some(lookup) = lookup(resource_type, filter) {
        return Ok((Candidates::These(found(state, resource_type, &lookup)?), true));
    }
    if !is_indexed(resource_type, filter) {
        return Ok((Candidates::All, false));
    }
    let ids = match filter {
        Filter::And(parts) => {
            let part = parts.iter().find(|part| is_indexed(resource_type, part));
            match part.map(|part| candidates(state, resource_type, part)).transpose()? {
                Some((Candidates::These(ids), _)) => ids,
                _ => return Ok((Candidates::All, false)),
            }
        }
        Filter::Or(parts) => {
            let mut union = Vec::new();
            for part in parts {
                match candidates(state, resource_type, part)?.0 {
                    Candidates::These(ids) => union.extend(ids),
                    Candidates::All => return Ok((Candidates::All, false)),
                }
            }
            union.sort_unstable();
            union.dedup();
            union
        }
        Filter::Element(_, inner) => match element_lookup(resource_type, inner) {
            Some(lookup) => found(state, resource_type, &lookup)?,
            None => return Ok((Candidates::All, false)),
        },
        Filter::Not(_) | Filter::Compare(_) | Filter::Present(_) => {
            return Ok((Candidates::All, false));
        }
    };
    Ok((Candidates::These(ids), false))
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

/// The index entry that answers a comparison exactly.
fn lookup<'a>(resource_type: &'a ResourceType, filter: &'a Filter) -> Option<IndexLookup<'a>> {
    let Filter::Compare(Comparison { path, op: CompareOp::Eq, literal: Literal::Text(value) }) =
        filter
    else {
        return None;
    };
    if path.extension.is_none() && path.attribute == ID {
        return Some(IndexLookup::Id(value));
    }
    if is_member_value(resource_type, path) {
        return Some(IndexLookup::Member(value));
    }
    let indexed = resource_type.indexed().find(|indexed| indexed.is_at(path))?;
    Some(IndexLookup::Index(indexed, value))
}

/// An index entry that an element filter needs, as `value` in `emails[type eq "work" and value eq …]`.
fn element_lookup<'a>(
    resource_type: &'a ResourceType,
    inner: &'a Filter,
) -> Option<IndexLookup<'a>> {
    match inner {
        Filter::And(parts) => parts.iter().find_map(|part| element_lookup(resource_type, part)),
        Filter::Compare(_) => lookup(resource_type, inner),
        _ => None,
    }
}

fn is_member_value(resource_type: &ResourceType, path: &AttrPath) -> bool {
    let of_members = resource_type.members().is_some_and(|members| {
        members.storage == Storage::Members && members.name == path.attribute
    });
    of_members && path.extension.is_none() && path.sub_attribute.as_deref() == Some("value")
}

/// The ids that an index entry leads to, in the order of creation.
fn found(
    state: &dyn Read,
    resource_type: &ResourceType,
    lookup: &IndexLookup<'_>,
) -> Result<Vec<ResourceId>, StoreError> {
    match lookup {
        IndexLookup::Id(id) => Ok(ResourceId::parse(id).into_iter().collect()),
        IndexLookup::Member(id) => match ResourceId::parse(id) {
            Some(id) => membership::groups_of(state, id),
            None => Ok(Vec::new()),
        },
        IndexLookup::Index(indexed, value) => index::holders(state, resource_type, indexed, value),
    }
}
