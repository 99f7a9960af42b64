//! The operator API: what operators can do to a directory, whichever door they come through.
//!
//! One request enum, one reply enum, one function that executes. The admin socket calls it in a running
//! server; without one the command line opens the data folder and calls the same function.

pub mod actor;
pub mod audit;
pub mod brake;
pub mod resource;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::connection::token::Token;
use crate::directory::{
    Directory, DirectoryError, GenerateToken, GeneratedToken, Hold, ResetTokens, RevokeToken, Undo,
    UndoReport, UnknownAccess,
};
use crate::event::Actor;
use crate::store::check::Check;
use crate::store::snapshot::VerifiedSnapshot;
use crate::text::with_causes;
use brake::BrakeInfo;
use resource::{ResourceKind, ResourceView};

/// What the configuration says that is needed here.
#[derive(Clone, Debug)]
pub struct SiteInfo {
    /// The names of the connections.
    pub connections: Vec<String>,
    /// The URL below which resources are served.
    pub base_url: String,
}

/// What the admin socket answers from: the directory and the configuration of the moment.
pub struct OperatorContext {
    /// The directory.
    pub directory: Arc<Directory>,
    /// What the configuration says.
    pub site: SiteInfo,
}

/// What an operator asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorRequest {
    /// Make a token.
    GenerateToken {
        /// For which connection.
        connection: String,
        /// For how long; `None` for ever.
        valid_for: Option<Duration>,
    },
    /// Make a token in place of the others of its connection.
    ResetTokens {
        /// For which connection.
        connection: String,
        /// For how long; `None` for ever.
        valid_for: Option<Duration>,
        /// How long the others are still valid.
        overlap: Duration,
    },
    /// Tell of all tokens.
    ListTokens,
    /// End a token.
    RevokeToken {
        /// Its id.
        id: String,
    },
    /// Tell of the resources of a kind, a page at a time.
    ListResources {
        /// Of which kind.
        kind: ResourceKind,
        /// Where the page begins, as an earlier reply said; empty for the first.
        cursor: String,
        /// Whether to say what the access of each comes to.
        access: bool,
    },
    /// Tell of one resource.
    ShowResource {
        /// Of which kind.
        kind: ResourceKind,
        /// Its id, or what names it.
        name: String,
        /// Whether to say what its access comes to.
        access: bool,
    },
    /// Tell of a group's members, a part at a time.
    ListMembers {
        /// The group's id.
        group: String,
        /// The id of the last member that is known, as an earlier reply said.
        after: Option<String>,
    },
    /// Take a snapshot of everything, for a backup.
    Snapshot,
    /// Check all that there is.
    Verify,
    /// Have the database compacted at the next start.
    Compact,
    /// Tell how the brakes of the connections stand.
    ShowBrakes,
    /// Hold the changes of a connection.
    HoldBrake {
        /// Which.
        connection: String,
    },
    /// Take on the changes of a connection again.
    ReleaseBrake {
        /// Which; `None` for the only one that is held.
        connection: Option<String>,
    },
    /// Put users, groups and memberships back as they were.
    Undo {
        /// Since when.
        since: Timestamp,
        /// Only what this connection has changed.
        connection: Option<String>,
        /// Whether to do without access that the catalogue does not know any more.
        drop_unknown_access: bool,
        /// Whether only to tell what would be done.
        dry_run: bool,
    },
    /// Tell of the audit trail.
    Audit(audit::AuditQuery),
}

impl OperatorRequest {
    /// Whether the request only reads. Without a running server, the data folder is then opened for
    /// reading and nothing on disk is created or altered.
    pub fn is_read_only(&self) -> bool {
        match self {
            Self::ListTokens
            | Self::ListResources { .. }
            | Self::ShowResource { .. }
            | Self::ListMembers { .. }
            | Self::Verify
            | Self::ShowBrakes
            | Self::Undo { dry_run: true, .. }
            | Self::Audit(_) => true,
            Self::GenerateToken { .. }
            | Self::ResetTokens { .. }
            | Self::RevokeToken { .. }
            | Self::Snapshot
            | Self::Compact
            | Self::HoldBrake { .. }
            | Self::ReleaseBrake { .. }
            | Self::Undo { dry_run: false, .. } => false,
        }
    }
}

/// What an operator is told of a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenInfo {
    /// Its id.
    pub id: String,
    /// The connection that it speaks for.
    pub connection: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends; `None` for never.
    pub expires: Option<Timestamp>,
    /// When it was last used.
    pub last_used: Option<Timestamp>,
}

impl From<Token> for TokenInfo {
    fn from(token: Token) -> Self {
        let Token { id, connection, created, expires, last_used, digest: _ } = token;
        Self { id, connection, created, expires, last_used }
    }
}

/// What an operator gets. It has no `Debug`: it may carry a new token.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorReply {
    /// A new token.
    Generated {
        /// The secret itself, for the operator alone.
        secret: String,
        /// The new token.
        token: TokenInfo,
        /// Older tokens that it takes the place of, with their new end.
        limited: Vec<TokenInfo>,
    },
    /// Every token, oldest first.
    Tokens(Vec<TokenInfo>),
    /// The token that was ended.
    Revoked(TokenInfo),
    /// A page of resources.
    Resources {
        /// The resources.
        resources: Vec<ResourceView>,
        /// Where the next page begins, if there is one.
        next: Option<String>,
    },
    /// A resource.
    Resource(ResourceView),
    /// A part of a group's members, as they are served.
    Members {
        /// The members.
        members: Vec<Value>,
        /// Where the next part begins, if there is one.
        next: Option<String>,
    },
    /// The snapshot that was taken.
    Snapshot {
        /// Its name among the snapshots of the data folder.
        name: String,
        /// The SHA-256 of the file, in hexadecimal.
        sha256: String,
    },
    /// What was checked.
    Verified(Vec<Check>),
    /// The next start does it.
    AtNextStart,
    /// How the brakes stand.
    Brakes(Vec<BrakeInfo>),
    /// The changes of a connection are held.
    BrakeHeld {
        /// Which.
        connection: String,
        /// Since when and why.
        hold: Hold,
    },
    /// The changes of a connection are taken on again.
    BrakeReleased {
        /// Which.
        connection: String,
        /// Since when it was held and why.
        hold: Hold,
    },
    /// What was undone, or would be.
    Undone(UndoReport),
    /// What the audit trail says.
    Audit(audit::AuditReply),
    /// It was not done, for this reason.
    Failed(String),
}

/// Does what an operator asks for.
pub fn execute(
    directory: &Directory,
    site: &SiteInfo,
    actor: Actor,
    request: OperatorRequest,
) -> OperatorReply {
    match request {
        OperatorRequest::GenerateToken { connection, .. }
        | OperatorRequest::ResetTokens { connection, .. }
        | OperatorRequest::HoldBrake { connection }
            if !site.connections.contains(&connection) =>
        {
            OperatorReply::Failed(format!(
                "there is no connection \"{}\"; the configuration has {}",
                connection.escape_debug(),
                site.connections.join(", ")
            ))
        }
        OperatorRequest::GenerateToken { connection, valid_for } => {
            generated(directory.submit(actor, GenerateToken { connection, valid_for }).wait())
        }
        OperatorRequest::ResetTokens { connection, valid_for, overlap } => generated(
            directory.submit(actor, ResetTokens { connection, valid_for, overlap }).wait(),
        ),
        OperatorRequest::ListTokens => {
            OperatorReply::Tokens(directory.tokens().into_iter().map(TokenInfo::from).collect())
        }
        OperatorRequest::RevokeToken { id } => {
            match directory.submit(actor, RevokeToken { id }).wait() {
                Ok(token) => OperatorReply::Revoked(token.into()),
                Err(error) => failed(error),
            }
        }
        OperatorRequest::ListResources { kind, cursor, access } => {
            resource::list(directory, &site.base_url, kind, cursor, access)
        }
        OperatorRequest::ShowResource { kind, name, access } => {
            resource::retrieve(directory, &site.base_url, kind, &name, access)
        }
        OperatorRequest::ListMembers { group, after } => {
            resource::members(directory, &site.base_url, &group, after.as_deref())
        }
        OperatorRequest::Snapshot => match directory.snapshot() {
            Ok(VerifiedSnapshot { snapshot, sha256, .. }) => {
                OperatorReply::Snapshot { name: snapshot.name(), sha256 }
            }
            Err(error) => failed(error.into()),
        },
        OperatorRequest::Verify => OperatorReply::Verified(directory.verify()),
        OperatorRequest::Audit(ask) => {
            match audit::answer(directory.log(), directory.registry(), ask) {
                Ok(told) => OperatorReply::Audit(told),
                Err(error) => OperatorReply::Failed(with_causes(&error)),
            }
        }
        OperatorRequest::Compact => match directory.compact_at_next_start() {
            Ok(()) => OperatorReply::AtNextStart,
            Err(error) => failed(error.into()),
        },
        OperatorRequest::ShowBrakes => brake::show(directory),
        OperatorRequest::HoldBrake { connection } => brake::hold(directory, actor, connection),
        OperatorRequest::ReleaseBrake { connection } => {
            brake::release(directory, actor, connection)
        }
        OperatorRequest::Undo { since, connection, drop_unknown_access, dry_run } => {
            let unknown = match drop_unknown_access {
                true => UnknownAccess::Drop,
                false => UnknownAccess::Refuse,
            };
            let asked = Undo { since, connection, unknown, dry_run };
            directory.undo(&actor, &asked).map_or_else(failed, OperatorReply::Undone)
        }
    }
}

fn generated(outcome: Result<GeneratedToken, DirectoryError>) -> OperatorReply {
    match outcome {
        Ok(GeneratedToken { secret, token, limited, revoked }) => OperatorReply::Generated {
            secret: secret.expose().to_owned(),
            token: token.into(),
            limited: limited.into_iter().chain(revoked).map(TokenInfo::from).collect(),
        },
        Err(error) => failed(error),
    }
}

fn failed(error: DirectoryError) -> OperatorReply {
    OperatorReply::Failed(match error {
        DirectoryError::NotFound { kind, id } => {
            let kind = kind.to_lowercase();
            format!("there is no {kind} {id}; `scimd {kind} list` shows those that there are")
        }
        DirectoryError::Storage(error) => format!("storage failed: {}", with_causes(&error)),
        other => other.to_string(),
    })
}
