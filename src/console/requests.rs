//! The request log: what identity providers asked, what they were answered, why, and what to do.

use askama::Template;
use jiff::Timestamp;
use serde_json::Value;

use super::call::{ConsoleCall, unexpected};
use super::page::Layout;
use super::reply::{ConsoleFailure, ConsoleReply, query_value};
use crate::clock::Clock;
use crate::operator::audit::{AuditEntry, AuditFilter, AuditQuery, AuditReply};
use crate::operator::resource::ResourceKind;
use crate::operator::{OperatorReply, OperatorRequest, ResourceView};
use crate::request_log::{CommittedChange, RequestEntry, RequestQuery};
use crate::text::{duration, shorten};

/// The number of requests on the page, and how many more it offers.
const LIMIT: usize = 100;
const MORE: usize = 1_000;
/// The records of a change that are shown.
const RECORDS: usize = 20;
/// The bytes of a record that are shown.
const RECORD_BYTES: usize = 16 * 1024;

/// A filter that is a link.
struct FilterLink {
    label: String,
    target: String,
    is_set: bool,
}

/// The filters of the page, as in its query.
#[derive(Clone, Default)]
struct Filters {
    connection: String,
    failed: bool,
    user: String,
    since: String,
    all: bool,
}

#[derive(Template)]
#[template(path = "requests.html")]
struct RequestsPage {
    layout: Layout,
    connections: Vec<FilterLink>,
    outcomes: Vec<FilterLink>,
    times: Vec<FilterLink>,
    filters: Filters,
    entries: Vec<RequestEntry>,
    /// The link to more requests, if there may be.
    more: Option<String>,
    live: String,
}

#[derive(Template)]
#[template(path = "request.html")]
struct OneRequestPage {
    layout: Layout,
    entry: RequestEntry,
    remedy: Option<&'static str>,
    changes: Vec<ShownChange>,
}

/// A record of the audit log.
struct ShownChange {
    sequence: u64,
    event: String,
    subject: String,
    json: String,
}

impl Filters {
    fn of(call: &ConsoleCall) -> Self {
        let text = |name| call.query.get(name).to_owned();
        Self {
            connection: text("connection"),
            failed: call.query.get("failed") == "1",
            user: text("user"),
            since: text("since"),
            all: call.query.get("all") == "1",
        }
    }

    /// The page with these filters.
    fn target(&self) -> String {
        let mut pairs = Vec::new();
        let mut add = |name: &str, value: &str| {
            if !value.is_empty() {
                pairs.push(format!("{name}={}", query_value(value)));
            }
        };
        add("connection", &self.connection);
        add("failed", if self.failed { "1" } else { "" });
        add("user", &self.user);
        add("since", &self.since);
        add("all", if self.all { "1" } else { "" });
        match pairs.is_empty() {
            true => "/requests".to_owned(),
            false => format!("/requests?{}", pairs.join("&")),
        }
    }

    fn link(&self, label: &str, change: impl FnOnce(&mut Self)) -> FilterLink {
        let mut other = self.clone();
        change(&mut other);
        let target = other.target();
        FilterLink { label: label.to_owned(), is_set: target == self.target(), target }
    }
}

pub(super) fn list(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let filters = Filters::of(call);
    let limit = if filters.all { MORE } else { LIMIT };
    let query = RequestQuery {
        connection: Some(filters.connection.clone()).filter(|name| !name.is_empty()),
        failed: filters.failed,
        subjects: subjects(call, &filters.user),
        since: since(&filters.since)?,
        limit,
        ..RequestQuery::default()
    };
    let OperatorReply::Requests(page) = call.execute(OperatorRequest::FindRequests(query))? else {
        return Err(unexpected());
    };
    let mut entries = page.entries;
    entries.reverse();
    let known = call.settings().config.connections.keys().cloned().collect::<Vec<_>>();
    let mut connections = vec![filters.link("All connections", |other| other.connection.clear())];
    connections.extend(
        known.into_iter().map(|name| filters.link(&name.clone(), |other| other.connection = name)),
    );
    let outcomes = vec![
        filters.link("All answers", |other| other.failed = false),
        filters.link("Failed", |other| other.failed = true),
    ];
    let times = [("Any time", ""), ("Last hour", "1h"), ("Last day", "1d"), ("Last week", "7d")];
    let times =
        times.map(|(label, since)| filters.link(label, |other| other.since = since.to_owned()));
    let more = filters.link("", |other| other.all = true).target;
    call.page(&RequestsPage {
        layout: Layout::new(call, "Requests", "/requests"),
        connections,
        outcomes,
        times: times.into(),
        more: (entries.len() == limit && !filters.all).then_some(more),
        live: filters.target(),
        filters,
        entries,
    })
}

pub(super) fn show(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let id = call.parameter(0);
    let query = RequestQuery { id: Some(id.to_owned()), limit: 1, ..RequestQuery::default() };
    let OperatorReply::Requests(page) = call.execute(OperatorRequest::FindRequests(query))? else {
        return Err(unexpected());
    };
    let Some(entry) = page.entries.into_iter().next() else {
        return Err(ConsoleFailure::not_found(format!(
            "request \"{id}\" is not in the request log; repeated denied requests are counted, not kept"
        )));
    };
    let changes = match entry.change {
        Some(change) => changes(call, change)?,
        None => Vec::new(),
    };
    let layout = Layout::new(call, format!("Request {}", entry.id), "/requests");
    call.page(&OneRequestPage { layout, remedy: entry.remedy(), entry, changes })
}

/// The records that a request has made in the audit log.
fn changes(
    call: &ConsoleCall,
    change: CommittedChange,
) -> Result<Vec<ShownChange>, ConsoleFailure> {
    let last = change.sequence + change.records.saturating_sub(1);
    let count = usize::try_from(change.records).unwrap_or(RECORDS).min(RECORDS);
    let filter = AuditFilter { notes: true, ..AuditFilter::default() };
    let query = AuditQuery::UpTo { upto: Some(last), filter, count };
    match call.execute(OperatorRequest::Audit(query))? {
        OperatorReply::Audit(AuditReply::Part { changes, .. }) => {
            let made = changes.into_iter().filter(|made| made.sequence >= change.sequence);
            Ok(made.map(|made| shown(&made)).collect())
        }
        _ => Err(unexpected()),
    }
}

fn shown(entry: &AuditEntry) -> ShownChange {
    let details = serde_json::to_value(&entry.details).unwrap_or(Value::Null);
    let json = serde_json::to_string_pretty(&details).unwrap_or_default();
    let (sequence, event) = (entry.sequence, entry.event.clone());
    let json = shorten(&json, RECORD_BYTES).to_string();
    ShownChange { sequence, event, subject: entry.subject.clone(), json }
}

/// What a search for a user looks for: the text, and the id of the user with that name.
fn subjects(call: &ConsoleCall, user: &str) -> Vec<String> {
    if user.is_empty() {
        return Vec::new();
    }
    let kind = ResourceKind::User;
    let request = OperatorRequest::ShowResource { kind, name: user.to_owned(), access: false };
    let mut subjects = vec![user.to_owned()];
    // A user that is not there, or no more, may still have requests.
    if let Ok(OperatorReply::Resource(ResourceView { resource, .. })) = call.execute(request) {
        let id = resource.get("id").and_then(Value::as_str);
        subjects.extend(id.map(ToOwned::to_owned));
    }
    subjects
}

/// Since when requests are wanted: a length of time before now.
fn since(text: &str) -> Result<Option<Timestamp>, ConsoleFailure> {
    if text.is_empty() {
        return Ok(None);
    }
    let ago = duration::parse(text).map_err(|error| ConsoleFailure::bad(error.to_string()))?;
    let now = Clock::System.now();
    Ok(Some(now.checked_sub(ago).unwrap_or(Timestamp::MIN)))
}
