//! The authorization server as it describes itself (RFC 8414).

use bytes::Bytes;
use serde_json::json;

use super::TOKEN_PATH;
use crate::connection::assertion::AssertionAlgorithm;

/// The only grant (RFC 6749, section 4.4).
pub(super) const GRANT: &str = "client_credentials";
/// The only scope.
pub(super) const SCOPE: &str = "scim";
/// How clients prove themselves.
const METHODS: [&str; 3] = ["client_secret_basic", "client_secret_post", "private_key_jwt"];

/// Where an issuer with this URL gives access tokens.
pub(super) fn token_endpoint(issuer: &str) -> String {
    format!("{issuer}{TOKEN_PATH}")
}

/// The description for an issuer with this URL.
pub(super) fn description(issuer: &str) -> Bytes {
    let algorithms: Vec<&str> = AssertionAlgorithm::ALL.iter().map(|one| one.as_str()).collect();
    json!({
        "issuer": issuer,
        "token_endpoint": token_endpoint(issuer),
        "token_endpoint_auth_methods_supported": METHODS,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "grant_types_supported": [GRANT],
        "response_types_supported": [],
        "scopes_supported": [SCOPE],
    })
    .to_string()
    .into()
}
