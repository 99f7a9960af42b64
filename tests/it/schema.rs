//! Attributes of the operator's own, and connections that insist on the schemas.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Client, Server, USER, create, encode, group, user};

const HR: &str = "urn:example:scim:hr:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

const CONFIG: &str = r#"
[[schemas]]
id = "urn:example:scim:hr:2.0:User"
name = "HR"
[[schemas.attributes]]
name = "badge"
uniqueness = "server"
case_exact = true
description = "On the door"
[[schemas.attributes]]
name = "hired"
type = "dateTime"
mutability = "immutable"
[[schemas.attributes]]
name = "pin"
mutability = "writeOnly"
returned = "never"
[[schemas.attributes]]
name = "secret"
returned = "never"
[[schemas.attributes]]
name = "seed"
mutability = "immutable"
returned = "never"
[[schemas.attributes]]
name = "notes"
returned = "request"
[[schemas.attributes]]
name = "kind"
returned = "always"
canonical_values = ["staff", "guest"]
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
name = "desks"
type = "complex"
multi_valued = true
[[schemas.attributes.sub_attributes]]
name = "value"
[[schemas.attributes.sub_attributes]]
name = "type"
[[schemas.attributes]]
name = "cards"
multi_valued = true
uniqueness = "server"

[[schemas]]
id = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
[[schemas.attributes]]
name = "floor"

[[schemas]]
id = "urn:example:scim:hr:2.0:Group"
resource_type = "Group"
[[schemas.attributes]]
name = "budget"
type = "integer"
required = true
"#;

/// A server with attributes of its operator's, and a client.
fn start() -> (Server, Client) {
    let server = Server::start_with(CONFIG);
    let client = server.client();
    (server, client)
}

/// A user with attributes of the HR schema.
fn staff(name: &str, hr: &Value) -> Value {
    json!({"schemas": [USER, HR], "userName": name, HR: hr})
}

#[test]
fn they_are_described_as_they_were_configured() {
    let (_server, client) = start();
    let schema = client.get(&format!("/Schemas/{HR}")).expect(200).body;
    assert_eq!((&schema["id"], &schema["name"]), (&json!(HR), &json!("HR")));
    let attribute = |name: &str| {
        let all = schema["attributes"].as_array().unwrap();
        all.iter().find(|one| one["name"] == name).unwrap().clone()
    };
    let badge = attribute("badge");
    assert_eq!((&badge["uniqueness"], &badge["caseExact"]), (&json!("server"), &json!(true)));
    assert_eq!((&badge["type"], &badge["description"]), (&json!("string"), &json!("On the door")));
    assert_eq!(attribute("hired")["mutability"], "immutable");
    assert_eq!(attribute("pin")["returned"], "never");
    assert_eq!(attribute("kind")["canonicalValues"], json!(["staff", "guest"]));
    assert_eq!(attribute("desks")["subAttributes"][1]["name"], "type");
    let more = client.get(&format!("/Schemas/{ENTERPRISE}")).expect(200).body;
    assert!(more["attributes"].as_array().unwrap().iter().any(|one| one["name"] == "floor"));
    for (kind, urn) in [("User", HR), ("Group", "urn:example:scim:hr:2.0:Group")] {
        let body = client.get(&format!("/ResourceTypes/{kind}")).expect(200).body;
        let extensions = body["schemaExtensions"].as_array().unwrap();
        assert!(extensions.iter().any(|one| one["schema"] == urn), "{body}");
    }
}

#[test]
fn a_date_time_without_an_offset_or_at_the_end_of_time_is_kept_as_sent_and_compared_in_utc() {
    let (_server, client) = start();
    let ascending = [
        "2026-03-01T09:15:00+01:30",
        "2026-03-01T08:15:00",
        "2026-03-01T08:15:00.5Z",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-08:00",
    ];
    for (number, moment) in ascending.into_iter().enumerate().rev() {
        let user = staff(&number.to_string(), &json!({"hired": moment}));
        let (path, _) = create(&client, "/Users", &user);
        assert_eq!(client.get(&path).expect(200).body[HR]["hired"], moment);
    }
    let names = |query: &str| {
        let found = client.get(&format!("/Users?{query}")).expect(200).body;
        let found = found["Resources"].as_array().unwrap().iter();
        found.map(|user| user["userName"].as_str().unwrap().to_owned()).collect::<String>()
    };
    let hired = encode(&format!("{HR}:hired"));
    assert_eq!(names(&format!("sortBy={hired}")), "01234");
    for (filter, expected) in [
        ("eq \"2026-03-01T08:15:00Z\"", "1"),
        ("lt \"2026-03-01T08:15:00\"", "0"),
        ("ge \"9999-12-31T23:59:59Z\"", "34"),
        ("gt 9999-12-31T23:59:59+00:00", "4"),
    ] {
        let query = format!("sortBy=userName&filter={hired}{}", encode(&format!(" {filter}")));
        assert_eq!(names(&query), expected, "{filter}");
    }
    for wrong in
        ["2026-03-01T08:15:00+0000", "2026-03-01", "2026-02-29T08:15:00Z", "2026-03-01 08:15:00"]
    {
        let reply = client.post("/Users", &staff("x", &json!({"hired": wrong})));
        assert!(reply.error(400, Some("invalidValue")).contains("hired"), "{wrong}");
    }
}

#[test]
fn every_type_is_kept_and_a_wrong_one_is_named() {
    let (_server, client) = start();
    let hr = json!({"hired": "2026-01-01T00:00:00Z", "grade": 7, "rate": 1.5, "remote": true,
        "kind": "staff", "desks": [{"value": "1", "type": "window"}]});
    let (path, _) = create(&client, "/Users", &staff("a", &hr));
    assert_eq!(client.get(&path).expect(200).body[HR], hr);
    for (name, value) in [
        ("hired", json!("yesterday")),
        ("grade", json!("x")),
        ("grade", json!(1.5)),
        ("rate", json!([1, 2])),
        ("remote", json!("perhaps")),
        ("desks", json!(7)),
        ("badge", json!(5)),
    ] {
        let reply = client.post("/Users", &staff("b", &json!({name: value})));
        assert_eq!(reply.status, 400, "{name} {value}: {}", reply.body);
        assert!(reply.text("/detail").contains(name), "{}", reply.body);
        let change = json!([{"op": "replace", "path": format!("{HR}:{name}"), "value": value}]);
        assert_eq!(client.patch(&path, &change).status, 400, "{name} {value}");
    }
    assert_eq!(client.get(&path).body[HR], hr);
}

#[test]
fn a_required_attribute_of_an_extension_is_required() {
    let (_server, client) = start();
    let refused = client.post("/Groups", &group("a", &[]));
    assert!(refused.error(400, Some("invalidValue")).contains("budget"));
}

#[test]
fn a_required_attribute_stays() {
    let (_server, client) = start();
    let urn = "urn:example:scim:hr:2.0:Group";
    let (path, _) = create(&client, "/Groups", &json!({"displayName": "a", urn: {"budget": 1}}));
    let remove = json!([{"op": "remove", "path": format!("{urn}:budget")}]);
    client.patch(&path, &remove).error(400, Some("mutability"));
    let empty = client.put(&path, &json!({"displayName": "a", urn: {}}));
    empty.error(400, Some("invalidValue"));
}

#[test]
fn a_unique_value_belongs_to_one_in_its_letter_case() {
    let (_server, client) = start();
    let (path, _) = create(&client, "/Users", &staff("a", &json!({"badge": "B1"})));
    let taken = client.post("/Users", &staff("b", &json!({"badge": "B1"})));
    assert!(taken.error(409, Some("uniqueness")).contains("badge"));
    let (other, _) = create(&client, "/Users", &staff("b", &json!({"badge": "b1"})));
    let change = json!([{"op": "replace", "path": format!("{HR}:badge"), "value": "B1"}]);
    client.patch(&other, &change).error(409, Some("uniqueness"));
    client.delete(&path).expect(204);
    client.patch(&other, &change).expect(200);
}

#[test]
fn an_immutable_attribute_is_set_once() {
    let (_server, client) = start();
    let (path, _) = create(&client, "/Users", &staff("a", &json!({"grade": 1})));
    let set = |value: &str| json!([{"op": "add", "path": format!("{HR}:hired"), "value": value}]);
    client.patch(&path, &set("2026-01-01T00:00:00Z")).expect(200);
    client.patch(&path, &set("2026-01-01T00:00:00Z")).expect(200);
    client.patch(&path, &set("2026-02-01T00:00:00Z")).error(400, Some("mutability"));
    let remove = json!([{"op": "remove", "path": format!("{HR}:hired")}]);
    client.patch(&path, &remove).error(400, Some("mutability"));
    assert_eq!(client.get(&path).body[HR]["hired"], "2026-01-01T00:00:00Z");
}

#[test]
fn a_replace_leaves_an_immutable_attribute_of_an_extension() {
    let (_server, client) = start();
    let hired = json!({"hired": "2026-01-01T00:00:00Z"});
    let (path, _) = create(&client, "/Users", &staff("a", &hired));
    client.put(&path, &staff("a", &hired)).expect(200);
    let other = staff("a", &json!({"hired": "2026-02-01T00:00:00Z"}));
    client.put(&path, &other).error(400, Some("mutability"));
    let kept = client.put(&path, &user("a")).expect(200).body;
    assert_eq!(kept[HR], hired, "left out is not changed");
}

#[test]
fn values_are_served_when_their_definition_says_so() {
    let (_server, client) = start();
    let hr = json!({"pin": "1234", "secret": "5678", "notes": "late", "kind": "guest", "grade": 1});
    let (path, _) = create(&client, "/Users", &staff("a", &hr));
    assert_eq!(client.get(&path).body[HR], json!({"kind": "guest", "grade": 1}));
    for (query, expected) in [
        (format!("attributes={HR}:notes"), json!({"notes": "late", "kind": "guest"})),
        (format!("attributes={HR}:pin"), json!({"kind": "guest"})),
        ("attributes=userName".into(), json!({"kind": "guest"})),
        (format!("excludedAttributes={HR}:kind"), json!({"kind": "guest", "grade": 1})),
    ] {
        for served in [
            client.get(&format!("{path}?{query}")).expect(200).body,
            client.get(&format!("/Users?{query}")).expect(200).body["Resources"][0].clone(),
        ] {
            assert_eq!(served[HR], expected, "{query}");
        }
    }
}

#[test]
fn what_is_never_served_is_not_found_out_by_filters_or_order() {
    let (_server, client) = start();
    create(&client, "/Users", &staff("a", &json!({"secret": "9234"})));
    create(&client, "/Users", &staff("b", &json!({"secret": "5678"})));
    let found = |query: &str| {
        let reply = client.get(&format!("/Users?{query}"));
        assert!(!reply.body.to_string().contains("9234"));
        reply.body["Resources"]
            .as_array()
            .map(|all| all.iter().map(|one| one["userName"].clone()).collect::<Vec<_>>())
    };
    for (right, wrong) in
        [("sw \"9\"", "sw \"7\""), ("eq \"9234\"", "eq \"0\""), ("gt \"6\"", "gt \"99\"")]
    {
        let filter = |rest: &str| format!("filter={}", encode(&format!("{HR}:secret {rest}")));
        assert_eq!(found(&filter(right)), found(&filter(wrong)), "{right} tells something");
    }
    let up = found(&format!("sortBy={HR}:secret"));
    let down = found(&format!("sortBy={HR}:secret&sortOrder=descending"));
    assert!(up.is_none() || up == down, "the order tells something: {up:?} {down:?}");
}

#[test]
fn what_is_never_served_is_not_found_out_by_versions() {
    let (_server, client) = start();
    let (path, _) = create(&client, "/Users", &staff("a", &json!({"secret": "9234", "pin": "1"})));
    let version = || client.get(&path).expect(200).body["meta"]["version"].clone();
    let mut last = version();
    let mut moves = |expected: bool| {
        let now = version();
        assert_eq!(now != last, expected, "{last} {now}");
        last = now;
    };
    for guess in ["1111", "1111", "9234", "9234"] {
        let operation = json!([{"op": "replace", "path": format!("{HR}:secret"), "value": guess}]);
        client.patch(&path, &operation).expect(200);
        moves(true);
        let operation = json!([{"op": "replace", "value": {HR: {"secret": guess}}}]);
        client.patch(&path, &operation).expect(200);
        moves(true);
        client.put(&path, &staff("a", &json!({"secret": guess}))).expect(200);
        moves(true);
    }
    // What is not even kept has nothing to find out.
    client
        .patch(&path, &json!([{"op": "replace", "path": format!("{HR}:pin"), "value": "2"}]))
        .expect(200);
    moves(false);
}

#[test]
fn what_is_never_served_and_set_once_is_not_found_out_by_errors() {
    let (server, client) = start();
    let (path, _) = create(&client, "/Users", &staff("a", &json!({"seed": "9234"})));
    let version = || client.get(&path).expect(200).body["meta"]["version"].clone();
    let mut last = version();
    let mut answers = Vec::new();
    for guess in ["1111", "9234"] {
        for operation in [
            json!([{"op": "replace", "path": format!("{HR}:seed"), "value": guess}]),
            json!([{"op": "add", "value": {HR: {"seed": guess}}}]),
            json!([{"op": "remove", "path": format!("{HR}:seed")}]),
        ] {
            answers.push((guess, client.patch(&path, &operation).status));
            assert_ne!(version(), last, "{guess}: {operation}");
            last = version();
        }
        answers.push((guess, client.put(&path, &staff("a", &json!({"seed": guess}))).status));
        assert_ne!(version(), last, "{guess}");
        last = version();
    }
    assert!(answers.iter().all(|(_, status)| *status == 200), "{answers:?}");
    // It has stayed what it was. The server has stopped, so that all is on disk.
    let mut server = server;
    server.stop();
    assert!(!crate::harness::files_with(&server.data(), "9234").is_empty());
}

#[test]
fn only_canonical_values_are_taken() {
    let (_server, client) = start();
    let refused = client.post("/Users", &staff("a", &json!({"kind": "pirate"})));
    assert!(refused.error(400, Some("invalidValue")).contains("kind"));
    let (path, _) = create(&client, "/Users", &staff("a", &json!({"kind": "staff"})));
    let change = json!([{"op": "replace", "path": format!("{HR}:kind"), "value": "pirate"}]);
    client.patch(&path, &change).error(400, Some("invalidValue"));
}

#[test]
fn a_list_without_sub_attributes_is_searched_and_patched_by_value() {
    let (_server, client) = start();
    let (path, _) = create(&client, "/Users", &staff("a", &json!({"cards": ["A", "B", "a"]})));
    create(&client, "/Users", &staff("b", &json!({"cards": ["C"]})));
    for (filter, count) in [
        ("cards[value eq \"a\"]", 1),
        ("cards[value sw 'b']", 1),
        ("cards.value eq \"c\"", 1),
        ("cards[value eq \"x\"]", 0),
        ("cards pr", 2),
    ] {
        let found = client.get(&format!("/Users?filter={}", encode(&format!("{HR}:{filter}"))));
        assert_eq!(found.expect(200).body["totalResults"], count, "{filter}");
    }
    let change = json!([
        {"op": "remove", "path": format!("{HR}:cards[value eq \"a\"]")},
        {"op": "replace", "path": format!("{HR}:cards[value eq \"b\"]"), "value": "D"},
        {"op": "add", "path": format!("{HR}:cards[value eq \"E\"]"), "value": "E"},
    ]);
    assert_eq!(client.patch(&path, &change).expect(200).body[HR]["cards"], json!(["D", "E"]));
    let taken = json!([{"op": "add", "path": format!("{HR}:cards"), "value": ["c"]}]);
    client.patch(&path, &taken).error(409, Some("uniqueness"));
}

#[test]
fn they_are_searched_and_patched_like_any_other() {
    let (_server, client) = start();
    let hr = json!({"badge": "B1", "grade": 7, "desks": [{"value": "1", "type": "window"}]});
    let (path, _) = create(&client, "/Users", &staff("a", &hr));
    create(&client, "/Users", &staff("b", &json!({"grade": 9, "remote": true})));
    for (filter, count) in [
        ("badge eq \"B1\"", 1),
        ("badge eq \"b1\"", 0),
        ("grade gt 7", 1),
        ("grade ge 7.0", 2),
        ("remote eq true", 1),
        ("desks[type eq \"window\"]", 1),
        ("desks eq \"1\"", 1),
    ] {
        let urn = encode(&format!("{HR}:{filter}"));
        assert_eq!(
            client.get(&format!("/Users?filter={urn}")).expect(200).body["totalResults"],
            count,
            "{filter}"
        );
    }
    let change = json!([
        {"op": "replace", "path": format!("{HR}:grade"), "value": 8},
        {"op": "add", "path": format!("{HR}:desks"), "value": [{"value": "2"}]},
        {"op": "remove", "path": format!("{HR}:desks[type eq \"window\"]")},
        {"op": "add", "value": {format!("{ENTERPRISE}:floor"): "3", HR: {"remote": false}}},
    ]);
    let patched = client.patch(&path, &change).expect(200).body;
    let expected = json!({"badge": "B1", "grade": 8, "remote": false, "desks": [{"value": "2"}]});
    assert_eq!((&patched[HR], &patched[ENTERPRISE]), (&expected, &json!({"floor": "3"})));
    assert_eq!(patched["schemas"], json!([USER, ENTERPRISE, HR]));
    let sorted = client.get(&format!("/Users?sortBy={HR}:grade&sortOrder=descending")).body;
    assert_eq!(sorted["Resources"][0]["userName"], "b");
}

#[test]
fn wrong_configurations_are_named_with_their_line() {
    let schema = "[[schemas]]\nid = \"urn:x:y\"\n[[schemas.attributes]]\n";
    for (config, line, word) in [
        ("[[schemas]]\nname = \"x\"\n", 1, "id"),
        ("[[schemas]]\nid = \"x y\"\n", 2, "urn"),
        ("[[schemas]]\nid = \"urn:x:y\"\nresource_type = \"Device\"\n", 1, "Device"),
        ("[[schemas]]\nid = \"urn:x:y\"\ncolour = 1\n", 3, "colour"),
        (&format!("{schema}type = \"string\"\n"), 3, "name"),
        (&format!("{schema}name = \"1x\"\n"), 4, "name"),
        (&format!("{schema}name = \"a\"\ntype = \"text\"\n"), 5, "text"),
        (&format!("{schema}name = \"a\"\nmutability = \"readOnly\"\n"), 3, "mutability"),
        (&format!("{schema}name = \"a\"\nreturned = \"often\"\n"), 5, "often"),
        (&format!("{schema}name = \"a\"\nuniqueness = \"global\"\n"), 5, "global"),
        (&format!("{schema}name = \"a\"\nrequired = \"yes\"\n"), 5, "required"),
        (&format!("{schema}name = \"a\"\ntype = \"complex\"\n"), 5, "complex"),
        (&format!("{schema}name = \"a\"\n[[schemas.attributes]]\nname = \"A\"\n"), 5, "already"),
    ] {
        let server = Server::configure("");
        fs::write(server.folder().join("config.toml"), config).unwrap();
        let output = server.run(&["config", "check"]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{config}");
        assert!(
            told.contains(&format!("config.toml:{line}:")) && told.contains(word),
            "{config}: {told}"
        );
    }
}

#[test]
fn unwise_characteristics_are_refused() {
    let schema = "[[schemas]]\nid = \"urn:x:y\"\n[[schemas.attributes]]\nname = \"a\"\n";
    for config in [
        &format!(
            "{schema}type = \"complex\"\nuniqueness = \"server\"\n[[schemas.attributes.sub_attributes]]\nname = \"b\"\n"
        ),
        &format!("{schema}type = \"boolean\"\nuniqueness = \"server\"\n"),
        &format!("{schema}type = \"integer\"\ncanonical_values = [\"x\"]\n"),
        &format!(
            "{schema}type = \"complex\"\n[[schemas.attributes.sub_attributes]]\nname = \"b\"\n[[schemas.attributes.sub_attributes]]\nname = \"B\"\n"
        ),
        &format!(
            "{schema}type = \"complex\"\n[[schemas.attributes.sub_attributes]]\nname = \"b\"\nmutability = \"readOnly\"\n"
        ),
    ] {
        let server = Server::configure("");
        fs::write(server.folder().join("config.toml"), config).unwrap();
        assert!(!server.run(&["config", "check"]).status.success(), "{config}");
    }
}

const STRICT: &str = "[connections.default]\nmethod = \"okta-custom\"\nservice_origin = \"localhost\"\ncompat = \"strict\"\n";

#[test]
fn a_strict_connection_refuses_what_no_schema_knows() {
    let server = Server::start_with(STRICT);
    let client = server.client();
    let (path, _) = create(&client, "/Users", &user("a"));
    for (name, value) in [
        ("favourite", json!(1)),
        ("urn:x:y", json!({"a": 1})),
        ("name", json!({"pet": "x"})),
        ("emails", json!([{"value": "a@b.c", "colour": "x"}])),
        (ENTERPRISE, json!({"floor": 1})),
    ] {
        let mut body = user("b");
        body[name] = value.clone();
        client.post("/Users", &body).error(400, Some("invalidSyntax"));
        client.put(&path, &body).error(400, Some("invalidSyntax"));
        let change = json!([{"op": "add", "value": {name: value}}]);
        client.patch(&path, &change).error(400, Some("invalidSyntax"));
        let operation = json!({"method": "POST", "path": "/Users", "bulkId": "1", "data": body});
        let answer = client.post("/Bulk", &json!({"Operations": [operation]})).expect(200).body;
        assert_eq!(answer["Operations"][0]["status"], "400", "{name}");
    }
    let read_only = json!({"userName": "c", "groups": [], "id": "x", "meta": {"version": "1"}});
    client.post("/Users", &read_only).expect(201);
}

#[test]
fn a_strict_connection_refuses_it_in_a_bulk_patch_as_well() {
    let server = Server::start_with(STRICT);
    let client = server.client();
    let (path, _) = create(&client, "/Users", &user("a"));
    let data = json!({"Operations": [{"op": "add", "value": {"favourite": 1, "title": "x"}}]});
    let operation = json!({"method": "PATCH", "path": path, "data": data});
    let answer = client.post("/Bulk", &json!({"Operations": [operation]})).expect(200).body;
    assert_eq!(answer["Operations"][0]["status"], "400", "{answer}");
    assert_eq!(client.get(&path).body.get("title"), None);
}

#[test]
fn a_lenient_connection_leaves_out_what_no_schema_knows() {
    let server = Server::start();
    let client = server.client();
    let mut body = user("a");
    body["favourite"] = json!("blue");
    body["urn:okta:custom:group:1.0"] = json!({"description": "blue"});
    body["name"] = json!({"givenName": "A", "pet": "blue"});
    let (path, _) = create(&client, "/Users", &body);
    let change = json!([{"op": "add", "value": {"favourite": "blue", "title": "x"}}]);
    let patched = client.patch(&path, &change).expect(200).body;
    assert!(!patched.to_string().contains("blue"), "{patched}");
    assert_eq!((&patched["name"]["givenName"], &patched["title"]), (&json!("A"), &json!("x")));
}
