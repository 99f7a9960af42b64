//! Tests of PATCH requests as identity providers send them.

use serde_json::{Map, Value, json};

use super::{MAX_ELEMENTS, MAX_OPERATIONS, Op, PatchRequest};
use crate::scim::attribute::{Attribute, Mutability, Type};
use crate::scim::error::{ScimError, ScimType};
use crate::scim::exchange::Exchange;
use crate::scim::resource::Resource;
use crate::scim::schema::{Extension, ResourceType, Schema};
use crate::scim::schemas::user::{self, ENTERPRISE_USER, USER};
use crate::scim::validate::validate;

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("an object, not {value}") };
    object
}

fn parse(operations: Value) -> Result<PatchRequest, ScimError> {
    parse_in(&user::resource_type(), operations)
}

fn parse_in(resource_type: &ResourceType, operations: Value) -> Result<PatchRequest, ScimError> {
    let body = Map::from_iter([("Operations".to_owned(), operations)]);
    PatchRequest::parse(resource_type, body)
}

/// What every stored user has: a name, and whether the account may be used.
fn with_defaults(attributes: Value) -> Map<String, Value> {
    let mut attributes = object(attributes);
    attributes.entry("userName").or_insert_with(|| json!("u"));
    attributes.entry("active").or_insert(Value::Bool(true));
    attributes
}

fn patch_in(
    resource_type: &ResourceType,
    before: Value,
    operations: Value,
) -> Result<Value, ScimError> {
    let before = validate(resource_type, Exchange::Create, with_defaults(before))?.resource;
    let request = parse_in(resource_type, operations)?;
    let after = request.apply_all(resource_type, &before)?;
    let text = serde_json::to_vec(after.clone().attributes_mut()).unwrap();
    assert_eq!(Resource::from_stored(&text).unwrap(), after);
    Ok(serde_json::from_slice(&text).unwrap())
}

fn patch(before: Value, operations: Value) -> Result<Value, ScimError> {
    patch_in(&user::resource_type(), before, operations)
}

/// The user `before` (called "u") becomes `after`.
#[track_caller]
fn becomes(before: Value, operations: Value, after: Value) {
    let text = operations.to_string();
    assert_eq!(patch(before, operations), Ok(Value::Object(with_defaults(after))), "{text}");
}

#[track_caller]
fn fails(before: Value, operation: Value, scim_type: ScimType) -> String {
    let error = patch(before, vec![operation].into()).expect_err("must be refused");
    assert_eq!(error.scim_type, scim_type, "{error}");
    error.detail
}

fn enterprise(value: Value) -> Value {
    Value::Object(Map::from_iter([(ENTERPRISE_USER.to_owned(), value)]))
}

#[test]
fn okta_names_attributes_in_an_object() {
    let open = json!({"active": true});
    let closed = json!({"active": false});
    becomes(open.clone(), json!([{"op": "replace", "value": {"active": false}}]), closed.clone());
    becomes(open.clone(), json!([{"op": "replace", "path": "active", "value": false}]), closed);
    becomes(
        open.clone(),
        json!([{"op": "replace", "value": {"id": "x", "displayName": "New", "groups": [],
            "meta": {}, "schemas": [], "password": "s3cret", "urn:okta:x:1.0": {"a": "b"}}}]),
        json!({"active": true, "displayName": "New"}),
    );
    let request = parse(json!([{"op": "replace", "value": {"urn:okta:x:1.0": {}, "x": 1,
        "name": {"x": 1}, "emails": [{"y": 1}], ENTERPRISE_USER: {"z": 1}}}]));
    let enterprise = format!("{ENTERPRISE_USER}:z");
    let unknown = ["urn:okta:x:1.0", "x", "name.x", "emails.y", enterprise.as_str()];
    assert_eq!(request.unwrap().unknown, unknown);
}

#[test]
fn entra_writes_capitals_and_words() {
    becomes(
        json!({"active": true, "emails": [{"value": "old@x", "type": "work", "primary": true},
            {"value": "h@x", "type": "home"}]}),
        json!([
            {"op": "Replace", "path": "active", "value": "False"},
            {"op": "Add", "path": "nickName", "value": "Babs"},
            {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "new@x"},
            {"op": "Add", "path": format!("{ENTERPRISE_USER}:employeeNumber"), "value": "7"},
        ]),
        json!({"active": false, "nickName": "Babs",
            "emails": [{"value": "new@x", "type": "work", "primary": true},
                {"value": "h@x", "type": "home"}],
            ENTERPRISE_USER: {"employeeNumber": "7"}}),
    );
    becomes(
        json!({"active": true}),
        json!([{"op": "replace", "value": {"active": false, "displayName": "N",
            "name.givenName": "G", format!("{ENTERPRISE_USER}:employeeNumber"): "7",
            "emails[type eq \"work\"].value": "w@x"}}]),
        json!({"active": false, "displayName": "N", "name": {"givenName": "G"},
            "emails": [{"value": "w@x", "type": "work"}],
            ENTERPRISE_USER: {"employeeNumber": "7"}}),
    );
    let odd = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "id": "x",
        "operations": [{"name": "addMember", "OP": "ADD", "Path": "TITLE", "VALUE": "t"}]});
    let request = PatchRequest::parse(&user::resource_type(), object(odd)).unwrap();
    let [operation] = request.operations.as_slice() else { panic!("one operation") };
    assert_eq!((operation.op, operation.target.to_string()), (Op::Add, "title".to_owned()));
    assert!(operation.explicit);
}

#[test]
fn entra_writes_a_manager_in_every_shape() {
    let manager =
        |path: &str, value: Value| json!([{"op": "Replace", "path": path, "value": value}]);
    let full = format!("{ENTERPRISE_USER}:manager");
    let dotted = format!("{ENTERPRISE_USER}.manager");
    let old = enterprise(json!({"manager": {"value": "O", "$ref": "https://x/O"}}));
    for value in [json!("M"), json!({"value": "M"}), json!([{"value": "M"}]), json!(["M"])] {
        for path in [&full, &dotted, "manager"] {
            for before in [json!({}), old.clone()] {
                let operations = manager(path, value.clone());
                becomes(before, operations, enterprise(json!({"manager": {"value": "M"}})));
            }
        }
    }
    becomes(
        json!({}),
        json!([{"op": "Add", "path": "manager",
            "value": [{"$ref": "http://x/Users/M", "value": "M"}]}]),
        enterprise(json!({"manager": {"value": "M", "$ref": "http://x/Users/M"}})),
    );
    for none in [json!({"value": ""}), json!(""), json!(null), json!([]), json!([{"value": ""}])] {
        becomes(old.clone(), manager(&full, none), json!({}));
    }
    let part = format!("{full}.value");
    becomes(
        old.clone(),
        manager(&part, json!("N")),
        enterprise(json!({"manager": {"value": "N"}})),
    );
    becomes(old.clone(), manager(&part, json!("O")), old.clone());
    becomes(old.clone(), manager(&part, json!("")), json!({}));
    becomes(old, json!([{"op": "remove", "path": part}]), json!({}));
}

#[test]
fn entra_removes_what_it_lists() {
    let roles = |values: &[&str]| {
        let roles: Vec<_> = values.iter().map(|value| json!({"value": value})).collect();
        if roles.is_empty() { json!({}) } else { json!({"roles": roles}) }
    };
    let remove = |value: Value| json!([{"op": "Remove", "path": "roles", "value": value}]);
    let before = || roles(&["a", "b", "c"]);
    becomes(before(), remove(json!([{"$ref": null, "value": "B"}])), roles(&["a", "c"]));
    becomes(before(), remove(json!([{"value": "a"}, {"value": "x"}])), roles(&["b", "c"]));
    becomes(before(), remove(json!({"value": "c"})), roles(&["a", "b"]));
    becomes(before(), remove(json!("c")), roles(&["a", "b"]));
    becomes(before(), remove(json!([])), before());
    becomes(before(), remove(json!([null, {}])), before());
    becomes(before(), json!([{"op": "remove", "path": "roles"}]), json!({}));
    becomes(before(), remove(json!(null)), json!({}));
    becomes(
        before(),
        json!([{"op": "remove", "path": "roles[value eq \"b\"]"}]),
        roles(&["a", "c"]),
    );
    let home = json!({"type": "home", "locality": "X"});
    let work = json!({"type": "work", "locality": "X"});
    becomes(
        json!({"addresses": [home, work]}),
        json!([{"op": "remove", "path": "addresses", "value": [home, {"type": "work"}]}]),
        json!({"addresses": [work]}),
    );
}

#[test]
fn entra_selects_roles_by_a_word_and_creates_what_is_missing() {
    becomes(
        json!({}),
        json!([
            {"op": "Add", "path": "roles[primary eq \"True\"].display", "value": "Admin"},
            {"op": "Add", "path": "roles[primary eq \"True\"].value", "value": "1"},
            {"op": "Replace", "path": "roles[primary eq \"True\"].type", "value": "WindowsAzure"},
        ]),
        json!({"roles": [
            {"value": "1", "display": "Admin", "type": "WindowsAzure", "primary": true}]}),
    );
    let text = "{\"id\":\"x\",\"value\":\"25\",\"displayName\":\"Role1234\"}";
    becomes(
        json!({}),
        json!([{"op": "Add", "path": "roles", "value": [{"value": text}]}]),
        json!({"roles": [{"value": text}]}),
    );
    becomes(
        json!({"addresses": [{"type": "home", "locality": "A"}]}),
        json!([{"op": "Add", "path": "addresses[type eq \"work\"].locality", "value": "B"},
            {"op": "Add", "path": "addresses[type eq \"work\"].country", "value": "DE"}]),
        json!({"addresses": [{"type": "home", "locality": "A"},
            {"locality": "B", "country": "DE", "type": "work"}]}),
    );
    for op in ["add", "replace"] {
        let path = "emails[type ne \"work\"].value";
        let problem =
            fails(json!({}), json!({"op": op, "path": path, "value": "a"}), ScimType::NoTarget);
        assert!(problem.contains(&format!("selects no value to {op}")), "{problem}");
    }
    let remove = json!([{"op": "remove", "path": "emails[type eq \"work\"].value"}]);
    becomes(json!({}), remove.clone(), json!({}));
    becomes(
        json!({"emails": [{"value": "a", "type": "work", "primary": true}]}),
        remove,
        json!({}),
    );
}

#[test]
fn add_and_replace_are_those_of_the_rfc() {
    let name = json!({"name": {"givenName": "A", "familyName": "B"}});
    for (value, after) in [
        (json!({"givenName": "C"}), json!({"name": {"givenName": "C", "familyName": "B"}})),
        (json!({"givenName": null}), json!({"name": {"familyName": "B"}})),
        (json!({"givenName": null, "familyName": null}), json!({})),
        (json!({}), json!({})),
        (json!(null), json!({})),
    ] {
        becomes(name.clone(), json!([{"op": "replace", "path": "name", "value": value}]), after);
    }
    for nothing in [json!(null), json!({}), json!({"givenName": null})] {
        let add = json!([{"op": "add", "path": "name", "value": nothing}]);
        becomes(name.clone(), add, name.clone());
    }
    becomes(
        name,
        json!([{"op": "remove", "path": "name.givenName"},
        {"op": "remove", "path": "name.familyName"}]),
        json!({}),
    );
    let emails = json!({"emails": [{"value": "A@x", "type": "work"}]});
    becomes(
        emails.clone(),
        json!([{"op": "add", "path": "emails", "value": [{"value": "A@x", "type": "work"},
            {"value": "b@x"}, {"value": "b@x"}]}]),
        json!({"emails": [{"value": "A@x", "type": "work"}, {"value": "b@x"}]}),
    );
    becomes(
        emails.clone(),
        json!([{"op": "replace", "path": "emails", "value": {"value": "b@x"}}]),
        json!({"emails": [{"value": "b@x"}]}),
    );
    becomes(emails.clone(), json!([{"op": "replace", "path": "emails", "value": []}]), json!({}));
    becomes(
        emails,
        json!([{"op": "replace", "path": "emails[type eq \"work\"]", "value": {"value": "c@x"}}]),
        json!({"emails": [{"value": "c@x"}]}),
    );
    let two = json!({"emails": [{"value": "a"}, {"value": "b", "type": "home"}]});
    becomes(
        two,
        json!([{"op": "replace", "path": "emails.type", "value": "other"}]),
        json!({"emails": [{"value": "a", "type": "other"}, {"value": "b", "type": "other"}]}),
    );
}

#[test]
fn one_element_is_primary() {
    let two = |first: bool| json!({"emails": [{"value": "a", "primary": first}, {"value": "b", "primary": !first}]});
    let set = |path: &str| json!([{"op": "replace", "path": path, "value": "True"}]);
    becomes(two(true), set("emails[value eq \"b\"].primary"), two(false));
    becomes(two(true), set("emails[value eq \"a\"].primary"), two(true));
    becomes(
        two(true),
        json!([{"op": "add", "path": "emails", "value": [{"value": "c", "primary": true}]}]),
        json!({"emails": [{"value": "a", "primary": false}, {"value": "b", "primary": false},
            {"value": "c", "primary": true}]}),
    );
    let all = json!({"op": "replace", "path": "emails.primary", "value": true});
    fails(two(true), all, ScimType::InvalidValue);
    let add = json!([{"value": "c", "primary": true}, {"value": "d", "primary": true}]);
    fails(two(true), json!({"op": "add", "path": "emails", "value": add}), ScimType::InvalidValue);
}

#[test]
fn extensions_are_addressed_as_a_whole_and_go_with_their_last_attribute() {
    let both = enterprise(json!({"department": "D", "division": "V"}));
    let department = format!("{ENTERPRISE_USER}:department");
    becomes(both.clone(), json!([{"op": "remove", "path": ENTERPRISE_USER}]), json!({}));
    let null = json!([{"op": "replace", "value": {ENTERPRISE_USER: null}}]);
    becomes(both.clone(), null, json!({}));
    becomes(
        both,
        json!([{"op": "remove", "path": department}]),
        enterprise(json!({"division": "V"})),
    );
    let only = enterprise(json!({"department": "D"}));
    becomes(only, json!([{"op": "remove", "path": department}]), json!({}));
    for operation in [
        json!({"op": "add", "path": ENTERPRISE_USER.to_uppercase(), "value": {"Department": "D"}}),
        json!({"op": "add", "value": {ENTERPRISE_USER: {"department": "D"}, USER: {"title": null}}}),
        json!({"op": "add", "path": USER, "value": {department: "D"}}),
        json!({"op": "add", "value": {"department": "D"}}),
    ] {
        becomes(json!({}), json!([operation]), enterprise(json!({"department": "D"})));
    }
}

#[test]
fn what_is_wrong_is_named() {
    use ScimType::{InvalidPath, InvalidSyntax, InvalidValue, Mutability, NoTarget};
    for (operation, scim_type) in [
        (json!({"op": "replace", "path": "x", "value": 1}), InvalidPath),
        (json!({"op": "replace", "path": "emails[", "value": 1}), InvalidPath),
        (json!({"op": "remove"}), NoTarget),
        (json!({"op": "remove", "value": {"title": 1}}), NoTarget),
        (json!({"op": "remove", "path": USER}), NoTarget),
        (json!({"op": "remove", "path": "id"}), Mutability),
        (json!({"op": "remove", "path": "meta.created"}), Mutability),
        (json!({"op": "add", "path": "schemas", "value": ["x"]}), Mutability),
        (json!({"op": "add", "path": "groups", "value": []}), Mutability),
        (json!({"op": "add", "path": "manager.displayName", "value": "x"}), Mutability),
        (json!({"op": "remove", "path": "userName"}), Mutability),
        (json!({"op": "replace", "path": "userName", "value": null}), InvalidValue),
        (json!({"op": "replace", "path": "userName", "value": " "}), InvalidValue),
        (json!({"op": "replace", "path": "title"}), InvalidValue),
        (json!({"op": "replace", "path": "active", "value": "yes"}), InvalidSyntax),
        (json!({"op": "replace", "path": "name", "value": "x"}), InvalidSyntax),
        (json!({"op": "replace", "path": "password", "value": 1}), InvalidSyntax),
        (json!({"op": "replace", "value": "x"}), InvalidSyntax),
        (json!({"op": "replace", "path": 1, "value": "x"}), InvalidSyntax),
        (json!({"op": "move", "path": "title", "value": "x"}), InvalidSyntax),
        (json!({"path": "title", "value": "x"}), InvalidSyntax),
        (json!("x"), InvalidSyntax),
    ] {
        fails(json!({}), operation, scim_type);
    }
    let missing = [
        json!({}),
        json!({"Operations": []}),
        json!({"Operations": 1}),
        json!({"Operations": [{"op": "add", "value": {}}], "schemas": [1]}),
    ];
    for body in missing {
        let error = PatchRequest::parse(&user::resource_type(), object(body)).unwrap_err();
        assert_eq!(error.scim_type, InvalidSyntax);
    }
}

#[test]
fn limits_hold() {
    let many = |count: usize, operation: Value| parse(vec![operation; count].into());
    let plain = json!({"op": "remove", "path": "title"});
    assert!(many(MAX_OPERATIONS, plain.clone()).is_ok());
    assert_eq!(many(MAX_OPERATIONS + 1, plain).unwrap_err().scim_type, ScimType::TooMany);
    let terms = vec!["type pr"; 64].join(" or ");
    let wide = json!({"op": "remove", "path": format!("emails[{terms}]")});
    assert!(many(31, wide.clone()).is_ok());
    assert_eq!(many(32, wide).unwrap_err().scim_type, ScimType::TooMany);
    let roles = |count: usize| (0..count).map(|n| json!(n.to_string())).collect::<Value>();
    let add = |count: usize| json!({"op": "add", "path": "roles", "value": roles(count)});
    let copy = json!({"op": "add", "path": "roles.display", "value": "x".repeat(1_000)});
    assert!(patch(json!({}), json!([add(MAX_ELEMENTS)])).is_ok());
    fails(json!({}), add(MAX_ELEMENTS + 1), ScimType::TooMany);
    let error = patch(json!({}), json!([add(300), copy])).unwrap_err();
    assert_eq!(error.scim_type, ScimType::TooMany);
}

#[test]
fn characteristics_hold_whatever_the_schema() {
    let immutable = |attribute: Attribute| attribute.mutability(Mutability::Immutable);
    let pair = || {
        vec![
            immutable(Attribute::string("value", "").required()).case_exact(),
            Attribute::string("display", ""),
        ]
    };
    let mut resource_type = user::resource_type();
    resource_type.extensions = vec![Extension {
        schema: Schema {
            id: "urn:x".to_owned(),
            aliases: &[],
            name: String::new(),
            description: String::new(),
            attributes: vec![
                immutable(Attribute::string("badge", "")),
                Attribute::complex("seat", "", pair()),
                Attribute::complex("keys", "", pair()).multi_valued(),
                Attribute::new(Type::Integer, "floors", "").multi_valued(),
                Attribute::string("site", "").required(),
            ],
        },
        required: false,
    }];
    let check = |before: Value, operation: Value| -> Result<Option<Value>, ScimError> {
        let before = if before.is_null() { json!({}) } else { json!({"urn:x": before}) };
        let mut after = patch_in(&resource_type, before, json!([operation]))?;
        Ok(after.get_mut("urn:x").map(Value::take))
    };
    let before = json!({"badge": "1", "seat": {"value": "s", "display": "S"},
        "keys": [{"value": "k"}], "floors": [1, 2], "site": "x"});
    let change = |path: &str, value: Value| {
        check(
            before.clone(),
            json!({"op": "replace", "path": format!("urn:x:{path}"), "value": value}),
        )
    };
    let refused = |path: &str, value: Value| -> ScimType {
        change(path, value).expect_err("must be refused").scim_type
    };
    assert_eq!(change("badge", json!("1")), Ok(Some(before.clone())));
    assert_eq!(change("floors", json!(3)).unwrap().unwrap()["floors"], json!([3]));
    assert_eq!(change("seat.display", json!("T")).unwrap().unwrap()["seat"]["display"], "T");
    assert_eq!(
        change("keys[value eq \"k\"]", json!({"value": "k", "display": "K"})).unwrap().unwrap()["keys"],
        json!([{"value": "k", "display": "K"}])
    );
    for (path, value) in [
        ("badge", json!("2")),
        ("badge", json!(null)),
        ("seat.value", json!("t")),
        ("seat.value", json!("")),
        ("seat", json!("t")),
        ("keys.value", json!("l")),
        ("keys[value eq \"k\"]", json!({"value": "l"})),
    ] {
        assert_eq!(refused(path, value), ScimType::Mutability, "{path}");
    }
    assert_eq!(refused("site", json!(null)), ScimType::InvalidValue);
    assert_eq!(refused("keys", json!([{"display": "K"}])), ScimType::InvalidValue);
    let lacking = check(Value::Null, json!({"op": "add", "path": "urn:x:badge", "value": "1"}));
    assert_eq!(lacking.unwrap_err().detail, "\"urn:x:site\" is required.");
    let whole = json!({"op": "add", "value": {"urn:x": {"badge": "1", "site": "x"}}});
    assert_eq!(check(Value::Null, whole), Ok(Some(json!({"badge": "1", "site": "x"}))));
    let listed = json!({"op": "remove", "path": "urn:x:floors", "value": [2, 9]});
    assert_eq!(check(before.clone(), listed).unwrap().unwrap()["floors"], json!([1]));
}

#[test]
fn a_change_that_changes_nothing_leaves_an_equal_resource_and_order_is_canonical() {
    let before = json!({"emails": [{"value": "a", "type": "work"}], "title": "t", "active": true,
        "name": {"givenName": "G", "familyName": "F"}});
    let same = json!([
        {"op": "Add", "path": "title", "value": "t"},
        {"op": "Add", "path": "emails", "value": [{"type": "work", "value": "a"}]},
        {"op": "Replace", "path": "name.givenName", "value": "G"},
        {"op": "Remove", "path": "nickName"},
    ]);
    becomes(before.clone(), same, before);
    let after = patch(
        json!({}),
        json!([{"op": "add", "path": "emails.type", "value": "work"},
            {"op": "add", "path": "emails.value", "value": "a"},
            {"op": "add", "path": "name.givenName", "value": "G"},
            {"op": "add", "path": "name.familyName", "value": "F"}]),
    );
    assert_eq!(
        after.unwrap().to_string(),
        r#"{"userName":"u","name":{"familyName":"F","givenName":"G"},"active":true,"emails":[{"value":"a","type":"work"}]}"#
    );
}

#[test]
fn elements_kept_elsewhere_are_read_in_every_shape() {
    let resource_type = user::resource_type();
    let elements = |operation: Value| {
        parse(json!([operation])).unwrap().operations[0].elements(&resource_type)
    };
    let one = Ok(Some(vec![json!({"value": "U1"})]));
    for value in [json!("U1"), json!({"value": "U1"}), json!([{"$ref": null, "value": "U1"}])] {
        assert_eq!(elements(json!({"op": "add", "path": "roles", "value": value})), one);
    }
    let none = json!({"op": "remove", "path": "roles", "value": []});
    assert_eq!(elements(none), Ok(Some(Vec::new())));
    assert_eq!(elements(json!({"op": "remove", "path": "roles"})), Ok(None));
    let request = parse(json!([{"op": "remove", "path": "roles[value eq \"U1\"]"}])).unwrap();
    let target = &request.operations[0].target;
    assert_eq!(target.described(), Some(&object(json!({"value": "U1"}))));
    assert!(target.selects(&json!({"value": "u1"})));
    assert!(!target.selects(&json!({"value": "U2"})));
}
