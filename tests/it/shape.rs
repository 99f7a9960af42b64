//! Values in another shape than the schema describes, and attributes named by URNs.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::harness::{Client, Reply, Server, USER, create, user};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const HR: &str = "urn:example:scim:hr:2.0:User";

const CONFIG: &str = r#"
[[schemas]]
id = "urn:example:scim:hr:2.0:User"
name = "HR"
[[schemas.attributes]]
name = "badge"
[[schemas.attributes]]
name = "hired"
type = "dateTime"
[[schemas.attributes]]
name = "page"
type = "reference"
[[schemas.attributes]]
name = "photo"
type = "binary"
[[schemas.attributes]]
name = "grade"
type = "integer"
[[schemas.attributes]]
name = "rate"
type = "decimal"
[[schemas.attributes]]
name = "remote"
type = "boolean"
[[schemas.attributes]]
name = "cards"
multi_valued = true
[[schemas.attributes]]
name = "floors"
type = "integer"
multi_valued = true
[[schemas.attributes]]
name = "seat"
type = "complex"
[[schemas.attributes.sub_attributes]]
name = "row"
type = "integer"
[[schemas.attributes]]
name = "locker"
type = "complex"
[[schemas.attributes.sub_attributes]]
name = "value"
type = "integer"
[[schemas.attributes]]
name = "desks"
type = "complex"
multi_valued = true
[[schemas.attributes.sub_attributes]]
name = "value"
[[schemas.attributes.sub_attributes]]
name = "shared"
type = "boolean"
"#;

/// The place of a value: the URN of its extension, the attribute, the sub-attribute.
#[derive(Clone, Copy, Debug)]
struct At(Option<&'static str>, &'static str, Option<&'static str>);

impl At {
    /// The members of a resource with this value.
    fn members(self, value: &Value) -> Value {
        let Self(extension, attribute, part) = self;
        let value = part.map_or_else(|| value.clone(), |part| json!({part: value}));
        let value = json!({attribute: value});
        extension.map_or_else(|| value.clone(), |urn| json!({urn: value}))
    }

    fn path(self) -> String {
        let Self(extension, attribute, part) = self;
        let urn = extension.map(|urn| format!("{urn}:")).unwrap_or_default();
        format!("{urn}{attribute}{}", part.map(|part| format!(".{part}")).unwrap_or_default())
    }

    /// The value in a resource; null if there is none.
    fn of(self, resource: &Value) -> Value {
        let Self(extension, attribute, part) = self;
        let owner = extension.map_or(resource, |urn| &resource[urn]);
        part.map_or(&owner[attribute], |part| &owner[attribute][part]).clone()
    }
}

/// A request that gives a user a value.
#[derive(Clone, Copy, Debug)]
enum Place {
    Post,
    Put,
    Add,
    Replace,
    AddMembers,
    ReplaceMembers,
}

const PLACES: [Place; 6] =
    [Place::Post, Place::Put, Place::Add, Place::Replace, Place::AddMembers, Place::ReplaceMembers];

fn new_name() -> String {
    static NAMES: AtomicUsize = AtomicUsize::new(0);
    format!("user-{}", NAMES.fetch_add(1, Ordering::Relaxed))
}

impl Place {
    /// Sends members of a user, alone or in a bulk request; the answer has the user or the error.
    fn send(self, client: &Client, members: &Value, at: Option<(At, &Value)>, bulk: bool) -> Reply {
        let mut whole = user(&new_name());
        let method = match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            _ => "PATCH",
        };
        let path = match self {
            Self::Post => "/Users".to_owned(),
            _ => create(client, "/Users", &whole).0,
        };
        whole.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let (op, at) = match self {
            Self::Post | Self::Put => ("", None),
            Self::Add => ("add", at),
            Self::Replace => ("replace", at),
            Self::AddMembers => ("add", None),
            Self::ReplaceMembers => ("replace", None),
        };
        let body = match at {
            _ if op.is_empty() => whole,
            Some((at, value)) => {
                json!({"Operations": [{"op": op, "path": at.path(), "value": value}]})
            }
            None => json!({"Operations": [{"op": op, "value": members}]}),
        };
        if !bulk {
            return client.send(method, &path, Some(body.to_string().as_bytes()));
        }
        let operation = json!({"method": method, "path": path, "bulkId": "b", "data": body});
        let mut reply = client.post("/Bulk", &json!({"Operations": [operation]})).expect(200);
        let result = reply.body["Operations"][0].clone();
        reply.status = result["status"].as_str().unwrap().parse().unwrap();
        reply.body = match result["location"].as_str().filter(|_| reply.status < 300) {
            Some(location) => client.get(location.split_once("/v2").unwrap().1).expect(200).body,
            None => result["response"].clone(),
        };
        reply
    }
}

/// What a single value without a `value` of its own is sent as.
fn wrapped(value: &Value) -> Vec<Value> {
    vec![
        json!([value]),
        json!({"value": value}),
        json!({"Value": value, "$ref": null}),
        json!([{"value": value}]),
        json!({"value": [value]}),
    ]
}

/// What an object with nothing but a `value` is sent as.
fn opened(value: &Value) -> Vec<Value> {
    vec![
        value.clone(),
        json!([value]),
        json!([{"value": value}]),
        json!({"value": [value]}),
        json!({"value": {"value": value, "$ref": null}}),
    ]
}

/// Every kind of attribute: a value of it as it is kept, and what that is sent as.
fn kinds() -> Vec<(At, Value, Vec<Value>)> {
    let core = |name| At(None, name, None);
    let own = |name| At(Some(HR), name, None);
    let single = |at, value: Value| (at, value.clone(), wrapped(&value));
    let spoken = |at, value: Value| {
        let text = json!(value.to_string());
        let shapes = [vec![text.clone()], wrapped(&text), wrapped(&value)].concat();
        (at, value, shapes)
    };
    let listed = |at, value: Value| {
        let shapes = [vec![value.clone(), json!([[value]])], wrapped(&value)].concat();
        (at, json!([value]), shapes)
    };
    let opened_list = |at, value: Value| (at, json!([{"value": value}]), opened(&value));
    vec![
        single(core("preferredLanguage"), json!("de")),
        single(core("displayName"), json!("Ada")),
        single(core("externalId"), json!("7")),
        single(core("profileUrl"), json!("https://example.com/ada")),
        spoken(core("active"), json!(false)),
        (core("active"), json!(false), vec![json!("False"), json!(["FALSE"])]),
        single(core("name"), json!({"givenName": "Ada"})),
        single(At(None, "name", Some("givenName")), json!("Ada")),
        opened_list(core("emails"), json!("ada@example.com")),
        (
            core("emails"),
            json!([{"value": "a@b.c", "primary": true}]),
            vec![
                json!({"value": ["a@b.c"], "primary": "True"}),
                json!([[{"value": {"value": "a@b.c"}, "primary": [true]}]]),
            ],
        ),
        listed(core("addresses"), json!({"locality": "Paris"})),
        single(At(Some(ENTERPRISE), "department", None), json!("bi")),
        (At(Some(ENTERPRISE), "manager", None), json!({"value": "M"}), opened(&json!("M"))),
        single(At(Some(ENTERPRISE), "manager", Some("value")), json!("M")),
        single(own("badge"), json!("B1")),
        single(own("hired"), json!("2026-01-01T00:00:00Z")),
        single(own("page"), json!("https://example.com")),
        single(own("photo"), json!("AAAA")),
        spoken(own("grade"), json!(7)),
        spoken(own("grade"), json!(-7)),
        spoken(own("rate"), json!(1.5)),
        spoken(own("remote"), json!(true)),
        listed(own("cards"), json!("A")),
        (
            own("cards"),
            json!(["A", "B"]),
            vec![json!({"value": ["A", "B"]}), json!([{"value": "A"}, ["B"]])],
        ),
        listed(own("floors"), json!(3)),
        (own("floors"), json!([1, 2]), vec![json!(["1", {"value": "2"}])]),
        single(own("seat"), json!({"row": 1})),
        spoken(At(Some(HR), "seat", Some("row")), json!(1)),
        (own("locker"), json!({"value": 5}), [opened(&json!(5)), opened(&json!("5"))].concat()),
        opened_list(own("desks"), json!("d1")),
    ]
}

#[test]
fn a_value_is_taken_in_every_shape_that_leaves_one_reading() {
    let server = Server::start_with(CONFIG);
    let client = server.client();
    let mut wrong = Vec::new();
    for (at, kept, shapes) in kinds() {
        for (turn, sent) in [vec![kept.clone()], shapes].concat().into_iter().enumerate() {
            for (number, place) in PLACES.into_iter().enumerate() {
                let bulk = (turn + number) % 2 == 1;
                let reply = place.send(&client, &at.members(&sent), Some((at, &sent)), bulk);
                if reply.status > 201 || at.of(&reply.body) != kept {
                    let found = &reply.body;
                    wrong.push(format!("{place:?} bulk={bulk} {at:?} {sent}: {found}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn an_empty_value_in_any_shape_is_no_value() {
    let server = Server::start_with(CONFIG);
    let client = server.client();
    let (core, own) = (|name| At(None, name, None), |name| At(Some(HR), name, None));
    for at in [core("title"), core("emails"), own("grade"), own("cards"), own("seat")] {
        for sent in [json!(null), json!([]), json!([null]), json!({"value": null}), json!([[]])] {
            for place in PLACES {
                let members = at.members(&sent);
                let reply = place.send(&client, &members, Some((at, &sent)), false);
                assert!(reply.status <= 201, "{place:?} {at:?} {sent}: {}", reply.body);
                assert_eq!(at.of(&reply.body), json!(null), "{place:?} {at:?} {sent}");
            }
        }
    }
}

#[test]
fn a_value_with_two_readings_or_none_is_refused() {
    let server = Server::start_with(CONFIG);
    let client = server.client();
    let (core, own) = (|name| At(None, name, None), |name| At(Some(HR), name, None));
    for (at, sent) in [
        (core("title"), json!(["a", "b"])),
        (core("title"), json!({"value": "a", "type": "b"})),
        (core("title"), json!({"display": "a"})),
        (core("title"), json!(5)),
        (core("active"), json!("perhaps")),
        (core("active"), json!(1)),
        (core("active"), json!([true, true])),
        (core("name"), json!("Ada")),
        (core("emails"), json!(5)),
        (core("emails"), json!([true])),
        (core("addresses"), json!("Paris")),
        (At(None, "name", Some("givenName")), json!(["a", "b"])),
        (At(Some(ENTERPRISE), "manager", None), json!(["M", "N"])),
        (own("grade"), json!("seven")),
        (own("grade"), json!("1.5")),
        (own("rate"), json!("1,5")),
        (own("floors"), json!([[1, 2]])),
        (own("locker"), json!("five")),
        (own("seat"), json!(1)),
    ] {
        for place in PLACES {
            let reply = place.send(&client, &at.members(&sent), Some((at, &sent)), false);
            let detail = reply.error(400, Some("invalidSyntax"));
            assert!(detail.contains(at.1), "{place:?} {at:?} {sent}: {detail}");
        }
    }
}

#[test]
fn elements_and_their_parts_are_patched_in_any_shape() {
    let server = Server::start_with(CONFIG);
    let client = server.client();
    let work = json!([{"value": "a@b.c", "type": "work"}]);
    for (path, sent) in [
        ("emails[type eq \"work\"]", json!([{"value": "a@b.c", "type": ["work"]}])),
        ("emails[type eq \"work\"].value", json!(["a@b.c"])),
        ("emails[type eq \"work\"].value", json!({"value": "a@b.c", "$ref": null})),
        ("emails[type eq \"work\"].value", json!([{"value": "a@b.c"}])),
    ] {
        for before in [json!([]), json!([{"value": "old@b.c", "type": "work"}])] {
            let mut body = user(&new_name());
            body["emails"] = before.clone();
            let (address, _) = create(&client, "/Users", &body);
            let change = json!([{"op": "replace", "path": path, "value": sent}]);
            let after = client.patch(&address, &change).expect(200).body;
            assert_eq!(after["emails"], work, "{path} {sent} {before}");
        }
    }
}

#[test]
fn a_group_takes_every_shape() {
    let server = Server::start();
    let client = server.client();
    let (_, member) = create(&client, "/Users", &user("a"));
    let names = |name: &str| [vec![json!(name)], wrapped(&json!(name))].concat();
    for (turn, sent) in opened(&json!(member)).into_iter().enumerate() {
        let name = &names(&format!("Team {turn}"))[turn];
        let body = json!({"displayName": name, "members": sent});
        let (path, _) = create(&client, "/Groups", &body);
        let is_right = || {
            let group = client.get(&path).expect(200).body;
            assert_eq!(group["displayName"], format!("Team {turn}"));
            assert_eq!(group["members"].as_array().map(Vec::len), Some(1), "{sent}: {group}");
            assert_eq!(group["members"][0]["value"], json!(member));
        };
        is_right();
        client.put(&path, &body).expect(200);
        is_right();
        for operation in [
            json!({"op": "add", "value": body}),
            json!({"op": "replace", "path": "displayName", "value": name}),
            json!({"op": "replace", "path": "members", "value": sent}),
        ] {
            client.patch(&path, &json!([operation])).expect(200);
            is_right();
        }
        let remove = json!([{"op": "remove", "path": "members", "value": sent}]);
        assert_eq!(client.patch(&path, &remove).expect(200).body["members"], json!(null));
    }
}

#[test]
fn an_attribute_named_by_its_urn_is_that_attribute() {
    let server = Server::start_with(CONFIG);
    let client = server.client();
    let title = At(None, "title", None);
    let given_name = At(None, "name", Some("givenName"));
    let department = At(Some(ENTERPRISE), "department", None);
    let manager = At(Some(ENTERPRISE), "manager", None);
    for (members, at, kept) in [
        (json!({format!("{USER}:active"): false}), At(None, "active", None), json!(false)),
        (json!({format!("{USER}:active"): "False"}), At(None, "active", None), json!(false)),
        (json!({format!("{}:TITLE", USER.to_uppercase()): ["t"]}), title, json!("t")),
        (json!({USER: {"title": "t"}}), title, json!("t")),
        (json!({USER: {format!("{USER}:title"): "t"}}), title, json!("t")),
        (json!({format!("{USER}:name"): {"givenName": "A"}}), given_name, json!("A")),
        (json!({format!("{USER}:name.givenName"): "A"}), given_name, json!("A")),
        (json!({"name": {"familyName": "B"}, "name.givenName": "A"}), given_name, json!("A")),
        (json!({format!("{ENTERPRISE}:department"): "bi"}), department, json!("bi")),
        (json!({ENTERPRISE: {format!("{ENTERPRISE}:department"): "bi"}}), department, json!("bi")),
        (
            json!({ENTERPRISE: [{format!("{ENTERPRISE}:department"): "bi"}]}),
            department,
            json!("bi"),
        ),
        (json!({ENTERPRISE: [{"manager.value": "M"}]}), manager, json!({"value": "M"})),
        (
            json!({ENTERPRISE: {"division": "v"}, format!("{ENTERPRISE}:department"): "bi"}),
            department,
            json!("bi"),
        ),
        (json!({format!("{HR}:grade"): "7"}), At(Some(HR), "grade", None), json!(7)),
    ] {
        for place in PLACES {
            for bulk in [false, true] {
                let reply = place.send(&client, &members, None, bulk);
                assert!(reply.status <= 201, "{place:?} {members}: {}", reply.body);
                assert_eq!(at.of(&reply.body), kept, "{place:?} {members}: {}", reply.body);
            }
        }
    }
    let named = json!({format!("{USER}:userName"): "ada", format!("{USER}:active"): false});
    let created = client.post("/Users", &named).expect(201).body;
    assert_eq!((&created["userName"], &created["active"]), (&json!("ada"), &json!(false)));
}

#[test]
fn an_attribute_named_twice_is_refused() {
    let server = Server::start_with(CONFIG);
    let client = server.client();
    for members in [
        json!({"title": "a", format!("{USER}:title"): "b"}),
        json!({"title": "a", format!("{USER}:Title"): "a"}),
        json!({"title": "a", USER: {"title": "b"}}),
        json!({"title": null, format!("{USER}:title"): "b"}),
        json!({"name": {"givenName": "a"}, "name.givenName": "b"}),
        json!({"name": {"givenName": "a"}, format!("{USER}:name"): {"familyName": "b"}}),
        json!({"emails": [{"value": "a@b.c"}], format!("{USER}:emails"): []}),
        json!({ENTERPRISE: {"department": "a"}, format!("{ENTERPRISE}:department"): "b"}),
        json!({HR: {"grade": 1, format!("{HR}:grade"): 2}}),
    ] {
        for place in PLACES {
            for bulk in [false, true] {
                let reply = place.send(&client, &members, None, bulk);
                assert_eq!(reply.status, 400, "{place:?} {members}: {}", reply.body);
                assert_eq!(reply.body["scimType"], "invalidSyntax", "{place:?} {members}");
                assert!(reply.text("/detail").contains("given twice"), "{}", reply.body);
            }
        }
    }
}
