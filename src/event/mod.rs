//! Events and actors: the vocabulary of the audit trail.

mod details;
mod network;
mod refusal;

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use details::{Details, Difference, Elements};
pub use network::Network;
pub use refusal::{Reason, RefusedRequests};

/// The change that an event records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// A resource was created.
    Created,
    /// A resource was replaced by a new version.
    Replaced,
    /// Some attributes or members of a resource changed.
    Patched,
    /// A resource was deleted.
    Deleted,
    /// Indexes were brought in line with changed schemas.
    Reindexed,
    /// Stored access was updated after a change of the access catalogue.
    Followed,
    /// A token was generated.
    Generated,
    /// The expiry of a token was brought forward.
    Limited,
    /// A token was revoked.
    Revoked,
    /// The directory was restored from a backup.
    Restored,
    /// Tokens were used. Recorded at most once a minute.
    Used,
    /// A connection exceeded a limit of its brake, or the clock is not trusted.
    Alarmed,
    /// The clock was accepted as it stands.
    Accepted,
    /// The brake of a connection was engaged: its changes are held.
    Held,
    /// The brake of a connection was released.
    Released,
    /// An operator allowed a connection to change a number of accounts beyond its brake, or ended that.
    Allowed,
    /// Users, groups and memberships were restored by `scimd undo`.
    Undone,
    /// Requests were refused. Recorded at most every ten seconds.
    Refused,
    /// Memberships were cleared that an earlier change had ended or renamed.
    Cleared,
    /// The settings that all nodes share were changed.
    Changed,
    /// An operator has the bodies of requests kept for a while.
    Captured,
    /// Events were delivered to a webhook, or deliveries changed otherwise. Recorded at most once a second.
    Delivered,
    /// An operator of the console was added.
    Added,
    /// An operator of the console was removed.
    Removed,
    /// An operator has signed in to the console.
    #[serde(rename = "signed_in")]
    SignedIn,
    /// A one-time link was made, by which an operator signs in to the console.
    Linked,
}

impl Verb {
    /// Every verb with its description.
    pub const CATALOGUE: [(Self, &'static str); 26] = [
        (Self::Created, "a resource was created"),
        (Self::Replaced, "a resource was replaced by another version of itself"),
        (Self::Patched, "some attributes or members of a resource changed"),
        (Self::Deleted, "a resource was deleted"),
        (Self::Reindexed, "indexes were updated to changed schemas"),
        (Self::Followed, "accounts were updated to a changed access catalogue"),
        (Self::Generated, "a token was generated"),
        (Self::Limited, "the expiry of a token was moved forward"),
        (Self::Revoked, "a token was revoked"),
        (Self::Restored, "a backup was restored"),
        (Self::Used, "tokens were used since the last record of this kind"),
        (
            Self::Alarmed,
            "a connection removed access from, or gave it to, more accounts than its brake allows, or the clock is \
             not trusted",
        ),
        (Self::Accepted, "an operator accepted the clock as it stands"),
        (Self::Held, "a connection was paused"),
        (Self::Released, "a connection was resumed"),
        (Self::Allowed, "an operator allowed a connection a planned mass change, or ended that"),
        (Self::Undone, "users, groups and memberships were reverted"),
        (Self::Refused, "requests were denied since the last record of this kind"),
        (Self::Cleared, "memberships that an earlier change had removed or renamed were cleared"),
        (Self::Changed, "the settings that access, validation and events depend on were changed"),
        (Self::Captured, "an operator captures the request bodies of a connection for a while"),
        (Self::Delivered, "events were delivered to a webhook since the last record of this kind"),
        (Self::Added, "an operator of the console was added"),
        (Self::Removed, "an operator of the console was removed"),
        (Self::SignedIn, "an operator signed in to the console"),
        (Self::Linked, "a one-time link was made, by which an operator signs in to the console"),
    ];

    /// The verb in past tense, as in `user.created`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Replaced => "replaced",
            Self::Patched => "patched",
            Self::Deleted => "deleted",
            Self::Reindexed => "reindexed",
            Self::Followed => "followed",
            Self::Generated => "generated",
            Self::Limited => "limited",
            Self::Revoked => "revoked",
            Self::Restored => "restored",
            Self::Used => "used",
            Self::Alarmed => "alarmed",
            Self::Accepted => "accepted",
            Self::Held => "held",
            Self::Released => "released",
            Self::Allowed => "allowed",
            Self::Undone => "undone",
            Self::Refused => "refused",
            Self::Cleared => "cleared",
            Self::Changed => "changed",
            Self::Captured => "captured",
            Self::Delivered => "delivered",
            Self::Added => "added",
            Self::Removed => "removed",
            Self::SignedIn => "signed_in",
            Self::Linked => "linked",
        }
    }
}

/// One event, as in `user.created`, and the id of its subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The kind of the subject: a resource type's name in lower case, or `token`, `client`, `request`,
    /// `connection`, `operator`, `webhook`, `settings`, `clock`, `directory`.
    pub kind: String,
    /// The change.
    pub verb: Verb,
    /// The id of the subject.
    pub subject: String,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.kind, self.verb.as_str())
    }
}

impl Event {
    /// Every event, by name; `user` and `group` stand for the resource types.
    pub const NAMES: [&'static str; 38] = [
        "user.created",
        "user.replaced",
        "user.patched",
        "user.deleted",
        "user.followed",
        "group.created",
        "group.replaced",
        "group.patched",
        "group.deleted",
        "catalogue.followed",
        "settings.changed",
        "index.reindexed",
        "token.generated",
        "token.limited",
        "token.revoked",
        "token.used",
        "client.generated",
        "client.revoked",
        "client.used",
        "backup.restored",
        "request.refused",
        "connection.alarmed",
        "connection.held",
        "connection.released",
        "connection.allowed",
        "connection.captured",
        "connection.created",
        "connection.changed",
        "connection.deleted",
        "clock.alarmed",
        "clock.accepted",
        "membership.cleared",
        "directory.undone",
        "operator.added",
        "operator.changed",
        "operator.removed",
        "operator.signed_in",
        "operator.linked",
    ];
}

/// The originator of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Actor {
    /// A client, through a connection.
    Connection {
        /// The connection's name.
        name: String,
        /// The id of the token that it used.
        token: String,
        /// The address from which the client sent the request.
        address: IpAddr,
    },
    /// An operator, at the command line.
    Operator {
        /// The name of the Unix user who ran the command, or `uid N` if that user has no name;
        /// `None` in frames written by earlier versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// The id of that user; `None` in frames of earlier versions for commands without a server.
        uid: Option<u32>,
        /// The user who ran the command through sudo.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sudo: Option<SudoUser>,
    },
    /// scimd itself.
    System,
}

/// The user who ran a command through sudo, as sudo names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SudoUser {
    /// The name of the user.
    pub name: String,
    /// The id of the user.
    pub uid: u32,
}

/// The name for people: of an operator that of the user behind sudo, if there is one.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection { name, .. } => write!(f, "connection {name}"),
            Self::Operator { sudo: Some(SudoUser { name, .. }), .. }
            | Self::Operator { name: Some(name), .. } => f.write_str(name),
            Self::Operator { .. } => f.write_str("an operator"),
            Self::System => f.write_str("scimd"),
        }
    }
}

/// The head of a log frame: the description that precedes the writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The time of the change.
    pub time: Timestamp,
    /// The originator of a change.
    pub actor: Actor,
    /// The event.
    pub event: Event,
    /// The details of the event; empty in frames written by earlier versions.
    #[serde(default, skip_serializing_if = "Details::is_empty")]
    pub details: Details,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_catalogue_is_complete_and_its_names_are_unique() {
        let names: HashSet<_> = Verb::CATALOGUE.iter().map(|(verb, _)| verb.as_str()).collect();
        assert_eq!(names.len(), Verb::CATALOGUE.len());
        for (verb, meaning) in Verb::CATALOGUE {
            assert!(!meaning.is_empty());
            assert_eq!(serde_json::to_value(verb).unwrap(), verb.as_str());
        }
    }

    #[test]
    fn operators_without_a_name_read_back_and_are_written_without() {
        for old in [r#"{"operator":{"uid":998}}"#, r#"{"operator":{"uid":null}}"#] {
            let actor: Actor = serde_json::from_str(old).unwrap();
            assert!(matches!(actor, Actor::Operator { name: None, .. }));
            assert_eq!(serde_json::to_string(&actor).unwrap(), old);
        }
        let named = Actor::Operator { name: Some("ada".to_owned()), uid: Some(998), sudo: None };
        let text = serde_json::to_string(&named).unwrap();
        assert_eq!(text, r#"{"operator":{"name":"ada","uid":998}}"#);
        assert_eq!(serde_json::from_str::<Actor>(&text).unwrap(), named);
    }

    #[test]
    fn heads_without_details_read_back_and_are_written_without() {
        let old = r#"{"time":"2026-03-01T08:15:00Z","actor":"system","event":{"kind":"user","verb":"created","subject":"x"}}"#;
        let head: Head = serde_json::from_str(old).unwrap();
        assert_eq!(head.details, Details::default());
        assert_eq!(serde_json::to_string(&head).unwrap(), old);
    }
}
