//! What operators are answered.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::access_request::AccessReply;
use super::account_request::AccountReply;
use super::audit::AuditReply;
use super::client_request::ClientReply;
use super::connection::{ConnectionChanged, ConnectionRefusal};
use super::event_page::EventPage;
use super::feed_info::FeedInfo;
use super::identity::Identity;
use super::import::{ImportOutcome, ImportedMembers};
use super::setting::SettingInfo;
use super::webhook::WebhookInfo;
use crate::connection::token::TokenOwner;
use crate::directory::{
    Allowance, BrakeAlarm, BrakeStatus, ClockStatus, Deactivation, Hold, UndoReport,
    WithheldChanges, undo_command,
};
use crate::request_log::{RequestPage, Traffic};
use crate::store::check::Check;

/// The reply to an [`OperatorRequest`](super::OperatorRequest). It has no `Debug`: it may carry a new
/// token.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorReply {
    /// A new token.
    Generated {
        /// The secret itself, shown only here.
        secret: String,
        /// The new token.
        token: TokenInfo,
        /// The older tokens that it replaces, with their new end.
        limited: Vec<TokenInfo>,
    },
    /// All tokens, oldest first.
    Tokens(Vec<TokenInfo>),
    /// The token that was revoked.
    Revoked(TokenInfo),
    /// What was done with OAuth clients.
    Client(ClientReply),
    /// What was done with named operators of the console.
    Account(AccountReply),
    /// A page of resources, in the order of their creation.
    Resources {
        /// The resources.
        resources: Vec<ResourceView>,
        /// The start of the next page; `None` after the last one.
        next: Option<String>,
    },
    /// One part of what a search found.
    Found {
        /// The resources, in the order of their creation, without their members and groups.
        resources: Vec<ResourceView>,
        /// How many resources were examined for this part.
        examined: usize,
        /// How many resources of the kind there are.
        total: usize,
        /// The start of the next part; `None` after the last one.
        next: Option<String>,
    },
    /// One resource.
    Resource(ResourceView),
    /// A part of the members of a group.
    Members {
        /// The members, as SCIM serves them.
        members: Vec<Value>,
        /// The start of the next part; `None` after the last one.
        next: Option<String>,
    },
    /// What was asked about the access of users.
    Access(AccessReply),
    /// The snapshot that was taken.
    Snapshot {
        /// The name of its file among the snapshots of the data folder.
        name: String,
        /// The SHA-256 of the file, in hexadecimal.
        sha256: String,
    },
    /// What was checked, and the faults that were found.
    Verified(Vec<Check>),
    /// The database will be compacted at the next start.
    AtNextStart,
    /// The state of the brakes.
    Brakes(Vec<BrakeInfo>),
    /// The changes of a connection are held.
    BrakeHeld {
        /// The connection.
        connection: String,
        /// Since when and why.
        hold: Hold,
    },
    /// What a connection is allowed from now on.
    BrakeAllowed {
        /// The connection.
        connection: String,
        /// What it is allowed; `None` if that was ended.
        allowance: Option<Allowance>,
        /// Since when and why its changes are held all the same, if they are.
        hold: Option<Hold>,
    },
    /// The changes of a connection that were refused while it was held.
    Withheld {
        /// The connection.
        connection: String,
        /// Since when and why it is held, if it still is.
        hold: Option<Hold>,
        /// The changes.
        changes: WithheldChanges,
    },
    /// The changes of a connection are not held any more.
    BrakeReleased {
        /// The connection; `None` if none was named and none was held.
        connection: Option<String>,
        /// Since when it was held, and why; `None` if it was not held.
        hold: Option<Hold>,
    },
    /// The configuration was read again and is in force.
    Reloaded(ReloadReport),
    /// A start or a reload would take the configuration files.
    ConfigurationChecked,
    /// A connection was changed.
    ConnectionChanged(ConnectionChanged),
    /// A connection was not changed.
    ConnectionRefused(ConnectionRefusal),
    /// A one-time link for signing in to the console.
    ConsoleLink {
        /// Its URL, shown only here.
        url: String,
        /// Who signs in with it.
        identity: Identity,
        /// Until when it can be used.
        expires: Timestamp,
    },
    /// The clock, held against the log.
    Clock(ClockInfo),
    /// The nodes that share the log, by name; none if it is not shared.
    Nodes(Vec<NodeInfo>),
    /// The format of the log that nodes share.
    Format {
        /// The format.
        format: u32,
        /// Whether it was another one before.
        raised: bool,
    },
    /// The clock is trusted as it stands.
    ClockAccepted {
        /// The clock before.
        before: ClockInfo,
    },
    /// What was undone, or would be.
    Undone(UndoReport),
    /// Records of the request log.
    Requests(RequestPage),
    /// The bodies of a connection are kept.
    Capturing {
        /// The connection.
        connection: String,
        /// Until when.
        until: Timestamp,
    },
    /// What came of a test of each way of notification.
    NotificationsTested(Vec<NotificationTest>),
    /// The webhooks.
    Webhooks(Vec<WebhookInfo>),
    /// What was asked of a webhook is done.
    WebhookDone,
    /// The settings in force.
    Settings(Vec<SettingInfo>),
    /// How the server is doing.
    Status(Box<ServerStatus>),
    /// A page of the change feed.
    Events(EventPage),
    /// The change feed.
    Feed(FeedInfo),
    /// The reply of the audit trail.
    Audit(AuditReply),
    /// What an operator's change did.
    Changed(ChangeReport),
    /// What became of the rows of an import, in their order.
    Imported(Vec<ImportOutcome>),
    /// What became of members.
    ImportedMembers(ImportedMembers),
    /// What the request names does not exist; a sentence that says so and what to do.
    NotFound(String),
    /// The user who asks may not; a sentence that says who may.
    Denied(String),
    /// The request failed; a sentence that says why and what to do.
    Failed(String),
}

/// What an operator's change did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangeReport {
    /// The id of the user.
    pub id: String,
    /// The userName of the user.
    pub name: String,
    /// The displayName of the group, if it is about one.
    pub group: Option<String>,
    /// Whether anything changed.
    pub changed: bool,
    /// The deactivation that is in force, or that ended.
    pub deactivation: Option<Deactivation>,
    /// The connection that managed the user before.
    pub connection: Option<String>,
}

/// What a reload has changed beside what it was meant to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReloadReport {
    /// The keys that have changed and stay as they were until a restart.
    pub restart: Vec<String>,
    /// What allows more than before.
    pub wider: Vec<WideningInfo>,
}

/// A setting that allows more than before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WideningInfo {
    /// The key.
    pub key: String,
    /// What it was.
    pub before: String,
    /// What it is.
    pub now: String,
}

/// A denied request with a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastDenial {
    /// When it was denied.
    pub time: Timestamp,
    /// Why, in words.
    pub reason: String,
}

/// A token without its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenInfo {
    /// The id of the token.
    pub id: String,
    /// The connection or application that it authenticates.
    #[serde(flatten)]
    pub owner: TokenOwner,
    /// When it was generated.
    pub created: Timestamp,
    /// When it expires; `None` for never.
    pub expires: Option<Timestamp>,
    /// When it was last used.
    pub last_used: Option<Timestamp>,
    /// The last request with it that was denied, accurate to about a minute.
    #[serde(default)]
    pub last_denied: Option<LastDenial>,
    /// What it is for, as the operator says.
    #[serde(default)]
    pub description: Option<String>,
    /// `valid`, `expired`, or `no owner`: the configuration does not have it, and the token opens nothing.
    #[serde(default)]
    pub status: String,
}

/// A resource, as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResourceView {
    /// The resource, as SCIM serves it.
    pub resource: Map<String, Value>,
    /// The connection that manages it, if it is known.
    pub connection: Option<String>,
    /// That an operator has deactivated it, if one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deactivation: Option<Deactivation>,
    /// Its effective access, if that was requested.
    pub access: Option<Vec<AccessPiece>>,
}

/// A piece of an account's effective access.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessPiece {
    /// The entitlement.
    pub value: String,
    /// The entitlement in words.
    pub meaning: String,
    /// What the entitlement comes from: grants, roles, the account itself.
    pub sources: Vec<String>,
}

/// What came of a test of one way of notification.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NotificationTest {
    /// The way.
    pub way: String,
    /// Why it failed, and what to do; absent if it was delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The state of the brake of a connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BrakeInfo {
    /// The connection.
    pub connection: String,
    /// What happens when the connection exceeds its limit; `None` if the configuration lacks it.
    pub action: Option<String>,
    /// The number of accounts that the connection has taken something from, within the window.
    pub counted: u64,
    /// The number of all accounts, when the first of these lost something or now, whichever is more.
    #[serde(default)]
    pub accounts: u64,
    /// When the first of these lost something.
    #[serde(default)]
    pub counting_since: Option<Timestamp>,
    /// How often the connection exceeded this limit since the start.
    pub alarms: u64,
    /// The number of accounts that the connection has reactivated or given company permissions, within the
    /// window.
    pub gained: u64,
    /// How often the connection exceeded this limit since the start.
    pub gain_alarms: u64,
    /// Since when and why its changes are held, if they are.
    pub hold: Option<Hold>,
    /// What an operator allows it beyond its limits, if anything.
    #[serde(default)]
    pub allowance: Option<Allowance>,
    /// Its last alarm since the start.
    #[serde(default)]
    pub last_alarm: Option<BrakeAlarm>,
    /// The command that shows how to undo what raised the last alarm, or paused it.
    #[serde(default)]
    pub undo: Option<String>,
}

impl From<BrakeStatus> for BrakeInfo {
    fn from(status: BrakeStatus) -> Self {
        let action = status.action.map(|action| action.as_str().to_owned());
        let BrakeStatus {
            connection,
            hold,
            allowance,
            counted,
            accounts,
            counting_since,
            alarms,
            gained,
            gain_alarms,
            last_alarm,
            ..
        } = status;
        let began = match &hold {
            Some(hold) => hold.began,
            None => last_alarm.as_ref().map(|alarm| alarm.began),
        };
        let undo = began.map(|began| undo_command(&connection, began));
        Self {
            connection,
            action,
            counted,
            accounts,
            counting_since,
            alarms,
            gained,
            gain_alarms,
            hold,
            allowance,
            last_alarm,
            undo,
        }
    }
}

/// The clock, held against the log and the time that has passed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClockInfo {
    /// What the clock says.
    pub clock: Timestamp,
    /// What it should say, by the last record and the time that has passed.
    pub expected: Timestamp,
    /// The time that records are given.
    pub records: Timestamp,
    /// Whether the clock is trusted.
    pub trusted: bool,
}

impl From<ClockStatus> for ClockInfo {
    fn from(status: ClockStatus) -> Self {
        let ClockStatus { clock, expected, records, is_trusted } = status;
        Self { clock, expected, records, trusted: is_trusted }
    }
}

/// A node that shares the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its name: that of its machine.
    pub name: String,
    /// Its id, in hexadecimal.
    pub id: String,
    /// Its version of scimd.
    pub version: String,
    /// The newest format of the log that it knows.
    #[serde(default)]
    pub format: u32,
    /// Whether it was seen within the last ten seconds.
    pub running: bool,
    /// How long ago it was seen, in milliseconds.
    pub seen_ms: u64,
    /// How many changes it has still to copy, when it was seen.
    pub behind: u64,
    /// Whether it is the node that answers.
    pub this: bool,
}

/// How a running server is doing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Its version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// When it was started.
    pub since: Timestamp,
    /// The configuration file in force; `None` for the built-in configuration.
    pub config_file: Option<String>,
    /// The data directory.
    pub data_dir: String,
    /// The URL below which SCIM resources are served.
    pub endpoint: String,
    /// Whether it accepts changes.
    pub ready: bool,
    /// Why it should get no requests although it runs, if so: of a node that shares a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_problem: Option<String>,
    /// What should be looked at on this node although it gets requests, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_warning: Option<String>,
    /// Whether the clock is trusted.
    pub clock_trusted: bool,
    /// The free space on the disk of the data directory, in bytes.
    pub disk_free_bytes: Option<u64>,
    /// When the newest snapshot was taken.
    pub snapshot: Option<Timestamp>,
    /// The number of TLS handshakes that have failed since it was started.
    pub failed_handshakes: u64,
    /// The connections of the configuration.
    pub connections: Vec<ConnectionStatus>,
    /// The webhooks of the configuration.
    pub webhooks: Vec<WebhookInfo>,
}

/// A connection of a running server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConnectionStatus {
    /// Its name.
    pub name: String,
    /// Its requests in the last hour.
    pub traffic: Traffic,
    /// Its valid tokens, oldest first.
    pub tokens: Vec<TokenInfo>,
    /// Its brake.
    pub brake: Option<BrakeInfo>,
}
