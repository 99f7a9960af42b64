//! Tokens, as operators manage them.

use super::context::OperatorContext;
use super::reply::{LastDenial, OperatorReply, TokenInfo};
use crate::connection::token::Token;
use crate::directory::{Command, DirectoryError, GeneratedToken, RevokeToken};
use crate::event::{Actor, Reason};

/// Generates a token, alone or in place of others.
pub(super) fn generate(
    context: &OperatorContext,
    actor: Actor,
    command: impl Command<Output = GeneratedToken>,
) -> Result<OperatorReply, DirectoryError> {
    let GeneratedToken { secret, token, limited, revoked } =
        context.directory.submit(actor, command).wait()?;
    Ok(OperatorReply::Generated {
        secret: secret.expose().to_owned(),
        token: info(context, token),
        limited: limited.into_iter().chain(revoked).map(|token| info(context, token)).collect(),
    })
}

pub(super) fn list(context: &OperatorContext) -> OperatorReply {
    let tokens = context.directory.tokens().into_iter().map(|token| info(context, token));
    OperatorReply::Tokens(tokens.collect())
}

/// Revokes the token with an id, or the only one whose id begins so.
pub(super) fn revoke(
    context: &OperatorContext,
    actor: Actor,
    id: &str,
) -> Result<OperatorReply, DirectoryError> {
    let tokens = context.directory.tokens();
    let begin: Vec<&str> = tokens
        .iter()
        .map(|token| token.id.as_str())
        .filter(|known| !id.is_empty() && known.starts_with(id))
        .collect();
    let id = match begin.as_slice() {
        [only] => (*only).to_owned(),
        several if !several.is_empty() && !several.contains(&id) => {
            return Err(DirectoryError::Unfit(format!(
                "several tokens have ids that begin with \"{id}\": {}",
                several.join(", ")
            )));
        }
        _ => id.to_owned(),
    };
    let revoked = context.directory.submit(actor, RevokeToken { id }).wait()?;
    Ok(OperatorReply::Revoked(info(context, revoked)))
}

pub(super) fn info(context: &OperatorContext, token: Token) -> TokenInfo {
    let status = if token.is_expired(context.directory.time_for_expiry()) {
        "expired"
    } else if context.site.knows(&token.owner) {
        "valid"
    } else {
        "no owner"
    };
    let Token { id, owner, created, expires, last_used, last_denied, description, digest: _ } =
        token;
    let last_denied = last_denied.map(|denial| LastDenial {
        time: denial.time,
        reason: Reason::named(&denial.reason)
            .map_or(denial.reason, |reason| reason.meaning().to_owned()),
    });
    let status = status.to_owned();
    TokenInfo { id, owner, created, expires, last_used, last_denied, description, status }
}
