//! Filters, paths and bodies that mean harm: refused at once, and the server goes on.

use serde_json::{Value, json};

use crate::harness::{Client, Server, create, encode, group, user};

/// How much processor time all refusals together may take, in hundredths of a second.
const SOON: u64 = 100;

/// Texts that are neither filters nor paths, whatever one takes them for.
fn shapes() -> Vec<String> {
    vec![
        "(".repeat(100_000),
        ")".repeat(100_000),
        "not (".repeat(2_000),
        "not ".repeat(20_000),
        "emails[".repeat(1_000),
        "[".repeat(8_000),
        "a.a.a.".repeat(1_000),
        ".".repeat(131_072),
        "a".repeat(8_193),
        "userName eq \"".to_owned() + &"x".repeat(131_072),
        "userName eq \"".to_owned() + &"\\".repeat(4_001),
        "urn:".repeat(2_000),
        ":".repeat(8_000),
        "emails[type eq \"a\"].".to_owned() + &"value.".repeat(500),
        "\u{0}".repeat(100),
        "\u{1f600}".repeat(2_000),
        "userName eq \"\\ud800\"".to_owned(),
        "__proto__.x".to_owned(),
        "emails[emails[type pr]]".to_owned(),
        "constructor[prototype pr]".to_owned(),
        "active eq 1e999999999".to_owned(),
        "]".to_owned(),
        "[]".to_owned(),
        "\"".to_owned(),
        format!("{}userName pr{}", "(".repeat(33), ")".repeat(33)),
        vec!["userName pr"; 65].join(" or "),
        vec!["userName pr"; 65].join(" and "),
        format!("emails[{}]", vec!["type pr"; 65].join(" or ")),
    ]
}

/// Insists on refusals, and that they cost the server little.
#[track_caller]
fn refused(
    server: &Server,
    client: &Client,
    scim_type: &str,
    ask: impl Fn(&Client, &str) -> (u16, Value),
) {
    let before = server.processor_time();
    for shape in shapes() {
        let (status, body) = ask(client, &shape);
        let start: String = shape.chars().take(40).collect();
        assert_eq!(
            (status, body["scimType"].as_str()),
            (400, Some(scim_type)),
            "{start:?}: {body}"
        );
    }
    let took = server.processor_time() - before;
    assert!(took < SOON, "{took} hundredths of a second");
    client.get("/Users?count=0").expect(200);
}

#[test]
fn filters_of_any_shape_are_refused_soon() {
    let server = Server::start();
    let client = server.client();
    create(&client, "/Users", &user("a"));
    for path in ["/Users/.search", "/.search"] {
        refused(&server, &client, "invalidFilter", |client, shape| {
            let reply = client.post(path, &json!({"filter": shape}));
            (reply.status, reply.body)
        });
    }
}

#[test]
fn paths_of_any_shape_are_refused_soon() {
    let server = Server::start();
    let client = server.client();
    let (user, _) = create(&client, "/Users", &user("a"));
    let (group, _) = create(&client, "/Groups", &group("a", &[]));
    for path in [user, group] {
        refused(&server, &client, "invalidPath", |client, shape| {
            let reply =
                client.patch(&path, &json!([{"op": "replace", "path": shape, "value": "x"}]));
            (reply.status, reply.body)
        });
        assert_eq!(client.get(&path).expect(200).text("/meta/version"), "W/\"1\"");
    }
}

#[test]
fn an_error_is_short_whatever_was_asked() {
    let server = Server::start();
    let client = server.client();
    for shape in shapes() {
        let reply = client.post("/Users/.search", &json!({"filter": shape}));
        assert!(reply.body.to_string().len() < 1_000, "{shape:.40}");
    }
}

#[test]
fn filters_in_a_uri_are_refused_or_the_uri_is() {
    let server = Server::start();
    let client = server.client();
    for shape in shapes() {
        let encoded = encode(&shape);
        // The head of a request has 16,384 bytes; some of them are not the filter's.
        if encoded.len() < 16_000 {
            let reply = client.send("GET", &format!("/Users?filter={encoded}"), None);
            reply.error(400, Some("invalidFilter"));
        } else if let Ok(reply) = client.try_send("GET", &format!("/Users?filter={encoded}"), None)
        {
            assert_eq!(reply.status, 431, "{shape:.60}");
        }
    }
    client.get("/Users").expect(200);
}

#[test]
fn the_largest_filters_are_answered() {
    let server = Server::start();
    let client = server.client();
    create(&client, "/Users", &user("a"));
    let edge = format!("userName ne \"{}\"", "x".repeat(131_072 - 14));
    assert_eq!(edge.len(), 131_072);
    for filter in [
        edge,
        vec!["userName pr"; 64].join(" and "),
        vec!["emails pr"; 63].join(" or ") + " or userName pr",
        format!("{}userName pr{}", "(".repeat(31), ")".repeat(31)),
        format!("emails[{}] or userName pr", vec!["type pr"; 62].join(" or ")),
    ] {
        let answer = client.post("/Users/.search", &json!({"filter": filter}));
        assert_eq!(answer.body["totalResults"], 1, "{filter:.40} {}", answer.body);
    }
    for over in [
        format!("userName ne \"{}\"", "x".repeat(131_072 - 13)),
        vec!["userName pr"; 65].join(" and "),
        vec!["userName eq \"a\""; 1_001].join(" or "),
    ] {
        client.post("/Users/.search", &json!({"filter": over})).error(400, Some("invalidFilter"));
    }
}

#[test]
fn unknown_names_in_lists_of_attributes_do_no_harm() {
    let server = Server::start();
    let client = server.client();
    let (path, _) = create(&client, "/Users", &user("a"));
    for shape in shapes() {
        for name in ["attributes", "excludedAttributes"] {
            let reply = client.post("/Users/.search", &json!({name: [shape]}));
            assert_eq!(reply.status, 200, "{name} {shape:.40}: {}", reply.body);
        }
        let reply = client.post("/Users/.search", &json!({"sortBy": shape}));
        reply.error(400, Some("invalidPath"));
    }
    client.get(&path).expect(200);
}

#[test]
fn twins_in_a_value_are_refused() {
    let server = Server::start();
    let client = server.client();
    let (path, _) = create(&client, "/Users", &user("a"));
    for value in [
        r#"{"active":true,"active":false}"#,
        r#"{"active":true,"ACTIVE":false}"#,
        r#"{"name":{"givenName":"x","GivenName":"y"}}"#,
        r#"{"title":"x","urn:ietf:params:scim:schemas:core:2.0:User:title":"y"}"#,
    ] {
        let body = format!(r#"{{"Operations":[{{"op":"replace","value":{value}}}]}}"#);
        let reply = client.send("PATCH", &path, Some(body.as_bytes()));
        reply.error(400, Some("invalidSyntax"));
    }
    let twice = br#"{"Operations":[{"op":"remove","path":"title","path":"userName"}]}"#;
    assert_eq!(client.send("PATCH", &path, Some(twice)).status, 400);
    let (group, id) = create(&client, "/Groups", &group("g", &[]));
    let body = format!(
        r#"{{"Operations":[{{"op":"add","path":"members","value":[{{"value":"{id}","value":"x"}}]}}]}}"#
    );
    client.send("PATCH", &group, Some(body.as_bytes())).expect(400);
}

#[test]
fn names_that_mean_something_elsewhere_mean_nothing_here() {
    let server = Server::start();
    let client = server.client();
    let (path, _) = create(&client, "/Users", &user("a"));
    let before = client.get(&path).body;
    for name in
        ["__proto__", "constructor", "prototype", "__proto__.active", "name.__proto__", "toString"]
    {
        let change = json!([{"op": "add", "value": {name: {"active": false}}}]);
        assert_eq!(client.patch(&path, &change).expect(200).body, before, "{name}");
        let change = json!([{"op": "add", "path": name, "value": {"active": false}}]);
        client.patch(&path, &change).error(400, Some("invalidPath"));
    }
    for name in [
        "name.givenName.x",
        "name..givenName",
        ".name",
        "name.",
        "emails.0.value",
        "emails[0].value",
    ] {
        let change = json!([{"op": "add", "value": {name: "x"}}]);
        assert_eq!(client.patch(&path, &change).expect(200).body, before, "{name}");
    }
}

#[test]
fn more_operations_than_are_taken_are_refused() {
    let server = Server::start();
    let client = server.client();
    let (path, _) = create(&client, "/Users", &user("a"));
    let operations = |count: usize| {
        let one = json!({"op": "replace", "path": "title", "value": "x"});
        Value::Array(vec![one; count])
    };
    client.patch(&path, &operations(1_001)).error(400, Some("tooMany"));
    assert_eq!(client.get(&path).body.get("title"), None);
    client.patch(&path, &operations(1_000)).expect(200);
    let filter = format!("emails[{}].value", vec!["type eq \"a\""; 64].join(" or "));
    let many = vec![json!({"op": "remove", "path": filter}); 100];
    client.patch(&path, &json!(many)).error(400, Some("tooMany"));
}

#[test]
fn bodies_of_any_type_are_refused() {
    let server = Server::start();
    let client = server.client();
    let (path, _) = create(&client, "/Users", &user("a"));
    for operations in [
        json!(null),
        json!(1),
        json!("x"),
        json!([1]),
        json!([[]]),
        json!([null]),
        json!([{}]),
        json!([{"op": []}]),
        json!([{"op": "add", "path": [], "value": 1}]),
        json!([{"op": "add", "path": "title", "value": {"a": {"b": []}}}]),
        json!([{"op": "add", "value": "x"}]),
        json!([{"op": "add", "value": [1]}]),
    ] {
        assert_eq!(client.patch(&path, &operations).status, 400, "{operations}");
    }
    let deep = format!("{{\"Operations\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for target in [path.as_str(), "/Bulk", "/.search"] {
        let method = if target == path { "PATCH" } else { "POST" };
        assert_eq!(client.send(method, target, Some(deep.as_bytes())).status, 400, "{target}");
    }
    assert_eq!(client.get(&path).text("/meta/version"), "W/\"1\"");
}
