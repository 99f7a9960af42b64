//! Comparison of values.

use std::cmp::Ordering;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Number, Value};

use super::moment::Moment;
pub use crate::text::fold;

/// Compares two numbers by their exact values, whole or not: 2⁵³ + 1 is greater than 2⁵³ as a
/// decimal, and 1 equals 1.0.
pub fn compare_numbers(left: &Number, right: &Number) -> Ordering {
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        (Some(left), None) => compare_whole(left, decimal(right)),
        (None, Some(right)) => compare_whole(right, decimal(left)).reverse(),
        // JSON has no NaN, so the comparison always succeeds.
        (None, None) => decimal(left).partial_cmp(&decimal(right)).unwrap_or(Ordering::Equal),
    }
}

fn whole(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

fn decimal(number: &Number) -> f64 {
    number.as_f64().unwrap_or_default()
}

fn compare_whole(whole: i128, decimal: f64) -> Ordering {
    // A decimal too large for the type becomes its largest value, which no JSON integer reaches.
    whole
        .cmp(&(decimal.trunc() as i128))
        .then_with(|| 0.0.partial_cmp(&decimal.fract()).unwrap_or(Ordering::Equal))
}

/// Parses a moment to compare with: an `xsd:dateTime`, or one of the other forms that clients put into
/// filters, as a date alone. Without an offset it is in UTC.
pub fn moment(text: &str) -> Option<Moment> {
    let lenient = || {
        let timestamp = text.parse::<Timestamp>().ok();
        timestamp.or_else(|| TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok())
    };
    Moment::parse(text).or_else(|| lenient().map(Moment::from))
}

/// Whether a value counts as assigned: it is not null, not an empty text, and not a list or object
/// of only such values (RFC 7643, section 2.5; `pr` in RFC 7644, table 3).
///
/// The recursion depth is bounded by [`super::json::MAX_DEPTH`].
pub fn is_assigned(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(elements) => elements.iter().any(is_assigned),
        Value::Object(parts) => parts.values().any(is_assigned),
    }
}

/// Returns the elements of a list; a single value is a list of one.
pub fn elements(value: &Value) -> &[Value] {
    match value {
        Value::Array(elements) => elements,
        single => std::slice::from_ref(single),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letter_case_and_composition_do_not_matter() {
        assert_eq!(fold("User@Example.COM"), "user@example.com");
        assert_eq!(fold("\u{c9}va"), fold("E\u{301}VA"));
        assert_eq!(fold("\u{3a3}\u{39f}\u{3a3}"), fold("\u{3c3}\u{3bf}\u{3c3}"));
        assert_ne!(fold("\u{131}"), fold("i"), "dotless i is another letter");
    }

    #[test]
    fn numbers_compare_by_their_exact_values() {
        let number = |text: &str| text.parse::<Number>().unwrap();
        let ascending = [
            "-1e300",
            "-9223372036854775808",
            "-1.5",
            "-1",
            "-0.5",
            "0",
            "5e-324",
            "9007199254740992.0",
            "9007199254740993",
            "18446744073709551615",
            "18446744073709551616",
            "1e300",
        ];
        for (at, left) in ascending.iter().enumerate() {
            for (other, right) in ascending.iter().enumerate() {
                let order = compare_numbers(&number(left), &number(right));
                assert_eq!(order, at.cmp(&other), "{left} and {right}");
            }
        }
        for (left, right) in [("1", "1.0"), ("0", "-0.0"), ("100", "1e2"), ("0.0", "-0.0")] {
            assert_eq!(compare_numbers(&number(left), &number(right)), Ordering::Equal, "{left}");
        }
    }

    #[test]
    fn what_holds_nothing_is_no_value() {
        use serde_json::json;
        for value in [json!(null), json!(""), json!([]), json!({}), json!([{"a": null}, ""])] {
            assert!(!is_assigned(&value), "{value}");
        }
        for value in [json!(false), json!(0), json!(" "), json!([null, {"a": [false]}])] {
            assert!(is_assigned(&value), "{value}");
        }
    }

    #[test]
    fn folding_twice_changes_nothing_for_every_character() {
        for character in (0..=0x10_ffff_u32).filter_map(char::from_u32) {
            let text = format!("a{character}b");
            let once = fold(&text).into_owned();
            assert_eq!(fold(&once), once, "U+{:04X}", u32::from(character));
        }
    }
}
