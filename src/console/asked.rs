//! Questions to the operator API that may be wrong: a page says so beside its form.

use hyper::StatusCode;

use super::call::ConsoleCall;
use super::reply::ConsoleFailure;
use crate::operator::{OperatorReply, OperatorRequest};

/// Asks the operator API. The inner error is a sentence about what was asked.
///
/// # Errors
///
/// Other failures.
pub(super) fn ask(
    call: &ConsoleCall,
    request: OperatorRequest,
) -> Result<Result<OperatorReply, String>, ConsoleFailure> {
    match call.execute(request) {
        Ok(reply) => Ok(Ok(reply)),
        Err(ConsoleFailure::Status(StatusCode::CONFLICT | StatusCode::NOT_FOUND, reason)) => {
            Ok(Err(reason))
        }
        Err(failure) => Err(failure),
    }
}
