//! What operators can ask for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::access_request::AccessRequest;
use super::account_request::AccountRequest;
use super::audit::AuditQuery;
use super::change::OperatorChange;
use super::client_request::ClientRequest;
use super::connection::ConnectionChange;
use super::event_page::EventQuery;
use super::import::{ImportBatch, ImportMembers};
use super::resource::{ResourceFilter, ResourceKind};
use super::search::ResourceSearch;
use crate::connection::token::TokenOwner;
use crate::directory::Undo;
use crate::event::SudoUser;
use crate::request_log::RequestQuery;

/// A request as it comes through the admin socket.
#[derive(Clone, Debug, Deserialize)]
pub struct OperatorMessage {
    /// The request.
    pub request: OperatorRequest,
    /// The user who runs the command through sudo.
    #[serde(default)]
    pub sudo: Option<SudoUser>,
}

/// A request of an operator. Times are in UTC, names are those of the configuration and the directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorRequest {
    /// Generate a token. Changes; needs a connection or an application of the configuration.
    GenerateToken {
        /// The connection or application that the token authenticates.
        #[serde(flatten)]
        owner: TokenOwner,
        /// How long the token is valid; `None` for ever.
        valid_for: Option<Duration>,
        /// What it is for.
        description: Option<String>,
    },
    /// Generate a token and give the other tokens of its owner an end. Changes; needs a connection or an
    /// application of the configuration.
    ResetTokens {
        /// The connection or application whose tokens are replaced.
        #[serde(flatten)]
        owner: TokenOwner,
        /// How long the new token is valid; `None` for ever.
        valid_for: Option<Duration>,
        /// How long the other tokens stay valid.
        overlap: Duration,
        /// What the new token is for.
        description: Option<String>,
    },
    /// List all tokens. Reads.
    ListTokens,
    /// Revoke a token at once. Changes; needs its id, or a beginning of it that no other token's id has.
    RevokeToken {
        /// The id of the token.
        id: String,
    },
    /// Generate, list or revoke OAuth clients.
    Client(ClientRequest),
    /// Manage named operators of the console.
    Account(AccountRequest),
    /// List the resources of a kind, one page. Reads.
    ListResources {
        /// The kind of the resources.
        kind: ResourceKind,
        /// The start of the page, from an earlier reply; empty for the first page.
        cursor: String,
        /// Whether to compute the effective access of each.
        access: bool,
        /// Which of them.
        #[serde(default)]
        only: ResourceFilter,
    },
    /// Search for users or groups, one part. Reads.
    Search(ResourceSearch),
    /// Show one resource without its members. Reads; needs its id or name.
    ShowResource {
        /// The kind of the resource.
        kind: ResourceKind,
        /// Its id, or its `userName` or `displayName` in any letter case.
        name: String,
        /// Whether to compute its effective access.
        access: bool,
    },
    /// List the members of a group, one part. Reads; needs the id of the group.
    ListMembers {
        /// The id of the group.
        group: String,
        /// The id of the last member of the part before, from an earlier reply.
        after: Option<String>,
    },
    /// Explain the access of users. Reads.
    Access(AccessRequest),
    /// Change a user, a membership, or who manages a user. Changes.
    Change {
        /// The change.
        change: OperatorChange,
        /// The reason, for the audit trail.
        reason: Option<String>,
    },
    /// Import users and groups. Changes, unless it is a dry run.
    Import(ImportBatch),
    /// Add members to an imported group. Changes, unless it names no group.
    ImportMembers(ImportMembers),
    /// Take a snapshot of the whole state, for a backup. Writes a file, and changes no state.
    Snapshot,
    /// Check the log, the snapshots and the whole state. Reads.
    Verify,
    /// Have the database compacted at the next start. Writes a mark, and changes no state.
    Compact,
    /// Show the state of the brakes of all connections. Reads.
    ShowBrakes,
    /// Hold the changes of a connection. Changes; needs a connection of the configuration.
    HoldBrake {
        /// The connection to hold.
        connection: String,
        /// The reason, for those who see the hold.
        reason: Option<String>,
    },
    /// Allow a connection to change more accounts than its brake allows. Changes; needs a connection of the
    /// configuration.
    AllowBrake {
        /// The connection.
        connection: String,
        /// The number of accounts; 0 ends an earlier allowance.
        accounts: u64,
        /// How long they may be changed.
        valid_for: Duration,
        /// The reason, for the audit trail.
        reason: Option<String>,
    },
    /// Show the changes of a connection that were refused while it was held. Reads; needs a connection of the
    /// configuration.
    ShowWithheld {
        /// The connection.
        connection: String,
    },
    /// Release the changes of a connection. Changes; does nothing if it is not held.
    ReleaseBrake {
        /// The connection to release; `None` for the only one that is held.
        connection: Option<String>,
    },
    /// Read the configuration again and put it in force. Changes; needs a running server.
    Reload {
        /// Whether the files of other nodes may differ.
        force: bool,
    },
    /// Check the configuration files against the accounts. Reads; needs a running server.
    CheckConfiguration,
    /// Change a connection in `conf.d`, and put it in force. Changes; needs a running server.
    ChangeConnection(ConnectionChange),
    /// Make a one-time link for signing in to the console. Changes no state; needs a running server.
    CreateConsoleLink {
        /// The operator who signs in; `None` for the user who asks, as an admin.
        operator: Option<String>,
        /// How long the link is valid.
        valid_for: Duration,
    },
    /// Show the clock, held against the log. Reads.
    ShowClock,
    /// List the nodes that share the log. Reads.
    ListNodes,
    /// Have all nodes write the newest format of the log that this one knows. Changes; needs a running server.
    RaiseFormat,
    /// Trust the clock as it stands. Changes.
    AcceptClock,
    /// Put users, groups and memberships back as they were. Changes, unless it is a dry run; needs a log
    /// or snapshots that reach back far enough.
    Undo(Undo),
    /// Search the request log. Reads; needs a running server.
    FindRequests(RequestQuery),
    /// Keep the bodies of a connection's requests in the request log for a time; for no time to end it. Changes;
    /// needs a running server.
    CaptureBodies {
        /// The connection.
        connection: String,
        /// For how long.
        lasts: Duration,
    },
    /// Deliver a test by every way of notification. Changes nothing; needs a running server.
    TestNotifications,
    /// Read the change feed. Reads; needs a running server.
    ReadEvents(EventQuery),
    /// Show the change feed: its newest events, cursors and consumers. Reads; needs a running server.
    ShowFeed,
    /// List the webhooks. Reads; needs a running server.
    ListWebhooks,
    /// Send a test to a webhook. Changes; needs a running server.
    TestWebhook {
        /// The webhook.
        name: String,
    },
    /// Deliver to a webhook everything after a cursor. Changes; needs a running server.
    ResendWebhook {
        /// The webhook.
        name: String,
        /// The cursor; or `oldest`, or `head`.
        after: String,
    },
    /// Show the settings in force. Reads.
    ShowSettings,
    /// Show how the server is doing. Reads; needs a running server.
    ShowStatus,
    /// Query the audit trail. Reads.
    Audit(AuditQuery),
}

impl OperatorRequest {
    /// Whether the request only reads. Without a running server, the data folder is then opened for
    /// reading, and nothing on disk is created or altered.
    pub fn is_read_only(&self) -> bool {
        match self {
            Self::Account(request) => request.is_read_only(),
            Self::ListTokens
            | Self::Client(ClientRequest::List)
            | Self::ListWebhooks
            | Self::ListResources { .. }
            | Self::Search(_)
            | Self::ShowResource { .. }
            | Self::ListMembers { .. }
            | Self::Access(_)
            | Self::Verify
            | Self::ShowBrakes
            | Self::ShowWithheld { .. }
            | Self::ShowClock
            | Self::ListNodes
            | Self::FindRequests(_)
            | Self::ReadEvents(_)
            | Self::ShowFeed
            | Self::ShowSettings
            | Self::ShowStatus
            | Self::Undo(Undo { dry_run: true, .. })
            | Self::Import(ImportBatch { dry_run: true, .. })
            | Self::ImportMembers(ImportMembers { group: None, .. })
            | Self::Audit(_) => true,
            Self::GenerateToken { .. }
            | Self::ResetTokens { .. }
            | Self::RevokeToken { .. }
            | Self::Client(
                ClientRequest::Generate { .. }
                | ClientRequest::Register { .. }
                | ClientRequest::Revoke { .. },
            )
            | Self::Change { .. }
            | Self::Import(_)
            | Self::ImportMembers(_)
            | Self::Snapshot
            | Self::Compact
            | Self::HoldBrake { .. }
            | Self::AllowBrake { .. }
            | Self::ReleaseBrake { .. }
            | Self::AcceptClock
            | Self::RaiseFormat
            | Self::CreateConsoleLink { .. }
            | Self::CaptureBodies { .. }
            | Self::TestNotifications
            | Self::TestWebhook { .. }
            | Self::ResendWebhook { .. }
            | Self::Reload { .. }
            | Self::CheckConfiguration
            | Self::ChangeConnection(_)
            | Self::Undo(Undo { dry_run: false, .. }) => false,
        }
    }

    /// Whether the request may read all of the log or the state, which can take hours.
    pub fn reads_everything(&self) -> bool {
        matches!(
            self,
            Self::Snapshot
                | Self::TestNotifications
                | Self::Reload { .. }
                | Self::CheckConfiguration
                | Self::ChangeConnection(_)
                | Self::Verify
                | Self::Undo(_)
                | Self::Audit(AuditQuery::Verify { .. })
        )
    }
}
