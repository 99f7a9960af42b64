//! The brake: connections that take too much from too many are told of, or held.

use serde_json::{Value, json};

use crate::harness::{Client, Server, create, files_with, group, user};

/// A configuration whose default connection has this brake.
fn config(action: &str) -> String {
    config_with(action, 1_000)
}

fn config_with(action: &str, max_gains: usize) -> String {
    format!(
        "[connections.default]\nmethod = \"okta-custom\"\nservice_origin = \"localhost\"\n\
         [connections.default.brake]\naction = \"{action}\"\npercent = 10\nminimum = 3\nwindow = \"1h\"\nmax_gains = {max_gains}\n\
         [connections.other]\nmethod = \"okta-custom\"\nservice_origin = \"localhost\"\n\
         [[grants]]\ngroup = \"Inner\"\n\
         connection = [\"default\", \"other\"]\ncompany_permissions = [\"admin\"]\n"
    )
}

/// A server whose token is that of the default connection.
fn server(action: &str) -> Server {
    Server::start_with(&config(action))
}

/// A client of the other connection.
fn other(server: &Server) -> Client {
    let token = server.succeed(&["token", "generate", "--connection", "other"]);
    server.client_with(token.trim())
}

/// A bulk request with one operation for each.
fn bulk(method: &str, operations: impl IntoIterator<Item = (String, Value)>) -> Value {
    let operations = operations.into_iter().enumerate().map(|(number, (path, data))| {
        let mut operation = json!({"method": method, "path": path});
        if method == "POST" {
            operation["bulkId"] = format!("b{number}").into();
        }
        if !data.is_null() {
            operation["data"] = data;
        }
        operation
    });
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": operations.collect::<Vec<_>>(),
    })
}

fn patches(users: &[(String, String)], operations: impl Fn(usize) -> Value) -> Value {
    let patch = |(number, (path, _)): (usize, &(String, String))| {
        (path.clone(), json!({"Operations": operations(number)}))
    };
    bulk("PATCH", users.iter().enumerate().map(patch))
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
    assert!(detail.contains("4 of 20 accounts lost access within 1h"), "{detail}");
    assert!(detail.contains("scimd brake resume --connection default"), "{detail}");
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
    assert!(server.succeed(&["verify"]).contains("No problems found."));
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
    let deletions = bulk("DELETE", users.iter().map(|(path, _)| (path.clone(), Value::Null)));
    let stripped = json!([{"op": "remove", "path": "entitlements"}]);
    let renamed = json!([{"op": "replace", "path": "displayName", "value": "Other"}]);
    let named = |number: usize| json!([{"op": "replace", "path": "userName", "value": format!("x{number}")}]);
    let asks: [(&str, &dyn Fn() -> u16); 9] = [
        ("all have another name", &|| client.post("/Bulk", &patches(&users, named)).status),
        ("the grant is for it no more", &|| client.patch(&inner, &renamed).status),
        ("members leave", &|| client.patch(&inner, &clear).status),
        ("a group with members leaves", &|| client.patch(&outer, &clear).status),
        ("the group is deleted", &|| client.delete(&inner).status),
        ("the group is replaced", &|| client.put(&inner, &group("Inner", &[])).status),
        ("deactivated", &|| client.post("/Bulk", &patches(&users, |_| deactivation())).status),
        ("deleted", &|| client.post("/Bulk", &deletions).status),
        ("stripped", &|| client.post("/Bulk", &patches(&users, |_| stripped.clone())).status),
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
fn accounts_that_a_connection_has_just_created_do_not_raise_its_limit() {
    let server = server("hold");
    let (client, other) = (server.client(), other(&server));
    let users = users(&other, 40);
    let padding = (0..200).map(|number| ("/Users".to_owned(), user(&format!("padding{number}"))));
    client.post("/Bulk", &bulk("POST", padding)).expect(200);
    // A tenth of the 40 that were there before: as without the padding.
    for (path, _) in &users[..4] {
        client.patch(path, &deactivation()).expect(200);
    }
    let held = client.patch(&users[4].0, &deactivation());
    let detail = held.error(503, None);
    assert!(detail.contains("5 of 240 accounts lost access within 1h"), "{detail}");
    assert!(detail.contains("the 200 accounts that the connection created"), "{detail}");
    assert!(is_active(&client, &users[4].0));
}

#[test]
fn a_name_in_other_letters_takes_nothing_and_another_name_does() {
    let server = server("hold");
    let (client, other) = (server.client(), other(&server));
    let users = users(&other, 20);
    let name = |name: &str| json!([{"op": "replace", "path": "userName", "value": name}]);
    for (number, (path, _)) in users.iter().enumerate() {
        client.patch(path, &name(&format!("USER{number}"))).expect(200);
    }
    assert_eq!(status(&server)[0]["counted"], 0);
    for (number, (path, _)) in users[..3].iter().enumerate() {
        client.patch(path, &name(&format!("x{number}"))).expect(200);
    }
    client.patch(&users[3].0, &name("x3")).error(503, None);
    assert_eq!(client.get(&users[3].0).expect(200).body["userName"], "USER3");
}

#[test]
fn reactivations_and_company_permissions_beyond_a_number_are_held() {
    let server = Server::start_with(&config_with("hold", 3));
    let (client, other) = (server.client(), other(&server));
    let users = users(&other, 20);
    for (path, _) in &users[..8] {
        other.patch(path, &deactivation()).expect(200);
    }
    let ids: Vec<&str> = users.iter().map(|(_, id)| id.as_str()).collect();
    let (inner, _) = create(&other, "/Groups", &group("Inner", &[]));
    let (nested, nested_id) = create(&other, "/Groups", &group("Nested", &ids[10..14]));
    let (named, _) = create(&other, "/Groups", &group("Named", &ids[10..14]));
    let member = |ids: &[&str]| {
        let value: Vec<Value> = ids.iter().map(|id| json!({"value": id})).collect();
        json!([{"op": "add", "path": "members", "value": value}])
    };
    let admin =
        json!([{"op": "add", "path": "entitlements", "value": [{"value": "company:admin"}]}]);
    let opened = json!([{"op": "replace", "path": "active", "value": true}]);
    let mut new = user("new");
    new["entitlements"] = json!([{"value": "company:admin"}]);
    let news = (0..4).map(|number| {
        let mut new = new.clone();
        new["userName"] = format!("new{number}").into();
        ("/Users".to_owned(), new)
    });
    let news = bulk("POST", news);
    let asks: [(&str, &dyn Fn() -> u16); 7] = [
        ("reactivated", &|| client.post("/Bulk", &patches(&users[..4], |_| opened.clone())).status),
        ("permissions", &|| {
            client.post("/Bulk", &patches(&users[10..14], |_| admin.clone())).status
        }),
        ("new", &|| client.post("/Bulk", &news).status),
        ("members of a group with a grant", &|| client.patch(&inner, &member(&ids[10..14])).status),
        ("members of a group in it", &|| client.patch(&inner, &member(&[&nested_id])).status),
        ("a group of such a name", &|| {
            client.post("/Groups", &group("INNER", &ids[10..14])).status
        }),
        ("a group that is renamed so", &|| {
            client.delete(&inner);
            let name = json!([{"op": "replace", "path": "displayName", "value": "Inner"}]);
            client.patch(&named, &name).status
        }),
    ];
    for (what, ask) in asks {
        let expected = if what == "a group of such a name" { 409 } else { 503 };
        assert_eq!(ask(), expected, "{what}");
        if expected == 503 {
            let reason = status(&server)[0]["hold"]["reason"].as_str().unwrap().to_owned();
            assert!(reason.contains("4 accounts were reactivated or given company permissions within 1h (max_gains = 3)"), "{what}: {reason}");
            server.succeed(&["brake", "release"]);
        }
    }
    // Up to the number, and what gives nothing of the kind, it is as always.
    client.post("/Bulk", &patches(&users[..3], |_| opened.clone())).expect(200);
    client.patch(&nested, &member(&ids[14..20])).expect(200);
    assert_eq!(status(&server)[0]["gained"], 3);
}

#[test]
fn many_gains_raise_an_alarm_of_their_own() {
    let mut server = Server::start_with(&config_with("alarm", 3));
    let client = server.client();
    let users = users(&client, 8);
    let admin =
        json!([{"op": "add", "path": "entitlements", "value": [{"value": "company:admin"}]}]);
    client.post("/Bulk", &patches(&users, |_| admin.clone())).expect(200);
    let status = status(&server);
    assert_eq!((&status[0]["gain_alarms"], &status[0]["alarms"]), (&json!(1), &json!(0)));
    let audit = server.succeed(&["audit", "--json"]);
    let alarm = audit.lines().find(|line| line.contains("connection.alarmed")).unwrap_or(&audit);
    assert!(alarm.contains("given company permissions"), "{alarm}");
    let log = server.stop();
    let told = log.lines().filter(|line| line.contains("max_gains = 3")).collect::<Vec<_>>();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].contains("WARN"), "{log}");
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
    let shown = server.run(&["brake", "show", "default"]);
    let shown = String::from_utf8(shown.stderr).unwrap();
    assert!(shown.contains(": scimd undo --connection default --since "), "{shown}");
    let shown = server.run(&["status"]);
    let shown = (shown.status.code(), String::from_utf8(shown.stdout).unwrap());
    assert!(shown.0 == Some(1) && shown.1.contains("raised an alarm at"), "{}", shown.1);
    assert!(shown.1.contains("scimd undo --connection default --since "), "{}", shown.1);
    let log = server.stop();
    let told = log.lines().filter(|line| line.contains("4 of 20 accounts")).collect::<Vec<_>>();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].contains("scimd undo --connection default --since "), "{log}");
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
    let told = server.fail(&["brake", "hold", "--connection", "nobody"], 4);
    assert!(told.contains("not found"), "{told}");
    server.succeed(&["brake", "hold", "--connection", "default"]);
    client.post("/Users", &user("new")).error(503, None);
    server.stop();
    server.succeed(&["brake", "pause", "other"]);
    let shown = server.succeed(&["brake"]);
    assert_eq!(shown.lines().filter(|line| line.contains("paused it")).count(), 2, "{shown}");
    let told = server.fail(&["brake", "release"], 1);
    assert!(told.contains("default, other"), "{told}");
    for connection in ["default", "other"] {
        server.succeed(&["brake", "release", "--connection", connection]);
    }
    server.succeed(&["brake", "release"]);
    server.boot(&[]);
    create(&server.client(), "/Users", &user("new"));
}

fn allowance(server: &Server) -> Value {
    status(server)[0]["allowance"].clone()
}

fn records(server: &Server, event: &str) -> Vec<Value> {
    let trail = server.succeed(&["audit", "--json", "--event", event]);
    trail.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a record says that an attribute was and is.
fn change(record: &Value, attribute: &str) -> (Value, Value) {
    let changes = record["changes"].as_array().unwrap();
    let change = changes.iter().find(|change| change["attribute"] == attribute).unwrap();
    (change["before"].clone(), change["after"].clone())
}

#[test]
fn a_planned_mass_change_is_allowed_up_to_a_number_and_each_account_counts_once() {
    let mut server = server("hold");
    let client = server.client();
    let users = users(&client, 20);
    let allow =
        ["brake", "allow", "8", "--for", "2h", "--connection", "default", "--reason", "leavers"];
    server.succeed(&allow);
    for (path, _) in &users[..6] {
        client.patch(path, &deactivation()).expect(200);
    }
    client.delete(&users[0].0).expect(204);
    assert_eq!(
        (&allowance(&server)["left"], &status(&server)[0]["counted"]),
        (&json!(2), &json!(0))
    );
    assert!(server.succeed(&["brake"]).contains("2 of 8 allowed accounts left until"));
    server.kill();
    server.boot(&[]);
    let client = server.client();
    for (path, _) in &users[6..8] {
        client.patch(path, &deactivation()).expect(200);
    }
    assert_eq!(allowance(&server)["left"], 0);
    // From here on the brake counts as always.
    for (path, _) in &users[8..11] {
        client.patch(path, &deactivation()).expect(200);
    }
    client.patch(&users[11].0, &deactivation()).error(503, None);
    let allowed = &records(&server, "connection.allowed")[0];
    assert_eq!(change(allowed, "accounts").1, 8);
    assert_eq!(change(allowed, "reason").1, "leavers");
    let held = &records(&server, "connection.held")[0];
    assert_eq!((change(held, "affected").1, change(held, "limit").1), (json!(4), json!(3)));
    assert!(server.succeed(&["verify"]).contains("No problems found."));
}

#[test]
fn an_allowance_covers_no_group_whose_first_members_have_counted() {
    let server = server("hold");
    let client = server.client();
    let users = users(&client, 30);
    let members: Vec<&str> = users.iter().map(|(_, id)| id.as_str()).collect();
    let (inner, inner_id) = create(&client, "/Groups", &group("Inner", &members));
    let (outer, _) = create(&client, "/Groups", &group("Outer", &[&inner_id]));
    server.succeed(&["brake", "allow", "5", "--for", "2h", "--connection", "default"]);
    for member in &members[..4] {
        let path = format!("members[value eq \"{member}\"]");
        client.patch(&inner, &json!([{"op": "remove", "path": path}])).expect(200);
        client
            .patch(&inner, &json!([{"op": "add", "path": "members", "value": [{"value": member}]}]))
            .expect(200);
    }
    assert_eq!(allowance(&server)["left"], 1);
    let all = json!([{"op": "remove", "path": format!("members[value eq \"{inner_id}\"]")}]);
    client.patch(&outer, &all).error(503, None);
}

#[test]
fn an_allowance_ends_by_itself_and_covers_a_request_as_a_whole_or_not() {
    let server = server("hold");
    let client = server.client();
    let users = users(&client, 20);
    let allow = |accounts: &str, time: &str| {
        server
            .run(&["brake", "allow", accounts, "--for", time, "--connection", "default"])
            .status
            .code()
    };
    assert_eq!(allow("0", "1h"), Some(1), "there is none to end");
    assert_eq!(allow("5", "1s"), Some(0));
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    assert_eq!(allowance(&server), Value::Null);
    assert_eq!(allow("5", "1h"), Some(0));
    let six = patches(&users[..6], |_| deactivation());
    assert_eq!(client.post("/Bulk", &six).status, 503);
    assert_eq!(allowance(&server)["left"], 5, "what is not made does not count");
    server.succeed(&["brake", "resume"]);
    client.post("/Bulk", &patches(&users[..5], |_| deactivation())).expect(200);
    assert_eq!(allow("5", "1h"), Some(0));
    assert_eq!(allow("0", "1h"), Some(0));
    assert_eq!(allowance(&server), Value::Null);
    assert_eq!(client.post("/Bulk", &patches(&users[6..12], |_| deactivation())).status, 503);
}

#[test]
fn what_a_paused_connection_is_refused_is_listed() {
    let server = server("off");
    let client = server.client();
    let users = users(&client, 3);
    let pause = ["brake", "pause", "--connection", "default", "--reason", "wrong filter at HR"];
    server.succeed(&pause);
    let refused = client.patch(&users[0].0, &deactivation());
    assert!(refused.error(503, None).contains("wrong filter at HR"));
    for _ in 0..2 {
        client.delete(&users[1].0).error(503, None);
        client.post("/Users", &user("new")).error(503, None);
    }
    let list = || -> Value {
        serde_json::from_str(&server.succeed(&["brake", "show", "default", "--json"])).unwrap()
    };
    let told = list();
    let resources = told["resources"].as_array().unwrap();
    let names: Vec<_> = resources
        .iter()
        .map(|one| (one["event"].as_str().unwrap(), one["name"].as_str().unwrap()))
        .collect();
    assert_eq!(
        names,
        [("user.patched", "user0"), ("user.deleted", "user1"), ("user.created", "new")]
    );
    assert_eq!(
        (&told["changes"], resources[0]["id"].as_str()),
        (&json!(5), Some(users[0].1.as_str()))
    );
    let table = server.succeed(&["brake", "show", "default"]);
    assert!(table.contains("active: true → false"), "{table}");
    assert!(is_active(&client, &users[0].0));
    server.succeed(&["brake", "resume"]);
    assert_eq!(list(), told, "it is there until the next pause");
    client.delete(&users[1].0).expect(204);
    let released = &records(&server, "connection.released")[0];
    assert!(change(released, "reason").0.as_str().unwrap().contains("wrong filter at HR"));
}
