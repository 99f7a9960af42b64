//! What a handler gets: the request after all checks, and the way to the operator API.

use std::net::IpAddr;
use std::sync::Arc;

use askama::Template;
use hyper::StatusCode;

use super::form::Fields;
use super::reply::{ConsoleFailure, ConsoleReply};
use super::session::{COOKIE_ATTRIBUTES, SESSION_COOKIE, SessionView, digest};
use super::settings::ConsoleSettings;
use super::state::ConsoleState;
use crate::event::Actor;
use crate::operator::{Identity, OperatorReply, OperatorRequest, execute};

/// A request that has passed all checks of its row.
pub(super) struct ConsoleCall {
    pub(super) console: Arc<ConsoleState>,
    /// The path, without the query.
    pub(super) path: String,
    /// The segments that the template leaves open.
    pub(super) parameters: Vec<String>,
    #[allow(dead_code, reason = "for pages with filters")]
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

    /// Has the operator API execute a request on behalf of the operator.
    ///
    /// # Errors
    ///
    /// What the request names does not exist, or why it failed.
    pub(super) fn execute(
        &self,
        request: OperatorRequest,
    ) -> Result<OperatorReply, ConsoleFailure> {
        let name = self.session.as_ref().map(|session| session.identity.name.clone());
        let actor = Actor::Operator { name, uid: None, sudo: None };
        let operator = self.console.operator.get().ok_or_else(unexpected)?.load_full();
        match execute(&operator, actor, request) {
            OperatorReply::NotFound(reason) => Err(ConsoleFailure::not_found(reason)),
            OperatorReply::Denied(reason) => {
                Err(ConsoleFailure::status(StatusCode::FORBIDDEN, reason))
            }
            OperatorReply::Failed(reason) => Err(ConsoleFailure::refused(reason)),
            reply => Ok(reply),
        }
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

    #[allow(dead_code, reason = "for pages that change something")]
    /// Sends the browser to another page, which shows a sentence about what was done.
    pub(super) fn done(&self, path: impl Into<String>, notice: impl Into<String>) -> ConsoleReply {
        if let Some(session) = &self.session {
            self.console.sessions.leave_notice(&session.digest, notice.into());
        }
        ConsoleReply::redirect(path)
    }

    /// Signs an operator in: a new session, the one before ends; then the page that was asked for.
    ///
    /// # Errors
    ///
    /// There are no random numbers.
    pub(super) fn sign_in(&self, identity: Identity) -> Result<ConsoleReply, ConsoleFailure> {
        let sessions = &self.console.sessions;
        let before = self.session.as_ref().and_then(|session| sessions.close(&session.digest));
        let (operator, role) = (identity.name.clone(), identity.role.as_str());
        let token = sessions.open(identity).map_err(|error| ConsoleFailure::internal(&error))?;
        sessions.leave_notice(
            &digest(token.expose()),
            format!("You are signed in as {operator} with the role {role}."),
        );
        tracing::info!(operator, role, address = %self.address, "signed in to the console");
        let next = before.unwrap_or_else(|| self.next.clone());
        let cookie = format!("{SESSION_COOKIE}={}; {COOKIE_ATTRIBUTES}", token.expose());
        Ok(ConsoleReply::redirect(next).with_cookie(cookie))
    }
}

/// The failure of a reply that does not fit its request.
pub(super) fn unexpected() -> ConsoleFailure {
    ConsoleFailure::internal("unexpected reply of the operator API")
}
