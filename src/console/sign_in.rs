//! The page on which operators sign in, one-time links, and signing out.

use askama::Template;

use super::call::ConsoleCall;
use super::page::{Layout, sentence};
use super::reply::{ConsoleFailure, ConsoleReply};
use super::session::{COOKIE_ATTRIBUTES, SESSION_COOKIE};
use crate::operator::{Identity, IdentitySource, OperatorContext};

/// The page for those who have not signed in, and for those who must sign in again.
#[derive(Template)]
#[template(path = "sign-in.html")]
struct SignInPage {
    layout: Layout,
    /// The name of the operator who must sign in again.
    again: Option<String>,
    /// The page to go on at.
    next: String,
    /// The form for name, password and code, where there are named operators.
    form: Option<SignInForm>,
    /// The host of the provider, where one is configured.
    provider: Option<String>,
    /// Why signing in there failed.
    refusal: Option<String>,
    /// The named operator who would use a link.
    link_for: Option<String>,
}

/// What was entered, and why it did not sign in.
pub(super) struct SignInForm {
    pub(super) name: String,
    pub(super) error: Option<String>,
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
    page(call, None, None)
}

pub(super) fn again(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    if let Some(session) = &call.session {
        call.console.sessions.set_return(&session.digest, call.next.clone());
    }
    page(call, None, None)
}

/// The page after a sign-in by password that failed.
pub(super) fn refused(
    call: &ConsoleCall,
    form: SignInForm,
) -> Result<ConsoleReply, ConsoleFailure> {
    page(call, Some(form), None)
}

/// The page after a sign-in at the provider that failed.
pub(super) fn refused_at_provider(
    call: &ConsoleCall,
    refusal: String,
) -> Result<ConsoleReply, ConsoleFailure> {
    page(call, None, Some(sentence(refusal)))
}

fn page(
    call: &ConsoleCall,
    form: Option<SignInForm>,
    refusal: Option<String>,
) -> Result<ConsoleReply, ConsoleFailure> {
    let again = call.session.as_ref().map(|session| session.identity.clone());
    let named = call.operator_name().ok();
    let has_form = match &again {
        Some(_) => named.is_some(),
        None => !call.operator()?.directory.operators().is_empty(),
    };
    let is_of_provider = again
        .as_ref()
        .is_none_or(|identity| matches!(identity.source, IdentitySource::Provider { .. }));
    let settings = call.settings();
    let provider = settings.config.console.oidc.as_ref().filter(|_| is_of_provider);
    let provider = provider.and_then(|oidc| oidc.issuer.split('/').nth(2)).map(ToOwned::to_owned);
    let empty = || SignInForm { name: named.clone().unwrap_or_default(), error: None };
    let title = if again.is_some() { "Sign in again" } else { "Sign in" };
    call.page(&SignInPage {
        layout: Layout::new(call, title, ""),
        again: again.map(|identity| identity.name),
        next: call.next.clone(),
        provider,
        refusal,
        form: form.or_else(|| has_form.then(empty)),
        link_for: named,
    })
}

pub(super) fn show_link(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let token = call.parameter(0).to_owned();
    let identity = call.console.links.find(&token);
    let identity = identity.filter(|identity| call.console.is_current(identity));
    let layout = Layout::new(call, "Sign in", "");
    call.page(&LinkPage { layout, token, identity })
}

pub(super) fn use_link(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let identity = call.console.links.consume(call.form.get("token"));
    match identity.filter(|identity| call.console.is_current(identity)) {
        Some(identity) => {
            let context = call.operator()?;
            call.sign_ins(&context)?.note(&context.directory, &identity, "link", call.address);
            match is_enrolled(&context, &identity) {
                true => call.sign_in(identity),
                false => call.enter(
                    identity,
                    Some("/account/enrol"),
                    "You are signed in. Choose a password and enrol one-time codes, to sign in without a link.",
                ),
            }
        }
        None => {
            tracing::warn!(address = %call.address, "a one-time link that is not valid was used");
            let layout = Layout::new(call, "Sign in", "");
            call.page(&LinkPage { layout, token: String::new(), identity: None })
        }
    }
}

/// Whether an operator can sign in by password and code, or needs neither.
fn is_enrolled(context: &OperatorContext, identity: &Identity) -> bool {
    let account = match identity.source {
        IdentitySource::Named { .. } => context.directory.operator(&identity.name),
        IdentitySource::Host | IdentitySource::Provider { .. } => None,
    };
    account.is_none_or(|account| account.password.is_some() && account.code.is_some())
}

pub(super) fn sign_out(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    if let Some(session) = &call.session {
        call.console.sessions.close(&session.digest);
        tracing::info!(operator = session.identity.name, "signed out of the console");
    }
    let gone = format!("{SESSION_COOKIE}=; Max-Age=0; {COOKIE_ATTRIBUTES}");
    Ok(ConsoleReply::redirect("/sign-in").with_cookie(gone))
}
