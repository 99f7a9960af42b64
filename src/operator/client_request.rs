//! What operators can ask about OAuth clients, and what they are answered.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::connection::assertion::KeySet;

/// A request about OAuth clients.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientRequest {
    /// Generate a client. Changes; needs a connection of the configuration.
    Generate {
        /// The connection that its access tokens authenticate.
        connection: String,
        /// How long the client is valid; `None` if it does not expire.
        valid_for: Option<Duration>,
        /// What it is for.
        description: Option<String>,
    },
    /// Generate a client that signs assertions with its own key. Changes; needs a connection of the configuration.
    Register {
        /// The connection that its access tokens authenticate.
        connection: String,
        /// How long the client is valid; `None` if it does not expire.
        valid_for: Option<Duration>,
        /// What it is for.
        description: Option<String>,
        /// Its public keys.
        keys: KeySet,
    },
    /// List all clients. Reads.
    List,
    /// Revoke a client and its access tokens at once. Changes; needs its id, or a beginning of it that no
    /// other client's id has.
    Revoke {
        /// The id of the client.
        id: String,
    },
}

/// The reply to a [`ClientRequest`]. It has no `Debug`: it may carry a new secret.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientReply {
    /// A new client.
    Generated {
        /// The secret itself, shown only here.
        secret: String,
        /// The client.
        client: ClientInfo,
    },
    /// A new client with a key of its own.
    Registered(ClientInfo),
    /// All clients, oldest first.
    Clients(Vec<ClientInfo>),
    /// The client that was revoked.
    Revoked(ClientInfo),
}

/// A client without its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientInfo {
    /// The client identifier.
    pub id: String,
    /// The connection that its access tokens authenticate.
    pub connection: String,
    /// When it was generated.
    pub created: Timestamp,
    /// When it expires; `None` for never.
    pub expires: Option<Timestamp>,
    /// When it, or one of its access tokens, was last used.
    pub last_used: Option<Timestamp>,
    /// What it is for, as the operator says.
    pub description: Option<String>,
    /// What it signs in with: `secret` or `key`.
    pub credential: String,
    /// `valid` or `expired`.
    pub status: String,
}
