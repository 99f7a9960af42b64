//! Query parameters: filter, order and page (RFC 7644, section 3.4.2; RFC 9865).

use serde_json::{Map, Value};

use super::error::{ScimError, ScimType};
use super::filter::Filter;
use super::json::describe;
use super::projection::Projection;
use super::schema::ResourceType;
use super::sort::SortBy;

/// The largest number that is not clamped, since clients may read responses into 32 bits.
const MAX_NUMBER: usize = i32::MAX as usize;

/// The parameter that lists the attributes to return (RFC 7644, section 3.9).
pub const ATTRIBUTES: &str = "attributes";
/// The parameter that lists the attributes to exclude.
pub const EXCLUDED_ATTRIBUTES: &str = "excludedAttributes";

/// The limits of a page.
#[derive(Clone, Copy, Debug)]
pub struct PageLimits {
    /// The number of resources in a page if the request names no `count`.
    pub default_count: usize,
    /// The maximum number of resources in a page, which ServiceProviderConfig announces.
    pub max_count: usize,
    /// The maximum size of a request body in bytes, which ServiceProviderConfig announces as the
    /// limit of a bulk request.
    pub max_body_bytes: usize,
}

/// Every parameter of a query, and what a second occurrence of it means.
const PARAMETERS: [(&str, Repeated); 8] = [
    (ATTRIBUTES, Repeated::Joined),
    (EXCLUDED_ATTRIBUTES, Repeated::Joined),
    ("filter", Repeated::Refused),
    ("sortBy", Repeated::Refused),
    ("sortOrder", Repeated::Refused),
    ("startIndex", Repeated::Refused),
    ("count", Repeated::Refused),
    ("cursor", Repeated::Refused),
];

/// The meaning of a parameter that a URI repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeated {
    /// It is a list, which goes on.
    Joined,
    /// It has one value, so it contradicts itself.
    Refused,
}

/// The parameters of a query, from a URI or from the body of a search request.
///
/// Names are case-insensitive. Unknown ones are dropped, since clients add their own.
#[derive(Clone, Debug, Default)]
pub struct Parameters(Vec<(&'static str, String)>);

impl Parameters {
    /// Creates the parameters from the decoded query of a URI.
    ///
    /// # Errors
    ///
    /// `invalidValue` for a repeated parameter that is not a list.
    pub fn new(given: impl Iterator<Item = (String, String)>) -> Result<Self, ScimError> {
        let mut parameters = Self::default();
        for (name, value) in given {
            parameters.add(&name, value)?;
        }
        Ok(parameters)
    }

    fn add(&mut self, name: &str, value: String) -> Result<(), ScimError> {
        let known = PARAMETERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let Some(&(name, repeated)) = known else { return Ok(()) };
        match self.0.iter_mut().find(|(given, _)| *given == name) {
            None => self.0.push((name, value)),
            Some((_, list)) if repeated == Repeated::Joined => {
                list.push(',');
                list.push_str(&value);
            }
            Some(_) => {
                return Err(ScimError::invalid_value(format!(
                    "\"{name}\" is given more than once; send it once."
                )));
            }
        }
        Ok(())
    }

    /// Reads the members of a search request (RFC 7644, section 3.4.3). Lists are joined by commas.
    ///
    /// # Errors
    ///
    /// `invalidSyntax` naming a member that is neither text, number nor a list of texts; otherwise as
    /// [`Parameters::new`].
    pub fn from_search_request(body: &Map<String, Value>) -> Result<Self, ScimError> {
        let mut parameters = Self::default();
        for (name, value) in body.iter().filter(|(_, value)| !value.is_null()) {
            let text = match value {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                Value::Array(items) => {
                    let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
                    texts.map(|texts| texts.join(","))
                }
                _ => None,
            };
            let text = text.ok_or_else(|| {
                ScimError::invalid_syntax(format!(
                    "\"{}\" of a search request can't be {}.",
                    name.escape_debug(),
                    describe(value)
                ))
            })?;
            parameters.add(name, text)?;
        }
        Ok(parameters)
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Returns a fingerprint of the query at an endpoint, which binds cursors to its results and
    /// their order.
    pub fn fingerprint(&self, place: &str) -> String {
        let relevant = ["filter", "sortBy", "sortOrder"];
        let [filter, by, order] = relevant.map(|name| self.get(name).unwrap_or_default());
        [place, filter, by, order].join("\u{0}")
    }
}

/// A query for resources of one type: filter and order.
#[derive(Clone, Debug)]
pub struct Query {
    /// The filter; `None` for all resources.
    pub filter: Option<Filter>,
    /// The order; `None` for the order of creation.
    pub sort: Option<SortBy>,
}

impl Query {
    /// Reads a query for resources of one type.
    ///
    /// # Errors
    ///
    /// `invalidFilter` for the filter, `invalidPath` or `invalidValue` for the order.
    pub fn parse(resource_type: &ResourceType, parameters: &Parameters) -> Result<Self, ScimError> {
        let filter = match parameters.get("filter") {
            Some(text) => Some(Filter::parse(resource_type, text)?),
            None => None,
        };
        let sort = match parameters.get("sortBy") {
            Some(by) => Some(SortBy::parse(resource_type, by, parameters.get("sortOrder"))?),
            None => None,
        };
        Ok(Self { filter, sort })
    }
}

/// Reads the projection of a response.
///
/// # Errors
///
/// As [`Projection::parse`].
pub fn projection(
    resource_type: &ResourceType,
    parameters: &Parameters,
) -> Result<Projection, ScimError> {
    let (attributes, excluded) = (parameters.get(ATTRIBUTES), parameters.get(EXCLUDED_ATTRIBUTES));
    Projection::parse(resource_type, attributes, excluded)
}

/// Whether the request selects attributes (RFC 7644, section 3.9).
pub fn asks_for_attributes(parameters: &Parameters) -> bool {
    [ATTRIBUTES, EXCLUDED_ATTRIBUTES].iter().any(|name| parameters.get(name).is_some())
}

/// The start of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// The page starts at this result, counted from 1.
    Index(usize),
    /// The page starts after the one that returned this cursor; empty for the first page (RFC 9865,
    /// section 2).
    Cursor(String),
}

/// The requested page of the results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The start of the page.
    pub start: Start,
    /// The maximum number of results.
    pub count: usize,
}

impl PageRequest {
    /// Reads the requested page.
    ///
    /// A `startIndex` below 1 becomes 1 and a negative `count` becomes 0 (RFC 7644, section
    /// 3.4.2.4); a `count` above the limit is clamped. A cursor takes precedence over a start
    /// index.
    ///
    /// # Errors
    ///
    /// `invalidValue` for a malformed number; with a cursor, `invalidCount`.
    pub fn parse(parameters: &Parameters, limits: PageLimits) -> Result<Self, ScimError> {
        let count = number("count", parameters.get("count"));
        let (start, count) = match parameters.get("cursor") {
            Some(cursor) => {
                let count =
                    count.map_err(|error| ScimError::new(ScimType::InvalidCount, error.detail))?;
                (Start::Cursor(cursor.to_owned()), count)
            }
            None => {
                let start = number("startIndex", parameters.get("startIndex"))?;
                (Start::Index(start.unwrap_or(1).max(1)), count?)
            }
        };
        Ok(Self { start, count: count.unwrap_or(limits.default_count).min(limits.max_count) })
    }
}

/// Reads a whole number, clamped to 0 and [`MAX_NUMBER`].
fn number(name: &str, text: Option<&str>) -> Result<Option<usize>, ScimError> {
    let Some(text) = text else { return Ok(None) };
    let trimmed = text.trim();
    let (negative, digits) = match trimmed.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, trimmed),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ScimError::invalid_value(format!(
            "\"{name}\" must be a whole number, not \"{}\".",
            text.escape_debug()
        )));
    }
    let number = if negative { 0 } else { digits.parse().unwrap_or(MAX_NUMBER) };
    Ok(Some(number.min(MAX_NUMBER)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn page(pairs: &[(&str, &str)]) -> Result<PageRequest, ScimError> {
        let pairs = pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let limits = PageLimits { default_count: 100, max_count: 1_000, max_body_bytes: 1 };
        PageRequest::parse(&Parameters::new(pairs).unwrap(), limits)
    }

    fn index(start: usize, count: usize) -> PageRequest {
        PageRequest { start: Start::Index(start), count }
    }

    #[test]
    fn pages_are_kept_within_bounds() {
        let given = |start, count| page(&[("startIndex", start), ("COUNT", count)]).unwrap();
        assert_eq!(given("1", "10"), index(1, 10));
        assert_eq!(given("0", "-1"), index(1, 0));
        assert_eq!(given("-5", "0"), index(1, 0));
        assert_eq!(given("99999999999999999999999", "1001"), index(MAX_NUMBER, 1_000));
        assert_eq!(page(&[("x", "y")]).unwrap(), index(1, 100));
        let start = page(&[("cursor", ""), ("startIndex", "x")]).unwrap().start;
        assert_eq!(start, Start::Cursor(String::new()));
    }

    #[test]
    fn what_is_no_number_is_named() {
        for text in ["", "a", "1.5", "1e3", "--1", "-", "0x1"] {
            let error = page(&[("startIndex", text)]).unwrap_err();
            assert!(error.detail.contains("\"startIndex\" must be a whole number"), "{text}");
            let error = page(&[("count", text), ("cursor", "")]).unwrap_err();
            assert_eq!(error.scim_type, ScimType::InvalidCount);
        }
    }

    #[test]
    fn a_repeated_list_is_joined_and_what_is_no_list_is_refused() {
        let parameters = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
            Parameters::new(pairs)
        };
        for (name, repeated) in PARAMETERS {
            let twice =
                parameters(&[(name, "a"), ("x", "1"), (&name.to_uppercase(), "b"), ("x", "2")]);
            match repeated {
                Repeated::Joined => assert_eq!(twice.unwrap().get(name), Some("a,b")),
                Repeated::Refused => assert!(twice.unwrap_err().detail.contains(name)),
            }
        }
    }

    #[test]
    fn a_search_request_is_read_like_a_uri() {
        let body = json!({"attributes": ["userName", "emails"], "count": 5, "filter": null});
        let parameters = Parameters::from_search_request(body.as_object().unwrap()).unwrap();
        assert_eq!(parameters.get("ATTRIBUTES"), Some("userName,emails"));
        assert_eq!((parameters.get("count"), parameters.get("filter")), (Some("5"), None));
        let body = json!({"filter": {}});
        assert!(Parameters::from_search_request(body.as_object().unwrap()).is_err());
    }
}
