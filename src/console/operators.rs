//! The named operators: list, add, change, remove.

use std::time::Duration;

use askama::Template;
use hyper::StatusCode;

use super::call::{ConsoleCall, unexpected};
use super::page::Layout;
use super::reply::{ConsoleFailure, ConsoleReply, query_value};
use crate::operator::{
    AccountReply, AccountRequest, OperatorInfo, OperatorReply, OperatorRequest, OperatorRole,
    OperatorStatus,
};

/// How long the link for another operator is valid.
const LINK: Duration = Duration::from_secs(60 * 60);

/// The list.
#[derive(Template)]
#[template(path = "operators.html")]
struct OperatorsPage {
    layout: Layout,
    operators: Vec<OperatorInfo>,
    /// What was entered and refused.
    name: String,
    role: OperatorRole,
    error: Option<String>,
}

/// One operator.
#[derive(Template)]
#[template(path = "operator.html")]
struct OperatorPage {
    layout: Layout,
    operator: OperatorInfo,
    path: String,
    is_own: bool,
}

/// The link of an operator, which is shown once.
#[derive(Template)]
#[template(path = "operator-link.html")]
struct OperatorLinkPage {
    layout: Layout,
    name: String,
    url: String,
}

pub(super) fn list(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    page(call, String::new(), OperatorRole::Viewer, None)
}

fn page(
    call: &ConsoleCall,
    name: String,
    role: OperatorRole,
    error: Option<String>,
) -> Result<ConsoleReply, ConsoleFailure> {
    let operators = operators(call)?;
    let layout = Layout::new(call, "Operators", "/operators");
    let is_wrong = error.is_some();
    let page = call.page(&OperatorsPage { layout, operators, name, role, error })?;
    Ok(if is_wrong { page.with_status(StatusCode::UNPROCESSABLE_ENTITY) } else { page })
}

pub(super) fn add(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let name = call.form.get("name").to_owned();
    let role = role(call)?;
    let add = AccountRequest::Add { name: name.clone(), role, password: None };
    match call.execute(OperatorRequest::Account(add)) {
        Ok(OperatorReply::Account(AccountReply::Added { operator, .. })) => {
            link_page(call, operator.name)
        }
        Ok(_) => Err(unexpected()),
        Err(ConsoleFailure::Status(StatusCode::CONFLICT, reason)) => {
            page(call, name, role, Some(reason))
        }
        Err(failure) => Err(failure),
    }
}

pub(super) fn show(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let name = call.parameter(0).to_ascii_lowercase();
    let operator = operators(call)?.into_iter().find(|operator| operator.name == name);
    let operator = operator
        .ok_or_else(|| ConsoleFailure::not_found(format!("operator \"{name}\" not found")))?;
    let is_own = call.operator_name().is_ok_and(|own| own == operator.name);
    let path = format!("/operators/{}", query_value(&operator.name));
    let layout = Layout::new(call, operator.name.clone(), "/operators");
    call.page(&OperatorPage { layout, operator, path, is_own })
}

pub(super) fn set_role(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let (name, role) = (call.parameter(0).to_owned(), role(call)?);
    match ask(call, AccountRequest::SetRole { name, role })? {
        AccountReply::Changed(operator) => {
            let notice = format!("{} has the role {role} from now on.", operator.name);
            Ok(call.done("/operators", notice))
        }
        _ => Err(unexpected()),
    }
}

pub(super) fn end_sessions(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    match ask(call, AccountRequest::EndSessions { name: call.parameter(0).to_owned() })? {
        AccountReply::Changed(operator) => {
            Ok(call.done("/operators", format!("The sessions of {} have ended.", operator.name)))
        }
        _ => Err(unexpected()),
    }
}

pub(super) fn remove(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    match ask(call, AccountRequest::Remove { name: call.parameter(0).to_owned() })? {
        AccountReply::Removed(operator) => {
            let notice = format!("{} is removed, and their sessions have ended.", operator.name);
            Ok(call.done("/operators", notice))
        }
        _ => Err(unexpected()),
    }
}

pub(super) fn link(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    link_page(call, call.parameter(0).to_owned())
}

fn link_page(call: &ConsoleCall, name: String) -> Result<ConsoleReply, ConsoleFailure> {
    let request = OperatorRequest::CreateConsoleLink { operator: Some(name), valid_for: LINK };
    match call.execute(request)? {
        OperatorReply::ConsoleLink { url, identity, .. } => {
            let layout = Layout::new(call, "Sign-in link", "/operators");
            call.page(&OperatorLinkPage { layout, name: identity.name, url })
        }
        _ => Err(unexpected()),
    }
}

fn role(call: &ConsoleCall) -> Result<OperatorRole, ConsoleFailure> {
    let role = call.form.get("role").parse::<OperatorRole>();
    role.map_err(|error| ConsoleFailure::bad(error.to_string()))
}

fn operators(call: &ConsoleCall) -> Result<Vec<OperatorInfo>, ConsoleFailure> {
    match ask(call, AccountRequest::List)? {
        AccountReply::Operators(operators) => Ok(operators),
        _ => Err(unexpected()),
    }
}

fn ask(call: &ConsoleCall, request: AccountRequest) -> Result<AccountReply, ConsoleFailure> {
    match call.execute(OperatorRequest::Account(request))? {
        OperatorReply::Account(reply) => Ok(reply),
        _ => Err(unexpected()),
    }
}
