//! PATCH, in every dialect that clients speak.

use serde_json::{Value, json};

use crate::harness::{Client, Server, USER, create, group, user};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// A server with a user that has a bit of everything.
fn start() -> (Server, Client, String) {
    let server = Server::start();
    let client = server.client();
    let mut body = user("Ada@example.com");
    body["name"] = json!({"givenName": "Ada", "familyName": "L"});
    body["title"] = json!("Countess");
    body["emails"] = json!([{"value": "ada@example.com", "type": "work", "primary": true},
                            {"value": "ada@home.org", "type": "home"}]);
    let (path, _) = create(&client, "/Users", &body);
    (server, client, path)
}

/// Patches, and insists on what is at a pointer then.
#[track_caller]
fn becomes(client: &Client, path: &str, operations: &Value, pointer: &str, expected: &Value) {
    let patched = client.patch(path, operations).expect(200).body;
    assert_eq!(patched.pointer(pointer).unwrap_or(&Value::Null), expected, "{operations}");
    assert_eq!(client.get(path).expect(200).body, patched);
}

#[test]
fn accounts_are_closed_and_opened_in_every_spelling() {
    let (_server, client, path) = start();
    for (closing, opening) in [
        (json!({"op": "replace", "value": {"active": false}}), json!(true)),
        (json!({"op": "replace", "path": "active", "value": false}), json!("True")),
        (json!({"op": "Replace", "path": "active", "value": "False"}), json!("true")),
        (json!({"op": "Add", "path": "ACTIVE", "value": "false"}), json!("TRUE")),
        (json!({"op": "replace", "path": format!("{USER}:active"), "value": "FALSE"}), json!(true)),
        (json!({"op": "replace", "value": {USER: {"active": "False"}}}), json!(true)),
    ] {
        becomes(&client, &path, &json!([closing]), "/active", &json!(false));
        let opening = json!([{"op": "Replace", "path": "active", "value": opening}]);
        becomes(&client, &path, &opening, "/active", &json!(true));
    }
}

#[test]
fn one_operation_an_attribute_as_entra_sends_it() {
    let (_server, client, path) = start();
    let operations = json!([
        {"op": "Replace", "path": "active", "value": "False"},
        {"op": "Add", "path": "nickName", "value": "Babs"},
        {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "new@example.com"},
        {"op": "Add", "path": format!("{ENTERPRISE}:employeeNumber"), "value": "7"},
        {"op": "Add", "path": format!("{ENTERPRISE}.department"), "value": "bi"},
        {"op": "Remove", "path": "title"},
    ]);
    let patched = client.patch(&path, &operations).expect(200).body;
    assert_eq!((&patched["active"], &patched["nickName"]), (&json!(false), &json!("Babs")));
    assert_eq!(patched["emails"][0]["value"], "new@example.com");
    assert_eq!(patched["emails"][1]["value"], "ada@home.org");
    assert_eq!(patched[ENTERPRISE], json!({"employeeNumber": "7", "department": "bi"}));
    assert_eq!(patched.get("title"), None);
    assert_eq!(patched["schemas"], json!([USER, ENTERPRISE]));
    assert_eq!(patched["meta"]["version"], "W/\"2\"");
}

#[test]
fn dotted_keys_and_urns_without_a_path() {
    let (_server, client, path) = start();
    let value = json!({
        "active": false, "displayName": "N", "name.givenName": "G",
        "emails[type eq \"work\"].value": "n@example.com",
        format!("{ENTERPRISE}:employeeNumber"): "7",
        ENTERPRISE: {"department": "bi"},
    });
    let patched = client.patch(&path, &json!([{"op": "replace", "value": value}])).expect(200).body;
    assert_eq!(patched["name"], json!({"givenName": "G", "familyName": "L"}));
    assert_eq!(patched["emails"][0]["value"], "n@example.com");
    assert_eq!(patched[ENTERPRISE], json!({"employeeNumber": "7", "department": "bi"}));
    assert!(!patched.to_string().contains("name.givenName"));
}

#[test]
fn an_element_that_a_path_describes_is_made() {
    let (_server, client, path) = start();
    for (number, op) in ["add", "Replace"].into_iter().enumerate() {
        let kind = ["other", "mobile"][number];
        let target = format!("phoneNumbers[type eq \"{kind}\"].value");
        let operation = json!([{"op": op, "path": target, "value": "555"}]);
        let made = json!({"value": "555", "type": kind});
        becomes(&client, &path, &operation, &format!("/phoneNumbers/{number}"), &made);
    }
    let role = json!([{"op": "Add", "path": "roles[primary eq \"True\"].value", "value": "boss"}]);
    becomes(&client, &path, &role, "/roles", &json!([{"value": "boss", "primary": true}]));
    let text = "{\"id\":\"1\",\"value\":\"25\"}";
    let role = json!([{"op": "Add", "path": "roles", "value": [{"value": text}]}]);
    becomes(&client, &path, &role, "/roles/1/value", &json!(text));
}

#[test]
fn a_manager_comes_in_every_shape_and_goes() {
    let (_server, client, path) = start();
    let urn = format!("{ENTERPRISE}:manager");
    let pointer = format!("/{ENTERPRISE}/manager/value");
    for (number, (target, value)) in [
        ("manager", json!([{"$ref": "http://x/Users/M", "value": "M0"}])),
        (urn.as_str(), json!("M1")),
        (urn.as_str(), json!({"value": "M2"})),
        ("manager", json!(["M3"])),
        (&format!("{urn}.value"), json!("M4")),
    ]
    .into_iter()
    .enumerate()
    {
        let op = ["Add", "Replace"][number % 2];
        let operation = json!([{"op": op, "path": target, "value": value}]);
        becomes(&client, &path, &operation, &pointer, &json!(format!("M{number}")));
    }
    for gone in [json!({"value": ""}), json!(""), json!(null)] {
        let set = json!([{"op": "add", "path": urn, "value": "M"}]);
        becomes(&client, &path, &set, &pointer, &json!("M"));
        let operation = json!([{"op": "Replace", "path": urn, "value": gone}]);
        becomes(&client, &path, &operation, &pointer, &Value::Null);
    }
}

#[test]
fn members_are_named_in_every_dialect() {
    let server = Server::start();
    let client = server.client();
    let (_, a) = create(&client, "/Users", &user("a"));
    let (_, b) = create(&client, "/Users", &user("b"));
    let (path, id) = create(&client, "/Groups", &group("Team", &[]));
    let count = |operations: Value| {
        let body = client.patch(&path, &operations).expect(200).body;
        body["members"].as_array().map_or(0, Vec::len)
    };
    let both = json!([{"$ref": null, "value": a}, {"value": b, "displayName": "B"}]);
    let op = |op: &str, value: Value| json!([{"op": op, "path": "members", "value": value, "name": "addMember"}]);
    assert_eq!(count(op("Add", both.clone())), 2);
    assert_eq!(count(op("Remove", json!([{"$ref": null, "value": a}]))), 1, "only those listed");
    assert_eq!(count(op("Remove", json!([]))), 1, "an empty list removes none");
    assert_eq!(count(op("add", json!(a))), 2, "a plain string");
    assert_eq!(count(op("add", json!({"value": a}))), 2, "an object");
    assert_eq!(count(json!([{"op": "remove", "path": format!("members[value eq \"{a}\"]")}])), 1);
    assert_eq!(count(op("replace", json!([{"value": a, "display": "l1"}]))), 1);
    let rename = json!([{"op": "replace", "value": {"id": id, "displayName": "New"}},
                        {"op": "add", "path": "members", "value": [{"value": b}]}]);
    assert_eq!(count(rename), 2);
    assert_eq!(count(json!([{"op": "add", "value": {"members": both}}])), 2);
    assert_eq!(count(json!([{"op": "remove", "path": "members"}])), 0);
}

#[test]
fn what_cannot_be_done_leaves_everything() {
    let (_server, client, path) = start();
    let before = client.get(&path).body;
    let work = "emails[type eq \"work\"]";
    for (operation, scim_type) in [
        (json!({"op": "remove"}), "noTarget"),
        (
            json!({"op": "replace", "path": "emails[type ne \"x\" and type eq \"y\"].value", "value": "a@b.c"}),
            "noTarget",
        ),
        (json!({"op": "replace", "path": "id", "value": "x"}), "mutability"),
        (json!({"op": "remove", "path": "meta.version"}), "mutability"),
        (json!({"op": "replace", "path": "groups", "value": []}), "mutability"),
        (json!({"op": "add", "path": "nothing", "value": "x"}), "invalidPath"),
        (json!({"op": "add", "path": "emails[type eq", "value": "x"}), "invalidPath"),
        (json!({"op": "add", "path": "name[givenName pr]", "value": "x"}), "invalidPath"),
        (json!({"op": "add", "path": "title"}), "invalidValue"),
        (json!({"op": "remove", "path": "userName"}), "mutability"),
        (json!({"op": "replace", "path": "userName", "value": ""}), "invalidValue"),
        (json!({"op": "replace", "path": "title", "value": 7}), "invalidSyntax"),
        (json!({"op": "replace", "path": "active", "value": "perhaps"}), "invalidSyntax"),
        (json!({"op": "move", "path": "title", "value": "x"}), "invalidSyntax"),
        (json!({"path": "title", "value": "x"}), "invalidSyntax"),
        (json!({"op": "replace", "path": work, "value": [1, 2]}), "invalidSyntax"),
    ] {
        let first = json!({"op": "replace", "path": "nickName", "value": "half done"});
        let refused = client.patch(&path, &json!([first, operation]));
        assert_eq!(
            (refused.status, refused.body["scimType"].as_str()),
            (400, Some(scim_type)),
            "{operation} {}",
            refused.body
        );
        assert_eq!(client.get(&path).body, before, "{operation}");
    }
    client.patch(&path, &json!([])).error(400, Some("invalidSyntax"));
    client.patch("/Users/nobody", &json!([{"op": "remove", "path": "title"}])).error(404, None);
}

#[test]
fn a_taken_name_is_refused_whole() {
    let (_server, client, path) = start();
    let before = client.get(&path).body;
    create(&client, "/Users", &user("bob"));
    let operations = json!([{"op": "replace", "path": "title", "value": "x"},
                            {"op": "replace", "path": "userName", "value": "BOB"}]);
    client.patch(&path, &operations).error(409, Some("uniqueness"));
    assert_eq!(client.get(&path).body, before);
}

#[test]
fn what_changes_nothing_leaves_the_version() {
    let (_server, client, path) = start();
    let before = client.get(&path).body;
    for operation in [
        json!({"op": "replace", "path": "title", "value": "Countess"}),
        json!({"op": "add", "path": "emails", "value": [before["emails"][0]]}),
        json!({"op": "add", "value": {"name": {"givenName": "Ada"}}}),
        json!({"op": "remove", "path": "nickName"}),
        json!({"op": "replace", "value": {"active": "True", "urn:okta:custom:group:1.0": {"x": 1}}}),
        json!({"op": "remove", "path": "phoneNumbers[type eq \"fax\"]"}),
    ] {
        assert_eq!(
            client.patch(&path, &json!([operation])).expect(200).body,
            before,
            "{operation}"
        );
    }
    let there_and_back = json!([{"op": "replace", "path": "title", "value": "x"},
                                {"op": "replace", "path": "title", "value": "Countess"}]);
    assert_eq!(client.patch(&path, &there_and_back).expect(200).body, before);
}

#[test]
fn there_is_one_primary_value() {
    let (_server, client, path) = start();
    let operation = json!([{"op": "add", "path": "emails", "value": [{"value": "new@x.y", "type": "other", "primary": "True"}]}]);
    let emails = client.patch(&path, &operation).expect(200).body["emails"].clone();
    let primary: Vec<&Value> =
        emails.as_array().unwrap().iter().filter(|email| email["primary"] == true).collect();
    assert_eq!(primary.len(), 1);
    assert_eq!(primary[0]["value"], "new@x.y");
}

#[test]
fn the_answer_is_the_resource_or_the_part_that_is_wanted() {
    let (_server, client, path) = start();
    let title = |value: &str| json!([{"op": "replace", "path": "title", "value": value}]);
    let whole = client.patch(&path, &title("a")).expect(200);
    assert_eq!(whole.header("etag"), whole.text("/meta/version"));
    assert_eq!(whole.header("content-type"), "application/scim+json");
    let part = client.patch(&format!("{path}?attributes=title"), &title("b")).expect(200).body;
    let names: Vec<&String> = part.as_object().unwrap().keys().collect();
    assert_eq!(names, ["schemas", "id", "title"]);
    let rest = client.patch(&format!("{path}?excludedAttributes=emails,name"), &title("c"));
    let rest = rest.expect(200).body;
    assert_eq!((rest.get("emails"), rest.get("name")), (None, None));
    assert_eq!(rest["title"], "c");
}

#[test]
fn unknown_names_and_parameters_are_left_alone() {
    let (_server, client, path) = start();
    let value = json!({"title": "x", "favouriteColour": "blue", "urn:x:y": {"a": 1}});
    for parameters in ["aadOptscim062020", "aadOptscim062020=true", "AzureAdScimPatch062020"] {
        let operation = json!([{"op": "replace", "value": value, "name": "odd"}]);
        let patched = client.patch(&format!("{path}?{parameters}"), &operation).expect(200).body;
        assert!(!patched.to_string().contains("blue"));
        assert_eq!(patched["title"], "x");
    }
}
