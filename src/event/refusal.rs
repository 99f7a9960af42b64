//! Refused requests and the reasons for the refusals.
//!
//! Every text here is scimd's own, except for the source address and the claims that a detail quotes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The reason for which a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A trusted proxy sent an X-Forwarded-For that is no list of addresses.
    ForwardedFor,
    /// The address is on no applicable allowlist.
    Address,
    /// No token was sent.
    NoToken,
    /// Several tokens were sent.
    SeveralTokens,
    /// The credential is not a well-formed token.
    MalformedToken,
    /// The token is unknown or was revoked.
    UnknownToken,
    /// The token has expired.
    ExpiredToken,
    /// The token's connection or application is not in the configuration.
    UnknownConnection,
    /// X-Request-Origin is missing, or was sent several times.
    OriginCount,
    /// X-Request-Origin differs from the configured origin.
    Origin,
    /// The client certificate is missing, or does not fit the CA of the connection.
    ClientCertificate,
    /// The scope of the connection does not cover the resource.
    Scope,
    /// The connection may not give this access.
    MayGrant,
    /// The token lacks the scope of the request.
    TokenScope,
    /// A token request has no client credentials that can be read.
    NoClient,
    /// The client is unknown or was revoked.
    UnknownClient,
    /// The secret is not that of the client.
    ClientSecret,
    /// The client has expired.
    ExpiredClient,
    /// The assertion is not one that a connection trusts.
    ClientAssertion,
    /// The token came by HTTP Basic, which the connection does not take.
    Basic,
    /// An operator could not sign in to the console.
    ConsoleSignIn,
}

impl Reason {
    /// Every reason with its description.
    pub const CATALOGUE: [(Self, &'static str); 21] = [
        (Self::ForwardedFor, "X-Forwarded-For of the trusted proxy is not a list of addresses"),
        (Self::Address, "the address is not on the ip_allowlist"),
        (Self::NoToken, "no bearer token was sent"),
        (Self::SeveralTokens, "several Authorization headers were sent"),
        (Self::MalformedToken, "what was sent is not a scimd token, or is mistyped"),
        (Self::UnknownToken, "the token is unknown or was revoked"),
        (Self::ExpiredToken, "the token has expired"),
        (
            Self::UnknownConnection,
            "the token's connection or application is not in the configuration",
        ),
        (Self::OriginCount, "X-Request-Origin is missing, or was sent several times"),
        (Self::Origin, "X-Request-Origin is not the service_origin"),
        (
            Self::ClientCertificate,
            "no client certificate was sent, or it does not fit the client_ca",
        ),
        (Self::Scope, "the connection may change only what it created (scope = \"own\")"),
        (Self::MayGrant, "the connection may not give this access (may_grant)"),
        (Self::TokenScope, "the token lacks the scope that the request needs"),
        (Self::NoClient, "a token request has no client credentials"),
        (Self::UnknownClient, "the client is unknown or was revoked"),
        (Self::ClientSecret, "the secret is not that of the client"),
        (Self::ExpiredClient, "the client has expired"),
        (
            Self::ClientAssertion,
            "the assertion is not what the federation of a connection, or a client with a key, must send; detail says why",
        ),
        (
            Self::Basic,
            "the token came by Basic, and the connection does not take it, or the user name is not its name",
        ),
        (Self::ConsoleSignIn, "an operator could not sign in to the console; detail says why"),
    ];

    /// Whether a request that presents a known token, or proves that it is from a known client, can be refused for
    /// it.
    pub fn may_have_known_token(self) -> bool {
        match self {
            Self::ForwardedFor
            | Self::NoToken
            | Self::SeveralTokens
            | Self::MalformedToken
            | Self::NoClient
            | Self::UnknownClient
            | Self::ClientSecret
            | Self::ClientAssertion
            | Self::ConsoleSignIn => false,
            // One that was revoked is known.
            Self::UnknownToken => true,
            Self::Address
            | Self::ExpiredToken
            | Self::UnknownConnection
            | Self::OriginCount
            | Self::Origin
            | Self::ClientCertificate
            | Self::Scope
            | Self::MayGrant
            | Self::TokenScope
            | Self::ExpiredClient
            | Self::Basic => true,
        }
    }

    /// The reason with a name.
    pub fn named(name: &str) -> Option<Self> {
        let mut reasons = Self::CATALOGUE.into_iter().map(|(reason, _)| reason);
        reasons.find(|reason| reason.as_str() == name)
    }

    /// The reason in words.
    pub fn meaning(self) -> &'static str {
        let known = Self::CATALOGUE.into_iter().find(|(reason, _)| *reason == self);
        known.map_or("", |(_, meaning)| meaning)
    }

    /// The reason's name on disk and in metrics.
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
            Self::ClientCertificate => "client_certificate",
            Self::Scope => "scope",
            Self::MayGrant => "may_grant",
            Self::TokenScope => "token_scope",
            Self::NoClient => "no_client",
            Self::UnknownClient => "unknown_client",
            Self::ClientSecret => "client_secret",
            Self::ExpiredClient => "expired_client",
            Self::ClientAssertion => "client_assertion",
            Self::Basic => "basic",
            Self::ConsoleSignIn => "console_sign_in",
        }
    }
}

/// The requests that were refused for the same reason, connection, token and network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRequests {
    /// The reason for the refusals.
    pub reason: Reason,
    /// The connection of the token, if the token is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// The application of the token, if the token is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The id of the token, if the token is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What was expected and what came, of the first request, where the reason does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The source of the requests: a [`Network`](super::Network).
    pub address: String,
    /// The time of the first request.
    pub first: Timestamp,
    /// The time of the last request.
    pub last: Timestamp,
    /// The number of requests.
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
