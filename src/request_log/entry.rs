//! A record of the request log.

use std::borrow::Cow;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::bodies::KeptBodies;
use super::mask::mask_tokens;

/// A request and its answer. It has no field for a value of the query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestEntry {
    /// When the request was answered.
    pub time: Timestamp,
    /// The id that the client got in `X-Request-Id`; empty for a summary of repeated requests.
    pub id: String,
    /// The connection whose token was sent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub connection: Option<String>,
    /// The application whose token was sent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub application: Option<String>,
    /// The id of that token.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub token: Option<String>,
    /// The address of the client.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub address: Option<IpAddr>,
    /// The method.
    pub method: Cow<'static, str>,
    /// The path, without the query.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
    /// How long the request took, in milliseconds.
    pub ms: f64,
    /// The endpoint of the type of the resource concerned.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resource_type: Option<String>,
    /// The id of the resource concerned.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resource: Option<String>,
    /// The filter of a search: attributes and operators.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub filter: Option<String>,
    /// The keyword of the error.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub scim_type: Option<Cow<'static, str>>,
    /// The sentence that the client got.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
    /// Why the request was denied, which the client does not learn.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The userName and externalId in the body of a failed request.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub claimed: Vec<String>,
    /// The names of attributes that no schema knows and that were left out.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ignored: Vec<String>,
    /// The change that the request made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub change: Option<CommittedChange>,
    /// The bodies, while an operator keeps those of the connection.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bodies: Option<KeptBodies>,
    /// Set in a summary: how many denied requests have no record of their own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub repeated: Option<Repetition>,
}

/// Where the change of a request is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedChange {
    /// The sequence of its first record in the audit log.
    pub sequence: u64,
    /// The number of its records.
    pub records: u64,
}

/// How often denied requests of one kind were repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repetition {
    /// The number of requests.
    pub count: u64,
    /// The time in which they came, in seconds.
    pub seconds: u64,
}

impl RequestEntry {
    /// The record of denied requests that have none of their own: of one network, for one reason.
    pub fn summary(
        time: Timestamp,
        address: Option<IpAddr>,
        reason: &str,
        repeated: Repetition,
    ) -> Self {
        Self {
            time,
            id: String::new(),
            connection: None,
            application: None,
            token: None,
            address,
            method: Cow::Borrowed(""),
            path: String::new(),
            status: 401,
            ms: 0.0,
            resource_type: None,
            resource: None,
            filter: None,
            scim_type: None,
            detail: None,
            reason: Some(reason.to_owned()),
            claimed: Vec::new(),
            ignored: Vec::new(),
            change: None,
            bodies: None,
            repeated: Some(repeated),
        }
    }

    /// Whether the answer was an error.
    pub fn has_failed(&self) -> bool {
        self.status >= 400
    }

    /// The record of a line; `None` for the rest of one that a crash has cut.
    pub(super) fn decode(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// Masks everything that looks like a token of scimd in the texts of a client.
    pub(super) fn mask_tokens(&mut self) {
        let texts = [
            Some(&mut self.path),
            self.resource_type.as_mut(),
            self.resource.as_mut(),
            self.detail.as_mut(),
            self.filter.as_mut(),
        ];
        let lists = self.claimed.iter_mut().chain(&mut self.ignored);
        for text in texts.into_iter().flatten().chain(lists) {
            mask_tokens(text);
        }
    }
}

#[cfg(test)]
pub(super) fn sample(id: &str) -> RequestEntry {
    RequestEntry {
        time: Timestamp::from_second(1_800_000_000).unwrap(),
        id: id.to_owned(),
        connection: Some("okta".to_owned()),
        application: None,
        token: None,
        address: None,
        method: "POST".into(),
        path: "/scim/v2/Users".to_owned(),
        status: 201,
        ms: 0.25,
        resource_type: None,
        resource: None,
        filter: None,
        scim_type: None,
        detail: None,
        reason: None,
        claimed: Vec::new(),
        ignored: Vec::new(),
        change: None,
        bodies: None,
        repeated: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_that_is_read_back() {
        let mut entry = sample("a-1");
        entry.detail = Some("two\nlines \"quoted\"".to_owned());
        entry.change = Some(CommittedChange { sequence: 7, records: 2 });
        entry.application = Some("crm".to_owned());
        let mut line = Vec::new();
        entry.encode(&mut line);
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(RequestEntry::decode(&line), Some(entry));
        assert_eq!(RequestEntry::decode(&line[..line.len() / 2]), None);
    }

    #[test]
    fn a_token_is_masked_wherever_it_is() {
        let mut entry = sample("a-1");
        entry.path = format!("/scim/v2/scimd_{}/x/scimd_{}", "a".repeat(49), "B1".repeat(20));
        entry.detail = Some(format!("There is nothing at \"scimd_{}\".", "z".repeat(49)));
        let mut line = Vec::new();
        entry.encode(&mut line);
        let entry = RequestEntry::decode(&line).unwrap();
        assert_eq!(entry.path, "/scim/v2/scimd_***/x/scimd_***");
        assert_eq!(entry.detail.as_deref(), Some("There is nothing at \"scimd_***\"."));
    }
}
