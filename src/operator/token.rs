//! Tokens, as operators manage them.

use std::time::Duration;

use super::reply::{OperatorReply, TokenInfo};
use crate::directory::{
    Directory, DirectoryError, GenerateToken, GeneratedToken, ResetTokens, RevokeToken,
};
use crate::event::Actor;

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
