//! What has arrived of a connection: the last requests in words, and which steps were seen to work.

use std::cmp::Reverse;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Stopwatch;
use crate::console::call::{ConsoleCall, unexpected};
use crate::console::deactivations::DeactivationSearch;
use crate::console::overview::status;
use crate::console::reply::ConsoleFailure;
use crate::operator::{EventQuery, OperatorReply, OperatorRequest};
use crate::request_log::{RequestEntry, RequestQuery};

/// The requests of the connection that are looked at.
const LOOKED_AT: usize = 1_000;
/// The requests without a known credential that are looked at.
const DENIED: usize = 50;
/// About the longest time that one look reads the feed.
const SEARCH_TIME: Duration = Duration::from_millis(20);
/// The number of requests that are shown.
const SHOWN: usize = 10;

/// What has arrived.
pub(super) struct Arrivals {
    pub(super) latest: Vec<Arrival>,
    pub(super) steps: [SeenStep; 5],
    /// Whether a request of the connection has succeeded.
    pub(super) has_succeeded: bool,
    /// TLS handshakes that failed since the start, if nothing has arrived.
    pub(super) failed_handshakes: u64,
}

/// One request that has arrived.
pub(super) struct Arrival {
    pub(super) time: Timestamp,
    pub(super) id: String,
    pub(super) what: String,
    pub(super) outcome: String,
    pub(super) has_failed: bool,
    pub(super) remedy: Option<&'static str>,
}

/// A step that an identity provider takes once it is set up.
pub(super) struct SeenStep {
    pub(super) label: &'static str,
    pub(super) is_seen: bool,
}

/// Looks at what has arrived of a connection.
pub(super) fn of(call: &ConsoleCall, connection: &str) -> Result<Arrivals, ConsoleFailure> {
    let own = RequestQuery {
        connection: Some(connection.to_owned()),
        limit: LOOKED_AT,
        ..RequestQuery::default()
    };
    let own = find(call, own)?;
    let strangers =
        RequestQuery { without_credential: true, limit: DENIED, ..RequestQuery::default() };
    let strangers = find(call, strangers)?;
    let has_succeeded = own.iter().any(|entry| !entry.has_failed());
    let seen = |test: &dyn Fn(&RequestEntry) -> bool| {
        own.iter().any(|entry| !entry.has_failed() && test(entry))
    };
    let of_users = |entry: &RequestEntry| {
        entry.resource_type.as_deref() == Some("Users") || entry.path.contains("/Users")
    };
    let of_groups = |entry: &RequestEntry| entry.path.contains("/Groups");
    let step = |label, is_seen| SeenStep { label, is_seen };
    let steps = [
        step("Test", has_succeeded),
        step("Create a user", seen(&|entry| entry.method == "POST" && of_users(entry))),
        step(
            "Update a user",
            seen(&|entry| ["PATCH", "PUT"].contains(&&*entry.method) && of_users(entry)),
        ),
        step("Deactivate a user", has_deactivated(call, connection)),
        step("Push a group", seen(&|entry| entry.method != "GET" && of_groups(entry))),
    ];
    let failed_handshakes = if has_succeeded { 0 } else { status(call)?.failed_handshakes };
    let mut all: Vec<RequestEntry> = own.into_iter().chain(strangers).collect();
    all.sort_by_key(|entry| Reverse(entry.time));
    let latest = all.iter().take(SHOWN).map(arrival).collect();
    Ok(Arrivals { latest, steps, has_succeeded, failed_handshakes })
}

fn find(call: &ConsoleCall, query: RequestQuery) -> Result<Vec<RequestEntry>, ConsoleFailure> {
    match call.execute(OperatorRequest::FindRequests(query))? {
        OperatorReply::Requests(page) => Ok(page.entries),
        _ => Err(unexpected()),
    }
}

/// Whether the feed has a user whom the connection deactivated or deleted. Each look goes on where the last one ended,
/// and reads for a moment at most.
fn has_deactivated(call: &ConsoleCall, connection: &str) -> bool {
    let mut after = match call.console.deactivations.find(connection) {
        Some(DeactivationSearch::Found) => return true,
        Some(DeactivationSearch::Upto(cursor)) => Some(cursor),
        None => None,
    };
    let since = Stopwatch::start();
    loop {
        let query = EventQuery {
            after: after.clone(),
            types: vec!["user.deactivated".to_owned(), "user.deleted".to_owned()],
            connections: vec![connection.to_owned()],
        };
        let Ok(OperatorReply::Events(page)) = call.execute(OperatorRequest::ReadEvents(query))
        else {
            // The cursor is no longer in the feed: the next look begins with the oldest event.
            call.console.deactivations.set(connection, None);
            return false;
        };
        let found = !page.events.is_empty();
        let searched = if found {
            DeactivationSearch::Found
        } else {
            DeactivationSearch::Upto(page.next.clone())
        };
        call.console.deactivations.set(connection, Some(searched));
        if found || page.is_last || since.elapsed() > SEARCH_TIME {
            return found;
        }
        after = Some(page.next);
    }
}

fn arrival(entry: &RequestEntry) -> Arrival {
    let from = entry.address.map_or_else(String::new, |address| format!(" from {address}"));
    let what = match entry.repeated {
        Some(repeated) => format!("{} more requests{from}", repeated.count),
        None => format!("{} {}{from}", entry.method, entry.path),
    };
    let result = entry.result();
    let outcome = match (&entry.reason, entry.has_failed()) {
        (Some(reason), _) => format!("denied: {reason}"),
        (None, true) => format!("{}: {result}", entry.status),
        (None, false) => format!("{} success", entry.status),
    };
    Arrival {
        time: entry.time,
        id: entry.id.clone(),
        what,
        outcome,
        has_failed: entry.has_failed(),
        remedy: entry.remedy().filter(|_| entry.has_failed()),
    }
}
