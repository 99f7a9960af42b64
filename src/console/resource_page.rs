//! `/users/ID` and `/groups/ID`: what is stored, the history as a time line, and the deactivation of a user.

use askama::Template;
use serde_json::{Map, Value};

use super::call::{ConsoleCall, unexpected};
use super::page::Layout;
use super::reply::{ConsoleFailure, ConsoleReply};
use super::resource_words::{MAX_ELEMENTS, attributes, moment_of, raw, text};
use super::timeline::Timeline;
use crate::directory::Deactivation;
use crate::operator::audit::AuditFilter;
use crate::operator::resource::ResourceKind;
use crate::operator::{OperatorChange, OperatorReply, OperatorRequest, ResourceView};

/// The attributes of a user that the page shows in places of their own.
const USER_SHOWN: [&str; 5] = ["schemas", "id", "meta", "groups", "userName"];
/// The same of a group.
const GROUP_SHOWN: [&str; 5] = ["schemas", "id", "meta", "members", "displayName"];

#[derive(Template)]
#[template(path = "user.html")]
struct UserPage {
    layout: Layout,
    id: String,
    is_active: bool,
    deactivation: Option<Deactivation>,
    facts: ResourceFacts,
    groups: Vec<RelatedResource>,
    more_groups: usize,
    timeline: Timeline,
}

#[derive(Template)]
#[template(path = "group.html")]
struct GroupPage {
    layout: Layout,
    id: String,
    facts: ResourceFacts,
    members: Vec<RelatedResource>,
    /// The member after which the next part begins.
    next: Option<String>,
    timeline: Timeline,
}

/// What the pages of users and groups have in common.
struct ResourceFacts {
    attributes: Vec<(String, Vec<String>)>,
    connection: Option<String>,
    created: Option<jiff::Timestamp>,
    changed: Option<jiff::Timestamp>,
    version: String,
    raw: String,
}

/// A group of a user, or a member of a group.
struct RelatedResource {
    id: String,
    name: String,
    /// How a user came into a group; the type of a member.
    kind: String,
    /// `users` or `groups`.
    section: &'static str,
}

pub(super) fn user(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let view = find(call, ResourceKind::User)?;
    let id = text(&view.resource, &["id"]);
    let groups = elements(&view.resource, "groups");
    let page = UserPage {
        layout: Layout::new(call, text(&view.resource, &["userName"]), "/users"),
        is_active: view.resource.get("active") == Some(&Value::Bool(true)),
        deactivation: view.deactivation.clone(),
        facts: facts(&view, &USER_SHOWN),
        groups: groups.iter().take(MAX_ELEMENTS).map(|one| related(one, "groups")).collect(),
        more_groups: groups.len().saturating_sub(MAX_ELEMENTS),
        timeline: history(call, &id)?,
        id,
    };
    call.page(&page)
}

pub(super) fn group(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let view = find(call, ResourceKind::Group)?;
    let id = text(&view.resource, &["id"]);
    let after = Some(call.query.get("member")).filter(|after| !after.is_empty());
    let request =
        OperatorRequest::ListMembers { group: id.clone(), after: after.map(ToOwned::to_owned) };
    let OperatorReply::Members { members, .. } = call.execute(request)? else {
        return Err(unexpected());
    };
    let shown = members.iter().take(MAX_ELEMENTS).map(|one| {
        let is_group = one.get("type").and_then(Value::as_str) == Some("Group");
        related(one, if is_group { "groups" } else { "users" })
    });
    let shown: Vec<RelatedResource> = shown.collect();
    let next = shown.last().filter(|_| members.len() > MAX_ELEMENTS).map(|last| last.id.clone());
    let page = GroupPage {
        layout: Layout::new(call, text(&view.resource, &["displayName"]), "/groups"),
        facts: facts(&view, &GROUP_SHOWN),
        members: shown,
        next,
        timeline: history(call, &id)?,
        id,
    };
    call.page(&page)
}

/// Deactivates or activates a user.
pub(super) fn set_active(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let active = match call.form.get("active") {
        "true" => true,
        "false" => false,
        _ => return Err(ConsoleFailure::bad("the form does not say whether to activate the user")),
    };
    let user = call.parameter(0).to_owned();
    let reason = Some(call.form.get("reason")).filter(|reason| !reason.is_empty());
    let request = OperatorRequest::Change {
        change: OperatorChange::SetActive { user, active },
        reason: reason.map(ToOwned::to_owned),
    };
    let OperatorReply::Changed(report) = call.execute(request)? else { return Err(unexpected()) };
    let notice = match (active, report.changed) {
        (true, true) => {
            format!("{} is active again, unless its identity provider says otherwise.", report.name)
        }
        (false, true) => format!(
            "{} is deactivated until an operator activates it, whatever its identity provider sends.",
            report.name
        ),
        (_, false) => format!("Nothing changed for {}.", report.name),
    };
    Ok(call.done(format!("/users/{}", report.id), notice))
}

fn find(call: &ConsoleCall, kind: ResourceKind) -> Result<ResourceView, ConsoleFailure> {
    let name = call.parameter(0).to_owned();
    match call.execute(OperatorRequest::ShowResource { kind, name, access: false })? {
        OperatorReply::Resource(view) => Ok(view),
        _ => Err(unexpected()),
    }
}

fn history(call: &ConsoleCall, id: &str) -> Result<Timeline, ConsoleFailure> {
    let filter = AuditFilter { accounts: vec![id.to_owned()], ..AuditFilter::default() };
    Timeline::read(call, filter, call.query.get("upto"))
}

fn facts(view: &ResourceView, shown: &[&str]) -> ResourceFacts {
    let resource = &view.resource;
    ResourceFacts {
        attributes: attributes(resource, shown),
        connection: view.connection.clone(),
        created: moment_of(resource, "created"),
        changed: moment_of(resource, "lastModified"),
        version: text(resource, &["meta", "version"]),
        raw: raw(resource),
    }
}

fn elements<'a>(resource: &'a Map<String, Value>, attribute: &str) -> &'a [Value] {
    resource.get(attribute).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn related(element: &Value, section: &'static str) -> RelatedResource {
    let part = |name: &str| element.get(name).and_then(Value::as_str).unwrap_or_default();
    let (id, kind) = (part("value").to_owned(), part("type").to_owned());
    let name = Some(part("display")).filter(|name| !name.is_empty()).unwrap_or(&id).to_owned();
    RelatedResource { id, name, kind, section }
}
