//! Questions about the access of users: why, who, and what if.

use super::access_request::{
    AccessChanges, AccessDifference, AccessExplanation, AccessHolderPage, AccessReply,
    AccessRequest, AccessUser, ExplainedItem, HeldAccess, HolderInfo,
};
use super::kind::ResourceKind;
use super::lookup;
use super::reply::OperatorReply;
use crate::access::{AccessItem, AccessPattern, Source};
use crate::directory::{
    AccessHolder, AccessHolders, AccessPaths, Assumption, Directory, DirectoryError,
    ExplainedAccess, StoredResource,
};
use crate::scim::error::ScimError;
use crate::scim::resource::ResourceId;

/// The most groups and grants that one question may assume.
const MAX_ASSUMED: usize = 100;

pub(super) fn execute(
    directory: &Directory,
    request: AccessRequest,
) -> Result<OperatorReply, DirectoryError> {
    let catalogue = directory.catalogue();
    let pattern = |of: &str| AccessPattern::parse(catalogue, of);
    let item = |text: &String| AccessItem::parse(catalogue, text);
    let unknown = |error: ScimError| Ok(OperatorReply::NotFound(error.detail));
    let reply = match request {
        AccessRequest::Why { user, of } => match of.as_deref().map(pattern).transpose() {
            Ok(wanted) => AccessReply::Why(why(directory, &user, wanted.as_ref())?),
            Err(error) => return unknown(error),
        },
        AccessRequest::Who { of, after } => match pattern(&of) {
            Ok(wanted) => AccessReply::Who(who(directory, &wanted, after.as_deref())?),
            Err(error) => return unknown(error),
        },
        AccessRequest::WhatIf { joined, left, given, .. }
            if joined.len() + left.len() + given.len() > MAX_ASSUMED =>
        {
            return Err(DirectoryError::Unfit(format!(
                "a question may assume at most {MAX_ASSUMED} groups and grants"
            )));
        }
        AccessRequest::WhatIf { user, joined, left, given } => {
            match given.iter().map(item).collect::<Result<_, _>>() {
                Ok(given) => AccessReply::WhatIf(what_if(directory, &user, &joined, &left, given)?),
                Err(error) => return unknown(error),
            }
        }
    };
    Ok(OperatorReply::Access(reply))
}

fn why(
    directory: &Directory,
    user: &str,
    wanted: Option<&AccessPattern>,
) -> Result<AccessExplanation, DirectoryError> {
    let found = find(directory, user)?;
    let explained = explain(directory, &found, &Assumption::default(), wanted)?;
    let access = explained.items.into_iter().map(|(item, AccessPaths { paths, has_more })| {
        let (value, meaning) = (item.to_string(), item.in_words());
        ExplainedItem { value, meaning, paths, has_more }
    });
    Ok(AccessExplanation {
        access: access.collect(),
        user: about(directory, &found, explained.is_active)?,
    })
}

fn who(
    directory: &Directory,
    wanted: &AccessPattern,
    after: Option<&str>,
) -> Result<AccessHolderPage, DirectoryError> {
    let cursor = |text: &str| {
        ResourceId::parse(text).ok_or_else(|| {
            DirectoryError::Unfit(format!(
                "\"{}\" is not the start of a page; begin with the first page",
                text.escape_debug()
            ))
        })
    };
    let after = after.map(cursor).transpose()?;
    let resource_type = ResourceKind::User.resource_type(directory)?;
    let AccessHolders { accounts, examined, next } =
        directory.access_holders(&resource_type, wanted, after)?;
    let held = |(item, sources): (AccessItem, Vec<Source>)| HeldAccess {
        value: item.to_string(),
        meaning: item.in_words(),
        sources: sources.iter().map(ToString::to_string).collect(),
    };
    let holder = |AccessHolder { id, name, items }: AccessHolder| HolderInfo {
        id: id.to_string(),
        name,
        access: items.into_iter().map(held).collect(),
    };
    Ok(AccessHolderPage {
        users: accounts.into_iter().map(holder).collect(),
        examined,
        next: next.map(|next| next.to_string()),
    })
}

fn what_if(
    directory: &Directory,
    user: &str,
    joined: &[String],
    left: &[String],
    given: Vec<AccessItem>,
) -> Result<AccessChanges, DirectoryError> {
    let found = find(directory, user)?;
    let group = |name: &String| {
        let (_, group) = lookup::find(directory, ResourceKind::Group, name, &|_| false)?;
        Ok::<_, DirectoryError>(group.stored.id)
    };
    let assumption = Assumption {
        joined: joined.iter().map(group).collect::<Result<_, _>>()?,
        left: left.iter().map(group).collect::<Result<_, _>>()?,
        given,
    };
    let direct = directory.direct_groups(found.id)?;
    if let Some((_, name)) =
        assumption.left.iter().zip(left).find(|(group, _)| !direct.contains(group))
    {
        return Err(DirectoryError::Unfit(format!(
            "the user is not a direct member of group \"{}\"; `scimd user show` lists the direct groups",
            name.escape_debug()
        )));
    }
    let before = explain(directory, &found, &Assumption::default(), None)?;
    let mut after = explain(directory, &found, &assumption, None)?;
    let mut changes = Vec::new();
    let mut add = |item: &AccessItem, before: AccessPaths, after: AccessPaths| {
        if before != after {
            let (value, meaning) = (item.to_string(), item.in_words());
            let (before, after) = (before.paths, after.paths);
            changes.push(AccessDifference { value, meaning, before, after });
        }
    };
    for (item, paths) in before.items {
        let then = after.items.remove(&item).unwrap_or_default();
        add(&item, paths, then);
    }
    for (item, paths) in after.items {
        add(&item, AccessPaths::default(), paths);
    }
    changes.sort_by(|a, b| a.value.cmp(&b.value));
    Ok(AccessChanges { user: about(directory, &found, before.is_active)?, changes })
}

fn find(directory: &Directory, user: &str) -> Result<StoredResource, DirectoryError> {
    let (_, found) = lookup::find(directory, ResourceKind::User, user, &|_| false)?;
    Ok(found.stored)
}

fn explain(
    directory: &Directory,
    user: &StoredResource,
    assumption: &Assumption,
    wanted: Option<&AccessPattern>,
) -> Result<ExplainedAccess, DirectoryError> {
    let resource_type = ResourceKind::User.resource_type(directory)?;
    directory.explain_access(&resource_type, user, assumption, wanted)
}

fn about(
    directory: &Directory,
    user: &StoredResource,
    active: bool,
) -> Result<AccessUser, DirectoryError> {
    let name = directory.name_of(user.id)?.unwrap_or_default();
    Ok(AccessUser { id: user.id.to_string(), name, active })
}
