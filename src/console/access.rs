//! `/users/ID/access`, why a user has its access and what would change; `/access`, who has some access.

use askama::Template;

use super::call::{ConsoleCall, unexpected};
use super::page::Layout;
use super::reply::{ConsoleFailure, ConsoleReply, query_value};
use crate::directory::AccessPath;
use crate::operator::{
    AccessChanges, AccessExplanation, AccessHolderPage, AccessReply, AccessRequest, ExplainedItem,
    OperatorReply, OperatorRequest,
};

/// The most roles and pieces of access on one page.
const MAX_ITEMS: usize = 200;
/// The most paths to one of them, unless one was asked for.
const MAX_PATHS: usize = 5;
/// The same if one was asked for.
const MAX_PATHS_OF_ONE: usize = 100;

#[derive(Template)]
#[template(path = "user-access.html")]
struct WhyPage {
    layout: Layout,
    explanation: AccessExplanation,
    /// What the page is narrowed down to.
    of: String,
    items: Vec<ShownItem>,
    more_items: usize,
    joined: String,
    left: String,
    given: String,
    /// What would change, or why that can't be said; `None` if nothing was assumed.
    outcome: Option<Result<Vec<ShownChange>, String>>,
    more_changes: usize,
}

struct ShownItem {
    value: String,
    meaning: String,
    paths: Vec<AccessPath>,
    has_more: bool,
}

/// What would change of a role or a piece of access.
struct ShownChange {
    /// `gained`, `lost` or `kept`.
    change: &'static str,
    value: String,
    meaning: String,
    /// The paths that would end, and those that would be new.
    without: Vec<AccessPath>,
    with: Vec<AccessPath>,
}

#[derive(Template)]
#[template(path = "access.html")]
struct WhoPage {
    layout: Layout,
    of: String,
    page: Option<AccessHolderPage>,
    problem: Option<String>,
    next: Option<String>,
}

pub(super) fn why(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let user = call.parameter(0).to_owned();
    let field = |name: &str| call.query.get(name).to_owned();
    let list = |text: &str| if text.is_empty() { Vec::new() } else { vec![text.to_owned()] };
    let (of, joined, left, given) = (field("of"), field("group"), field("without"), field("grant"));
    let request =
        AccessRequest::Why { user: user.clone(), of: Some(of.clone()).filter(|of| !of.is_empty()) };
    let AccessReply::Why(mut explanation) = ask(call, request)?? else { return Err(unexpected()) };
    let most = if of.is_empty() { MAX_PATHS } else { MAX_PATHS_OF_ONE };
    let all = std::mem::take(&mut explanation.access);
    let more_items = all.len().saturating_sub(MAX_ITEMS);
    let shown = |ExplainedItem { value, meaning, mut paths, has_more }: ExplainedItem| {
        let has_more = has_more || paths.len() > most;
        paths.truncate(most);
        ShownItem { value, meaning, paths, has_more }
    };
    let items = all.into_iter().take(MAX_ITEMS).map(shown).collect();
    let mut more_changes = 0;
    let outcome = match joined.is_empty() && left.is_empty() && given.is_empty() {
        true => None,
        false => {
            let (joined, left, given) = (list(&joined), list(&left), list(&given));
            let id = explanation.user.id.clone();
            let request = AccessRequest::WhatIf { user: id, joined, left, given };
            Some(match ask(call, request)? {
                Ok(AccessReply::WhatIf(AccessChanges { changes, .. })) => {
                    more_changes = changes.len().saturating_sub(MAX_ITEMS);
                    Ok(changes.into_iter().take(MAX_ITEMS).map(change).collect())
                }
                Ok(_) => return Err(unexpected()),
                Err(ConsoleFailure::Status(_, reason)) => Err(reason),
                Err(failure) => return Err(failure),
            })
        }
    };
    let title = format!("Access of {}", explanation.user.name);
    let layout = Layout::new(call, title, "/users");
    call.page(&WhyPage {
        layout,
        explanation,
        of,
        items,
        more_items,
        joined,
        left,
        given,
        outcome,
        more_changes,
    })
}

fn change(difference: crate::operator::AccessDifference) -> ShownChange {
    let crate::operator::AccessDifference { value, meaning, before, after } = difference;
    let change = match (before.is_empty(), after.is_empty()) {
        (true, _) => "gained",
        (_, true) => "lost",
        _ => "kept",
    };
    let only = |these: &[AccessPath], others: &[AccessPath]| {
        let only = these.iter().filter(|path| !others.contains(path));
        only.take(MAX_PATHS).cloned().collect()
    };
    ShownChange {
        change,
        without: only(&before, &after),
        with: only(&after, &before),
        value,
        meaning,
    }
}

pub(super) fn who(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let (of, after) = (call.query.get("of").to_owned(), call.query.get("after"));
    let (mut page, mut problem) = (None, None);
    if !of.is_empty() {
        let after = (!after.is_empty()).then(|| after.to_owned());
        match ask(call, AccessRequest::Who { of: of.clone(), after })? {
            Ok(AccessReply::Who(found)) => page = Some(found),
            Ok(_) => return Err(unexpected()),
            Err(ConsoleFailure::Status(_, reason)) => problem = Some(reason),
            Err(failure) => return Err(failure),
        }
    }
    let next = page.as_ref().and_then(|page| page.next.as_ref());
    let next = next.map(|next| format!("/access?of={}&after={next}", query_value(&of)));
    let layout = Layout::new(call, "Access", "/access");
    call.page(&WhoPage { layout, of, page, problem, next })
}

/// Asks about access. The inner failure is one of the question.
fn ask(
    call: &ConsoleCall,
    request: AccessRequest,
) -> Result<Result<AccessReply, ConsoleFailure>, ConsoleFailure> {
    match call.execute(OperatorRequest::Access(request)) {
        Ok(OperatorReply::Access(reply)) => Ok(Ok(reply)),
        Ok(_) => Err(unexpected()),
        Err(failure) => Ok(Err(failure)),
    }
}
