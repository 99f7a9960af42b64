//! The order of results (RFC 7644, section 3.4.2.3).

use std::cmp::{Ordering, Reverse};

use serde_json::{Map, Number, Value};

use super::attribute::Type;
use super::error::{ScimError, ScimType};
use super::moment::Moment;
use super::path::AttrPath;
use super::schema::ResourceType;
use super::value::{compare_numbers, fold, moment};

/// The sort attribute and the direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortBy {
    /// The attribute by which results are sorted.
    pub path: AttrPath,
    /// The direction.
    pub order: SortOrder,
}

/// A sort direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortOrder {
    /// The least value first; the order if none is given.
    Ascending,
    /// The greatest value first.
    Descending,
}

impl SortBy {
    /// Reads `sortBy` and `sortOrder`; the latter in any letter case.
    ///
    /// # Errors
    ///
    /// `invalidPath` for an attribute that is unknown or complex, `invalidValue` for an unknown
    /// order.
    pub fn parse(
        resource_type: &ResourceType,
        sort_by: &str,
        sort_order: Option<&str>,
    ) -> Result<Self, ScimError> {
        let refuse = |problem: &str| {
            ScimError::new(
                ScimType::InvalidPath,
                format!(
                    "The results can't be sorted by \"{}\": {problem}.",
                    sort_by.escape_debug()
                ),
            )
        };
        let path =
            AttrPath::resolve(resource_type, sort_by.trim()).map_err(|problem| refuse(&problem))?;
        path.check_visible(resource_type).map_err(|problem| refuse(&problem))?;
        if path.kind == Type::Complex {
            return Err(refuse("it is complex; use one of its sub-attributes"));
        }
        Ok(Self { path, order: SortOrder::parse(sort_order)? })
    }

    /// Returns the sort key of a resource in its served form.
    ///
    /// A multi-valued attribute is represented by its primary or else its first value. A value of
    /// the wrong type counts as absent.
    pub fn key(&self, resource: &Map<String, Value>) -> SortKey {
        let rank = self.value(resource).and_then(|value| self.rank(value)).unwrap_or(Rank::None);
        SortKey(match self.order {
            SortOrder::Ascending => Directed::Ascending(rank),
            SortOrder::Descending => Directed::Descending(Reverse(rank)),
        })
    }

    fn value<'a>(&self, resource: &'a Map<String, Value>) -> Option<&'a Value> {
        let owner = match &self.path.extension {
            Some(urn) => resource.get(urn).and_then(Value::as_object),
            None => Some(resource),
        };
        let value = owner.and_then(|owner| representative(owner.get(&self.path.attribute)?));
        match value {
            Some(value) => {
                self.path.end(value).and_then(representative).or_else(|| self.path.absent())
            }
            // Without an element there is none whose sub-attribute could be absent.
            None => self.path.absent().filter(|_| self.path.sub_attribute.is_none()),
        }
    }

    fn rank(&self, value: &Value) -> Option<Rank> {
        match (self.path.kind, value) {
            (Type::Boolean, Value::Bool(flag)) => Some(Rank::Boolean(*flag)),
            (Type::Integer | Type::Decimal, Value::Number(number)) => {
                Some(Rank::Number(Exact(number.clone())))
            }
            (Type::DateTime, Value::String(text)) => moment(text).map(Rank::Moment),
            (Type::String | Type::Reference | Type::Binary, Value::String(text)) => {
                Some(Rank::Text(if self.path.case_exact {
                    text.clone()
                } else {
                    fold(text).into_owned()
                }))
            }
            _ => None,
        }
    }
}

impl SortOrder {
    fn parse(text: Option<&str>) -> Result<Self, ScimError> {
        match text.map(str::trim) {
            None => Ok(Self::Ascending),
            Some(word) if word.eq_ignore_ascii_case("ascending") => Ok(Self::Ascending),
            Some(word) if word.eq_ignore_ascii_case("descending") => Ok(Self::Descending),
            Some(word) => Err(ScimError::invalid_value(format!(
                "\"sortOrder\" must be ascending or descending, not \"{}\".",
                word.escape_debug()
            ))),
        }
    }
}

/// The primary element of a list, or else its first.
fn representative(value: &Value) -> Option<&Value> {
    let Value::Array(elements) = value else { return Some(value) };
    elements
        .iter()
        .find(|element| element.get("primary") == Some(&Value::Bool(true)))
        .or_else(|| elements.first())
}

/// A sort key: the keys of one [`SortBy`], sorted ascending, are in the requested order.
///
/// Resources without a value come last when ascending and first when descending. Equal keys leave
/// the order to the caller; a stable sort keeps that of creation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortKey(Directed);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Directed {
    Ascending(Rank),
    Descending(Reverse<Rank>),
}

/// A value in order; one attribute has values of one type, or none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Boolean(bool),
    Number(Exact),
    Moment(Moment),
    Text(String),
    None,
}

/// A number that is ordered by its exact value.
#[derive(Clone, Debug)]
struct Exact(Number);

impl Ord for Exact {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_numbers(&self.0, &other.0)
    }
}

impl PartialOrd for Exact {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Exact {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Exact {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::scim::sample::{self, Dice, FIELDS};
    use crate::scim::schemas::user;

    fn parse(sort_by: &str, sort_order: Option<&str>) -> Result<SortBy, ScimError> {
        SortBy::parse(&user::resource_type(), sort_by, sort_order)
    }

    fn sorted(sort_by: &str, order: &str, users: &[Value]) -> Vec<String> {
        let sort_by = parse(sort_by, Some(order)).unwrap();
        let mut users = users.to_vec();
        users.sort_by_key(|user| sort_by.key(user.as_object().unwrap()));
        users.iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn resources_without_a_value_are_last_or_first() {
        let users = [
            json!({"id": "1"}),
            json!({"id": "2", "title": "B"}),
            json!({"id": "3", "title": "a"}),
        ];
        assert_eq!(sorted("title", "ascending", &users), ["3", "2", "1"]);
        assert_eq!(sorted("TITLE", "Descending", &users), ["1", "2", "3"]);
        assert_eq!(sorted("id", "descending", &users), ["3", "2", "1"]);
        assert_eq!(sorted("userName", "descending", &users), ["1", "2", "3"], "equal keys");
    }

    #[test]
    fn the_primary_value_counts_or_else_the_first() {
        let users = [
            json!({"id": "1", "emails": [{"value": "a"}, {"value": "z", "primary": true}]}),
            json!({"id": "2", "emails": [{"value": "m", "primary": false}, {"value": "b"}]}),
            json!({"id": "3", "emails": [{"type": "work"}]}),
            json!({"id": "4", "emails": []}),
        ];
        assert_eq!(sorted("emails", "ascending", &users), ["2", "1", "3", "4"]);
        assert_eq!(sorted("emails.type", "ascending", &users), ["3", "1", "2", "4"]);
    }

    #[test]
    fn what_is_absent_and_counts_as_false_is_sorted_as_such() {
        let users = [
            json!({"id": "1", "active": true, "emails": [{"value": "a", "primary": true}]}),
            json!({"id": "2", "emails": [{"value": "a"}]}),
            json!({"id": "3", "active": false, "emails": [{"value": "a", "primary": false}]}),
            json!({"id": "4", "active": true}),
        ];
        assert_eq!(sorted("active", "ascending", &users), ["2", "3", "1", "4"]);
        assert_eq!(sorted("emails.primary", "ascending", &users), ["2", "3", "1", "4"]);
    }

    #[test]
    fn moments_are_in_order_whatever_their_offset() {
        let created = |id: &str, created: &str| json!({"id": id, "meta": {"created": created}});
        let users = [
            created("1", "2026-03-01T08:00:00Z"),
            created("2", "2026-03-01T08:30:00+01:00"),
            created("3", "yesterday"),
        ];
        assert_eq!(sorted("meta.created", "ascending", &users), ["2", "1", "3"]);
    }

    #[test]
    fn what_has_no_order_is_refused() {
        assert_eq!(parse("title", None).unwrap().order, SortOrder::Ascending);
        for (sort_by, problem) in [
            ("x", "no attribute \"x\""),
            ("", "no attribute"),
            ("name", "complex"),
            ("addresses", "complex"),
        ] {
            let error = parse(sort_by, None).unwrap_err();
            assert_eq!(error.scim_type, ScimType::InvalidPath);
            assert!(error.detail.contains(problem), "{}", error.detail);
        }
        let error = parse("title", Some("up")).unwrap_err();
        assert_eq!(error.scim_type, ScimType::InvalidValue);
        assert_eq!(error.detail, "\"sortOrder\" must be ascending or descending, not \"up\".");
    }

    /// The value that counts, the slow and plain way.
    fn value<'a>(resource: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
        let Some(part) = path.strip_prefix("ports").map(|part| part.trim_start_matches('.')) else {
            return sample::values(resource, path).first().copied();
        };
        let ports = sample::values(resource, "ports");
        let primary = ports.iter().find(|port| port.get("primary") == Some(&json!(true)));
        let port = primary.or_else(|| ports.first())?;
        let absent = (part == "primary").then_some(&sample::NOT_PRIMARY);
        port.get(if part.is_empty() { "value" } else { part }).or(absent)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn keys_are_in_the_order_of_the_values(
            left in prop::collection::vec(any::<u8>(), 0..80),
            right in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let left = sample::resource(&mut Dice::new(&left));
            let right = sample::resource(&mut Dice::new(&right));
            for (path, holds) in FIELDS {
                let expected = match (value(&left, path), value(&right, path)) {
                    (Some(left), Some(right)) => sample::compare(holds, left, right),
                    (left, right) => right.is_some().cmp(&left.is_some()),
                };
                let key = |order: &str, resource: &Map<String, Value>| {
                    SortBy::parse(&sample::resource_type(), path, Some(order)).unwrap().key(resource)
                };
                let ascending = key("ascending", &left).cmp(&key("ascending", &right));
                prop_assert_eq!(ascending, expected, "{}", path);
                let descending = key("descending", &left).cmp(&key("descending", &right));
                prop_assert_eq!(descending, expected.reverse(), "{}", path);
            }
        }
    }
}
