//! Signing in with a one-time link, and signing out.

use askama::Template;

use super::call::ConsoleCall;
use super::page::Layout;
use super::reply::{ConsoleFailure, ConsoleReply};
use super::session::{COOKIE_ATTRIBUTES, SESSION_COOKIE};
use crate::operator::Identity;

/// The page for those who have not signed in, and for those who must sign in again.
#[derive(Template)]
#[template(path = "sign-in.html")]
struct SignInPage {
    layout: Layout,
    /// The name of the operator who must sign in again.
    again: Option<String>,
}

/// The page of a one-time link.
#[derive(Template)]
#[template(path = "link.html")]
struct LinkPage {
    layout: Layout,
    token: String,
    identity: Option<Identity>,
}

pub(super) fn show(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    if call.session.is_some() {
        return Ok(ConsoleReply::redirect(call.next.clone()));
    }
    call.page(&SignInPage { layout: Layout::new(call, "Sign in", ""), again: None })
}

pub(super) fn again(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    if let Some(session) = &call.session {
        call.console.sessions.set_return(&session.digest, call.next.clone());
    }
    let again = call.session.as_ref().map(|session| session.identity.name.clone());
    call.page(&SignInPage { layout: Layout::new(call, "Sign in again", ""), again })
}

pub(super) fn show_link(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let token = call.parameter(0).to_owned();
    let identity = call.console.links.find(&token);
    let layout = Layout::new(call, "Sign in", "");
    call.page(&LinkPage { layout, token, identity })
}

pub(super) fn use_link(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    match call.console.links.consume(call.form.get("token")) {
        Some(identity) => call.sign_in(identity),
        None => {
            tracing::warn!(address = %call.address, "a one-time link that is not valid was used");
            let layout = Layout::new(call, "Sign in", "");
            call.page(&LinkPage { layout, token: String::new(), identity: None })
        }
    }
}

pub(super) fn sign_out(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    if let Some(session) = &call.session {
        call.console.sessions.close(&session.digest);
        tracing::info!(operator = session.identity.name, "signed out of the console");
    }
    let gone = format!("{SESSION_COOKIE}=; Max-Age=0; {COOKIE_ATTRIBUTES}");
    Ok(ConsoleReply::redirect("/sign-in").with_cookie(gone))
}
