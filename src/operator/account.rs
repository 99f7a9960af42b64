//! Named operators of the console, as operators manage them.

use super::account_request::{
    AccountReply, AccountRequest, CodeEnrolment, OperatorInfo, OperatorStatus,
};
use super::context::OperatorContext;
use super::reply::OperatorReply;
use super::sign_in::{SignIns, new_secret, seal};
use crate::credential::{CodeSecret, OperatorAccount, check_name};
use crate::directory::{
    AddOperator, Directory, DirectoryError, EndOperatorSessions, RemoveOperator,
    SetOperatorCredentials, SetOperatorRole,
};
use crate::event::Actor;

pub(super) fn execute(
    context: &OperatorContext,
    actor: Actor,
    request: AccountRequest,
) -> Result<OperatorReply, DirectoryError> {
    let directory = context.directory.as_ref();
    let changed = |account| AccountReply::Changed(info(directory, &account));
    let reply = match request {
        AccountRequest::Add { name, role, password } => {
            let name = check_name(&name).map_err(|error| unfit(&error))?;
            let secret = password.is_some().then(new_secret).transpose()?;
            let code = secret.as_ref().map(|secret| seal(directory, &name, secret)).transpose()?;
            let enrolment = secret.as_ref().map(|secret| enrolment(&name, secret));
            let add = AddOperator { name, role, password, code };
            let account = directory.submit(actor, add).wait()?;
            AccountReply::Added { operator: info(directory, &account), code: enrolment }
        }
        AccountRequest::List => {
            let operators = directory.operators();
            let listed = operators.iter().map(|account| info(directory, account)).collect();
            AccountReply::Operators(listed)
        }
        AccountRequest::SetRole { name, role } => {
            let set = SetOperatorRole { name: folded(&name), role };
            changed(directory.submit(actor, set).wait()?)
        }
        AccountRequest::Remove { name } => {
            let remove = RemoveOperator { name: folded(&name) };
            let account = directory.submit(actor, remove).wait()?;
            AccountReply::Removed(info(directory, &account))
        }
        AccountRequest::BeginEnrolment { name } => {
            let account = known(directory, &name)?;
            let secret = new_secret()?;
            let shown = enrolment(&account.name, &secret);
            sign_ins(context)?.begin_enrolment(&account.name, secret);
            AccountReply::Enrolling(Some(shown))
        }
        AccountRequest::ShowEnrolment { name } => {
            let name = known(directory, &name)?.name;
            let show = |secret: &CodeSecret| enrolment(&name, secret);
            AccountReply::Enrolling(sign_ins(context)?.with_enrolment(&name, show))
        }
        AccountRequest::FinishEnrolment { name, password, code } => {
            let account = known(directory, &name)?;
            if password.is_none() && account.password.is_none() {
                return Err(unfit(&"choose a password as well"));
            }
            let confirmed = sign_ins(context)?.confirm(directory, &account.name, &code)?;
            let Some((sealed, step)) = confirmed else {
                return Ok(OperatorReply::Account(AccountReply::WrongCode(
                    "the code is not the one that the app shows now; enter the present one, and check the clock of \
                     the phone"
                        .to_owned(),
                )));
            };
            let name = account.name;
            let set =
                SetOperatorCredentials { name: name.clone(), password, code: Some((sealed, step)) };
            let account = directory.submit(actor, set).wait()?;
            sign_ins(context)?.end_enrolment(&name);
            changed(account)
        }
        AccountRequest::SetPassword { name, password } => {
            let (name, password) = (folded(&name), Some(password));
            let set = SetOperatorCredentials { name, password, code: None };
            changed(directory.submit(actor, set).wait()?)
        }
        AccountRequest::EndSessions { name } => {
            let end = EndOperatorSessions { name: folded(&name) };
            changed(directory.submit(actor, end).wait()?)
        }
    };
    Ok(OperatorReply::Account(reply))
}

fn folded(name: &str) -> String {
    name.to_ascii_lowercase()
}

fn unfit(reason: &dyn std::fmt::Display) -> DirectoryError {
    DirectoryError::Unfit(reason.to_string())
}

/// What a running server has for signing in.
fn sign_ins(context: &OperatorContext) -> Result<&SignIns, DirectoryError> {
    let server = context.server.as_ref();
    let missing = || unfit(&"codes are enrolled in the console of a running server; start scimd");
    server.map(|server| server.sign_ins.as_ref()).ok_or_else(missing)
}

fn known(directory: &Directory, name: &str) -> Result<OperatorAccount, DirectoryError> {
    let missing = || DirectoryError::NotFound { kind: "operator".to_owned(), id: name.to_owned() };
    directory.operator(&folded(name)).ok_or_else(missing)
}

fn info(directory: &Directory, account: &OperatorAccount) -> OperatorInfo {
    let OperatorAccount { name, role, created, last_sign_in, .. } = account.clone();
    // Without the key, as in a command that reads, a code counts as enrolled.
    let opens = |sealed| directory.code_key().map_or(true, |key| key.open(&name, sealed).is_some());
    let is_ready = account.password.is_some() && account.code.as_ref().is_some_and(opens);
    let status = if is_ready { OperatorStatus::Ready } else { OperatorStatus::NotEnrolled };
    OperatorInfo { name, role, created, last_sign_in, status }
}

fn enrolment(name: &str, secret: &CodeSecret) -> CodeEnrolment {
    let text = |text: zeroize::Zeroizing<String>| text.as_str().to_owned();
    CodeEnrolment { secret: text(secret.base32()), uri: text(secret.uri(name)) }
}
