//! The authorization server as it describes itself (RFC 8414).

use bytes::Bytes;
use serde_json::json;

use super::TOKEN_PATH;
use crate::connection::assertion::AssertionAlgorithm;

/// The only grant (RFC 6749, section 4.4).
pub(super) const GRANT: &str = "client_credentials";
/// The only scope.
pub(super) const SCOPE: &str = "scim";

/// The description for an issuer with this URL.
pub(super) fn description(issuer: &str, takes_assertions: bool) -> Bytes {
    let mut methods = vec!["client_secret_basic", "client_secret_post"];
    let mut algorithms = Vec::new();
    if takes_assertions {
        methods.push("private_key_jwt");
        algorithms.extend(AssertionAlgorithm::ALL.iter().map(|one| one.as_str()));
    }
    json!({
        "issuer": issuer,
        "token_endpoint": format!("{issuer}{TOKEN_PATH}"),
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "grant_types_supported": [GRANT],
        "response_types_supported": [],
        "scopes_supported": [SCOPE],
    })
    .to_string()
    .into()
}
