//! The operator's own account: password, one-time codes, sessions.

use askama::Template;
use bytes::Bytes;
use hyper::StatusCode;
use qrcode::QrCode;
use qrcode::render::svg;

use super::call::{ConsoleCall, unexpected};
use super::page::Layout;
use super::reply::{ConsoleFailure, ConsoleReply};
use crate::credential::{MIN_PASSWORD, PasswordHash};
use crate::operator::{
    AccountReply, AccountRequest, CodeEnrolment, Identity, OperatorReply, OperatorRequest,
};

/// The page of an account.
#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    layout: Layout,
    /// Whether the operator is named, and so has a password.
    is_named: bool,
    /// Whether a password is set.
    has_password: bool,
    /// Whether one-time codes are enrolled.
    has_codes: bool,
    error: Option<String>,
}

/// The page on which one-time codes are enrolled.
#[derive(Template)]
#[template(path = "enrol.html")]
struct EnrolPage {
    layout: Layout,
    name: String,
    has_password: bool,
    /// The secret, in groups of four, once the enrolment has begun.
    secret: Option<String>,
    error: Option<String>,
}

pub(super) fn show(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    page(call, None)
}

fn page(call: &ConsoleCall, error: Option<String>) -> Result<ConsoleReply, ConsoleFailure> {
    let account = match call.operator_name() {
        Ok(name) => call.operator()?.directory.operator(&name),
        Err(_) => None,
    };
    let is_named = account.is_some();
    let has_password = account.as_ref().is_some_and(|account| account.password.is_some());
    let has_codes = account.is_some_and(|account| account.code.is_some());
    let layout = Layout::new(call, "Your account", "/account");
    let is_wrong = error.is_some();
    let page = call.page(&AccountPage { layout, is_named, has_password, has_codes, error })?;
    Ok(if is_wrong { page.with_status(StatusCode::UNPROCESSABLE_ENTITY) } else { page })
}

pub(super) fn set_password(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let name = call.operator_name()?;
    let password = match new_password(call, &name) {
        Ok(Some(password)) => password,
        Ok(None) => return page(call, Some(format!("Choose at least {MIN_PASSWORD} characters"))),
        Err(error) => return page(call, Some(error)),
    };
    ask(call, AccountRequest::SetPassword { name, password })?;
    // The sessions so far have ended, this one among them.
    go_on(call, "/account", "The password is changed; your other sessions have ended.")
}

pub(super) fn sign_out_everywhere(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    ask(call, AccountRequest::EndSessions { name: call.operator_name()? })?;
    super::sign_in::sign_out(call)
}

pub(super) fn show_enrolment(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    enrol_page(call, None)
}

fn enrol_page(call: &ConsoleCall, error: Option<String>) -> Result<ConsoleReply, ConsoleFailure> {
    let name = call.operator_name()?;
    let account = call.operator()?.directory.operator(&name);
    let secret = pending(call, &name)?.map(|enrolment| {
        let digits: Vec<char> = enrolment.secret.chars().collect();
        let groups: Vec<String> = digits.chunks(4).map(|group| group.iter().collect()).collect();
        groups.join(" ")
    });
    let is_wrong = error.is_some();
    let page = call.page(&EnrolPage {
        layout: Layout::new(call, "Enrol one-time codes", "/account"),
        name,
        has_password: account.is_some_and(|account| account.password.is_some()),
        secret,
        error,
    })?;
    Ok(if is_wrong { page.with_status(StatusCode::UNPROCESSABLE_ENTITY) } else { page })
}

pub(super) fn begin_enrolment(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    ask(call, AccountRequest::BeginEnrolment { name: call.operator_name()? })?;
    Ok(ConsoleReply::redirect("/account/enrol"))
}

/// The QR code of the secret that is being enrolled.
pub(super) fn qr_code(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let enrolment = pending(call, &call.operator_name()?)?;
    let enrolment = enrolment
        .ok_or_else(|| ConsoleFailure::not_found("no one-time codes are being enrolled"))?;
    let code = QrCode::new(enrolment.uri.as_bytes())
        .map_err(|error| ConsoleFailure::internal(&error.to_string()))?;
    let image = code.render::<svg::Color<'_>>().min_dimensions(240, 240).build();
    Ok(ConsoleReply::of("image/svg+xml", Bytes::from(image)))
}

pub(super) fn finish_enrolment(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let name = call.operator_name()?;
    let password = match new_password(call, &name) {
        Ok(password) => password,
        Err(error) => return enrol_page(call, Some(error)),
    };
    let code = call.form.get("code").to_owned();
    match ask(call, AccountRequest::FinishEnrolment { name, password, code })? {
        AccountReply::WrongCode(error) => enrol_page(call, Some(error)),
        _ => go_on(
            call,
            "/",
            "Your one-time codes are enrolled. From now on you sign in with name, password and code.",
        ),
    }
}

/// The new password of a form, hashed; `None` if it is empty.
fn new_password(call: &ConsoleCall, name: &str) -> Result<Option<PasswordHash>, String> {
    let (password, again) = (call.form.whole("password"), call.form.whole("again"));
    if password.is_empty() {
        return Ok(None);
    }
    if password != again {
        return Err("The two passwords differ; enter both again".to_owned());
    }
    let failed = || "this page failed; load it again".to_owned();
    let context = call.operator().map_err(|_| failed())?;
    call.sign_ins(&context).map_err(|_| failed())?.hash(name, password).map(Some)
}

/// The secret that an operator is enrolling.
fn pending(call: &ConsoleCall, name: &str) -> Result<Option<CodeEnrolment>, ConsoleFailure> {
    match ask(call, AccountRequest::ShowEnrolment { name: name.to_owned() })? {
        AccountReply::Enrolling(enrolment) => Ok(enrolment),
        _ => Err(unexpected()),
    }
}

/// Opens another session for an operator whose sessions have just ended.
fn go_on(call: &ConsoleCall, path: &str, notice: &str) -> Result<ConsoleReply, ConsoleFailure> {
    let account = call.operator()?.directory.operator(&call.operator_name()?);
    let account = account.ok_or(ConsoleFailure::SignIn)?;
    call.enter(Identity::named(&account), Some(path), notice)
}

fn ask(call: &ConsoleCall, request: AccountRequest) -> Result<AccountReply, ConsoleFailure> {
    match call.execute(OperatorRequest::Account(request))? {
        OperatorReply::Account(reply) => Ok(reply),
        _ => Err(unexpected()),
    }
}
