//! Evaluation of filters on resources.
//!
//! An attribute with several values matches if any of them does. `ne` is the one exception: it is
//! the negation of `eq` on the whole attribute, so that `emails.type ne "work"` finds those without
//! a work address, and an attribute without a value is unequal to everything but null. RFC 7644
//! leaves this open; read the other way, `ne` and `not (… eq …)` would differ.
//!
//! Null stands for no value: `eq null` is the negation of `pr`. An absent `primary` or `active` is false when
//! it is compared with a boolean, and is not present all the same.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{CompareOp, Comparison, Filter, Literal};
use crate::scim::path::AttrPath;
use crate::scim::value::{compare_numbers, elements, fold, is_assigned, moment};

impl Filter {
    /// Whether a resource in its served form matches.
    ///
    /// A value that does not have its attribute's type equals nothing and has no order.
    pub fn matches(&self, resource: &Map<String, Value>) -> bool {
        self.holds(MatchScope::Resource(resource))
    }

    /// Whether one element matches a filter in the brackets of its attribute.
    pub fn matches_element(&self, element: &Value) -> bool {
        self.holds(MatchScope::Element(element))
    }

    /// Returns the top-level names that the filter refers to: attributes, and URNs of extensions.
    pub fn mentions(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        let mut waiting = vec![self];
        while let Some(filter) = waiting.pop() {
            match filter {
                Self::And(parts) | Self::Or(parts) => waiting.extend(parts),
                Self::Not(part) => waiting.push(part),
                Self::Compare(Comparison { path, .. })
                | Self::Present(path)
                | Self::Element(path, _) => {
                    names.insert(path.top_level());
                }
            }
        }
        names
    }

    fn holds(&self, scope: MatchScope<'_>) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.holds(scope)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(scope)),
            Self::Not(part) => !part.holds(scope),
            Self::Compare(comparison) => comparison.holds(scope),
            Self::Present(path) => scope.any_given(path, is_assigned),
            Self::Element(path, inner) => scope
                .attribute(path)
                .iter()
                .any(|element| inner.holds(MatchScope::Element(element))),
        }
    }
}

impl Comparison {
    fn holds(&self, scope: MatchScope<'_>) -> bool {
        match (self.op, &self.literal) {
            (CompareOp::Eq, Literal::Null) => !scope.any_given(&self.path, is_assigned),
            (CompareOp::Ne, Literal::Null) => scope.any_given(&self.path, is_assigned),
            (CompareOp::Ne, _) => !scope.any(&self.path, |value| self.fits(CompareOp::Eq, value)),
            (op, _) => scope.any(&self.path, |value| self.fits(op, value)),
        }
    }

    /// Whether one value satisfies the comparison.
    fn fits(&self, op: CompareOp, value: &Value) -> bool {
        match (&self.literal, value) {
            (Literal::Text(wanted), Value::String(text)) => {
                let text =
                    if self.path.case_exact { Cow::Borrowed(text.as_str()) } else { fold(text) };
                op.holds_for_texts(&text, wanted)
            }
            (Literal::Number(wanted), Value::Number(number)) => {
                op.holds_for(compare_numbers(number, wanted))
            }
            (Literal::Boolean(wanted), Value::Bool(flag)) => op.holds_for(flag.cmp(wanted)),
            (Literal::Moment(wanted), Value::String(text)) => {
                moment(text).is_some_and(|moment| op.holds_for(moment.cmp(wanted)))
            }
            _ => false,
        }
    }
}

impl CompareOp {
    /// Whether a value with this order relative to the literal satisfies the operator.
    pub fn holds_for(self, order: Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Ne => order.is_ne(),
            Self::Gt => order.is_gt(),
            Self::Ge => order.is_ge(),
            Self::Lt => order.is_lt(),
            Self::Le => order.is_le(),
            Self::Co | Self::Sw | Self::Ew => false,
        }
    }

    /// Whether a text satisfies the operator against the text of a literal. Both are folded, or
    /// neither.
    pub fn holds_for_texts(self, text: &str, wanted: &str) -> bool {
        match self {
            Self::Co => text.contains(wanted),
            Self::Sw => text.starts_with(wanted),
            Self::Ew => text.ends_with(wanted),
            // The byte order of UTF-8 is the order of code points.
            _ => self.holds_for(text.cmp(wanted)),
        }
    }
}

/// The value on which a part of a filter is evaluated.
#[derive(Clone, Copy)]
enum MatchScope<'a> {
    /// A whole resource.
    Resource(&'a Map<String, Value>),
    /// One element of the attribute in whose brackets the part is.
    Element(&'a Value),
}

impl<'a> MatchScope<'a> {
    /// The values of the attribute at the head of the path.
    fn attribute(self, path: &AttrPath) -> &'a [Value] {
        match self {
            Self::Resource(resource) => {
                let owner = match &path.extension {
                    Some(urn) => resource.get(urn).and_then(Value::as_object),
                    None => Some(resource),
                };
                owner.and_then(|owner| owner.get(&path.attribute)).map_or(&[], elements)
            }
            Self::Element(element) => std::slice::from_ref(element),
        }
    }

    /// Whether any value at the end of the path passes.
    fn any_given(self, path: &AttrPath, passes: impl Fn(&Value) -> bool) -> bool {
        let passes = |value: &Value| elements(value).iter().any(&passes);
        self.attribute(path).iter().any(|value| path.end(value).is_some_and(passes))
    }

    /// Whether any value at the end of the path passes, or what stands for one that is missing.
    fn any(self, path: &AttrPath, passes: impl Fn(&Value) -> bool) -> bool {
        let Some(absent) = path.absent() else { return self.any_given(path, passes) };
        let values = match (self.attribute(path), &path.sub_attribute) {
            ([], None) => std::slice::from_ref(absent),
            (values, _) => values,
        };
        values.iter().any(|value| passes(path.end(value).unwrap_or(absent)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::schemas::user;
    use serde_json::json;

    fn matches(filter: &str) -> bool {
        let user = json!({
            "schemas": [user::USER, user::ENTERPRISE_USER], "id": "Ab", "externalId": "X7",
            "userName": "B\u{c9}a@Example.com", "active": true, "title": "",
            "name": {"familyName": "Stra\u{df}e"}, "addresses": [{"type": "work"}],
            "emails": [
                {"value": "a@example.com", "type": "work", "primary": true},
                {"value": "b@home.example", "type": "home"},
            ],
            user::ENTERPRISE_USER: {"department": "BI", "manager": {"value": "m1"}},
            "meta": {"created": "2026-03-01T08:15:00.000Z"},
        });
        let filter = Filter::parse(&user::resource_type(), filter).unwrap();
        filter.matches(user.as_object().unwrap())
    }

    fn check(filters: &[(&str, bool)]) {
        for &(filter, expected) in filters {
            assert_eq!(matches(filter), expected, "{filter}");
        }
    }

    #[test]
    fn texts_follow_the_case_rule_of_their_attribute() {
        check(&[
            ("userName eq \"be\u{301}A@example.COM\"", true),
            ("userName sw \"B\u{e9}\" and userName ew \".COM\" and userName co \"@\"", true),
            ("id eq \"ab\"", false),
            ("externalId co \"x\"", false),
            ("externalId sw \"X\"", true),
            ("userName gt \"a\" and userName lt \"C\" and id ge \"Ab\" and id le \"Ab\"", true),
            ("schemas eq \"urn:ietf:params:scim:schemas:core:2.0:User\"", true),
        ]);
    }

    #[test]
    fn one_of_several_values_is_enough_but_brackets_mean_one_element() {
        check(&[
            ("emails co \"home\" and emails.type eq work", true),
            ("emails[value co \"home\" and type eq \"work\"]", false),
            ("emails[value co \"home\" and not (type eq \"work\")]", true),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager eq \"m1\"", true),
            ("emails[primary eq true]", true),
            ("emails[primary ne true]", true),
            ("phoneNumbers[type ne \"work\"]", false),
            ("name[familyName sw \"stra\"]", true),
            (
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq \"bi\"",
                true,
            ),
            (
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager[value eq m1]",
                true,
            ),
        ]);
    }

    #[test]
    fn no_value_is_unequal_to_everything_but_null() {
        check(&[
            ("nickName ne \"x\"", true),
            ("nickName eq null", true),
            ("nickName ne null", false),
            ("nickName lt \"x\" or nickName co \"\" or nickName pr", false),
            ("title pr", false),
            ("title eq null", true),
            ("title eq \"\"", true),
            ("emails.type ne \"work\"", false),
            ("emails.type ne \"other\"", true),
            ("addresses pr and name pr and active pr and emails pr", true),
            ("emails eq null or phoneNumbers ne null", false),
            ("phoneNumbers.primary eq false", false),
            ("phoneNumbers.primary eq null", true),
            ("not (userName pr)", false),
        ]);
    }

    #[test]
    fn what_is_absent_and_counts_as_false_is_found_as_such() {
        check(&[
            ("emails[type eq \"home\" and primary eq false]", true),
            ("emails[type eq \"home\" and primary ne true]", true),
            ("emails[type eq \"home\" and primary ne false]", false),
            ("emails[type eq \"work\" and primary eq false]", false),
            ("emails.primary eq false", true),
            ("addresses.primary eq false", true),
            ("phoneNumbers.primary eq false", false),
            ("emails[type eq \"home\" and primary pr]", false),
            ("emails[type eq \"home\" and primary eq null]", true),
            ("active eq false", false),
        ]);
        let filter = |text: &str| Filter::parse(&user::resource_type(), text).unwrap();
        let without = Map::new();
        assert!(filter("active eq false").matches(&without));
        assert!(filter("not (active eq true)").matches(&without));
        assert!(!filter("active ne false").matches(&without));
        assert!(
            !filter("active pr").matches(&without) && filter("active eq null").matches(&without)
        );
    }

    #[test]
    fn moments_compare_whatever_their_offset() {
        check(&[
            ("meta.created eq \"2026-03-01T09:15:00+01:00\"", true),
            ("meta.created ge 2026-03-01 and meta.created lt 2026-03-02", true),
            ("meta.created gt \"2026-03-01T08:15:00Z\"", false),
            ("meta.created sw \"2026-03\"", true),
            ("meta.lastModified le \"2026-03-01T08:15:00Z\"", false),
        ]);
    }

    #[test]
    fn values_of_another_type_match_nothing() {
        let odd = json!({"userName": 5, "active": "true", "emails": "x", "name": [1, {"a": {}}],
                         "meta": {"created": "yesterday"}, user::ENTERPRISE_USER: []});
        for text in [
            "userName eq \"5\"",
            "active eq true",
            "emails eq \"x\"",
            "emails[value pr]",
            "name.familyName pr",
            "meta.created gt \"2026-03-01T08:15:00Z\"",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department pr",
        ] {
            let filter = Filter::parse(&user::resource_type(), text).unwrap();
            assert!(!filter.matches(odd.as_object().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_filter_mentions_top_level_names() {
        let text = "not (emails[type eq \"work\"] or emails.value pr) and name.familyName pr and \
                    urn:ietf:params:scim:schemas:extension:enterprise:2.0:user:department pr";
        let filter = Filter::parse(&user::resource_type(), text).unwrap();
        let expected = BTreeSet::from(["emails", "name", user::ENTERPRISE_USER]);
        assert_eq!(filter.mentions(), expected);
    }
}
