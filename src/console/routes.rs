//! The route table: every method and path, who may call it, and what answers.
//!
//! The service enforces a row before its handler runs, so handlers never check permissions.

use hyper::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use super::call::ConsoleCall;
use super::reply::{ConsoleFailure, ConsoleReply};
use super::{
    access, account, audit, brake, configuration, connections, events, oidc, operators, overview,
    password, requests, resource_list, resource_page, sign_in, undo,
};
use crate::credential::OperatorRole;

/// A row of the table.
pub(super) struct ConsoleRoute {
    pub(super) method: Method,
    /// The path; `{…}` is any one segment.
    pub(super) template: &'static str,
    /// The least role; `None` for those who have not signed in as well.
    pub(super) role: Option<OperatorRole>,
    /// Whether the operator must have signed in within the last minutes.
    pub(super) needs_recent_sign_in: bool,
    /// Whether what was entered is kept for the page while the operator signs in again.
    pub(super) keeps_form: bool,
    pub(super) handler: ConsoleHandler,
}

/// What answers a request. It runs on a thread where it may wait.
pub(super) type ConsoleHandler = fn(&ConsoleCall) -> Result<ConsoleReply, ConsoleFailure>;

macro_rules! routes {
    (@role Public) => { None };
    (@role $role:ident) => { Some(OperatorRole::$role) };
    (@recent any) => { false };
    (@recent recent) => { true };
    (@recent kept) => { true };
    (@keeps kept) => { true };
    (@keeps $recent:ident) => { false };
    ($($method:ident $template:literal $role:ident $recent:ident $handler:path;)*) => {
        /// All routes. The first row whose method and template fit is taken. HEAD is answered like GET.
        pub(super) static ROUTES: &[ConsoleRoute] = &[$(
            ConsoleRoute {
                method: Method::$method,
                template: $template,
                role: routes!(@role $role),
                needs_recent_sign_in: routes!(@recent $recent),
                keeps_form: routes!(@keeps $recent),
                handler: $handler,
            }
        ),*];
    };
}

routes! {
    // method template                         role      sign-in handler
    GET    "/"                                 Viewer    any     overview::show;

    GET    "/connections"                      Viewer    any     connections::list;
    GET    "/add-connection"                   Admin     any     connections::new;
    POST   "/add-connection"                   Admin     kept    connections::add;
    POST   "/add-connection/token"             Admin     kept    connections::add_with_token;
    GET    "/connections/{name}"               Viewer    any     connections::show;
    POST   "/connections/{name}"               Admin     kept    connections::save;
    POST   "/connections/{name}/token"         Admin     recent  connections::generate_token;
    POST   "/connections/{name}/tokens/{id}/revoke" Admin recent connections::revoke_token;
    POST   "/connections/{name}/client"        Admin     recent  connections::generate_client;
    POST   "/connections/{name}/clients/{id}/revoke" Admin recent connections::revoke_client;
    POST   "/connections/{name}/remove"        Admin     recent  connections::remove;

    GET    "/requests"                         Viewer    any     requests::list;
    GET    "/requests/{id}"                    Viewer    any     requests::show;

    GET    "/users"                            Viewer    any     resource_list::users;
    GET    "/users/{id}"                       Viewer    any     resource_page::user;
    POST   "/users/{id}/active"                Operator  any     resource_page::set_active;
    GET    "/users/{id}/access"                Viewer    any     access::why;
    GET    "/groups"                           Viewer    any     resource_list::groups;
    GET    "/groups/{id}"                      Viewer    any     resource_page::group;
    GET    "/access"                           Viewer    any     access::who;
    GET    "/brake"                            Viewer    any     brake::show;
    POST   "/brake/pause"                      Operator  any     brake::pause;
    POST   "/brake/resume"                     Operator  recent  brake::resume;
    POST   "/brake/allow"                      Operator  recent  brake::allow;
    GET    "/undo"                             Viewer    any     undo::show;
    POST   "/undo"                             Operator  recent  undo::run;
    GET    "/audit"                            Viewer    any     audit::show;
    POST   "/audit/verify"                     Operator  any     audit::verify;
    GET    "/audit/verified"                   Viewer    any     audit::verified;
    GET    "/events"                           Viewer    any     events::show;
    POST   "/events/test"                      Operator  any     events::test;
    POST   "/events/resend"                    Operator  any     events::resend;
    GET    "/settings"                         Viewer    any     configuration::show;

    GET    "/sign-in"                          Public    any     sign_in::show;
    GET    "/sign-in/again"                    Viewer    any     sign_in::again;
    GET    "/link/{token}"                     Public    any     sign_in::show_link;
    POST   "/link"                             Public    any     sign_in::use_link;
    GET    "/sign-in/oidc"                     Public    any     oidc::begin;
    GET    "/sign-in/oidc/callback"            Public    any     oidc::callback;
    POST   "/sign-in"                          Public    any     password::sign_in;
    POST   "/sign-out"                         Viewer    any     sign_in::sign_out;
    GET    "/account"                          Viewer    any     account::show;
    POST   "/account/password"                 Viewer    recent  account::set_password;
    POST   "/account/sign-out-everywhere"      Viewer    any     account::sign_out_everywhere;
    GET    "/account/enrol"                    Viewer    any     account::show_enrolment;
    POST   "/account/enrol"                    Viewer    recent  account::begin_enrolment;
    POST   "/account/enrol/finish"             Viewer    recent  account::finish_enrolment;
    GET    "/account/qr.svg"                   Viewer    any     account::qr_code;

    GET    "/operators"                        Admin     any     operators::list;
    POST   "/operators"                        Admin     recent  operators::add;
    GET    "/operators/{name}"                 Admin     any     operators::show;
    POST   "/operators/{name}/role"            Admin     recent  operators::set_role;
    POST   "/operators/{name}/link"            Admin     recent  operators::link;
    POST   "/operators/{name}/end-sessions"    Admin     recent  operators::end_sessions;
    POST   "/operators/{name}/remove"          Admin     recent  operators::remove;
}

/// The method, template, least role and need of a recent sign-in of every route, for tests.
pub fn routes() -> impl Iterator<Item = (&'static str, &'static str, Option<OperatorRole>, bool)> {
    ROUTES.iter().map(|route| {
        (route.method.as_str(), route.template, route.role, route.needs_recent_sign_in)
    })
}

/// The row of a request, with the segments that its template leaves open.
pub(super) struct FoundRoute {
    pub(super) route: &'static ConsoleRoute,
    pub(super) parameters: Vec<String>,
}

/// Finds the row of a request.
///
/// # Errors
///
/// 404, or 405 if the path has other methods.
pub(super) fn find(method: &Method, path: &str) -> Result<FoundRoute, ConsoleFailure> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let mut has_path = false;
    for route in ROUTES {
        let Some(parameters) = fit(route.template, path) else { continue };
        if route.method == method {
            return Ok(FoundRoute { route, parameters });
        }
        has_path = true;
    }
    Err(match has_path {
        true => ConsoleFailure::status(
            StatusCode::METHOD_NOT_ALLOWED,
            "this page can't be used in that way; go back and use its buttons",
        ),
        false => ConsoleFailure::not_found("there is no such page"),
    })
}

/// Whether a path on this site is a page that can be gone to.
pub(super) fn is_page(target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default();
    let is_local =
        path.starts_with('/') && !path.starts_with("//") && !target.contains(['\\', '#']);
    is_local
        && target.bytes().all(|byte| byte.is_ascii_graphic())
        && find(&Method::GET, path).is_ok_and(|found| found.route.role.is_some())
}

/// The decoded segments of a path that a template leaves open, if it fits.
fn fit(template: &str, path: &str) -> Option<Vec<String>> {
    let (template, path) = (template.split('/').skip(1), path.strip_prefix('/')?.split('/'));
    let (template, path): (Vec<&str>, Vec<&str>) = (template.collect(), path.collect());
    if template.len() != path.len() {
        return None;
    }
    let mut parameters = Vec::new();
    for (wanted, segment) in template.iter().zip(&path) {
        if wanted.starts_with('{') {
            let decoded = percent_decode_str(segment).decode_utf8().ok()?;
            parameters.push((!decoded.is_empty()).then(|| decoded.into_owned())?);
        } else if wanted != segment {
            return None;
        }
    }
    Some(parameters)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_row_is_there_twice() {
        let rows: BTreeSet<_> = routes().map(|(method, template, ..)| (method, template)).collect();
        assert_eq!(rows.len(), ROUTES.len());
    }

    #[test]
    fn what_changes_something_is_a_post_and_not_for_viewers() {
        for route in ROUTES {
            let is_get = route.method == Method::GET;
            assert!(is_get || route.method == Method::POST, "{}", route.template);
            assert!(!(is_get && route.needs_recent_sign_in), "{}: a page is read", route.template);
            let own =
                route.template.starts_with("/sign-") || route.template.starts_with("/account/");
            let is_for_viewers = route.role == Some(OperatorRole::Viewer);
            assert!(is_get || !is_for_viewers || own, "{}", route.template);
        }
    }

    #[test]
    fn a_path_fits_its_template_alone() {
        assert_eq!(fit("/link/{token}", "/link/a%2Fb").unwrap(), ["a/b"]);
        for path in ["/link", "/link/", "/link/a/b", "link/a", "", "/Link/a", "/link/%ff"] {
            assert!(fit("/link/{token}", path).is_none(), "{path}");
        }
        assert!(find(&Method::HEAD, "/").is_ok());
        assert!(find(&Method::POST, "/").is_err() && find(&Method::GET, "/none").is_err());
    }

    #[test]
    fn signing_in_leads_to_pages_of_the_console_alone() {
        assert!(is_page("/") && is_page("/?a=b"));
        for target in [
            "//evil.example",
            "https://evil.example",
            "/\\evil",
            "",
            "/sign-in",
            "/none",
            "/?\n",
            "/#x",
        ] {
            assert!(!is_page(target), "{target:?}");
        }
    }
}
