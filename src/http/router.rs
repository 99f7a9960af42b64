//! Finds the row of the route table that fits a request.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use hyper::Method;
use percent_encoding::percent_decode_str;

use super::error::Failure;
use super::path_parameters::PathParameters;
use super::routes::{ROUTES, Route};

/// The endpoints that `{type}` stands for. Others are not found, each under its own name.
const TYPES: [&str; 2] = ["Users", "Groups"];
/// The endpoints that `{offer}` stands for.
const OFFERS: [&str; 2] = ["Roles", "Entitlements"];
/// A path segment of its own below a resource type, which is no id.
const SEARCH: &str = ".search";
/// Where the endpoint of a resource type stands: `/scim/v2/{type}`. There alone letter case does not matter: agents
/// write `/users`. An id, and what follows it, is compared as it is.
const ENDPOINT_INDEX: usize = 2;

/// A segment of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PathSegment {
    Literal(&'static str),
    Type,
    Offer,
    Id,
}

/// The templates of all rows, split once so that looking a path up allocates and parses nothing.
static TEMPLATES: LazyLock<Vec<Vec<PathSegment>>> = LazyLock::new(|| {
    let segment = |text: &'static str| match text {
        "{type}" => PathSegment::Type,
        "{offer}" => PathSegment::Offer,
        "{id}" => PathSegment::Id,
        _ => PathSegment::Literal(text),
    };
    let split = |route: &Route| route.template.split('/').skip(1).map(segment).collect();
    ROUTES.iter().map(split).collect()
});

/// A row of [`ROUTES`] with its number and its split template.
type TableRow = (usize, &'static Route, &'static [PathSegment]);

/// The rows of templates with so many segments, in the order of the table: the others need not be compared.
static BY_LENGTH: LazyLock<Vec<Vec<TableRow>>> = LazyLock::new(|| {
    let longest = TEMPLATES.iter().map(Vec::len).max().unwrap_or_default();
    let mut rows = vec![Vec::new(); longest + 1];
    for (row, (route, template)) in ROUTES.iter().zip(TEMPLATES.iter()).enumerate() {
        if let Some(rows) = rows.get_mut(template.len()) {
            rows.push((row, route, &template[..]));
        }
    }
    rows
});

/// The endpoints that are no resource type's, because the table has rows for them.
static RESERVED: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let literals = TEMPLATES.iter().filter_map(|template| match template.get(ENDPOINT_INDEX) {
        Some(PathSegment::Literal(literal)) => Some(*literal),
        _ => None,
    });
    literals.chain(OFFERS).collect::<BTreeSet<_>>().into_iter().collect()
});

/// The route of a request, with the values of its template's placeholders.
#[derive(Clone)]
pub(super) struct RouteMatch {
    pub(super) route: &'static Route,
    /// The index of the route in [`ROUTES`].
    pub(super) row: usize,
    pub(super) path: PathParameters,
}

/// Finds the route of a request. Slashes at the end of the path, or between the base URL and the rest,
/// are ignored: some clients join the two with one too many.
///
/// Rows of other methods are skipped before their template is compared, so that a look-up stays short
/// and takes as long for a stranger as for anyone.
///
/// # Errors
///
/// `NotFound`, or `MethodNotAllowed` with the methods that the path has.
pub(super) fn find(method: &Method, path: &str) -> Result<RouteMatch, Failure> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let segments = segments(path).ok_or_else(|| Failure::no_route(path))?;
    let rows = BY_LENGTH.get(segments.len()).map(Vec::as_slice).unwrap_or_default();
    for (row, route, template) in rows {
        if route.method == method
            && let Some((endpoint, id)) = fit(template, &segments)
        {
            let path = PathParameters { endpoint: endpoint.to_owned(), id: id.to_owned() };
            return Ok(RouteMatch { route, row: *row, path });
        }
    }
    let fitting = rows.iter().filter(|(_, _, template)| fit(template, &segments).is_some());
    let allowed: Vec<&Method> = fitting.map(|(_, route, _)| &route.method).collect();
    if allowed.is_empty() {
        Err(Failure::no_route(path))
    } else {
        Err(Failure::MethodNotAllowed(allow(&allowed)))
    }
}

/// The template of a row, as the log names a route.
pub(super) fn template(row: usize) -> &'static str {
    ROUTES.get(row).map_or("", |route| route.template)
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

/// The endpoint and the id in a path that fits a template of as many segments; empty where the template has none.
fn fit<'a>(template: &[PathSegment], path: &'a [Cow<'_, str>]) -> Option<(&'a str, &'a str)> {
    let (mut endpoint, mut id) = ("", "");
    for (index, (segment, text)) in template.iter().zip(path).enumerate() {
        let text = text.as_ref();
        let is = |literal: &str| match index {
            ENDPOINT_INDEX => literal.eq_ignore_ascii_case(text),
            _ => literal == text,
        };
        match *segment {
            PathSegment::Literal(literal) if is(literal) => {}
            PathSegment::Type if !RESERVED.iter().any(|reserved| is(reserved)) => {
                endpoint = TYPES.into_iter().find(|known| is(known)).unwrap_or(text);
            }
            PathSegment::Offer => endpoint = OFFERS.into_iter().find(|known| is(known))?,
            PathSegment::Id if text != SEARCH => id = text,
            _ => return None,
        }
    }
    Some((endpoint, id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::registry::Registry;

    fn template_of(method: &Method, path: &str) -> &'static str {
        find(method, path).unwrap().route.template
    }

    #[test]
    fn paths_find_their_route() {
        let found = find(&Method::GET, "/scim/v2/Users/a%20b/").unwrap();
        assert_eq!((found.path.endpoint.as_str(), found.path.id.as_str()), ("Users", "a b"));
        assert_eq!(
            (found.route.template, template(found.row)),
            ("/scim/v2/{type}/{id}", "/scim/v2/{type}/{id}")
        );
        for (method, path, template) in [
            (&Method::HEAD, "/scim/v2/Users", "/scim/v2/{type}"),
            (&Method::GET, "/scim/v2/Schemas", "/scim/v2/Schemas"),
            (&Method::GET, "/scim/v2/Schemas/urn:x", "/scim/v2/Schemas/{id}"),
            (&Method::POST, "/scim/v2/Users//", "/scim/v2/{type}"),
            (&Method::GET, "/scim/v2/", "/scim/v2"),
            (&Method::GET, "/scim/v2//Users", "/scim/v2/{type}"),
            (&Method::POST, "/scim/v2/Users/.search", "/scim/v2/{type}/.search"),
            (&Method::POST, "/scim/v2/.search", "/scim/v2/.search"),
            (&Method::GET, "/scim/v2/Roles", "/scim/v2/{offer}"),
            (&Method::GET, "/scim/v2/Entitlements/x", "/scim/v2/{offer}/{id}"),
            (&Method::POST, "/scim/v2/Roles/.search", "/scim/v2/{offer}/.search"),
            (&Method::GET, "/scim/v2//GROUPS/", "/scim/v2/{type}"),
            (&Method::GET, "/scim/v2/schemas", "/scim/v2/Schemas"),
            (&Method::GET, "/scim/v2/resourcetypes/User", "/scim/v2/ResourceTypes/{id}"),
            (&Method::GET, "/scim/v2/roles", "/scim/v2/{offer}"),
            (&Method::POST, "/scim/v2/bulk", "/scim/v2/Bulk"),
        ] {
            assert_eq!(template_of(method, path), template, "{method} {path}");
        }
    }

    #[test]
    fn the_type_has_one_name_in_any_letter_case_and_an_id_its_own() {
        for (path, endpoint, id) in [
            ("/scim/v2/users/A", "Users", "A"),
            ("/scim/v2/gROUPS/users", "Groups", "users"),
            ("/scim/v2/ENTITLEMENTS/x", "Entitlements", "x"),
            ("/scim/v2/Devices/x", "Devices", "x"),
        ] {
            let found = find(&Method::GET, path).unwrap();
            assert_eq!((found.path.endpoint.as_str(), found.path.id.as_str()), (endpoint, id));
        }
        for path in ["/SCIM/v2/Users", "/scim/V2/Users", "/scim/v2/Users//1", "/Healthz"] {
            assert!(find(&Method::GET, path).is_err(), "{path}");
        }
        let search = find(&Method::GET, "/scim/v2/Users/.SEARCH").unwrap();
        assert_eq!(search.path.id, ".SEARCH");
    }

    #[test]
    fn what_fits_no_route_says_why() {
        for path in ["", "/", "/scim", "/scim/v1/Users", "/scim//v2/Users", "//healthz", "/%ff"] {
            assert!(matches!(find(&Method::GET, path), Err(Failure::NotFound(_))), "{path}");
        }
        for (method, path, expected) in [
            (&Method::POST, "/scim/v2/Users/1", "GET, PUT, PATCH, DELETE, HEAD"),
            (&Method::GET, "/scim/v2/Users/.search", "POST"),
            (&Method::POST, "/scim/v2/Schemas", "GET, HEAD"),
            (&Method::POST, "/scim/v2/Roles", "GET, HEAD"),
            (&Method::DELETE, "/scim/v2/Entitlements/x", "GET, HEAD"),
        ] {
            let Err(Failure::MethodNotAllowed(allow)) = find(method, path) else {
                panic!("405 for {method} {path}")
            };
            assert_eq!(allow, expected, "{method} {path}");
        }
    }

    #[test]
    fn the_offers_are_those_of_the_registry_and_no_resource_type_is_reserved() {
        let registry = Registry::built_in();
        let offered: Vec<&str> =
            registry.offered().iter().map(|offered| offered.endpoint.as_str()).collect();
        assert_eq!(offered, OFFERS);
        let types: Vec<&str> =
            registry.resource_types().iter().map(|known| known.endpoint.as_str()).collect();
        assert_eq!(types, TYPES);
        for resource_type in registry.resource_types() {
            assert!(!RESERVED.contains(&resource_type.endpoint.as_str()));
        }
    }
}
