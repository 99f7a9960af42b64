//! Which records of the request log are wanted.

use jiff::Timestamp;
use memchr::memmem;
use serde::{Deserialize, Serialize};

use super::entry::RequestEntry;

/// A search in the request log. All conditions must hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RequestQuery {
    /// Requests of this connection.
    pub connection: Option<String>,
    /// Requests of this application.
    #[serde(default)]
    pub application: Option<String>,
    /// Requests that were answered with an error.
    pub failed: bool,
    /// Requests that were denied for want of a known credential.
    #[serde(default)]
    pub without_credential: bool,
    /// Requests that concern a resource with one of these ids, or whose error names one of them in quotes, or
    /// that failed and have one of them as userName or externalId; empty for all.
    pub subjects: Vec<String>,
    /// Requests since this time.
    pub since: Option<Timestamp>,
    /// The request with this id.
    pub id: Option<String>,
    /// Records after this place, oldest first; `None` for the newest records.
    pub after: Option<RequestCursor>,
    /// The maximum number of records.
    pub limit: usize,
}

/// A place in the files of the request log, from which a later search goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestCursor {
    pub(super) served: FilePlace,
    pub(super) denied: FilePlace,
}

/// A place in the files of a ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct FilePlace {
    pub(super) file: u64,
    pub(super) offset: u64,
}

/// The records that a search has found, oldest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequestPage {
    /// The records.
    pub entries: Vec<RequestEntry>,
    /// The place up to which the files were read.
    pub reached: RequestCursor,
}

impl RequestQuery {
    pub(super) fn matches(&self, entry: &RequestEntry) -> bool {
        let of_connection = |name: &String| entry.connection.as_ref() == Some(name);
        self.connection.as_ref().is_none_or(of_connection)
            && (self.application.is_none() || self.application == entry.application)
            && (!self.failed || entry.has_failed())
            && (!self.without_credential
                || (entry.connection.is_none() && entry.application.is_none()))
            && self.since.is_none_or(|since| entry.time >= since)
            && self.id.as_ref().is_none_or(|id| entry.id == *id)
            && (self.subjects.is_empty()
                || self.subjects.iter().any(|subject| concerns(entry, subject)))
    }

    /// Whether a line can match, judged by its bytes: cheaper than to decode it.
    pub(super) fn may_match(&self, line: &[u8]) -> bool {
        let has = |text: &[u8]| memmem::find(line, text).is_some();
        self.id.as_ref().is_none_or(|id| has(id.as_bytes()))
            && (!self.failed || has(b"\"status\":4") || has(b"\"status\":5"))
    }
}

fn concerns(entry: &RequestEntry, subject: &str) -> bool {
    let subject = subject.to_lowercase();
    let quoted = format!("\"{subject}\"");
    entry.resource.as_ref().is_some_and(|id| id.eq_ignore_ascii_case(&subject))
        || entry.detail.as_ref().is_some_and(|detail| detail.to_lowercase().contains(&quoted))
        || entry.claimed.iter().any(|name| name.to_lowercase() == subject)
}

#[cfg(test)]
mod tests {
    use super::super::entry::sample;
    use super::*;

    #[test]
    fn every_condition_narrows_the_search() {
        let mut entry = sample("a-1");
        entry.status = 409;
        entry.resource = Some("0190".to_owned());
        entry.detail = Some("A User with userName \"Ada@example.com\" already exists.".to_owned());
        let all = RequestQuery::default();
        let since = |second| Timestamp::from_second(second).ok();
        let subject = |text: &str| vec![text.to_owned()];
        for (query, matches) in [
            (all.clone(), true),
            (RequestQuery { connection: Some("okta".to_owned()), ..all.clone() }, true),
            (RequestQuery { connection: Some("entra".to_owned()), ..all.clone() }, false),
            (RequestQuery { failed: true, ..all.clone() }, true),
            (RequestQuery { subjects: subject("0190"), ..all.clone() }, true),
            (RequestQuery { subjects: subject("ada@example.com"), ..all.clone() }, true),
            (RequestQuery { subjects: subject("ada"), ..all.clone() }, false),
            (RequestQuery { since: since(1_800_000_000), ..all.clone() }, true),
            (RequestQuery { since: since(1_800_000_001), ..all.clone() }, false),
            (RequestQuery { id: Some("a-2".to_owned()), ..all }, false),
        ] {
            assert_eq!(query.matches(&entry), matches, "{query:?}");
        }
        entry.status = 304;
        assert!(
            !RequestQuery { failed: true, ..RequestQuery::default() }.matches(&entry),
            "not modified is no failure"
        );
    }
}
