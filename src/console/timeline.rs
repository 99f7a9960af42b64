//! The history of a user or group as a time line, newest first, with what each change had before and after.

use askama::Template;
use jiff::Timestamp;

use super::call::{ConsoleCall, unexpected};
use super::reply::ConsoleFailure;
use crate::operator::audit::{AuditEntry, AuditFilter, AuditQuery, AuditReply};
use crate::operator::words::{ChangeWords, change_in_words, denials, subject, who};
use crate::operator::{OperatorReply, OperatorRequest};

/// The changes on one page.
const SHOWN: usize = 25;

/// A part of the audit log, newest first.
pub(super) struct Timeline {
    pub(super) entries: Vec<TimelineEntry>,
    /// The sequence up to which the next part goes; `None` after the last one.
    pub(super) older: Option<u64>,
}

/// A change.
#[derive(Template)]
#[template(path = "change.html")]
pub(super) struct TimelineEntry {
    pub(super) sequence: u64,
    pub(super) time: Timestamp,
    pub(super) who: String,
    pub(super) from: String,
    pub(super) event: String,
    pub(super) subject: String,
    /// The page of what it happened to, if it has one.
    pub(super) page: Option<String>,
    pub(super) changes: Vec<ChangeWords>,
    /// What else it records, each a sentence.
    pub(super) notes: Vec<String>,
    pub(super) more: u64,
    pub(super) request: Option<String>,
}

impl Timeline {
    /// Reads a part of the audit log back from a change, or from its end.
    ///
    /// # Errors
    ///
    /// Why it can't be read.
    pub(super) fn read(
        call: &ConsoleCall,
        filter: AuditFilter,
        upto: &str,
    ) -> Result<Self, ConsoleFailure> {
        let upto = match upto {
            "" => None,
            text => Some(text.parse().map_err(|_| {
                ConsoleFailure::bad("the page that was asked for is not the number of a change")
            })?),
        };
        let query = AuditQuery::Newest { upto, filter, count: SHOWN };
        match call.execute(OperatorRequest::Audit(query))? {
            OperatorReply::Audit(AuditReply::Part { changes, reached, whole, .. }) => Ok(Self {
                entries: changes.into_iter().rev().map(TimelineEntry::new).collect(),
                older: (!whole).then_some(reached),
            }),
            _ => Err(unexpected()),
        }
    }
}

impl TimelineEntry {
    fn new(entry: AuditEntry) -> Self {
        let (who, from) = who(&entry.actor);
        let kind = entry.event.split('.').next().unwrap_or_default();
        let page = match kind {
            "user" => Some(format!("/users/{}", entry.subject)),
            "group" => Some(format!("/groups/{}", entry.subject)),
            _ => None,
        };
        Self {
            sequence: entry.sequence,
            time: entry.time,
            who,
            from,
            subject: subject(&entry),
            page: page.filter(|_| !entry.subject.is_empty()),
            changes: entry.details.changes.iter().map(change_in_words).collect(),
            notes: denials(&entry.details),
            more: entry.details.more,
            request: entry.details.request.clone(),
            event: entry.event,
        }
    }
}
