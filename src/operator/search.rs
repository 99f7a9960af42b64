//! Searches for users and groups by words or by a filter, in parts of bounded size and time.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::ResourceKind;
use super::reply::OperatorReply;
use super::resource::view;
use crate::directory::{Directory, DirectoryError, Search, SearchWork, ShownResource};
use crate::scim::filter::Filter;
use crate::scim::projection::Projection;
use crate::scim::query::{PageRequest, Query, Start};
use crate::scim::resource::ResourceId;
use crate::scim::schema::ResourceType;

/// The most resources of one part.
const MAX_FOUND: usize = 50;
/// The most words of one search; more are left out.
const MAX_WORDS: usize = 8;
/// The attributes of users in which words are searched, as far as the type has them.
const SEARCHED: [&str; 4] = ["userName", "displayName", "emails.value", "externalId"];
/// The operators of the filter language: a text with one of them between blanks is meant as a filter.
const OPERATORS: [&str; 10] = ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "pr"];

/// A search for users or groups.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResourceSearch {
    /// The kind of the resources.
    pub kind: ResourceKind,
    /// A SCIM filter; or words, each of which must be part of a name, an email address or an externalId; or an id.
    /// Empty for all.
    pub text: String,
    /// The last resource of the part before, from an earlier reply.
    pub after: Option<String>,
}

pub(super) fn find(
    directory: &Directory,
    base_url: &str,
    search: &ResourceSearch,
) -> Result<OperatorReply, DirectoryError> {
    let resource_type = search.kind.resource_type(directory)?;
    let after = search.after.as_deref().map(cursor).transpose()?;
    let filter = filter_of(&resource_type, search.text.trim())?;
    let relations: Vec<&str> = resource_type.relations().map(|one| one.name.as_str()).collect();
    let projection = Projection::parse(&resource_type, None, Some(&relations.join(",")))?;
    let shown = |found: &ShownResource| view(base_url, &resource_type, found, &projection);
    let total = total(directory, &resource_type)?;
    // What an index finds is there at once, in front of what reading finds.
    let mut exact = match (&after, exact_filter(&resource_type, search.text.trim())) {
        (None, Some(filter)) => indexed(directory, &resource_type, &filter)?.unwrap_or_default(),
        _ => Vec::new(),
    };
    if let Some(filter) = &filter
        && let Some(found) = indexed(directory, &resource_type, filter)?
    {
        let behind = |one: &&ShownResource| after.is_none_or(|after| one.stored.id > after);
        let mut resources: Vec<&ShownResource> = found.iter().filter(behind).collect();
        resources.sort_by_key(|one| one.stored.id);
        let next = resources.get(MAX_FOUND - 1).filter(|_| resources.len() > MAX_FOUND);
        let next = next.map(|last| last.stored.id.to_string());
        let examined = found.len();
        let resources =
            resources.into_iter().take(MAX_FOUND).map(shown).collect::<Result<_, _>>()?;
        return Ok(OperatorReply::Found { resources, examined, total, next });
    }
    let part = directory.search_part(&resource_type, filter.as_ref(), after, MAX_FOUND)?;
    let known: Vec<ResourceId> = exact.iter().map(|one| one.stored.id).collect();
    exact.extend(part.resources.into_iter().filter(|one| !known.contains(&one.stored.id)));
    Ok(OperatorReply::Found {
        resources: exact.iter().map(shown).collect::<Result<_, _>>()?,
        examined: part.examined,
        total,
        next: part.next.map(|next| next.to_string()),
    })
}

fn cursor(text: &str) -> Result<ResourceId, DirectoryError> {
    ResourceId::parse(text).ok_or_else(|| {
        DirectoryError::Unfit(format!(
            "\"{}\" is not the start of a page; begin with the first page",
            crate::text::excerpt(text, 64)
        ))
    })
}

/// The filter that a text stands for; `None` for an empty one.
fn filter_of(resource_type: &ResourceType, text: &str) -> Result<Option<Filter>, DirectoryError> {
    if text.is_empty() {
        return Ok(None);
    }
    let is_meant = text
        .split_whitespace()
        .skip(1)
        .any(|word| OPERATORS.iter().any(|operator| word.eq_ignore_ascii_case(operator)));
    if is_meant || text.contains(['"', '(', '[']) {
        return Ok(Some(Filter::parse(resource_type, text)?));
    }
    let words = text.split_whitespace().take(MAX_WORDS);
    let words: Vec<String> = words.map(|word| any_of(resource_type, "co", word)).collect();
    Ok(Some(Filter::parse(resource_type, &words.join(" and "))?))
}

/// The filter for what exactly has a text as name, email address, externalId or id.
fn exact_filter(resource_type: &ResourceType, text: &str) -> Option<Filter> {
    if text.is_empty() || text.contains('"') {
        return None;
    }
    // The displayName of a user has no index.
    let has_index = |name: &&str| !resource_type.is_account || *name != "displayName";
    let names = SEARCHED.into_iter().filter(has_index).chain(["id"]);
    let filters = names.filter_map(|name| {
        Filter::parse(resource_type, &format!("{name} eq {}", Value::from(text))).ok()
    });
    Some(Filter::Or(filters.collect()))
}

/// A filter on the searched attributes that the type has.
fn any_of(resource_type: &ResourceType, operator: &str, word: &str) -> String {
    let word = Value::from(word);
    let has = |name: &&&str| Filter::parse(resource_type, &format!("{name} pr")).is_ok();
    let one = |name: &&str| format!("{name} {operator} {word}");
    format!("({})", SEARCHED.iter().filter(has).map(one).collect::<Vec<_>>().join(" or "))
}

/// What a filter finds, if an index leads to a few resources at most.
fn indexed(
    directory: &Directory,
    resource_type: &Arc<ResourceType>,
    filter: &Filter,
) -> Result<Option<Vec<ShownResource>>, DirectoryError> {
    let query = Query { filter: Some(filter.clone()), sort: None };
    let search = Search {
        targets: vec![(Arc::clone(resource_type), query)],
        page: PageRequest { start: Start::Index(1), count: 1_000 },
        fingerprint: "search".to_owned(),
    };
    if directory.search_work(&search, &|_, _| false)? == SearchWork::Scan {
        return Ok(None);
    }
    let mut found = Vec::new();
    directory.query(&search, &|_, _| false, usize::MAX, &mut |_, shown| {
        found.push(shown);
        true
    })?;
    Ok(Some(found))
}

/// How many resources of a type there are.
fn total(
    directory: &Directory,
    resource_type: &Arc<ResourceType>,
) -> Result<usize, DirectoryError> {
    let search = Search {
        targets: vec![(Arc::clone(resource_type), Query { filter: None, sort: None })],
        page: PageRequest { start: Start::Index(1), count: 0 },
        fingerprint: "count".to_owned(),
    };
    Ok(directory.query(&search, &|_, _| false, usize::MAX, &mut |_, _| true)?.total_results)
}
