//! Bodies that an operator has asked to keep for a while: masked, and of a bounded size.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::mask::mask_tokens;
use crate::clock::Stopwatch;
use crate::text::shorten;

/// The bytes of a masked body that are kept.
const MAX_BYTES: usize = 16 * 1024;
/// A larger body is not even parsed.
const MAX_PARSED: usize = 256 << 10;
/// What stands for a masked value.
const MASK: &str = "***";
/// Names of values that are always masked.
const SECRETS: [&str; 3] = ["password", "secret", "token"];

/// The bodies of a request and its answer, with masked secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptBodies {
    /// The body of the request.
    pub request: String,
    /// The body of the answer.
    pub answer: String,
}

/// The bodies as they were sent.
pub struct RawBodies {
    /// The body of the request.
    pub request: Bytes,
    /// The body of the answer.
    pub answer: Bytes,
    /// The names of attributes whose values are masked, in lower case.
    pub hidden: Arc<BTreeSet<String>>,
}

impl RawBodies {
    /// The bytes of both.
    pub(super) fn len(&self) -> usize {
        self.request.len() + self.answer.len()
    }

    pub(super) fn mask(&self) -> KeptBodies {
        let mask = |bytes| masked(bytes, &self.hidden);
        KeptBodies { request: mask(&self.request), answer: mask(&self.answer) }
    }
}

/// The connections whose bodies are kept.
#[derive(Default)]
pub(super) struct Captures {
    /// Whether there is one: all that a request looks at otherwise.
    any: AtomicBool,
    connections: Mutex<BTreeMap<String, Capture>>,
}

struct Capture {
    since: Stopwatch,
    lasts: Duration,
    hidden: Arc<BTreeSet<String>>,
}

impl Captures {
    /// Keeps the bodies of a connection from now on, for a time; for no time to end it.
    pub(super) fn begin(&self, connection: &str, lasts: Duration, hidden: BTreeSet<String>) {
        let mut connections = self.lock();
        let capture = Capture { since: Stopwatch::start(), lasts, hidden: Arc::new(hidden) };
        connections.insert(connection.to_owned(), capture);
        connections.retain(|_, capture| capture.goes_on());
        self.any.store(!connections.is_empty(), Ordering::Relaxed);
    }

    /// The names of the attributes to mask, if the bodies of a connection are kept.
    pub(super) fn of(&self, connection: &str) -> Option<Arc<BTreeSet<String>>> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let mut connections = self.lock();
        connections.retain(|_, capture| capture.goes_on());
        self.any.store(!connections.is_empty(), Ordering::Relaxed);
        connections.get(connection).map(|capture| Arc::clone(&capture.hidden))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Capture>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Capture {
    fn goes_on(&self) -> bool {
        self.since.elapsed() < self.lasts
    }
}

fn masked(bytes: &[u8], hidden: &BTreeSet<String>) -> String {
    if bytes.is_empty() {
        return String::new();
    }
    let parsed = Some(bytes).filter(|bytes| bytes.len() <= MAX_PARSED);
    let Some(mut value) = parsed.and_then(|bytes| serde_json::from_slice(bytes).ok()) else {
        return format!("({} bytes that are not JSON, or too many)", bytes.len());
    };
    mask(&mut value, hidden);
    let mut text = value.to_string();
    mask_tokens(&mut text);
    shorten(&text, MAX_BYTES).into_owned()
}

fn mask(value: &mut Value, hidden: &BTreeSet<String>) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(|element| mask(element, hidden)),
        Value::Object(members) => {
            // A PATCH operation names the attribute of its value in its path.
            let path = members.iter().find(|(name, _)| name.eq_ignore_ascii_case("path"));
            let of_path = path
                .and_then(|(_, path)| path.as_str())
                .is_some_and(|path| is_hidden(path, hidden));
            for (name, member) in members {
                let is_value = name.eq_ignore_ascii_case("value");
                let is_filter =
                    member.as_str().is_some_and(|text| compares_hidden(name, text, hidden));
                match is_hidden(name, hidden) || of_path && is_value || is_filter {
                    true => *member = MASK.into(),
                    false => mask(member, hidden),
                }
            }
        }
        _ => {}
    }
}

/// Whether a text is a filter, or a path with one, on a hidden attribute.
fn compares_hidden(name: &str, text: &str, hidden: &BTreeSet<String>) -> bool {
    let has_filter = name.eq_ignore_ascii_case("filter")
        || name.eq_ignore_ascii_case("path") && text.contains('[');
    has_filter && is_hidden(text, hidden)
}

/// Whether a name or path has a hidden attribute in it.
fn is_hidden(path: &str, hidden: &BTreeSet<String>) -> bool {
    path.split(|character: char| !character.is_alphanumeric() && !"_-$".contains(character)).any(
        |name| {
            let name = name.to_lowercase();
            hidden.contains(&name) || SECRETS.contains(&name.as_str())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked_by(text: &str, hidden: &[&str]) -> String {
        masked(text.as_bytes(), &hidden.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn values_of_hidden_attributes_are_masked_wherever_they_are() {
        for (body, expected) in [
            (r#"{"userName":"ada","PassWord":"x"}"#, r#"{"userName":"ada","PassWord":"***"}"#),
            (r#"{"urn:example:User":{"pin":7}}"#, r#"{"urn:example:User":{"pin":"***"}}"#),
            (r#"{"urn:example:User:pin":7}"#, r#"{"urn:example:User:pin":"***"}"#),
            (
                r#"{"Operations":[{"op":"add","path":"pin","value":"x"}]}"#,
                r#"{"Operations":[{"op":"add","path":"pin","value":"***"}]}"#,
            ),
            (
                r#"{"Operations":[{"value":{"pin":"x","title":"y"}}]}"#,
                r#"{"Operations":[{"value":{"pin":"***","title":"y"}}]}"#,
            ),
            (
                r#"{"path":"keys[pin eq \"x\"].title","value":"y"}"#,
                r#"{"path":"***","value":"***"}"#,
            ),
            (r#"{"filter":"pin eq \"x\""}"#, r#"{"filter":"***"}"#),
            (r#"{"pins":"x"}"#, r#"{"pins":"x"}"#),
        ] {
            assert_eq!(masked_by(body, &["pin"]), expected);
        }
        let token = format!("{{\"title\":\"scimd_{}\"}}", "a".repeat(49));
        assert_eq!(masked_by(&token, &[]), r#"{"title":"scimd_***"}"#);
    }

    #[test]
    fn a_body_is_cut_and_what_is_not_json_left_out() {
        let long = format!("{{\"title\":\"{}\"}}", "a".repeat(2 * MAX_BYTES));
        assert!(masked_by(&long, &[]).len() <= MAX_BYTES + "…".len());
        assert!(!masked_by("password=hunter2", &[]).contains("hunter2"));
        assert_eq!(masked_by("", &[]), "");
    }

    #[test]
    fn bodies_are_kept_for_a_time_and_of_one_connection() {
        let captures = Captures::default();
        assert!(captures.of("okta").is_none());
        captures.begin("okta", Duration::from_secs(600), BTreeSet::new());
        assert!(captures.of("okta").is_some() && captures.of("entra").is_none());
        captures.begin("okta", Duration::ZERO, BTreeSet::new());
        assert!(captures.of("okta").is_none());
    }
}
