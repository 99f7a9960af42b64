//! The brake: connections that take too much from too many are told of, or held.

use serde_json::{Value, json};

use crate::harness::{Client, Server, create, files_with, group, user};

/// A configuration whose default connection has this brake.
fn config(action: &str) -> String {
    format!(
        "[connections.default]\nmethod = \"okta-custom\"\nservice_origin = \"localhost\"\n\
         [connections.default.brake]\naction = \"{action}\"\npercent = 10\nminimum = 3\nwindow = \"1h\"\n\
         [connections.other]\nmethod = \"okta-custom\"\nservice_origin = \"localhost\"\n\
         [[grants]]\ngroup = \"Inner\"\ncompany_permissions = [\"admin\"]\n"
    )
}

/// A server whose token is that of the default connection.
fn server(action: &str) -> Server {
    Server::start_with(&config(action))
}

/// Users, each with its path and id.
fn users(client: &Client, count: usize) -> Vec<(String, String)> {
    (0..count).map(|number| create(client, "/Users", &user(&format!("user{number}")))).collect()
}

fn deactivation() -> Value {
    json!([{"op": "replace", "path": "active", "value": false}])
}

fn is_active(client: &Client, path: &str) -> bool {
    client.get(path).expect(200).body["active"] == true
}

fn status(server: &Server) -> Value {
    serde_json::from_str(&server.succeed(&["brake", "status", "--json"])).unwrap()
}

#[test]
fn a_held_connection_reads_and_changes_nothing_until_it_is_released() {
    let mut server = server("hold");
    let client = server.client();
    let users = users(&client, 20);
    for (path, _) in &users[..3] {
        client.patch(path, &deactivation()).expect(200);
    }
    let held = client.patch(&users[3].0, &deactivation());
    let detail = held.error(503, None);
    assert!(detail.contains("4 of 20 accounts within 1h"), "{detail}");
    assert!(detail.contains("scimd brake release --connection default"), "{detail}");
    assert_eq!(held.header("retry-after"), "60");
    assert!(is_active(&client, &users[3].0), "what went too far was not done");
    client.post("/Users", &user("new")).error(503, None);
    client.delete(&users[0].0).error(503, None);
    client.get("/Users?count=1").expect(200);

    // Another connection is not held, and a restart releases nobody.
    let other = server.succeed(&["token", "generate", "--connection", "other"]);
    create(&server.client_with(other.trim()), "/Users", &user("other"));
    server.kill();
    server.boot(&[]);
    let client = server.client();
    client.patch(&users[3].0, &deactivation()).error(503, None);
    assert_eq!(
        status(&server)[0]["hold"]["reason"].as_str().unwrap().matches("4 of 20").count(),
        1
    );

    server.succeed(&["brake", "release"]);
    client.patch(&users[3].0, &deactivation()).expect(200);
    assert_eq!(status(&server)[0]["counted"], 1, "counting begins anew");
    for verb in ["held", "released"] {
        let journal = server.data().join("journal");
        assert_eq!(files_with(&journal, &format!("\"verb\":\"{verb}\"")).len(), 1, "{verb}");
    }
    assert!(server.succeed(&["verify"]).contains("There is no fault."));
}

#[test]
fn what_many_lose_at_once_is_held_however_it_is_asked_for() {
    let server = server("hold");
    let client = server.client();
    let users = users(&client, 20);
    let ids: Vec<&str> = users.iter().map(|(_, id)| id.as_str()).collect();
    let (inner, inner_id) = create(&client, "/Groups", &group("Inner", &ids));
    let (outer, _) = create(&client, "/Groups", &group("Outer", &[&inner_id]));
    let entitled =
        json!([{"op": "add", "path": "entitlements", "value": [{"value": "company:admin"}]}]);
    for (path, _) in &users {
        client.patch(path, &entitled).expect(200);
    }
    let clear = json!([{"op": "remove", "path": "members"}]);
    let bulk = |method: &str, data: &Value| {
        let operations = users.iter().map(|(path, _)| {
            let mut operation = json!({"method": method, "path": path});
            if !data.is_null() {
                operation["data"] = json!({"Operations": data});
            }
            operation
        });
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": operations.collect::<Vec<_>>(),
        })
    };
    let stripped = json!([{"op": "remove", "path": "entitlements"}]);
    let renamed = json!([{"op": "replace", "path": "displayName", "value": "Other"}]);
    let asks: [(&str, &dyn Fn() -> u16); 8] = [
        ("the grant is for it no more", &|| client.patch(&inner, &renamed).status),
        ("members leave", &|| client.patch(&inner, &clear).status),
        ("a group with members leaves", &|| client.patch(&outer, &clear).status),
        ("the group is deleted", &|| client.delete(&inner).status),
        ("the group is replaced", &|| client.put(&inner, &group("Inner", &[])).status),
        ("deactivated", &|| client.post("/Bulk", &bulk("PATCH", &deactivation())).status),
        ("deleted", &|| client.post("/Bulk", &bulk("DELETE", &Value::Null)).status),
        ("stripped", &|| client.post("/Bulk", &bulk("PATCH", &stripped)).status),
    ];
    for (what, ask) in asks {
        assert_eq!(ask(), 503, "{what}");
        server.succeed(&["brake", "release"]);
    }
    assert_eq!(client.get(&inner).expect(200).body["members"].as_array().unwrap().len(), 20);
    for (path, _) in &users {
        let user = client.get(path).expect(200).body;
        assert_eq!(
            (&user["active"], user["entitlements"].as_array().unwrap().len()),
            (&json!(true), 2)
        );
    }
    // The same to three of them is nothing.
    let three: Vec<Value> = ids[..3].iter().map(|id| json!({"value": id})).collect();
    client.patch(&inner, &json!([{"op": "remove", "path": "members", "value": three}])).expect(200);
    // And what gives something is never too much.
    client.patch(&inner, &json!([{"op": "add", "path": "members", "value": three}])).expect(200);
}

#[test]
fn an_alarm_is_told_once_and_stops_nothing() {
    let mut server = server("alarm");
    let client = server.client();
    for (path, _) in users(&client, 20) {
        client.delete(&path).expect(204);
    }
    let status = status(&server);
    assert_eq!((&status[0]["alarms"], &status[0]["hold"]), (&json!(1), &Value::Null));
    assert_eq!(files_with(&server.data().join("journal"), "\"verb\":\"alarmed\"").len(), 1);
    let log = server.stop();
    let told = log.lines().filter(|line| line.contains("4 of 20 accounts")).collect::<Vec<_>>();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].contains("scimd undo --dry-run"), "{log}");
}

#[test]
fn an_operator_holds_and_releases_with_a_server_and_without() {
    let mut server = server("off");
    let (client, journal) = (server.client(), server.data().join("journal"));
    for (path, _) in users(&client, 20) {
        client.delete(&path).expect(204);
    }
    assert_eq!(files_with(&journal, "alarmed").len(), 0);
    let told = server.fail(&["brake", "hold"], 2);
    assert!(told.contains("default, other"), "{told}");
    let told = server.fail(&["brake", "hold", "--connection", "nobody"], 2);
    assert!(told.contains("there is no connection"), "{told}");
    server.succeed(&["brake", "hold", "--connection", "default"]);
    client.post("/Users", &user("new")).error(503, None);
    server.stop();
    server.succeed(&["brake", "hold", "--connection", "other"]);
    let shown = server.succeed(&["brake"]);
    assert_eq!(
        shown.lines().filter(|line| line.contains("an operator holds it")).count(),
        2,
        "{shown}"
    );
    let told = server.fail(&["brake", "release"], 1);
    assert!(told.contains("default, other"), "{told}");
    for connection in ["default", "other"] {
        server.succeed(&["brake", "release", "--connection", connection]);
    }
    let told = server.fail(&["brake", "release"], 1);
    assert!(told.contains("no connection is held"), "{told}");
    server.boot(&[]);
    create(&server.client(), "/Users", &user("new"));
}
