//! Whether the token or client behind a command still is valid when the command runs.

use jiff::Timestamp;

use crate::connection::client::{Client, is_client_id};
use crate::connection::token::Token;
use crate::directory::error::DirectoryError;
use crate::directory::token::client_table::ClientTable;
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
    (tokens, clients): (&TokenTable, &ClientTable),
    actor: &Actor,
    now: Timestamp,
) -> Result<(), DirectoryError> {
    let Actor::Connection { token, .. } = actor else { return Ok(()) };
    let is_client = is_client_id(token);
    let key = if is_client { keys::client(token) } else { keys::token(token) };
    let is_valid = if pending.changes(&key) {
        pending.get(&key)?.is_some_and(|json| match is_client {
            true => serde_json::from_slice(&json).is_ok_and(|one: Client| !one.is_expired(now)),
            false => serde_json::from_slice(&json).is_ok_and(|one: Token| !one.is_expired(now)),
        })
    } else if is_client {
        clients.is_valid(token, now)
    } else {
        tokens.is_valid(token, now)
    };
    if is_valid { Ok(()) } else { Err(DirectoryError::Unauthenticated) }
}
