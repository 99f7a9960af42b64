//! What operators are answered.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::audit::AuditReply;
use super::brake::BrakeInfo;
use super::resource::ResourceView;
use super::token::TokenInfo;
use crate::directory::{Hold, UndoReport};
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
    /// A page of resources, in the order of their creation.
    Resources {
        /// The resources.
        resources: Vec<ResourceView>,
        /// The start of the next page; `None` after the last one.
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
    /// The changes of a connection are released.
    BrakeReleased {
        /// The connection.
        connection: String,
        /// Since when it was held, and why.
        hold: Hold,
    },
    /// What was undone, or would be.
    Undone(UndoReport),
    /// The reply of the audit trail.
    Audit(AuditReply),
    /// The request failed; a sentence that says why and what to do.
    Failed(String),
}
