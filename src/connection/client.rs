//! OAuth clients: what an identity provider proves itself with to get access tokens.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::assertion::KeySet;
use super::federation::TRUST_PREFIX;
use super::token::TokenDigest;

/// What the id of every client begins with, so that it is not taken for the id of a token.
pub const CLIENT_PREFIX: &str = "client-";

/// Whether an id is that of a client or a trust, and not that of a token.
pub fn is_client_id(id: &str) -> bool {
    id.starts_with(CLIENT_PREFIX) || id.starts_with(TRUST_PREFIX)
}

/// A stored OAuth client, without its secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct Client {
    /// The client identifier (RFC 6749, section 2.2).
    pub id: String,
    /// The connection that its access tokens authenticate.
    pub connection: String,
    /// The time of creation.
    pub created: Timestamp,
    /// The time of expiry; `None` if the client never expires.
    pub expires: Option<Timestamp>,
    /// The time of last use, accurate to about a minute.
    pub last_used: Option<Timestamp>,
    /// How the client proves itself.
    pub proof: ClientProof,
    /// Random: access tokens of a client, or trust, that had the same id before open nothing.
    #[serde(default)]
    pub generation: u64,
    /// What the operator says that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// How a client proves itself.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientProof {
    /// By a secret with this digest.
    Secret(TokenDigest),
    /// By assertions that one of these keys signs (RFC 7523).
    Keys(KeySet),
    /// By assertions of an issuer that the configuration trusts.
    Federation,
}

impl ClientProof {
    /// What the client has: the word for lists.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Secret(_) => "secret",
            Self::Keys(_) => "key",
            Self::Federation => "federation",
        }
    }
}

impl Client {
    /// Whether the client has expired at `moment`.
    pub fn is_expired(&self, moment: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= moment)
    }
}

impl fmt::Debug for Client {
    /// Writes the id only: a digest does not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("id", &self.id).finish_non_exhaustive()
    }
}
