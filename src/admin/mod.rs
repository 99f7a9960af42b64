//! The admin door: what operators do to a directory, whether it is being served or not.
//!
//! One request enum, one reply enum, one function that executes. A command line reaches a running
//! server through its socket ([`socket`]); without one it opens the data folder and calls the same
//! function.

pub mod client;
pub mod socket;

use std::error::Error;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::connection::token::Token;
use crate::directory::{Directory, DirectoryError, Generate, Generated, Reset, Revoke};
use crate::event::Actor;
use crate::store::check::Check;
use crate::store::snapshot::Whole;

/// The name of the socket in the data folder.
pub const SOCKET: &str = "admin.sock";

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

/// Does what an operator asks for. `connections` are the names that the configuration knows.
pub fn execute(
    directory: &Directory,
    connections: &[String],
    actor: Actor,
    request: Request,
) -> Reply {
    match request {
        Request::GenerateToken { connection, .. } | Request::ResetTokens { connection, .. }
            if !connections.contains(&connection) =>
        {
            Reply::Failed(format!(
                "there is no connection \"{}\"; the configuration has {}",
                connection.escape_debug(),
                connections.join(", ")
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
            format!("there is no {kind} {id}; `scimd {kind} list` shows those that there are")
        }
        DirectoryError::Storage(error) => format!("storage failed: {}", with_causes(&error)),
        other => other.to_string(),
    })
}
