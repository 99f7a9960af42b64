//! The request log, as operators search it, and the bodies that they have kept for a while.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::context::{OperatorContext, RunningServer};
use super::reply::OperatorReply;
use crate::directory::{Directory, DirectoryError, RecordCapture};
use crate::event::Actor;
use crate::request_log::{RequestLog, RequestQuery};
use crate::scim::attribute::{Attribute, Mutability, Returned};
use crate::text::duration;

/// The number of records in one reply.
const MAX_RECORDS: usize = 1_000;
/// How long bodies may be kept at once.
pub const MAX_CAPTURE: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn find(server: Option<&RunningServer>, query: &RequestQuery) -> OperatorReply {
    let Some(RunningServer { requests, .. }) = server else {
        return OperatorReply::Failed("without a server, the files are read".to_owned());
    };
    let query = RequestQuery { limit: query.limit.min(MAX_RECORDS), ..query.clone() };
    match requests.find(&query) {
        Ok(page) => OperatorReply::Requests(page),
        Err(error) => OperatorReply::Failed(format!("can't read the request log: {error}")),
    }
}

/// Records in the audit log that bodies are kept, and then keeps them.
pub(super) fn capture(
    OperatorContext { directory, server, .. }: &OperatorContext,
    actor: Actor,
    connection: String,
    lasts: Duration,
) -> Result<OperatorReply, DirectoryError> {
    let Some(RunningServer { requests, .. }) = server else {
        return Ok(OperatorReply::Failed("scimd is not running".to_owned()));
    };
    if lasts > MAX_CAPTURE {
        let most = duration::display(MAX_CAPTURE);
        return Ok(OperatorReply::Failed(format!("bodies can be kept for {most} at most")));
    }
    let until = keep_bodies(directory, requests, actor, &connection, lasts)?;
    Ok(OperatorReply::Capturing { connection, until })
}

/// Records in the audit log that the bodies of a connection are kept for a time, and then keeps them; until when.
///
/// # Errors
///
/// `Storage`; nothing is kept then.
pub fn keep_bodies(
    directory: &Directory,
    requests: &RequestLog,
    actor: Actor,
    connection: &str,
    lasts: Duration,
) -> Result<Timestamp, DirectoryError> {
    let now = directory.now();
    let until = now.saturating_add(lasts).unwrap_or(now);
    let record = RecordCapture { connection: connection.to_owned(), until };
    directory.submit(actor, record).wait()?;
    requests.capture(connection, lasts, hidden_attributes(directory));
    Ok(until)
}

/// The names of attributes that are never returned, or only written, in lower case.
fn hidden_attributes(directory: &Directory) -> BTreeSet<String> {
    let mut hidden = BTreeSet::new();
    for resource_type in directory.registry().resource_types() {
        for (_, attribute) in resource_type.own_attributes() {
            collect(attribute, &mut hidden);
        }
    }
    hidden
}

fn collect(attribute: &Attribute, hidden: &mut BTreeSet<String>) {
    if attribute.returned == Returned::Never || attribute.mutability == Mutability::WriteOnly {
        hidden.insert(attribute.name.to_lowercase());
    }
    attribute.sub_attributes.iter().for_each(|part| collect(part, hidden));
}
