//! Reading some attributes of a stored resource.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::schemas::common::META;

/// Reads only the named top-level attributes of a stored resource.
///
/// # Errors
///
/// The text is not output of [`super::resource::Resource::render`]: the record is damaged.
pub fn pick(json: &[u8], names: &BTreeSet<&str>) -> Result<Map<String, Value>, serde_json::Error> {
    let mut picked = Map::new();
    let wanted = |name: &str| names.contains(name);
    let pick = Pick { wanted: &wanted, most: names.len(), picked: &mut picked };
    match serde_json::Deserializer::from_slice(json).deserialize_map(pick) {
        // What follows the last wanted entry is not read, so the end of the object was not reached.
        Err(_) if picked.len() == names.len() => Ok(picked),
        read => read.map(|()| picked),
    }
}

/// Reads all top-level attributes of a stored resource but some.
///
/// # Errors
///
/// As of [`pick`].
pub fn pick_all_but(json: &[u8], names: &[&str]) -> Result<Map<String, Value>, serde_json::Error> {
    let mut picked = Map::new();
    let wanted = |name: &str| !names.contains(&name);
    let mut reader = serde_json::Deserializer::from_slice(json);
    reader.deserialize_map(Pick { wanted: &wanted, most: usize::MAX, picked: &mut picked })?;
    reader.end()?;
    Ok(picked)
}

/// Reads the top-level attributes that two stored resources do not have alike, but `meta`: those of the first, and those
/// of the second.
///
/// # Errors
///
/// As of [`pick`].
pub fn pick_differing(
    before: &[u8],
    after: &[u8],
) -> Result<[Map<String, Value>; 2], serde_json::Error> {
    let (StoredFields(before), StoredFields(after)) =
        (serde_json::from_slice(before)?, serde_json::from_slice(after)?);
    let read = |fields: &[StoredField<'_>], others: &[StoredField<'_>]| {
        let mut picked = Map::new();
        for (number, (name, value)) in fields.iter().enumerate() {
            let is_same =
                |(other, text): &StoredField<'_>| name == other && value.get() == text.get();
            // Most stand in the same place.
            let stays = others.get(number).is_some_and(is_same) || others.iter().any(is_same);
            if !stays && name != META {
                picked.insert(name.to_string(), serde_json::from_str(value.get())?);
            }
        }
        Ok(picked)
    };
    Ok([read(&before, &after)?, read(&after, &before)?])
}

/// Reads entries up to the last that is wanted.
struct Pick<'a> {
    wanted: &'a dyn Fn(&str) -> bool,
    /// How many there can be.
    most: usize,
    picked: &'a mut Map<String, Value>,
}

impl<'de> Visitor<'de> for Pick<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a stored resource")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let Self { wanted, most, picked } = self;
        while picked.len() < most
            && let Some(name) = entries.next_key_seed(Name(wanted))?
        {
            match name {
                Some(name) => drop(picked.insert(name, entries.next_value()?)),
                None => drop(entries.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Reads the name of an attribute, if it is wanted.
struct Name<'a>(&'a dyn Fn(&str) -> bool);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of an attribute")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok((self.0)(name).then(|| name.to_owned()))
    }
}

/// An attribute as it is written.
type StoredField<'a> = (Cow<'a, str>, &'a RawValue);

/// The top-level attributes of a stored resource as they are written, in order.
struct StoredFields<'a>(Vec<StoredField<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for StoredFields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = StoredFields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a stored resource")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut entries: A,
            ) -> Result<StoredFields<'de>, A::Error> {
                let mut fields = Vec::with_capacity(16);
                while let Some((Borrowed(name), value)) = entries.next_entry()? {
                    fields.push((name, value));
                }
                Ok(StoredFields(fields))
            }
        }

        deserializer.deserialize_map(Read)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_read_is_what_a_whole_reading_has() {
        let whole = json!({"a": 1, "b": [{"a": 2, "c": "x"}], "d": {"e": null}, "f \"g\\": "\"h\"", "h": true});
        let text = whole.to_string();
        let names = ["a", "b", "c", "d", "e", "f \"g\\", "h", "x"];
        for chosen in 0..1_u32 << names.len() {
            let wanted: BTreeSet<&str> = names
                .iter()
                .enumerate()
                .filter(|(n, _)| chosen >> n & 1 == 1)
                .map(|(_, name)| *name)
                .collect();
            let picked = pick(text.as_bytes(), &wanted).unwrap();
            let mut expected = whole.as_object().unwrap().clone();
            expected.retain(|name, _| wanted.contains(name.as_str()));
            assert_eq!(picked, expected, "{wanted:?}");
            let wanted: Vec<&str> = wanted.into_iter().collect();
            let others = pick_all_but(text.as_bytes(), &wanted).unwrap();
            let mut expected = whole.as_object().unwrap().clone();
            expected.retain(|name, _| !wanted.contains(&name.as_str()));
            assert_eq!(others, expected, "{wanted:?}");
        }
    }

    #[test]
    fn what_differs_is_read_from_both_wherever_it_stands() {
        let before = r#"{"a":1,"b":[{"a":2}],"c":"x","f \"g":true,"meta":{"version":"1"}}"#;
        let after = r#"{"b":[{"a":2}],"a":2,"f \"g":true,"d":{},"meta":{"version":"2"}}"#;
        let read = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap();
        let differing = pick_differing(before.as_bytes(), after.as_bytes()).unwrap();
        assert_eq!(differing, [read(r#"{"a":1,"c":"x"}"#), read(r#"{"a":2,"d":{}}"#)]);
        let none = pick_differing(before.as_bytes(), before.as_bytes()).unwrap();
        assert_eq!(none, [Map::new(), Map::new()]);
    }

    #[test]
    fn a_record_that_ends_before_the_wanted_is_damaged() {
        for text in ["{\"b\":1,\"a\"", "{\"b\":\"a\",\"a\":", "[\"a\"]"] {
            assert!(pick(text.as_bytes(), &BTreeSet::from(["a"])).is_err(), "{text}");
            assert!(pick_all_but(text.as_bytes(), &["b"]).is_err(), "{text}");
            assert!(pick_differing(text.as_bytes(), b"{}").is_err(), "{text}");
        }
    }
}
