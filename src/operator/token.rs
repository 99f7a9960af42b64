//! Tokens, as operators manage them.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::OperatorReply;
use crate::connection::token::Token;
use crate::directory::{
    Directory, DirectoryError, GenerateToken, GeneratedToken, ResetTokens, RevokeToken,
};
use crate::event::Actor;

/// A token without its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenInfo {
    /// The id of the token.
    pub id: String,
    /// The connection that it speaks for.
    pub connection: String,
    /// When it was generated.
    pub created: Timestamp,
    /// When it expires; `None` for never.
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

pub(super) fn generate(
    directory: &Directory,
    actor: Actor,
    connection: String,
    valid_for: Option<Duration>,
) -> Result<OperatorReply, DirectoryError> {
    Ok(reply(directory.submit(actor, GenerateToken { connection, valid_for }).wait()?))
}

pub(super) fn reset(
    directory: &Directory,
    actor: Actor,
    connection: String,
    valid_for: Option<Duration>,
    overlap: Duration,
) -> Result<OperatorReply, DirectoryError> {
    Ok(reply(directory.submit(actor, ResetTokens { connection, valid_for, overlap }).wait()?))
}

fn reply(generated: GeneratedToken) -> OperatorReply {
    let GeneratedToken { secret, token, limited, revoked } = generated;
    OperatorReply::Generated {
        secret: secret.expose().to_owned(),
        token: token.into(),
        limited: limited.into_iter().chain(revoked).map(TokenInfo::from).collect(),
    }
}

pub(super) fn list(directory: &Directory) -> OperatorReply {
    OperatorReply::Tokens(directory.tokens().into_iter().map(TokenInfo::from).collect())
}

pub(super) fn revoke(
    directory: &Directory,
    actor: Actor,
    id: String,
) -> Result<OperatorReply, DirectoryError> {
    let revoked = directory.submit(actor, RevokeToken { id }).wait()?;
    Ok(OperatorReply::Revoked(revoked.into()))
}
