//! A request from head to answer.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use askama::Template;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::COOKIE;
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::Semaphore;

use super::assets;
use super::call::ConsoleCall;
use super::form::{self, Fields};
use super::host;
use super::link::ConsoleLinks;
use super::page::ErrorPage;
use super::provider::OIDC_COOKIE;
use super::reply::{ConsoleFailure, ConsoleReply, query_value};
use super::routes::{self, ConsoleRoute, is_page};
use super::session::{
    COOKIE_ATTRIBUTES, KeptForm, SESSION_COOKIE, SessionLimits, SessionView, is_same, new_token,
};
use super::settings::ConsoleSettings;
use super::state::ConsoleState;
use crate::operator::OperatorContext;
use crate::transport::{ConnectionStats, Peer, Service};

/// The cookie with the token of forms for those who have not signed in.
const FORM_COOKIE: &str = "__Host-scimd-form";
/// The header of requests by which the script keeps a page up to date.
const LIVE: &str = "x-scimd-live";
/// The number of requests that are worked on at once.
const MAX_AT_WORK: usize = 16;
/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// The console: answers requests of browsers.
pub struct ConsoleService {
    state: Arc<ConsoleState>,
    at_work: Semaphore,
    connections: Arc<ConnectionStats>,
}

impl ConsoleService {
    /// A console with the links that the operator API makes.
    pub fn new(links: Arc<ConsoleLinks>, settings: ConsoleSettings) -> Self {
        Self {
            state: Arc::new(ConsoleState::new(links, settings)),
            at_work: Semaphore::new(MAX_AT_WORK),
            connections: Arc::default(),
        }
    }

    /// Says on what the requests of operators are executed. Called once, before the console serves.
    pub fn connect(&self, operator: Arc<ArcSwap<OperatorContext>>) {
        let _ = self.state.operator.set(operator);
    }

    /// Goes by another configuration from now on.
    pub fn reconfigure(&self, settings: ConsoleSettings) {
        self.state.links.set_url(settings.config.console.url().as_str().to_owned());
        if self.state.settings.load().config.console.oidc != settings.config.console.oidc {
            // Who signed in at the provider before may have another role now, or none.
            self.state.sessions.close_all_of_providers();
            self.state.oidc.forget();
        }
        self.state.settings.store(Arc::new(settings));
    }

    async fn handle(
        &self,
        peer: &Peer,
        parts: &Parts,
        body: Incoming,
    ) -> Result<ConsoleReply, ConsoleFailure> {
        let settings = self.state.settings.load_full();
        let host = host::served(&parts.headers, settings.config.console.public_url.as_ref());
        let Some(host) = host else {
            return Err(ConsoleFailure::status(
                StatusCode::MISDIRECTED_REQUEST,
                "the console is not served under this host; use localhost, a loopback address, or the host of \
                 console.public_url in the configuration",
            ));
        };
        let path = parts.uri.path();
        if let Some(asset) = assets::find(path) {
            return Ok(asset);
        }
        let is_live = parts.headers.contains_key(LIVE);
        let session = self.session(parts, &settings, !is_live);
        if session.is_some() {
            peer.authenticated();
        }
        let found = match routes::find(&parts.method, path) {
            Ok(found) => found,
            // Only those who have signed in learn that there is no such page.
            Err(_) if session.is_none() => return Err(ConsoleFailure::SignIn),
            Err(failure) => return Err(failure),
        };
        check_role(found.route, session.as_ref())?;
        let sent = cookie(parts, FORM_COOKIE).unwrap_or_default();
        let (csrf, form_cookie) = match &session {
            Some(session) => (session.csrf.clone(), None),
            None if sent.len() == 43 => (sent.to_owned(), None),
            None => {
                let token = new_token().map_err(|error| ConsoleFailure::internal(&error))?;
                let cookie = format!("{FORM_COOKIE}={}; {COOKIE_ATTRIBUTES}", token.expose());
                (token.expose().to_owned(), Some(cookie))
            }
        };
        let query = Fields::parse(parts.uri.query().unwrap_or_default().as_bytes())?;
        let form = match parts.method {
            Method::POST => {
                if !host::is_same_origin(&parts.headers, &host) {
                    return Err(forged());
                }
                let form = form::read(&parts.headers, body).await?;
                if form_cookie.is_some() || !is_same(form.get("csrf"), &csrf) {
                    return Err(forged());
                }
                form
            }
            _ => Fields::default(),
        };
        let recent = check_recent(found.route, session.as_ref(), &form);
        if let (Err(ConsoleFailure::SignInAgain(page)), Some(session)) = (&recent, &session)
            && found.route.keeps_form
        {
            let kept = form.to_keep().map(|fields| KeptForm { page: page.clone(), fields });
            self.state.sessions.keep(&session.digest, kept);
        }
        recent?;
        let wanted = [form.get("next"), query.get("next")];
        let next = wanted.into_iter().find(|page| is_page(page)).unwrap_or("/").to_owned();
        let call = ConsoleCall {
            console: Arc::clone(&self.state),
            path: path.to_owned(),
            parameters: found.parameters,
            query,
            form,
            session,
            next,
            csrf,
            form_cookie,
            is_live,
            address: peer.address(),
            oidc_cookie: cookie(parts, OIDC_COOKIE).unwrap_or_default().to_owned(),
        };
        let busy = || {
            ConsoleFailure::status(
                StatusCode::SERVICE_UNAVAILABLE,
                "the console is busy; load the page again",
            )
        };
        let turn = tokio::time::timeout(PATIENCE, self.at_work.acquire());
        let _turn = turn.await.map_err(|_| busy())?.map_err(|_| busy())?;
        let handler = found.route.handler;
        // The operator API waits for the writer and reads files.
        let work = tokio::task::spawn_blocking(move || handler(&call));
        work.await.map_err(|error| ConsoleFailure::internal(&error.to_string()))?
    }

    /// The session of a request.
    fn session(
        &self,
        parts: &Parts,
        settings: &ConsoleSettings,
        extends: bool,
    ) -> Option<SessionView> {
        let limits = SessionLimits {
            idle_timeout: settings.config.console.idle_timeout,
            lifetime: settings.config.console.session_lifetime,
        };
        let found = self.state.sessions.find(cookie(parts, SESSION_COOKIE)?, limits, extends)?;
        if self.state.is_current(&found.identity) {
            return Some(found);
        }
        self.state.sessions.close(&found.digest);
        None
    }
}

/// A cookie of a request.
fn cookie<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    let headers = parts.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = headers.flat_map(|value| value.split(';')).map(str::trim);
    pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// Checks that an operator may use a route.
fn check_role(route: &ConsoleRoute, session: Option<&SessionView>) -> Result<(), ConsoleFailure> {
    let Some(least) = route.role else { return Ok(()) };
    let session = session.ok_or(ConsoleFailure::SignIn)?;
    let role = session.identity.role;
    if role >= least {
        return Ok(());
    }
    Err(ConsoleFailure::status(
        StatusCode::FORBIDDEN,
        format!("this needs the role {}, and you have the role {}", least.as_str(), role.as_str()),
    ))
}

/// Checks that an operator has signed in recently, if a route needs that.
fn check_recent(
    route: &ConsoleRoute,
    session: Option<&SessionView>,
    form: &Fields,
) -> Result<(), ConsoleFailure> {
    if !route.needs_recent_sign_in || session.is_some_and(|session| session.is_recent) {
        return Ok(());
    }
    let from = Some(form.get("from")).filter(|from| is_page(from));
    Err(ConsoleFailure::SignInAgain(from.unwrap_or("/").to_owned()))
}

fn forged() -> ConsoleFailure {
    ConsoleFailure::status(
        StatusCode::FORBIDDEN,
        "the form does not belong to this session; load its page again and send it from there",
    )
}

impl Service for ConsoleService {
    type Body = Full<Bytes>;

    fn stats(&self) -> &Arc<ConnectionStats> {
        &self.connections
    }

    async fn call(&self, peer: &Peer, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let reply = match self.handle(peer, &parts, body).await {
            Ok(reply) => reply,
            Err(ConsoleFailure::SignIn) => {
                let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
                match parts.method == Method::GET && is_page(target) && target != "/" {
                    true => {
                        ConsoleReply::redirect(format!("/sign-in?next={}", query_value(target)))
                    }
                    false => ConsoleReply::redirect("/sign-in"),
                }
            }
            Err(ConsoleFailure::SignInAgain(next)) => {
                ConsoleReply::redirect(format!("/sign-in/again?next={}", query_value(&next)))
            }
            Err(ConsoleFailure::Status(status, reason)) => {
                let page = ErrorPage::new(status.as_u16(), reason).render();
                ConsoleReply::page(page.unwrap_or_default()).with_status(status)
            }
        };
        reply.into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::routes::ROUTES;
    use crate::credential::OperatorRole;
    use crate::operator::Identity;

    fn session(role: OperatorRole, is_recent: bool) -> SessionView {
        let identity = Identity::of_host("ada".to_owned(), role);
        SessionView { digest: [0; 32], identity, csrf: "x".to_owned(), is_recent }
    }

    #[test]
    fn every_row_is_refused_without_a_session_and_with_too_little_role() {
        for route in ROUTES {
            let Some(least) = route.role else { continue };
            let what = route.template;
            assert!(matches!(check_role(route, None), Err(ConsoleFailure::SignIn)), "{what}");
            for role in OperatorRole::ALL {
                let allowed = check_role(route, Some(&session(role, true))).is_ok();
                assert_eq!(allowed, role >= least, "{what} as {}", role.as_str());
            }
        }
    }

    #[test]
    fn rows_that_need_a_recent_sign_in_ask_for_it() {
        let form = Fields::parse(b"from=%2F").unwrap();
        for route in ROUTES.iter().filter(|route| route.needs_recent_sign_in) {
            let old = session(OperatorRole::Admin, false);
            let asked = check_recent(route, Some(&old), &form);
            assert!(matches!(asked, Err(ConsoleFailure::SignInAgain(_))), "{}", route.template);
            let new = session(OperatorRole::Admin, true);
            assert!(check_recent(route, Some(&new), &form).is_ok());
        }
    }
}
