//! Requests that were refused, and why, in words that are all ours: nothing here comes from a client
//! but the address from which it spoke.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A trusted proxy sent an X-Forwarded-For that is no list of addresses.
    ForwardedFor,
    /// The address is on no allowlist that counts.
    Address,
    /// No token was sent.
    NoToken,
    /// Several were.
    SeveralTokens,
    /// What was sent can't be a token.
    MalformedToken,
    /// No token is like that, or it was revoked.
    UnknownToken,
    /// The token has ended.
    ExpiredToken,
    /// The token is of a connection that the configuration no longer has.
    UnknownConnection,
    /// X-Request-Origin is missing, or was sent several times.
    OriginCount,
    /// X-Request-Origin is another one.
    Origin,
    /// The connection may not change that resource.
    Scope,
}

impl Reason {
    /// Every reason with what it says.
    pub const CATALOGUE: [(Self, &'static str); 11] = [
        (Self::ForwardedFor, "X-Forwarded-For of the trusted proxy is not a list of addresses"),
        (Self::Address, "the address is not on the ip_allowlist"),
        (Self::NoToken, "no bearer token was sent"),
        (Self::SeveralTokens, "several Authorization headers were sent"),
        (Self::MalformedToken, "what was sent is not a scimd token, or is mistyped"),
        (Self::UnknownToken, "the token is unknown or was revoked"),
        (Self::ExpiredToken, "the token has expired"),
        (Self::UnknownConnection, "the token's connection is not in the configuration"),
        (Self::OriginCount, "X-Request-Origin is missing, or was sent several times"),
        (Self::Origin, "X-Request-Origin is not the service_origin"),
        (Self::Scope, "the connection may change only what it created (scope = \"own\")"),
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ForwardedFor => "forwarded_for",
            Self::Address => "address",
            Self::NoToken => "no_token",
            Self::SeveralTokens => "several_tokens",
            Self::MalformedToken => "malformed_token",
            Self::UnknownToken => "unknown_token",
            Self::ExpiredToken => "expired_token",
            Self::UnknownConnection => "unknown_connection",
            Self::OriginCount => "origin_count",
            Self::Origin => "origin",
            Self::Scope => "scope",
        }
    }
}

/// Requests that were refused for one reason, and came from one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRequests {
    /// Why.
    pub reason: Reason,
    /// The connection that spoke, as far as the token said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// The id of the token that was used, if it is one of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Where they came from: a [`Network`](super::Network).
    pub address: String,
    /// When the first of them came.
    pub first: Timestamp,
    /// When the last of them came.
    pub last: Timestamp,
    /// How many there were.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_complete_and_its_words_are_those_on_disk() {
        for (reason, meaning) in Reason::CATALOGUE {
            assert!(!meaning.is_empty());
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }
}
