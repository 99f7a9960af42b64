//! The projection of resources: `attributes` and `excludedAttributes` (RFC 7644, section 3.9)
//! combined with each attribute's `returned` (RFC 7643, section 7).
//!
//! | `returned` | nothing asked | `attributes` | `excludedAttributes` |
//! | --- | --- | --- | --- |
//! | always | kept | kept | kept |
//! | default | kept | kept if named | kept unless named |
//! | request | dropped | kept if named | dropped |
//! | never | dropped | dropped | dropped |
//!
//! The table applies to the sub-attributes of a kept attribute too. An attribute that is named as a
//! whole keeps its default sub-attributes.

use serde_json::{Map, Value};

use super::attribute::{Attribute, Returned};
use super::attribute_list::{AttributeNames, NO_NAMES, split};
use super::error::ScimError;
use super::schema::ResourceType;

/// The selection of attributes that a response includes.
#[derive(Clone, Debug, PartialEq)]
pub struct Projection {
    selection: Selection,
    names: AttributeNames,
    /// The top-level names of the resource type whose treatment differs from that of unknown names.
    exceptions: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Selection {
    /// The default attributes, and the named ones.
    Default,
    /// The named attributes, and those that are always returned.
    Only,
    /// The default attributes without the named ones.
    Without,
}

impl Projection {
    /// Returns the default projection.
    pub fn everything() -> Self {
        Self {
            selection: Selection::Default,
            names: AttributeNames::default(),
            exceptions: Vec::new(),
        }
    }

    /// Reads `attributes` and `excludedAttributes`: names separated by commas, in any letter case. Of a
    /// list, a name may select elements, as in `emails[type eq "work"]`.
    ///
    /// An unknown name is ignored, since a client may name attributes of several types; but
    /// `attributes` with only unknown names still excludes the others. A parameter without names
    /// counts as absent. RFC 7644 allows one of the two parameters; if both are present,
    /// `attributes` takes precedence.
    ///
    /// # Errors
    ///
    /// `tooMany` for too many comparisons in filters that select elements.
    pub fn parse(
        resource_type: &ResourceType,
        attributes: Option<&str>,
        excluded: Option<&str>,
    ) -> Result<Self, ScimError> {
        let given = |text: &&str| split(text).next().is_some();
        let mut projection = Self::everything();
        if let Some(text) = attributes.filter(given) {
            projection.selection = Selection::Only;
            projection.names = AttributeNames::read(resource_type, text)?;
        } else if let Some(text) = excluded.filter(given) {
            projection.names = AttributeNames::read(resource_type, text)?;
            if projection.names.named() {
                projection.selection = Selection::Without;
            }
        }
        projection.exceptions = projection.exceptions(resource_type);
        Ok(projection)
    }

    /// Whether this is the default projection.
    pub fn is_everything(&self) -> bool {
        self.selection == Selection::Default
    }

    /// Whether any part of a top-level attribute, or of an extension by its URN, may be returned;
    /// if not, it need not be read.
    pub fn wants(&self, top_level_name: &str) -> bool {
        let excepted = self.exceptions.iter().any(|name| name == top_level_name);
        excepted != self.wants_unknown()
    }

    /// Whether an unknown name is returned.
    fn wants_unknown(&self) -> bool {
        self.selection != Selection::Only
    }

    /// Returns the projected attributes of a whole resource in canonical form.
    ///
    /// `resource_type` is the one for which the projection was parsed. Lists and objects that
    /// become empty are removed. A name that no schema defines is returned by default.
    pub fn apply(
        &self,
        resource_type: &ResourceType,
        resource: Map<String, Value>,
    ) -> Map<String, Value> {
        let mut served = Map::new();
        for (name, value) in resource {
            let kept = match resource_type.extension(&name) {
                Some(extension) => {
                    let schema = &extension.schema;
                    self.top().extension(&name).value(&schema.attributes, value)
                }
                None => self.top().attribute(resource_type.attribute(&name), &name, value),
            };
            if let Some(value) = kept {
                served.insert(name, value);
            }
        }
        served
    }

    fn top(&self) -> View<'_> {
        View { selection: self.selection, names: &self.names }
    }

    fn exceptions(&self, resource_type: &ResourceType) -> Vec<String> {
        let top = self.top();
        // Most requests name none: then nothing need be looked up.
        let names_none = self.selection == Selection::Default && !self.names.named();
        let is_wanted = |view: View<'_>, attribute: &Attribute| match attribute.returned {
            Returned::Always | Returned::Default if names_none => true,
            returned => view.inner(returned, &attribute.name).is_some(),
        };
        let own = resource_type.common.iter().chain(&resource_type.schema.attributes);
        let own = own.map(|attribute| (&attribute.name, is_wanted(top, attribute)));
        let extended = resource_type.extensions.iter().map(|extension| {
            let inner = top.extension(&extension.schema.id);
            let mut attributes = extension.schema.attributes.iter();
            (&extension.schema.id, attributes.any(|attribute| is_wanted(inner, attribute)))
        });
        let unknown = self.wants_unknown();
        own.chain(extended)
            .filter(|(_, wanted)| *wanted != unknown)
            .map(|(name, _)| name.clone())
            .collect()
    }
}

impl Selection {
    /// Returns the view of a part of which these names were named; `None` if nothing of it is returned.
    fn part(self, returned: Returned, names: &AttributeNames) -> Option<View<'_>> {
        let whole = Some(View { selection: Self::Default, names: &NO_NAMES });
        match (self, returned) {
            (_, Returned::Never) => None,
            (Self::Default | Self::Only, _) if names.whole => {
                Some(View { selection: Self::Default, names })
            }
            (Self::Default, Returned::Request) => {
                names.named().then_some(View { selection: Self::Only, names })
            }
            (Self::Default, _) => Some(View { selection: Self::Default, names }),
            (Self::Only, _) if names.named() => Some(View { selection: Self::Only, names }),
            (Self::Only, Returned::Always) => whole,
            (Self::Only, _) | (Self::Without, Returned::Request) => None,
            (Self::Without, Returned::Always) if names.whole => whole,
            (Self::Without, _) => {
                (!names.whole).then_some(View { selection: Self::Without, names })
            }
        }
    }
}

/// The projection of one object.
#[derive(Clone, Copy)]
struct View<'a> {
    selection: Selection,
    names: &'a AttributeNames,
}

impl<'a> View<'a> {
    /// Returns the view of a part; `None` if no part of it is returned.
    fn inner(self, returned: Returned, name: &str) -> Option<Self> {
        self.selection.part(returned, self.names.get(name))
    }

    /// Returns the view of an extension. Its always-returned attributes are returned whether or not
    /// the extension is named.
    fn extension(self, urn: &str) -> Self {
        let names = self.names.get(urn);
        match (self.selection, names.whole) {
            (Selection::Only, true) | (Selection::Default, _) => {
                View { selection: Selection::Default, names }
            }
            (Selection::Only, false) => View { selection: Selection::Only, names },
            (Selection::Without, true) => View { selection: Selection::Only, names: &NO_NAMES },
            (Selection::Without, false) => View { selection: Selection::Without, names },
        }
    }

    fn attribute(self, known: Option<&Attribute>, name: &str, value: Value) -> Option<Value> {
        let returned = known.map_or(Returned::Default, |attribute| attribute.returned);
        let names = self.names.get(name);
        match value {
            Value::Array(elements) if names.selects_elements() => {
                let left: Vec<Value> = elements
                    .into_iter()
                    .filter_map(|element| {
                        let names = names.of_element(&element);
                        self.selection.part(returned, &names)?.kept(known, element)
                    })
                    .collect();
                (!left.is_empty()).then_some(Value::Array(left))
            }
            value => self.selection.part(returned, names)?.kept(known, value),
        }
    }

    /// Returns the remaining part of an attribute's value.
    fn kept(self, known: Option<&Attribute>, value: Value) -> Option<Value> {
        match known {
            Some(attribute) if !attribute.sub_attributes.is_empty() => {
                self.value(&attribute.sub_attributes, value)
            }
            _ => Some(value),
        }
    }

    /// Returns the remaining part of an object or a list of objects; `None` if it is empty.
    fn value(self, attributes: &[Attribute], value: Value) -> Option<Value> {
        match value {
            Value::Object(object) => self.object(attributes, object).map(Value::Object),
            Value::Array(elements) => {
                let left: Vec<Value> = elements
                    .into_iter()
                    .filter_map(|element| match element {
                        Value::Object(object) => self.object(attributes, object).map(Value::Object),
                        other => Some(other),
                    })
                    .collect();
                (!left.is_empty()).then_some(Value::Array(left))
            }
            other => Some(other),
        }
    }

    fn object(
        self,
        attributes: &[Attribute],
        object: Map<String, Value>,
    ) -> Option<Map<String, Value>> {
        let mut left = Map::new();
        for (name, value) in object {
            let known = super::attribute::find(attributes, &name);
            if let Some(value) = self.attribute(known, &name, value) {
                left.insert(name, value);
            }
        }
        (!left.is_empty()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::sample;
    use serde_json::json;

    const EXTRA: &str = sample::EXTENSION;

    fn device() -> Map<String, Value> {
        let Value::Object(device) = json!({
            "schemas": ["a", "b"], "id": "1", "externalId": "e", "name": "n", "secret": "s",
            "note": "asked for", "count": 3,
            "size": {"width": 1, "unit": "mm", "origin": "asked for"},
            "ports": [
                {"value": "a", "type": "usb", "number": 1},
                {"value": "b", "number": 2},
                {"number": 3},
            ],
            EXTRA: {"site": "x", "owner": {"value": "o", "display": "O"}, "tag": "t"},
            "meta": {"resourceType": "Device", "version": "W/\"1\""},
        }) else {
            panic!("an object")
        };
        device
    }

    fn projection(attributes: Option<&str>, excluded: Option<&str>) -> Projection {
        Projection::parse(&sample::resource_type(), attributes, excluded).unwrap()
    }

    /// What is served of [`device`]; also checks that `wants` says the same.
    fn served(attributes: Option<&str>, excluded: Option<&str>) -> Value {
        let projection = projection(attributes, excluded);
        let served = projection.apply(&sample::resource_type(), device());
        for name in served.keys() {
            assert!(projection.wants(name), "{name} is served and not wanted");
        }
        Value::Object(served)
    }

    fn only(names: &str) -> Value {
        served(Some(names), None)
    }

    fn without(name: &str) -> Value {
        served(None, Some(name))
    }

    /// What is always served, and the given attributes.
    fn always_and(more: &Value) -> Value {
        let mut all = json!({"schemas": ["a", "b"], "id": "1", EXTRA: {"tag": "t"}});
        for (name, value) in more.as_object().unwrap() {
            all[name] = value.clone();
        }
        all
    }

    #[test]
    fn by_default_what_is_never_or_only_on_request_served_is_left_out() {
        let mut expected = Value::Object(device());
        let map = expected.as_object_mut().unwrap();
        map.shift_remove("secret");
        map.shift_remove("note");
        expected["size"] = json!({"width": 1, "unit": "mm"});
        assert_eq!(served(None, None), expected);
        assert_eq!(served(Some(" ,"), Some("")), expected);
        assert_eq!(without("x,id,schemas.y,secret.z"), expected, "nothing known");
        let everything = Projection::everything();
        assert_eq!(Value::Object(everything.apply(&sample::resource_type(), device())), expected);
        assert!(everything.is_everything() && everything.wants("x"));
        assert!(projection(None, Some("x")).is_everything());
        assert!(!projection(None, None).wants("secret") && !projection(None, None).wants("note"));
    }

    #[test]
    fn naming_keeps_what_is_named_and_what_is_always_served() {
        assert_eq!(only("x"), always_and(&json!({})));
        assert_eq!(only(" NAME , count"), always_and(&json!({"name": "n", "count": 3})));
        assert_eq!(only("secret,note"), always_and(&json!({"note": "asked for"})));
        assert_eq!(only("size"), always_and(&json!({"size": {"width": 1, "unit": "mm"}})));
        assert_eq!(
            only("size.origin"),
            always_and(&json!({"size": {"unit": "mm", "origin": "asked for"}}))
        );
        assert_eq!(only("size,size.origin")["size"], json!(device()["size"]));
        assert_eq!(
            only("ports.value"),
            always_and(&json!({"ports": [{"value": "a"}, {"value": "b"}]}))
        );
        assert_eq!(
            only("meta.version,name"),
            always_and(&json!({"name": "n", "meta": {"version": "W/\"1\""}}))
        );
        assert!(!projection(Some("name"), None).wants("ports"));
        assert!(!projection(Some("name"), None).wants("x"));
        assert!(projection(Some("ports.type"), None).wants("ports"));
        assert!(projection(Some("name"), None).wants("id"));
        assert_eq!(served(Some("name"), Some("name,count")), only("name"), "attributes counts");
    }

    #[test]
    fn extensions_are_named_by_their_urn() {
        let urn = EXTRA.to_uppercase();
        assert_eq!(only(&urn), always_and(&json!({EXTRA: device()[EXTRA]})));
        assert_eq!(
            only(&format!("{urn}:Owner.display")),
            always_and(&json!({EXTRA: {"owner": {"display": "O"}, "tag": "t"}}))
        );
        assert_eq!(without(&urn)[EXTRA], json!({"tag": "t"}), "always served");
        assert_eq!(
            without(&format!("{urn}:site"))[EXTRA],
            json!({"owner": device()[EXTRA]["owner"], "tag": "t"})
        );
        let core = format!("{}:name", sample::SCHEMA);
        assert_eq!(only(&core), only("name"));
        assert_eq!(only("site"), only(&format!("{urn}:site")), "clients leave the URN out");
    }

    #[test]
    fn excluding_drops_what_is_named_unless_it_is_always_served() {
        let less = |names: &[&str]| {
            let mut all = served(None, None);
            for name in names {
                all.as_object_mut().unwrap().shift_remove(*name);
            }
            all
        };
        assert_eq!(without("PORTS, meta"), less(&["ports", "meta"]));
        assert_eq!(without("id,schemas,count"), less(&["count"]));
        assert_eq!(without("size"), less(&["size"]));
        assert_eq!(without("size.width,size.unit")["size"], json!({"unit": "mm"}));
        assert_eq!(
            without("ports.number,ports.type")["ports"],
            json!([{"value": "a"}, {"value": "b"}])
        );
        assert!(without("ports.number,ports.type,ports.value").get("ports").is_none());
        assert!(!projection(None, Some("ports")).wants("ports"));
        assert!(projection(None, Some("ports.value")).wants("ports"));
        assert!(projection(None, Some("id")).wants("id"));
        assert!(projection(None, Some("ports")).wants("x"));
    }

    #[test]
    fn brackets_select_elements_of_a_list() {
        let a = json!({"value": "a", "type": "usb", "number": 1});
        let (b, c) = (json!({"value": "b", "number": 2}), json!({"number": 3}));
        for (names, shown) in [
            ("ports[type eq \"usb\"]", json!([a])),
            ("PORTS[Number gt 1 and value pr].VALUE", json!([{"value": "b"}])),
            ("ports[value eq 'x,y]'],ports[number eq 3]", json!([c])),
            (
                "ports.number,ports[type pr].value",
                json!([
                    {"value": "a", "number": 1}, {"number": 2}, {"number": 3},
                ]),
            ),
            ("ports[type pr],ports", json!([a, b, c])),
        ] {
            assert_eq!(only(names), always_and(&json!({"ports": shown})), "{names}");
        }
        for none in ["ports[value eq \"z\"]", "ports[", "ports[x eq 1]", "name[x eq 1]"] {
            assert_eq!(only(none), always_and(&json!({})), "{none}");
        }
        for (names, left) in [
            ("ports[type eq \"usb\"]", json!([b, c])),
            (
                "ports[not (value pr)],ports[type pr].number",
                json!([{"value": "a", "type": "usb"}, b]),
            ),
            ("ports[value eq \"z\"]", json!([a, b, c])),
        ] {
            assert_eq!(without(names)["ports"], left, "{names}");
        }
        assert!(without("ports[number gt 0]").get("ports").is_none());
        let labels = json!({"labels": ["x", "y"]}).as_object().unwrap().clone();
        let projection = projection(Some("labels[value eq \"Y\"]"), None);
        let served = projection.apply(&sample::resource_type(), labels);
        assert_eq!(Value::Object(served), json!({"labels": ["y"]}));
    }

    #[test]
    fn filters_that_select_elements_make_a_limited_number_of_comparisons() {
        let list = |count: usize| vec!["ports[type pr]"; count].join(",");
        let parse = |list: &str| Projection::parse(&sample::resource_type(), Some(list), None);
        assert!(parse(&list(64)).is_ok());
        assert!(parse(&list(65)).unwrap_err().detail.contains("more than 64"));
    }

    #[test]
    fn odd_resources_are_served_as_far_as_they_go() {
        let odd = json!({"ports": ["x", {}, 5], "size": 7, "x": {"y": 1}, EXTRA: "z", "name": []});
        let Value::Object(odd) = odd else { panic!("an object") };
        let served = Projection::everything().apply(&sample::resource_type(), odd);
        let expected = json!({"ports": ["x", 5], "size": 7, "x": {"y": 1}, EXTRA: "z", "name": []});
        assert_eq!(Value::Object(served), expected);
    }
}
