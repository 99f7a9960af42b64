//! What a handler gets: the request after all checks, and the way to the operator API.

use std::net::IpAddr;
use std::sync::Arc;

use askama::Template;
use hyper::StatusCode;

use super::form::Fields;
use super::reply::{ConsoleFailure, ConsoleReply};
use super::session::{
    COOKIE_ATTRIBUTES, ClosedSession, KeptForm, SESSION_COOKIE, SessionView, digest,
};
use super::settings::ConsoleSettings;
use super::state::ConsoleState;
use crate::event::Actor;
use crate::operator::{
    Identity, IdentitySource, OperatorContext, OperatorReply, OperatorRequest, SignIns, execute,
};

/// A request that has passed all checks of its row.
pub(super) struct ConsoleCall {
    pub(super) console: Arc<ConsoleState>,
    /// The path, without the query.
    pub(super) path: String,
    /// The segments that the template leaves open.
    pub(super) parameters: Vec<String>,
    pub(super) query: Fields,
    /// The form of a POST.
    pub(super) form: Fields,
    /// Who has signed in; always there for routes with a role.
    pub(super) session: Option<SessionView>,
    /// The page that the request wants to go on to, one of ours.
    pub(super) next: String,
    /// The token that forms on the page must carry.
    pub(super) csrf: String,
    /// The cookie to set if that token is new.
    pub(super) form_cookie: Option<String>,
    /// Whether the script asks, to keep a page up to date.
    pub(super) is_live: bool,
    pub(super) address: IpAddr,
    /// The cookie of a sign-in at a provider that is under way; empty without one.
    pub(super) oidc_cookie: String,
}

impl ConsoleCall {
    /// The open segment of the path with that number; empty if there is none.
    pub(super) fn parameter(&self, number: usize) -> &str {
        self.parameters.get(number).map_or("", String::as_str)
    }

    /// The configuration in force.
    pub(super) fn settings(&self) -> Arc<ConsoleSettings> {
        self.console.settings.load_full()
    }

    /// The operator, as the audit log has it.
    pub(super) fn actor(&self) -> Actor {
        let name = self.session.as_ref().map(|session| session.identity.name.clone());
        Actor::Operator { name, uid: None, sudo: None }
    }

    /// Has the operator API execute a request on behalf of the operator.
    ///
    /// # Errors
    ///
    /// What the request names does not exist, or why it failed.
    pub(super) fn execute(
        &self,
        request: OperatorRequest,
    ) -> Result<OperatorReply, ConsoleFailure> {
        match execute(&*self.operator()?, self.actor(), request) {
            OperatorReply::NotFound(reason) => Err(ConsoleFailure::not_found(reason)),
            OperatorReply::Denied(reason) => {
                Err(ConsoleFailure::status(StatusCode::FORBIDDEN, reason))
            }
            OperatorReply::Failed(reason) => Err(ConsoleFailure::refused(reason)),
            reply => Ok(reply),
        }
    }

    /// What was entered on this page before its operator had to sign in again; nothing is left of it then.
    pub(super) fn take_kept(&self) -> Option<Fields> {
        let session = self.session.as_ref().filter(|_| !self.is_live)?;
        self.console.sessions.take_kept(&session.digest, &self.path)
    }

    /// A page.
    ///
    /// # Errors
    ///
    /// The template fails.
    pub(super) fn page(&self, template: &impl Template) -> Result<ConsoleReply, ConsoleFailure> {
        let html =
            template.render().map_err(|error| ConsoleFailure::internal(&error.to_string()))?;
        let reply = ConsoleReply::page(html);
        Ok(match &self.form_cookie {
            Some(cookie) => reply.with_cookie(cookie.clone()),
            None => reply,
        })
    }

    /// Sends the browser to another page, which shows a sentence about what was done.
    pub(super) fn done(&self, path: impl Into<String>, notice: impl Into<String>) -> ConsoleReply {
        if let Some(session) = &self.session {
            self.console.sessions.leave_notice(&session.digest, notice.into());
        }
        ConsoleReply::redirect(path)
    }

    /// On what requests of operators are executed.
    ///
    /// # Errors
    ///
    /// The console is not connected yet.
    pub(super) fn operator(&self) -> Result<Arc<OperatorContext>, ConsoleFailure> {
        Ok(self.console.operator.get().ok_or_else(unexpected)?.load_full())
    }

    /// What signing in needs.
    ///
    /// # Errors
    ///
    /// There is no server.
    pub(super) fn sign_ins<'c>(
        &self,
        context: &'c OperatorContext,
    ) -> Result<&'c SignIns, ConsoleFailure> {
        let server = context.server.as_ref().ok_or_else(unexpected)?;
        Ok(&server.sign_ins)
    }

    /// The name of the named operator who has signed in.
    ///
    /// # Errors
    ///
    /// Another operator has.
    pub(super) fn operator_name(&self) -> Result<String, ConsoleFailure> {
        let identity = self.session.as_ref().map(|session| &session.identity);
        match identity {
            Some(Identity { name, source: IdentitySource::Named { .. }, .. }) => Ok(name.clone()),
            _ => Err(ConsoleFailure::refused(
                "this is for named operators; an admin adds them on the page Operators, or with `scimd operator add`",
            )),
        }
    }

    /// Signs an operator in: a new session, the one before ends; then the page that was asked for.
    ///
    /// # Errors
    ///
    /// There are no random numbers.
    pub(super) fn sign_in(&self, identity: Identity) -> Result<ConsoleReply, ConsoleFailure> {
        let (name, role) = (&identity.name, identity.role.as_str());
        let notice = format!("You are signed in as {name} with the role {role}.");
        tracing::info!(operator = name, role, address = %self.address, "signed in to the console");
        self.enter(identity, None, notice)
    }

    /// Opens another session; the one before ends. Goes on at a page, or at the one that was asked for.
    ///
    /// # Errors
    ///
    /// There are no random numbers.
    pub(super) fn enter(
        &self,
        identity: Identity,
        page: Option<&str>,
        notice: impl Into<String>,
    ) -> Result<ConsoleReply, ConsoleFailure> {
        let before = match &self.session {
            Some(session) => {
                let closed = self.console.sessions.close(&session.digest);
                // What one operator has entered is not for another.
                let is_same = session.identity.source == identity.source
                    && session.identity.name == identity.name;
                if is_same { closed } else { ClosedSession { kept: None, ..closed } }
            }
            None => ClosedSession::default(),
        };
        let cookie = self.open_session(identity, true, before.kept, notice.into())?;
        let asked = || before.return_to.unwrap_or_else(|| self.next.clone());
        let next = page.map_or_else(asked, ToOwned::to_owned);
        Ok(ConsoleReply::redirect(next).with_cookie(cookie))
    }

    /// Opens a session, whose cookie is returned; `is_fresh` if the operator has proved itself just now, with what
    /// the session before has kept.
    ///
    /// # Errors
    ///
    /// There are no random numbers.
    pub(super) fn open_session(
        &self,
        identity: Identity,
        is_fresh: bool,
        kept: Option<KeptForm>,
        notice: String,
    ) -> Result<String, ConsoleFailure> {
        let sessions = &self.console.sessions;
        let token = sessions.open_with(identity, is_fresh);
        let token = token.map_err(|error| ConsoleFailure::internal(&error))?;
        let digest = digest(token.expose());
        sessions.leave_notice(&digest, notice);
        sessions.keep(&digest, kept);
        Ok(format!("{SESSION_COOKIE}={}; {COOKIE_ATTRIBUTES}", token.expose()))
    }
}

/// The failure of a reply that does not fit its request.
pub(super) fn unexpected() -> ConsoleFailure {
    ConsoleFailure::internal("unexpected reply of the operator API")
}
