//! `/Me` (RFC 7644, section 3.11).

use super::Call;
use crate::http::error::Failure;
use crate::http::respond::HttpResponse;

/// Answers 501.
pub(in crate::http) async fn not_implemented(_: Call<'_>) -> Result<HttpResponse, Failure> {
    Err(Failure::NotImplemented(
        "A token speaks for a connection, not for a user, so there is no /Me.".to_owned(),
    ))
}
