//! Reading some attributes of a stored resource.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

/// Reads only the named top-level attributes of a stored resource.
///
/// # Errors
///
/// The text is not output of [`super::resource::Resource::render`]: the record is damaged.
pub fn pick(json: &[u8], names: &BTreeSet<&str>) -> Result<Map<String, Value>, serde_json::Error> {
    /// Reads the entries up to the last that is wanted.
    struct Pick<'a>(&'a BTreeSet<&'a str>, &'a mut Map<String, Value>);
    struct Name<'a>(&'a BTreeSet<&'a str>);

    impl<'de> DeserializeSeed<'de> for Name<'_> {
        type Value = Option<String>;

        fn deserialize<D: Deserializer<'de>>(
            self,
            deserializer: D,
        ) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_str(self)
        }
    }

    impl Visitor<'_> for Name<'_> {
        type Value = Option<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the name of an attribute")
        }

        fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
            Ok(self.0.contains(name).then(|| name.to_owned()))
        }
    }

    impl<'de> Visitor<'de> for Pick<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a stored resource")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let Self(names, picked) = self;
            while picked.len() < names.len()
                && let Some(name) = entries.next_key_seed(Name(names))?
            {
                match name {
                    Some(name) => drop(picked.insert(name, entries.next_value()?)),
                    None => drop(entries.next_value::<IgnoredAny>()?),
                }
            }
            Ok(())
        }
    }

    let mut picked = Map::new();
    match serde_json::Deserializer::from_slice(json).deserialize_map(Pick(names, &mut picked)) {
        // What follows the last wanted entry is not read, so the end of the object was not reached.
        Err(_) if picked.len() == names.len() => Ok(picked),
        read => read.map(|()| picked),
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
        }
    }

    #[test]
    fn a_record_that_ends_before_the_wanted_is_damaged() {
        for text in ["{\"b\":1,\"a\"", "{\"b\":\"a\",\"a\":", "[\"a\"]"] {
            assert!(pick(text.as_bytes(), &BTreeSet::from(["a"])).is_err(), "{text}");
        }
    }
}
