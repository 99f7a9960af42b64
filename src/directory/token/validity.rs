//! Whether the token behind a command still is valid when the command runs.

use jiff::Timestamp;

use crate::connection::token::Token;
use crate::directory::error::DirectoryError;
use crate::directory::token::table::TokenTable;
use crate::event::Actor;
use crate::store::overlay::Overlay;
use crate::store::{Read, keys};

/// Refuses a command whose token was revoked, or has expired, since its request was let in: a body may
/// take long to arrive, and commands wait. It looks at the state that the command sees, so a revocation
/// just ahead of it counts: what the group of commands has changed so far, and else the table, which has
/// what is committed.
///
/// # Errors
///
/// `Unauthenticated`; `Storage`.
pub(crate) fn check(
    pending: &Overlay<'_>,
    tokens: &TokenTable,
    actor: &Actor,
    now: Timestamp,
) -> Result<(), DirectoryError> {
    let Actor::Connection { token, .. } = actor else { return Ok(()) };
    let key = keys::token(token);
    let is_valid = if pending.changes(&key) {
        let stored = pending.get(&key)?;
        let stored = stored.and_then(|json| serde_json::from_slice::<Token>(&json).ok());
        stored.is_some_and(|token| !token.is_expired(now))
    } else {
        tokens.is_valid(token, now)
    };
    if is_valid { Ok(()) } else { Err(DirectoryError::Unauthenticated) }
}
