//! `/Me` (RFC 7644, section 3.11).

use super::Call;
use crate::http::error::Failure;
use crate::http::respond::HttpResponse;

/// Answers 501.
pub(in crate::http) async fn not_implemented(_: Call<'_>) -> Result<HttpResponse, Failure> {
    Err(Failure::NotImplemented(
        "/Me is not supported: a token belongs to a connection, not to a user.".to_owned(),
    ))
}
