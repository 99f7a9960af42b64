//! Whether the token behind a command still is valid when the command runs.

use jiff::Timestamp;

use crate::connection::token::Token;
use crate::directory::error::DirectoryError;
use crate::event::Actor;
use crate::store::{Read, keys};

/// Refuses a command whose token was revoked, or has expired, since its request was let in: a body may
/// take long to arrive, and commands wait. It looks at the state that the command sees, so a revocation
/// just ahead of it counts.
///
/// # Errors
///
/// `Unauthenticated`; `Storage`.
pub(crate) fn check(state: &dyn Read, actor: &Actor, now: Timestamp) -> Result<(), DirectoryError> {
    let Actor::Connection { token, .. } = actor else { return Ok(()) };
    let stored = state.get(&keys::token(token))?;
    let stored = stored.and_then(|json| serde_json::from_slice::<Token>(&json).ok());
    match stored {
        Some(token) if !token.is_expired(now) => Ok(()),
        _ => Err(DirectoryError::Unauthenticated),
    }
}
