//! The admin door: what operators do to a directory, whether it is being served or not.
//!
//! One request enum, one reply enum, one function that executes. A command line reaches a running
//! server through its socket ([`socket`]); without one it opens the data folder and calls the same
//! function.

pub mod client;
pub mod inspect;
pub mod socket;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::connection::token::Token;
use crate::directory::{Directory, DirectoryError, Generate, Generated, Reset, Revoke};
use crate::event::Actor;
use crate::store::check::Check;
use crate::store::snapshot::Whole;
use inspect::{Kind, Shown};

/// The name of the socket in the data folder.
pub const SOCKET: &str = "admin.sock";

/// What the configuration says that is needed here.
#[derive(Clone, Debug)]
pub struct Site {
    /// The names of the connections.
    pub connections: Vec<String>,
    /// The URL below which resources are served.
    pub base_url: String,
}

/// What the admin socket answers from: the directory and the configuration of the moment.
pub struct Office {
    /// The directory.
    pub directory: Arc<Directory>,
    /// What the configuration says.
    pub site: Site,
}

/// What an operator asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
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
        kind: Kind,
        /// Where the page begins, as an earlier reply said; empty for the first.
        cursor: String,
        /// Whether to say what the access of each comes to.
        access: bool,
    },
    /// Tell of one resource.
    ShowResource {
        /// Of which kind.
        kind: Kind,
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
pub enum Reply {
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
        resources: Vec<Shown>,
        /// Where the next page begins, if there is one.
        next: Option<String>,
    },
    /// A resource.
    Resource(Shown),
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
    /// It was not done, for this reason.
    Failed(String),
}

/// Does what an operator asks for.
pub fn execute(directory: &Directory, site: &Site, actor: Actor, request: Request) -> Reply {
    match request {
        Request::GenerateToken { connection, .. } | Request::ResetTokens { connection, .. }
            if !site.connections.contains(&connection) =>
        {
            Reply::Failed(format!(
                "there is no connection \"{}\"; the configuration has {}",
                connection.escape_debug(),
                site.connections.join(", ")
            ))
        }
        Request::GenerateToken { connection, valid_for } => {
            generated(directory.submit(actor, Generate { connection, valid_for }).wait())
        }
        Request::ResetTokens { connection, valid_for, overlap } => {
            generated(directory.submit(actor, Reset { connection, valid_for, overlap }).wait())
        }
        Request::ListTokens => {
            Reply::Tokens(directory.tokens().into_iter().map(TokenInfo::from).collect())
        }
        Request::RevokeToken { id } => match directory.submit(actor, Revoke { id }).wait() {
            Ok(token) => Reply::Revoked(token.into()),
            Err(error) => failed(error),
        },
        Request::ListResources { kind, cursor, access } => {
            inspect::list(directory, &site.base_url, kind, cursor, access)
        }
        Request::ShowResource { kind, name, access } => {
            inspect::retrieve(directory, &site.base_url, kind, &name, access)
        }
        Request::ListMembers { group, after } => {
            inspect::members(directory, &site.base_url, &group, after.as_deref())
        }
        Request::Snapshot => match directory.snapshot() {
            Ok(Whole { snapshot, sha256, .. }) => Reply::Snapshot { name: snapshot.name(), sha256 },
            Err(error) => failed(error.into()),
        },
        Request::Verify => Reply::Verified(directory.verify()),
        Request::Compact => match directory.compact_at_next_start() {
            Ok(()) => Reply::AtNextStart,
            Err(error) => failed(error.into()),
        },
    }
}

fn generated(outcome: Result<Generated, DirectoryError>) -> Reply {
    match outcome {
        Ok(Generated { secret, token, limited, revoked }) => Reply::Generated {
            secret: secret.expose().to_owned(),
            token: token.into(),
            limited: limited.into_iter().chain(revoked).map(TokenInfo::from).collect(),
        },
        Err(error) => failed(error),
    }
}

/// An error with what caused it.
fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn failed(error: DirectoryError) -> Reply {
    Reply::Failed(match error {
        DirectoryError::NotFound { kind, id } => {
            let kind = kind.to_lowercase();
            format!("there is no {kind} {id}; `scimd {kind} list` shows those that there are")
        }
        DirectoryError::Storage(error) => format!("storage failed: {}", with_causes(&error)),
        other => other.to_string(),
    })
}
