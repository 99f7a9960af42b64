//! What a query asks for (RFC 7644, section 3.4.2).

use super::error::ScimError;
use super::filter::Filter;
use super::schema::ResourceType;

/// How many resources a page holds, if the client does not say, and at most.
#[derive(Clone, Copy, Debug)]
pub struct PageLimits {
    /// If the client does not say.
    pub default_count: usize,
    /// At most; also told in ServiceProviderConfig.
    pub max_count: usize,
}

/// A query for resources of one type.
#[derive(Clone, Debug)]
pub struct Query {
    /// Which resources; `None` for all.
    pub filter: Option<Filter>,
    /// The first result to return, counted from 1.
    pub start_index: usize,
    /// How many results to return at most.
    pub count: usize,
}

impl Query {
    /// Reads the parameters of a query. Names are taken in any letter case; unknown ones mean
    /// nothing, since clients add their own. A parameter given twice counts once, the first time.
    ///
    /// A `startIndex` below 1 is 1 and a negative `count` is 0, as the RFC says; a `count` above the
    /// limit is the limit.
    ///
    /// # Errors
    ///
    /// `invalidFilter` for the filter, `invalidValue` for a number that is none.
    pub fn from_parameters(
        resource_type: &ResourceType,
        limits: PageLimits,
        parameters: &[(String, String)],
    ) -> Result<Self, ScimError> {
        let given = |name: &str| {
            parameters
                .iter()
                .find(|(given, _)| given.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.as_str())
        };
        let filter = match given("filter") {
            Some(text) => Some(Filter::parse(resource_type, text)?),
            None => None,
        };
        let start_index = number("startIndex", given("startIndex"))?.unwrap_or(1).max(1);
        let count = number("count", given("count"))?.unwrap_or(limits.default_count);
        Ok(Self { filter, start_index, count: count.min(limits.max_count) })
    }
}

/// A whole number, with everything below zero as zero and everything too large as the largest.
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
    Ok(Some(if negative { 0 } else { digits.parse().unwrap_or(usize::MAX) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::schemas::user;

    fn query(parameters: &[(&str, &str)]) -> Result<Query, ScimError> {
        let parameters: Vec<_> =
            parameters.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let limits = PageLimits { default_count: 100, max_count: 1_000 };
        Query::from_parameters(&user::resource_type(), limits, &parameters)
    }

    fn page(start_index: &str, count: &str) -> (usize, usize) {
        let query = query(&[("startIndex", start_index), ("COUNT", count)]).unwrap();
        (query.start_index, query.count)
    }

    #[test]
    fn pages_are_kept_within_bounds() {
        assert_eq!(page("1", "10"), (1, 10));
        assert_eq!(page("0", "-1"), (1, 0));
        assert_eq!(page("-5", "0"), (1, 0));
        assert_eq!(page("99999999999999999999999", "1001"), (usize::MAX, 1_000));
        let query = query(&[("x", "y")]).unwrap();
        assert_eq!((query.start_index, query.count), (1, 100));
    }

    #[test]
    fn what_is_no_number_is_named() {
        for text in ["", "a", "1.5", "1e3", "--1", "-", "0x1"] {
            let error = query(&[("startIndex", text)]).unwrap_err();
            assert!(error.detail.contains("\"startIndex\" must be a whole number"), "{text}");
        }
    }
}
