//! The route table: every method and path that is served, who may call it, and what answers.
//!
//! The gate enforces a row before its handler runs, so handlers never check permissions. To add a kind
//! of caller, a body or an error form, add a variant to the enum of that column.

use std::pin::Pin;

use hyper::Method;
use hyper::http::request::Parts;

use super::audience::{Audience, TokenScope};
use super::context::HttpContext;
use super::error::Failure;
use super::error_form::ErrorForm;
use super::events::{self, Consumer};
use super::health::{self, Health};
use super::oauth::{self, TokenRequest};
use super::respond::HttpResponse;
use super::scim::{Call, bulk, discovery, me, offers, resources, search};
use crate::directory::ProvenClient;

/// A row of the table.
pub(super) struct Route {
    pub(super) method: Method,
    /// The path. `{type}` is the endpoint of a resource type whose resources are stored, `{offer}` that
    /// of a read-only list of the configuration, `{id}` any text.
    pub(super) template: &'static str,
    pub(super) audience: Audience,
    pub(super) body: BodyKind,
    pub(super) errors: ErrorForm,
    pub(super) handler: Handler,
}

/// Which request body a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyKind {
    /// None; one that is sent is not read.
    None,
    /// JSON, as `application/scim+json` or `application/json`.
    Scim,
    /// A form, as `application/x-www-form-urlencoded`.
    Form,
}

/// What answers a request.
#[derive(Clone, Copy)]
pub(super) enum Handler {
    /// Without a caller: for routes of [`Audience::Public`].
    Public(fn(&HttpContext, Health) -> HttpResponse),
    /// For an OAuth client that has proved itself: for routes of [`Audience::Client`].
    Client(ClientHandler),
    /// For a caller that the gate has admitted.
    Authenticated(for<'a> fn(Call<'a>) -> HandlerFuture<'a>),
    /// For a consumer of the feed, which may wait for longer than a request may take.
    Waiting(for<'a> fn(Consumer, &'a Parts) -> HandlerFuture<'a>),
}

/// What answers an OAuth client that has proved itself.
pub(super) type ClientHandler =
    fn(&TokenRequest, &ProvenClient, &HttpContext) -> Result<HttpResponse, Failure>;

/// The work of a handler.
pub(super) type HandlerFuture<'a> =
    Pin<Box<dyn Future<Output = Result<HttpResponse, Failure>> + Send + 'a>>;

macro_rules! routes {
    (@audience Public) => { Audience::Public };
    (@audience Client) => { Audience::Client };
    (@audience $scope:ident) => { Audience::Token(TokenScope::$scope) };
    (@handler Public $handler:path) => { Handler::Public($handler) };
    (@handler Events $handler:path) => {
        Handler::Waiting(|consumer, parts| Box::pin($handler(consumer, parts)))
    };
    (@handler Client $handler:path) => { Handler::Client($handler) };
    (@handler $scope:ident $handler:path) => {
        Handler::Authenticated(|call| Box::pin($handler(call)))
    };
    ($($method:ident $template:literal $audience:ident $body:ident $errors:ident $handler:path;)*) => {
        /// All routes. The first row whose method and template fit is taken. HEAD is answered like GET.
        pub(super) static ROUTES: &[Route] = &[$(
            Route {
                method: Method::$method,
                template: $template,
                audience: routes!(@audience $audience),
                body: BodyKind::$body,
                errors: ErrorForm::$errors,
                handler: routes!(@handler $audience $handler),
            }
        ),*];
    };
}

routes! {
    // method, template                        audience  body  errors  handler
    GET    "/healthz"                          Public    None  Scim    health::live;
    GET    "/readyz"                           Public    None  Scim    health::ready;

    GET    "/events"                           Events    None  Problem events::answer;
    GET    "/.well-known/oauth-authorization-server" Public None Oauth oauth::metadata;
    POST   "/oauth2/token"                     Client    Form  Oauth   oauth::issue;

    GET    "/scim/v2/ServiceProviderConfig"    Read      None  Scim    discovery::service_provider_config;
    GET    "/scim/v2/ResourceTypes"            Read      None  Scim    discovery::resource_types;
    GET    "/scim/v2/ResourceTypes/{id}"       Read      None  Scim    discovery::resource_type;
    GET    "/scim/v2/Schemas"                  Read      None  Scim    discovery::schemas;
    GET    "/scim/v2/Schemas/{id}"             Read      None  Scim    discovery::schema;

    GET    "/scim/v2"                          Read      None  Scim    search::query_all_types;
    POST   "/scim/v2/.search"                  Read      Scim  Scim    search::search_all_types;
    POST   "/scim/v2/Bulk"                     Write     Scim  Scim    bulk::bulk;

    GET    "/scim/v2/Me"                       Read      None  Scim    me::not_implemented;
    POST   "/scim/v2/Me"                       Read      None  Scim    me::not_implemented;
    PUT    "/scim/v2/Me"                       Read      None  Scim    me::not_implemented;
    PATCH  "/scim/v2/Me"                       Read      None  Scim    me::not_implemented;
    DELETE "/scim/v2/Me"                       Read      None  Scim    me::not_implemented;

    GET    "/scim/v2/{offer}"                  Read      None  Scim    offers::query;
    POST   "/scim/v2/{offer}/.search"          Read      Scim  Scim    offers::search;
    GET    "/scim/v2/{offer}/{id}"             Read      None  Scim    offers::retrieve;

    GET    "/scim/v2/{type}"                   Read      None  Scim    search::query;
    POST   "/scim/v2/{type}"                   Write     Scim  Scim    resources::create;
    POST   "/scim/v2/{type}/.search"           Read      Scim  Scim    search::search;
    GET    "/scim/v2/{type}/{id}"              Read      None  Scim    resources::retrieve;
    PUT    "/scim/v2/{type}/{id}"              Write     Scim  Scim    resources::replace;
    PATCH  "/scim/v2/{type}/{id}"              Write     Scim  Scim    resources::patch;
    DELETE "/scim/v2/{type}/{id}"              Write     None  Scim    resources::delete;
}

/// The method, template and audience of every route, for documentation and tests.
pub fn routes() -> impl Iterator<Item = (&'static str, &'static str, Audience)> {
    ROUTES.iter().map(|route| (route.method.as_str(), route.template, route.audience))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn no_row_is_there_twice() {
        let rows: BTreeSet<_> = routes().map(|(method, template, _)| (method, template)).collect();
        assert_eq!(rows.len(), ROUTES.len());
    }

    #[test]
    fn the_handler_of_a_row_is_for_its_audience() {
        for route in ROUTES {
            let fits = match route.handler {
                Handler::Public(_) => route.audience == Audience::Public,
                Handler::Client(_) => route.audience == Audience::Client,
                Handler::Authenticated(_) | Handler::Waiting(_) => {
                    matches!(route.audience, Audience::Token(_))
                }
            };
            assert!(fits, "{}", route.template);
        }
    }

    #[test]
    fn only_routes_that_change_nothing_are_open_to_readers() {
        let of_tokens = |route: &&Route| matches!(route.audience, Audience::Token(_));
        for route in
            ROUTES.iter().filter(of_tokens).filter(|route| !route.template.ends_with("/Me"))
        {
            let reads = route.method == Method::GET || route.template.ends_with(".search");
            let is_for_writers = route.audience == Audience::Token(TokenScope::Write);
            assert_ne!(reads, is_for_writers, "{} {}", route.method, route.template);
        }
    }

    #[test]
    fn the_description_for_programs_has_every_route() {
        let text = include_str!("../../docs/openapi.json");
        let description: Value = serde_json::from_str(text).unwrap();
        assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
        let mut described = BTreeSet::new();
        for (path, operations) in description["paths"].as_object().unwrap() {
            let about_all = |key: &&String| ["parameters", "servers"].contains(&key.as_str());
            for method in operations.as_object().unwrap().keys().filter(|key| !about_all(key)) {
                described.insert((method.to_uppercase(), path.clone()));
            }
        }
        let mut served = BTreeSet::new();
        for (method, template, _) in routes() {
            // The feed is described beside SCIM, below a URL of its own.
            let path = (template == "/events").then_some(template);
            let Some(path) = path.or_else(|| template.strip_prefix("/scim/v2")) else { continue };
            for (kind, endpoints) in
                [("{type}", ["Users", "Groups"]), ("{offer}", ["Roles", "Entitlements"])]
            {
                for endpoint in endpoints {
                    let path = path.replace(kind, endpoint);
                    if !path.contains("{type}") && !path.contains("{offer}") {
                        let path = if path.is_empty() { "/".to_owned() } else { path };
                        served.insert((method.to_owned(), path));
                    }
                }
            }
        }
        assert_eq!(described, served);
    }
}
