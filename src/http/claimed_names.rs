//! The names that a failed request has in its body, by which an operator finds it.

use std::fmt;

use bytes::Bytes;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::text::shorten;

/// A larger body is not looked at.
const MAX_PARSED: usize = 256 << 10;
/// The bytes of a name that are recorded.
const MAX_NAME: usize = 256;
/// The attributes that are names.
const NAMES: [&str; 2] = ["userName", "externalId"];

/// The userName and externalId of a body, as far as it is a JSON object that has them.
pub(super) fn of(body: &Bytes) -> Vec<String> {
    if body.len() > MAX_PARSED {
        return Vec::new();
    }
    let mut found = Vec::new();
    // What was read before an error counts.
    let _ = serde_json::Deserializer::from_slice(body).deserialize_map(NameVisitor(&mut found));
    found
}

struct NameVisitor<'a>(&'a mut Vec<String>);

impl<'de> Visitor<'de> for NameVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            if !NAMES.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
                members.next_value::<IgnoredAny>()?;
            } else if let Value::String(text) = members.next_value()?
                && self.0.len() < NAMES.len()
            {
                self.0.push(shorten(&text, MAX_NAME).into_owned());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_letter_case_and_nothing_else_is() {
        let names = |text: &str| of(&Bytes::from(text.to_owned()));
        assert_eq!(
            names(r#"{"a":{"userName":"x"},"USERNAME":"ada","externalId":"00u1"}"#),
            ["ada", "00u1"]
        );
        assert_eq!(names(r#"{"userName":"ada","b":"#), ["ada"], "before the text ends");
        assert!(names(r#"{"userName":7,"password":"x"}"#).is_empty());
        assert!(names(r#"["userName"]"#).is_empty() && names("").is_empty());
        let long = format!("{{\"userName\":\"{}\"}}", "x".repeat(1_000));
        assert!(names(&long)[0].len() <= MAX_NAME + "…".len());
        let many = format!("{{\"a\":{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(names(&many).is_empty());
    }
}
