//! Signing in with a name, a password and a one-time code.

use hyper::StatusCode;

use super::call::ConsoleCall;
use super::reply::{ConsoleFailure, ConsoleReply};
use super::sign_in::{SignInForm, refused};
use crate::operator::{Identity, SignInAttempt, SignInRefusal};

pub(super) fn sign_in(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let context = call.operator()?;
    let name = call.form.get("name");
    let attempt = SignInAttempt {
        name,
        password: call.form.whole("password"),
        code: call.form.get("code"),
        address: call.address,
    };
    let refusal = match call.sign_ins(&context)?.sign_in(&context.directory, &attempt) {
        Ok(account) => return call.sign_in(Identity::named(&account)),
        Err(refusal) => refusal,
    };
    let status = match &refusal {
        SignInRefusal::Wrong | SignInRefusal::UsedCode | SignInRefusal::NotEnrolled(_) => {
            StatusCode::FORBIDDEN
        }
        SignInRefusal::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
        SignInRefusal::Busy | SignInRefusal::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let form = SignInForm { name: name.to_owned(), error: Some(refusal.to_string()) };
    Ok(refused(call, form)?.with_status(status))
}
