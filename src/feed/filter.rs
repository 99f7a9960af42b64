//! Filters: which events a consumer wants.

use super::event::EventType;
use super::ring::RingRecord;
use crate::text::{InvalidText, excerpt};

/// Which events a consumer wants; all, by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// The wanted types; `None` for all.
    types: Option<Vec<EventType>>,
    /// The connections by which changes are wanted; none for all changes.
    connections: Vec<String>,
    /// The paths of attributes in lower case, of which one must have changed; none for all changes.
    attributes: Vec<String>,
}

impl EventFilter {
    /// A filter for types such as `user.created` and `user.*`, the names of connections, and paths of attributes such
    /// as `name` and `name.familyName`. What is not given does not filter. Attributes narrow the events that say which
    /// attributes have changed; all others pass.
    ///
    /// # Errors
    ///
    /// A sentence that names an unknown type.
    pub fn new<'a>(
        types: impl IntoIterator<Item = &'a str>,
        connections: impl IntoIterator<Item = &'a str>,
        attributes: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, InvalidText> {
        let mut wanted = Vec::new();
        let mut filters = false;
        for text in types {
            filters = true;
            let before = wanted.len();
            let all = EventType::CATALOGUE.iter().map(|(one, ..)| *one);
            wanted.extend(all.filter(|one| matches(text, one.as_str())));
            if wanted.len() == before {
                let known: Vec<&str> =
                    EventType::CATALOGUE.iter().map(|(one, ..)| one.as_str()).collect();
                return Err(InvalidText::new(format!(
                    "\"{}\" is no type of events; expected one of {}, or \"user.*\", \"group.*\", \"access.*\"",
                    excerpt(text, 64),
                    known.join(", ")
                )));
            }
        }
        Ok(Self {
            types: filters.then_some(wanted),
            connections: connections.into_iter().map(ToOwned::to_owned).collect(),
            attributes: attributes.into_iter().map(str::to_ascii_lowercase).collect(),
        })
    }

    /// Whether every event is wanted.
    pub(super) fn wants_all(&self) -> bool {
        self.types.is_none() && self.connections.is_empty() && self.attributes.is_empty()
    }

    /// Whether an event is wanted.
    pub(super) fn wants(&self, record: &RingRecord<'_>) -> bool {
        let Some(event_type) = record.event_type else { return false };
        self.types.as_ref().is_none_or(|types| types.contains(&event_type))
            && (self.connections.is_empty()
                || self.connections.iter().any(|one| one.as_bytes() == record.connection))
            && (self.attributes.is_empty()
                || !event_type.names_attributes()
                || changed(record.changed).any(|path| self.names(path)))
    }

    /// Whether a path that has changed is one of those that are wanted, is below one, or has one below it.
    fn names(&self, path: &str) -> bool {
        let path = path.to_ascii_lowercase();
        let below = |longer: &str, shorter: &str| {
            longer
                .strip_prefix(shorter)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', ':']))
        };
        self.attributes.iter().any(|one| below(&path, one) || below(one, &path))
    }
}

/// Whether a pattern stands for a type.
fn matches(pattern: &str, event_type: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => beginning.ends_with('.') && event_type.starts_with(beginning),
        None => pattern == event_type,
    }
}

/// The paths that stand in a record, one a line.
fn changed(paths: &[u8]) -> impl Iterator<Item = &str> {
    std::str::from_utf8(paths).unwrap_or_default().lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>(event_type: EventType, connection: &'a str, changed: &'a str) -> RingRecord<'a> {
        RingRecord {
            sequence: 1,
            index: 0,
            event_type: Some(event_type),
            connection: connection.as_bytes(),
            changed: changed.as_bytes(),
            payload: 0..0,
        }
    }

    #[test]
    fn types_connections_and_attributes_filter() {
        let filter = |types: &[&str], connections: &[&str], attributes: &[&str]| {
            let lists = [types, connections, attributes].map(<[&str]>::to_vec);
            let [types, connections, attributes] = lists;
            EventFilter::new(types, connections, attributes)
        };
        let created = record(EventType::UserCreated, "okta", "");
        let updated =
            record(EventType::UserUpdated, "entra", "name.familyName\nurn:x:User:department");
        let wants = |filter: Result<EventFilter, InvalidText>| {
            let filter = filter.unwrap();
            [&created, &updated].map(|record| filter.wants(record))
        };
        assert_eq!(wants(Ok(EventFilter::default())), [true, true]);
        assert_eq!(wants(filter(&["user.*"], &[], &[])), [true, true]);
        assert_eq!(wants(filter(&["user.created", "access.changed"], &[], &[])), [true, false]);
        assert_eq!(wants(filter(&[], &["entra"], &[])), [false, true]);
        for (attribute, wanted) in [
            ("name", true),
            ("NAME.familyname", true),
            ("name.givenName", false),
            ("nam", false),
            ("urn:x:User", true),
            ("urn:x:User:department", true),
            ("userName", false),
        ] {
            assert_eq!(wants(filter(&[], &[], &[attribute])), [true, wanted], "{attribute}");
        }
        for unknown in ["", "user", "*", "user.renamed", "us*", "user.c*"] {
            let error = filter(&[unknown], &[], &[]).unwrap_err().to_string();
            assert!(error.contains("is no type of events"), "{error}");
        }
    }
}
