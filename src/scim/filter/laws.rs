//! What holds for every filter and every resource.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{CompareOp, Filter};
use crate::scim::sample::{
    Dice, FIELDS, LABEL_FIELDS, MOMENTS, NOT_PRIMARY, NUMBERS, PORT_FIELDS, SampleField,
    SampleType, TEXTS, compare, plain, resource, resource_type, values,
};

/// A filter as it was meant, before it became text.
#[derive(Debug)]
enum Expr {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Compare(SampleField, CompareOp, Value),
    Present(SampleField),
    Port(Box<Self>),
    Label(Box<Self>),
}

fn expr(dice: &mut Dice<'_>, depth: usize, fields: &[SampleField]) -> Expr {
    let sides = if depth == 0 { 4 } else { 10 };
    match dice.roll(sides) {
        0..=2 => comparison(dice, fields),
        3 => Expr::Present(dice.pick(fields)),
        4 if fields.len() > PORT_FIELDS.len() => {
            Expr::Port(Box::new(expr(dice, depth - 1, &PORT_FIELDS)))
        }
        5 if fields.len() > PORT_FIELDS.len() => {
            Expr::Label(Box::new(expr(dice, depth - 1, &LABEL_FIELDS)))
        }
        4..=6 => Expr::Not(Box::new(expr(dice, depth - 1, fields))),
        side => {
            let count = 2 + dice.roll(2);
            let parts = (0..count).map(|_| expr(dice, depth - 1, fields)).collect();
            if side == 7 { Expr::All(parts) } else { Expr::Any(parts) }
        }
    }
}

fn comparison(dice: &mut Dice<'_>, fields: &[SampleField]) -> Expr {
    let field = dice.pick(fields);
    let op = dice.pick(&CompareOp::ALL);
    let equality = matches!(op, CompareOp::Eq | CompareOp::Ne);
    let substring = matches!(op, CompareOp::Co | CompareOp::Sw | CompareOp::Ew);
    if equality && dice.roll(6) == 5 {
        return Expr::Compare(field, op, Value::Null);
    }
    let (value, fits) = match field.1 {
        SampleType::Text | SampleType::Exact => (json!(dice.pick(&TEXTS)), true),
        SampleType::Number => (serde_json::from_str(dice.pick(&NUMBERS)).unwrap(), !substring),
        SampleType::Boolean => (json!(dice.roll(2) == 1), equality),
        SampleType::Moment => (json!(dice.pick(&MOMENTS).0), !substring),
    };
    Expr::Compare(field, if fits { op } else { CompareOp::Ne }, value)
}

/// The filter as a client could write it.
fn text(expr: &Expr, dice: &mut Dice<'_>) -> String {
    let written = match expr {
        Expr::All(parts) => join(parts, " AND ", dice),
        Expr::Any(parts) => join(parts, " or ", dice),
        Expr::Not(part) => return format!("not({})", text(part, dice)),
        Expr::Compare((path, _), op, value) => {
            let path = if dice.roll(2) == 1 { path.to_uppercase() } else { (*path).to_owned() };
            let op = op.as_str();
            format!(
                "{path} {} {value}",
                if dice.roll(2) == 1 { op.to_uppercase() } else { op.to_owned() }
            )
        }
        Expr::Present((path, _)) => format!("{path} pr"),
        Expr::Port(inner) => format!("Ports[ {} ]", text(inner, dice)),
        Expr::Label(inner) => format!("labels[{}]", text(inner, dice)),
    };
    let group = matches!(expr, Expr::All(_) | Expr::Any(_)) || dice.roll(4) == 1;
    if group { format!("({written})") } else { written }
}

fn join(parts: &[Expr], word: &str, dice: &mut Dice<'_>) -> String {
    parts.iter().map(|part| text(part, dice)).collect::<Vec<_>>().join(word)
}

/// Whether an object matches, the slow and plain way.
fn matches(expr: &Expr, object: &Map<String, Value>) -> bool {
    match expr {
        Expr::All(parts) => !parts.iter().any(|part| !matches(part, object)),
        Expr::Any(parts) => parts.iter().any(|part| matches(part, object)),
        Expr::Not(part) => !matches(part, object),
        Expr::Present((path, _)) => values(object, path).into_iter().any(holds_something),
        Expr::Port(inner) => {
            values(object, "ports").iter().any(|port| matches(inner, port.as_object().unwrap()))
        }
        Expr::Label(inner) => values(object, "labels")
            .iter()
            .any(|label| matches(inner, &Map::from_iter([("value".to_owned(), (*label).clone())]))),
        Expr::Compare((path, _), op, Value::Null) => {
            let present = values(object, path).into_iter().any(holds_something);
            present == (*op == CompareOp::Ne)
        }
        Expr::Compare((path, holds), op, wanted) => {
            let path = if *path == "ports" { "ports.value" } else { *path };
            let found = compared(object, path);
            let any = |test: &dyn Fn(&Value) -> bool| found.iter().any(|value| test(value));
            match op {
                CompareOp::Eq => any(&|value| compare(*holds, value, wanted).is_eq()),
                CompareOp::Ne => !any(&|value| compare(*holds, value, wanted).is_eq()),
                CompareOp::Gt => any(&|value| compare(*holds, value, wanted).is_gt()),
                CompareOp::Ge => any(&|value| compare(*holds, value, wanted).is_ge()),
                CompareOp::Lt => any(&|value| compare(*holds, value, wanted).is_lt()),
                CompareOp::Le => any(&|value| compare(*holds, value, wanted).is_le()),
                CompareOp::Co => {
                    any(&|value| same_case(*holds, value).contains(&same_case(*holds, wanted)))
                }
                CompareOp::Sw => {
                    any(&|value| same_case(*holds, value).starts_with(&same_case(*holds, wanted)))
                }
                CompareOp::Ew => {
                    any(&|value| same_case(*holds, value).ends_with(&same_case(*holds, wanted)))
                }
            }
        }
    }
}

/// The values that a comparison sees: an element that does not say whether it is primary is not.
fn compared<'a>(object: &'a Map<String, Value>, path: &str) -> Vec<&'a Value> {
    let absent = |port: &'a Value| port.get("primary").unwrap_or(&NOT_PRIMARY);
    match path {
        "ports.primary" => values(object, "ports").into_iter().map(absent).collect(),
        "primary" => vec![object.get("primary").unwrap_or(&NOT_PRIMARY)],
        _ => values(object, path),
    }
}

fn same_case(holds: SampleType, text: &Value) -> String {
    if holds == SampleType::Exact { text.as_str().unwrap().to_owned() } else { plain(text) }
}

fn holds_something(value: &Value) -> bool {
    match value {
        Value::Object(parts) => parts.values().any(holds_something),
        Value::String(text) => !text.is_empty(),
        _ => true,
    }
}

fn parse(text: &str) -> Filter {
    Filter::parse(&resource_type(), text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A filter that parses, from choices that a test makes up.
pub(super) fn written(choices: &[u8]) -> String {
    let mut dice = Dice::new(choices);
    let meant = expr(&mut dice, 3, &FIELDS);
    text(&meant, &mut dice)
}

fn bytes(count: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..count)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_printed_filter_parses_back_and_matches_as_meant(
        filter in bytes(160),
        resources in prop::collection::vec(bytes(80), 1..8),
    ) {
        let mut dice = Dice::new(&filter);
        let meant = expr(&mut dice, 3, &FIELDS);
        let written = text(&meant, &mut dice);
        let parsed = parse(&written);
        let printed = parsed.to_string();
        prop_assert_eq!(&parse(&printed), &parsed, "{} printed as {}", written, printed);
        for choices in &resources {
            let resource = resource(&mut Dice::new(choices));
            let found = parsed.matches(&resource);
            let stored = Value::Object(resource.clone()).to_string();
            if let Some(mut needles) = parsed.needles(&resource_type()) {
                prop_assert!(
                    !found || needles.may_match(stored.as_bytes()),
                    "{} is overlooked in {}", &written, &stored
                );
            }
            prop_assert_eq!(found, matches(&meant, &resource), "{} on {}", &written, &stored);
        }
    }

    #[test]
    fn decimals_keep_their_value(decimal in any::<f64>().prop_filter("finite", |x| x.is_finite())) {
        let number = json!(decimal);
        let filter = parse(&format!("weight eq {number}"));
        prop_assert_eq!(&parse(&filter.to_string()), &filter);
        let resource = serde_json::from_str(&format!("{{\"weight\":{number}}}")).unwrap();
        prop_assert!(filter.matches(&resource));
        prop_assert_eq!(&Value::Object(resource)["weight"], &number);
    }

    #[test]
    fn texts_keep_their_value(value in any::<String>()) {
        for path in ["name", "serial"] {
            let filter = parse(&format!("{path} eq {}", json!(value)));
            prop_assert_eq!(&parse(&filter.to_string()), &filter);
            let resource = json!({path: value});
            prop_assert!(filter.matches(resource.as_object().unwrap()));
        }
    }
}
