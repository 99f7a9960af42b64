//! Every route, as a table.

use std::borrow::Cow;
use std::sync::LazyLock;

use hyper::Method;
use percent_encoding::percent_decode_str;

use super::error::Failure;

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Health,
    Ready,
    ServiceProviderConfig,
    ResourceTypes,
    ResourceType,
    Schemas,
    Schema,
    Create,
    Query,
    Retrieve,
    Replace,
    Patch,
    Delete,
    Search,
    QueryAll,
    SearchAll,
    Bulk,
    Me,
}

impl Action {
    /// Whether the request's body is read.
    pub(super) fn takes_body(self) -> bool {
        match self {
            Self::Create
            | Self::Replace
            | Self::Patch
            | Self::Search
            | Self::SearchAll
            | Self::Bulk => true,
            Self::Health
            | Self::Ready
            | Self::ServiceProviderConfig
            | Self::ResourceTypes
            | Self::ResourceType
            | Self::Schemas
            | Self::Schema
            | Self::Query
            | Self::Retrieve
            | Self::QueryAll
            | Self::Me
            | Self::Delete => false,
        }
    }
}

/// The routes. The first whose template fits is taken; `{type}` is a resource type's endpoint.
///
/// Everything but `/healthz` and `/readyz` is behind the gate. HEAD is answered like GET.
pub(super) const ROUTES: &[(Method, &str, Action)] = &[
    (Method::GET, "/healthz", Action::Health),
    (Method::GET, "/readyz", Action::Ready),
    (Method::GET, "/scim/v2/ServiceProviderConfig", Action::ServiceProviderConfig),
    (Method::GET, "/scim/v2/ResourceTypes", Action::ResourceTypes),
    (Method::GET, "/scim/v2/ResourceTypes/{id}", Action::ResourceType),
    (Method::GET, "/scim/v2/Schemas", Action::Schemas),
    (Method::GET, "/scim/v2/Schemas/{id}", Action::Schema),
    (Method::GET, "/scim/v2", Action::QueryAll),
    (Method::POST, "/scim/v2/.search", Action::SearchAll),
    (Method::POST, "/scim/v2/Bulk", Action::Bulk),
    (Method::GET, "/scim/v2/Me", Action::Me),
    (Method::POST, "/scim/v2/Me", Action::Me),
    (Method::PUT, "/scim/v2/Me", Action::Me),
    (Method::PATCH, "/scim/v2/Me", Action::Me),
    (Method::DELETE, "/scim/v2/Me", Action::Me),
    (Method::GET, "/scim/v2/{type}", Action::Query),
    (Method::POST, "/scim/v2/{type}", Action::Create),
    (Method::POST, "/scim/v2/{type}/.search", Action::Search),
    (Method::GET, "/scim/v2/{type}/{id}", Action::Retrieve),
    (Method::PUT, "/scim/v2/{type}/{id}", Action::Replace),
    (Method::PATCH, "/scim/v2/{type}/{id}", Action::Patch),
    (Method::DELETE, "/scim/v2/{type}/{id}", Action::Delete),
];

/// What the template of each row has between its slashes.
static PLACES: LazyLock<Vec<Vec<&str>>> = LazyLock::new(|| {
    ROUTES.iter().map(|(_, template, _)| template.split('/').skip(1).collect()).collect()
});

/// Endpoints of their own, which no resource type may have.
const RESERVED: [&str; 6] =
    ["ServiceProviderConfig", "ResourceTypes", "Schemas", ".search", "Bulk", "Me"];
/// What is no id, but a place of its own below a resource type.
const SEARCH: &str = ".search";

/// A route and what its template's places stand for in a request.
#[derive(Clone, Debug)]
pub(super) struct Routed {
    pub(super) action: Action,
    /// Its place in [`ROUTES`].
    pub(super) row: usize,
    pub(super) endpoint: String,
    pub(super) id: String,
}

/// Finds the route of a request. Slashes at the end mean nothing, neither that of the path nor that of
/// a base URL to which a client has added the rest.
///
/// # Errors
///
/// `NotFound`, or `MethodNotAllowed` with the methods that the path has.
pub(super) fn find(method: &Method, path: &str) -> Result<Routed, Failure> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let segments = segments(path).ok_or_else(|| Failure::no_route(path))?;
    for (row, (of_method, _, action)) in ROUTES.iter().enumerate() {
        if of_method == method
            && let Some((endpoint, id)) = fit(row, &segments)
        {
            let (endpoint, id) = (endpoint.to_owned(), id.to_owned());
            return Ok(Routed { action: *action, row, endpoint, id });
        }
    }
    let fitting = ROUTES.iter().enumerate().filter(|(row, _)| fit(*row, &segments).is_some());
    let allowed: Vec<&Method> = fitting.map(|(_, (method, ..))| method).collect();
    if allowed.is_empty() {
        Err(Failure::no_route(path))
    } else {
        Err(Failure::MethodNotAllowed(allow(&allowed)))
    }
}

/// The template of a row, as logs and metrics name a route.
pub(super) fn template(row: usize) -> &'static str {
    ROUTES.get(row).map_or("", |(_, template, _)| template)
}

fn allow(methods: &[&Method]) -> String {
    let mut names: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.join(", ")
}

/// The decoded segments of a path; `None` if one is empty or not UTF-8.
fn segments(path: &str) -> Option<Vec<Cow<'_, str>>> {
    let path = path.trim_end_matches('/').strip_prefix('/')?;
    let (base, rest) = match path.strip_prefix("scim/v2//") {
        Some(rest) => ("scim/v2", Some(rest)),
        None => (path, None),
    };
    base.split('/')
        .chain(rest.into_iter().flat_map(|rest| rest.split('/')))
        .map(|segment| {
            let decoded = if segment.contains('%') {
                percent_decode_str(segment).decode_utf8().ok()?
            } else {
                Cow::Borrowed(segment)
            };
            (!decoded.is_empty()).then_some(decoded)
        })
        .collect()
}

/// The endpoint and the id in a path that has a row's form; what its template lacks is empty.
fn fit<'a>(row: usize, segments: &'a [Cow<'_, str>]) -> Option<(&'a str, &'a str)> {
    let places = PLACES.get(row).filter(|places| places.len() == segments.len())?;
    let (mut endpoint, mut id) = ("", "");
    for (place, segment) in places.iter().zip(segments) {
        let segment = segment.as_ref();
        match *place {
            "{type}" if RESERVED.contains(&segment) => return None,
            "{type}" => endpoint = segment,
            "{id}" if segment == SEARCH => return None,
            "{id}" => id = segment,
            literal if literal == segment => {}
            _ => return None,
        }
    }
    Some((endpoint, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_route() {
        let routed = find(&Method::GET, "/scim/v2/Users/a%20b/").unwrap();
        assert_eq!((routed.action, routed.endpoint.as_str()), (Action::Retrieve, "Users"));
        assert_eq!(routed.id, "a b");
        let action = |method: &Method, path: &str| find(method, path).unwrap().action;
        assert_eq!(action(&Method::HEAD, "/scim/v2/Users"), Action::Query);
        assert_eq!(action(&Method::GET, "/scim/v2/Schemas"), Action::Schemas);
        assert_eq!(action(&Method::GET, "/scim/v2/Schemas/urn:x"), Action::Schema);
        assert_eq!(action(&Method::POST, "/scim/v2/Users//"), Action::Create);
        assert_eq!(action(&Method::GET, "/scim/v2/"), Action::QueryAll);
        assert_eq!(action(&Method::GET, "/scim/v2//Users"), Action::Query);
        assert_eq!(action(&Method::POST, "/scim/v2/Users/.search"), Action::Search);
        assert_eq!(action(&Method::POST, "/scim/v2/.search"), Action::SearchAll);
    }

    #[test]
    fn what_fits_no_route_says_why() {
        for path in ["", "/", "/scim", "/scim/v1/Users", "/scim//v2/Users", "//healthz", "/%ff"] {
            assert!(matches!(find(&Method::GET, path), Err(Failure::NotFound(_))), "{path}");
        }
        let Err(Failure::MethodNotAllowed(allow)) = find(&Method::POST, "/scim/v2/Users/1") else {
            panic!("405")
        };
        assert_eq!(allow, "GET, PUT, PATCH, DELETE, HEAD");
        let Err(Failure::MethodNotAllowed(allow)) = find(&Method::GET, "/scim/v2/Users/.search")
        else {
            panic!("405")
        };
        assert_eq!(allow, "POST");
        let Err(Failure::MethodNotAllowed(allow)) = find(&Method::POST, "/scim/v2/Schemas") else {
            panic!("405")
        };
        assert_eq!(allow, "GET, HEAD");
    }
}
