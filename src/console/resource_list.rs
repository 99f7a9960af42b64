//! `/users` and `/groups`: lists and searches, part by part.

use askama::Template;

use super::asked::ask;
use super::call::{ConsoleCall, unexpected};
use super::page::Layout;
use super::reply::{ConsoleFailure, ConsoleReply, query_value};
use super::resource_words::{moment_of, text};
use crate::operator::resource::ResourceKind;
use crate::operator::{OperatorReply, OperatorRequest, ResourceSearch, ResourceView};

#[derive(Template)]
#[template(path = "resources.html")]
struct ResourceListPage {
    layout: Layout,
    /// `user` or `group`.
    kind: &'static str,
    sought: String,
    /// Why the search could not be carried out.
    problem: Option<String>,
    rows: Vec<ListRow>,
    examined: usize,
    total: usize,
    /// The address of the next part.
    next: Option<String>,
    is_first: bool,
}

struct ListRow {
    id: String,
    name: String,
    /// The displayName of a user, the externalId of a group.
    other: String,
    is_active: bool,
    connection: String,
    changed: Option<jiff::Timestamp>,
}

pub(super) fn users(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    list(call, ResourceKind::User)
}

pub(super) fn groups(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    list(call, ResourceKind::Group)
}

fn list(call: &ConsoleCall, kind: ResourceKind) -> Result<ConsoleReply, ConsoleFailure> {
    let (title, section) = match kind {
        ResourceKind::User => ("Users", "/users"),
        ResourceKind::Group => ("Groups", "/groups"),
    };
    let (sought, after) = (call.query.get("q"), call.query.get("after"));
    let search = ResourceSearch {
        kind,
        text: sought.to_owned(),
        after: (!after.is_empty()).then(|| after.to_owned()),
    };
    let (mut resources, mut examined, mut total, mut next) = (Vec::new(), 0, 0, None);
    let mut problem = None;
    match ask(call, OperatorRequest::Search(search))? {
        Ok(OperatorReply::Found { resources: found, examined: of, total: all, next: more }) => {
            (resources, examined, total, next) = (found, of, all, more);
        }
        Ok(_) => return Err(unexpected()),
        Err(reason) => problem = Some(reason),
    }
    let next = next.map(|next| format!("{section}?q={}&after={next}", query_value(sought)));
    let page = ResourceListPage {
        layout: Layout::new(call, title, section),
        kind: kind.as_str(),
        sought: sought.to_owned(),
        rows: resources.iter().map(|one| row(kind, one)).collect(),
        is_first: after.is_empty(),
        problem,
        examined,
        total,
        next,
    };
    call.page(&page)
}

fn row(kind: ResourceKind, ResourceView { resource, connection, .. }: &ResourceView) -> ListRow {
    let (name, other) = match kind {
        ResourceKind::User => ("userName", "displayName"),
        ResourceKind::Group => ("displayName", "externalId"),
    };
    ListRow {
        id: text(resource, &["id"]),
        name: text(resource, &[name]),
        other: text(resource, &[other]),
        is_active: kind == ResourceKind::Group
            || resource.get("active") == Some(&serde_json::Value::Bool(true)),
        connection: connection.clone().unwrap_or_default(),
        changed: moment_of(resource, "lastModified"),
    }
}
