//! Which elements a filter in the brackets of a path selects.

use std::cmp::Ordering;

use serde_json::Value;

use crate::scim::filter::{CompareOp, Comparison, Filter, Literal};
use crate::scim::value::fold;

/// Whether an element matches a filter on elements of its attribute.
pub(super) fn matches(filter: &Filter, element: &Value) -> bool {
    match filter {
        Filter::And(parts) => parts.iter().all(|part| matches(part, element)),
        Filter::Or(parts) => parts.iter().any(|part| matches(part, element)),
        Filter::Not(part) | Filter::Element(_, part) => {
            matches(part, element) != matches!(filter, Filter::Not(_))
        }
        Filter::Present(path) => !values(element, path.sub_attribute.as_deref()).is_empty(),
        Filter::Compare(Comparison { path, op, literal }) => {
            let values = values(element, path.sub_attribute.as_deref());
            let equal = |value: &Value| compares(value, path.case_exact, CompareOp::Eq, literal);
            match (op, literal) {
                (CompareOp::Eq, Literal::Null) => values.is_empty(),
                (CompareOp::Ne, Literal::Null) => !values.is_empty(),
                (CompareOp::Ne, _) => !values.iter().any(equal),
                _ => values.iter().any(|value| compares(value, path.case_exact, *op, literal)),
            }
        }
    }
}

fn values<'a>(element: &'a Value, sub_attribute: Option<&str>) -> &'a [Value] {
    let value = match sub_attribute {
        Some(name) => element.get(name),
        None => Some(element),
    };
    match value {
        None => &[],
        Some(Value::Array(values)) => values,
        Some(value) => std::slice::from_ref(value),
    }
}

fn compares(value: &Value, case_exact: bool, op: CompareOp, literal: &Literal) -> bool {
    let order = match (value, literal) {
        (Value::String(text), Literal::Text(wanted)) => {
            let folded = if case_exact { text.into() } else { fold(text) };
            match op {
                CompareOp::Co => return folded.contains(wanted.as_str()),
                CompareOp::Sw => return folded.starts_with(wanted.as_str()),
                CompareOp::Ew => return folded.ends_with(wanted.as_str()),
                _ => Some(folded.as_ref().cmp(wanted.as_str())),
            }
        }
        (Value::Bool(flag), Literal::Boolean(wanted)) => Some(flag.cmp(wanted)),
        (Value::Number(number), Literal::Number(wanted)) => {
            number.as_f64().partial_cmp(&wanted.as_f64())
        }
        (Value::String(text), Literal::Moment(wanted)) => {
            text.parse::<jiff::Timestamp>().ok().map(|moment| moment.cmp(wanted))
        }
        _ => None,
    };
    order.is_some_and(|order| match op {
        CompareOp::Eq => order == Ordering::Equal,
        CompareOp::Ne => order != Ordering::Equal,
        CompareOp::Gt => order == Ordering::Greater,
        CompareOp::Ge => order != Ordering::Less,
        CompareOp::Lt => order == Ordering::Less,
        CompareOp::Le => order != Ordering::Greater,
        CompareOp::Co | CompareOp::Sw | CompareOp::Ew => false,
    })
}
