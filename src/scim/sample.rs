//! For tests: a resource type with attributes of every kind.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::attribute::{Attribute, Returned, Type};
use super::schema::{Extension, ResourceType, Schema};
use super::schemas::common;

/// The URN of the base schema.
pub(super) const SCHEMA: &str = "urn:example:scim:Device";
/// The URN of the extension.
pub(super) const EXTENSION: &str = "urn:example:scim:extension:Place";

/// Devices: one attribute of each type, list, mutability and `returned` that the rules tell apart.
pub(super) fn resource_type() -> ResourceType {
    let of = |kind, name: &str| Attribute::new(kind, name, "");
    let ports = vec![
        of(Type::String, "value"),
        of(Type::String, "type").case_exact(),
        of(Type::Integer, "number"),
        of(Type::Boolean, "primary"),
    ];
    let size = vec![
        of(Type::Decimal, "width"),
        of(Type::String, "unit").returned(Returned::Always),
        of(Type::String, "origin").returned(Returned::Request),
    ];
    let owner = vec![of(Type::String, "value").case_exact(), of(Type::String, "display")];
    ResourceType {
        display: &[],
        name: "Device".to_owned(),
        endpoint: "Devices".to_owned(),
        description: String::new(),
        is_account: false,
        tag: 200,
        schema: schema(
            SCHEMA,
            vec![
                of(Type::String, "name"),
                of(Type::String, "serial").case_exact(),
                of(Type::String, "secret").returned(Returned::Never),
                of(Type::String, "note").returned(Returned::Request),
                of(Type::Integer, "count"),
                of(Type::Decimal, "weight"),
                of(Type::Boolean, "on"),
                of(Type::DateTime, "bought"),
                of(Type::String, "labels").multi_valued(),
                Attribute::complex("size", "", size),
                Attribute::complex("ports", "", ports).multi_valued(),
            ],
        ),
        extensions: vec![Extension {
            schema: schema(
                EXTENSION,
                vec![
                    of(Type::String, "site"),
                    of(Type::Integer, "floor"),
                    Attribute::complex("owner", "", owner),
                    of(Type::String, "tag").returned(Returned::Always),
                ],
            ),
            required: false,
        }],
        common: common::attributes(),
        served_as_stored: false,
    }
}

fn schema(id: &str, attributes: Vec<Attribute>) -> Schema {
    Schema {
        id: id.to_owned(),
        aliases: &[],
        name: String::new(),
        description: String::new(),
        attributes,
    }
}

/// What an attribute of [`resource_type`] holds, for oracles that do not read schemas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SampleType {
    /// Text; letter case does not matter.
    Text,
    /// Text in which letter case matters.
    Exact,
    /// A number.
    Number,
    /// A boolean.
    Boolean,
    /// A moment.
    Moment,
}

/// A path and what it leads to. `value` stands for itself, and for a list of objects.
pub(super) type SampleField = (&'static str, SampleType);

/// Paths from the top.
pub(super) const FIELDS: [SampleField; 21] = [
    ("name", SampleType::Text),
    ("count", SampleType::Number),
    ("on", SampleType::Boolean),
    ("bought", SampleType::Moment),
    ("ports", SampleType::Text),
    ("labels", SampleType::Text),
    ("serial", SampleType::Exact),
    ("weight", SampleType::Number),
    ("size.width", SampleType::Number),
    ("size.unit", SampleType::Text),
    ("ports.value", SampleType::Text),
    ("ports.type", SampleType::Exact),
    ("ports.number", SampleType::Number),
    ("ports.primary", SampleType::Boolean),
    ("urn:example:scim:extension:Place:site", SampleType::Text),
    ("urn:example:scim:extension:Place:floor", SampleType::Number),
    ("urn:example:scim:extension:Place:owner.value", SampleType::Exact),
    ("urn:example:scim:extension:Place:owner.display", SampleType::Text),
    ("externalId", SampleType::Exact),
    ("id", SampleType::Exact),
    ("meta.created", SampleType::Moment),
];

/// Paths inside `labels[…]`, whose elements have no sub-attributes.
pub(super) const LABEL_FIELDS: [SampleField; 1] = [("value", SampleType::Text)];

/// Paths inside `ports[…]`.
pub(super) const PORT_FIELDS: [SampleField; 4] = [
    ("value", SampleType::Text),
    ("type", SampleType::Exact),
    ("number", SampleType::Number),
    ("primary", SampleType::Boolean),
];

/// What an element without `primary` counts as.
pub(super) static NOT_PRIMARY: Value = Value::Bool(false);

/// Texts that are alike in many ways.
pub(super) const TEXTS: [&str; 16] = [
    "a",
    "A",
    "ab",
    "aB",
    "b",
    "",
    "\u{c9}",
    "\u{e9}",
    "E\u{301}",
    "a\"b",
    "\\",
    "\n",
    "null",
    "\u{df}",
    "\u{1f600}",
    "a b",
];

/// Numbers that are alike in many ways.
pub(super) const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "1.0",
    "-1",
    "1.5",
    "-0.0",
    "0.25",
    "1e3",
    "1000",
    "9007199254740993",
    "9007199254740992.0",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
];

/// Moments and their order.
pub(super) const MOMENTS: [(&str, i32); 7] = [
    ("2026-03-01T08:15:00Z", 1),
    ("2026-03-01T09:15:00+01:00", 1),
    ("2026-03-01T08:15:00.000Z", 1),
    ("2026-03-01T08:15:00.001Z", 2),
    ("2026-03-01T00:15:00-08:00", 1),
    ("2026-02-28T23:59:59Z", 0),
    ("2026-03-01T08:15:01Z", 3),
];

/// Choices, taken from bytes that a test makes up; when they run out, the first choice.
pub(super) struct Dice<'a>(pub(super) std::slice::Iter<'a, u8>);

impl<'a> Dice<'a> {
    /// Choices from the given bytes.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.iter())
    }

    /// A number below `sides`.
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0.next().map_or(0, |&byte| usize::from(byte) % sides)
    }

    /// One of these.
    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.roll(choices.len())]
    }
}

/// A resource with any of its attributes.
pub(super) fn resource(dice: &mut Dice<'_>) -> Map<String, Value> {
    let mut resource = Map::new();
    put(&mut resource, "id", dice, |dice| Some(text(dice)));
    put(&mut resource, "externalId", dice, |dice| Some(text(dice)));
    put(&mut resource, "name", dice, |dice| Some(text(dice)));
    put(&mut resource, "serial", dice, |dice| Some(text(dice)));
    put(&mut resource, "count", dice, |dice| Some(number(dice)));
    put(&mut resource, "weight", dice, |dice| Some(number(dice)));
    put(&mut resource, "on", dice, |dice| Some(Value::Bool(dice.roll(2) == 1)));
    put(&mut resource, "bought", dice, |dice| Some(moment(dice)));
    put(&mut resource, "labels", dice, |dice| {
        let count = dice.roll(3);
        Some(Value::Array((0..count).map(|_| text(dice)).collect()))
    });
    put(&mut resource, "size", dice, |dice| {
        let mut size = Map::new();
        put(&mut size, "width", dice, |dice| Some(number(dice)));
        put(&mut size, "unit", dice, |dice| Some(text(dice)));
        Some(Value::Object(size))
    });
    put(&mut resource, "ports", dice, |dice| {
        let count = dice.roll(4);
        Some(Value::Array((0..count).map(|_| port(dice)).collect()))
    });
    put(&mut resource, EXTENSION, dice, |dice| {
        let mut place = Map::new();
        put(&mut place, "site", dice, |dice| Some(text(dice)));
        put(&mut place, "floor", dice, |dice| Some(number(dice)));
        put(&mut place, "owner", dice, |dice| {
            let mut owner = Map::new();
            put(&mut owner, "value", dice, |dice| Some(text(dice)));
            put(&mut owner, "display", dice, |dice| Some(text(dice)));
            Some(Value::Object(owner))
        });
        Some(Value::Object(place))
    });
    put(&mut resource, "meta", dice, |dice| Some(serde_json::json!({"created": moment(dice)})));
    resource
}

fn put(
    object: &mut Map<String, Value>,
    name: &str,
    dice: &mut Dice<'_>,
    value: impl FnOnce(&mut Dice<'_>) -> Option<Value>,
) {
    if dice.roll(4) > 0 {
        object.extend(value(dice).map(|value| (name.to_owned(), value)));
    }
}

fn port(dice: &mut Dice<'_>) -> Value {
    let mut port = Map::new();
    put(&mut port, "value", dice, |dice| Some(text(dice)));
    put(&mut port, "type", dice, |dice| Some(text(dice)));
    put(&mut port, "number", dice, |dice| Some(number(dice)));
    put(&mut port, "primary", dice, |dice| Some(Value::Bool(dice.roll(2) == 1)));
    Value::Object(port)
}

fn text(dice: &mut Dice<'_>) -> Value {
    Value::from(dice.pick(&TEXTS))
}

fn number(dice: &mut Dice<'_>) -> Value {
    serde_json::from_str(dice.pick(&NUMBERS)).unwrap()
}

fn moment(dice: &mut Dice<'_>) -> Value {
    Value::from(dice.pick(&MOMENTS).0)
}

/// Compares two values of a field the slow and plain way.
pub(super) fn compare(holds: SampleType, left: &Value, right: &Value) -> Ordering {
    match holds {
        SampleType::Text => plain(left).cmp(&plain(right)),
        SampleType::Exact => left.as_str().unwrap().cmp(right.as_str().unwrap()),
        SampleType::Number => quarters(left).cmp(&quarters(right)),
        SampleType::Boolean => left.as_bool().unwrap().cmp(&right.as_bool().unwrap()),
        SampleType::Moment => place(left).cmp(&place(right)),
    }
}

/// A text of [`TEXTS`] without letter case.
pub(super) fn plain(text: &Value) -> String {
    text.as_str().unwrap().replace("E\u{301}", "\u{e9}").to_lowercase()
}

/// All of [`NUMBERS`] are multiples of a quarter.
fn quarters(number: &Value) -> i128 {
    let text = number.to_string();
    match text.parse::<i128>() {
        Ok(whole) => whole * 4,
        Err(_) => (text.parse::<f64>().unwrap() * 4.0) as i128,
    }
}

fn place(moment: &Value) -> i32 {
    MOMENTS.iter().find(|(text, _)| Some(*text) == moment.as_str()).unwrap().1
}

/// The values at a path, found by cutting the path as text.
pub(super) fn values<'a>(object: &'a Map<String, Value>, path: &str) -> Vec<&'a Value> {
    if let Some(inner) = path.strip_prefix(&format!("{EXTENSION}:")) {
        let place = object.get(EXTENSION).and_then(Value::as_object);
        return place.map_or_else(Vec::new, |place| values(place, inner));
    }
    let (head, tail) = path.split_once('.').unwrap_or((path, ""));
    let found = match object.get(head) {
        None => return Vec::new(),
        Some(Value::Array(elements)) => elements.iter().collect(),
        Some(single) => vec![single],
    };
    if tail.is_empty() {
        return found;
    }
    found.into_iter().filter_map(|element| element.get(tail)).collect()
}
