//! Bulk requests: many operations, each with an answer of its own.

use serde_json::{Value, json};

use crate::harness::{Client, Server, create, group, total, user};

const REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
const RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";

/// Sends operations; their results.
#[track_caller]
fn bulk(client: &Client, operations: &Value) -> Vec<Value> {
    let body = json!({"schemas": [REQUEST], "Operations": operations});
    let answer = client.post("/Bulk", &body).expect(200).body;
    assert_eq!(answer["schemas"], json!([RESPONSE]));
    answer["Operations"].as_array().unwrap().clone()
}

/// The statuses of results.
fn statuses(results: &[Value]) -> Vec<&str> {
    results.iter().map(|result| result["status"].as_str().expect("a string")).collect()
}

/// The operation that creates a user under a name of the client's.
fn post(bulk_id: &str, body: &Value) -> Value {
    let path = if body.get("userName").is_some() { "/Users" } else { "/Groups" };
    json!({"method": "POST", "path": path, "bulkId": bulk_id, "data": body})
}

#[test]
fn every_method_is_done_and_answered() {
    let server = Server::start();
    let client = server.client();
    let (put, _) = create(&client, "/Users", &user("b"));
    let (patch, _) = create(&client, "/Users", &user("c"));
    let (delete, _) = create(&client, "/Users", &user("d"));
    let results = bulk(
        &client,
        &json!([
            post("new", &user("a")),
            {"method": "PUT", "path": put, "data": {"userName": "bb"}, "bulkId": "kept"},
            {"method": "PATCH", "path": patch, "version": "W/\"1\"", "data": {"Operations": [{"op": "add", "path": "title", "value": "t"}]}},
            {"method": "DELETE", "path": delete},
        ]),
    );
    assert!(matches!(statuses(&results)[..], ["201", "200", "200", "204"]), "{results:?}");
    let base = format!("https://127.0.0.1:{}/scim/v2", server.port());
    let methods: Vec<&Value> = results.iter().map(|result| &result["method"]).collect();
    assert_eq!(methods, ["POST", "PUT", "PATCH", "DELETE"]);
    assert_eq!((&results[0]["bulkId"], &results[1]["bulkId"]), (&json!("new"), &json!("kept")));
    assert_eq!(results[1]["location"], format!("{base}{put}"));
    assert_eq!(results[3]["location"], format!("{base}{delete}"));
    assert_eq!(
        (&results[0]["version"], &results[2]["version"]),
        (&json!("W/\"1\""), &json!("W/\"2\""))
    );
    let location = results[0]["location"].as_str().unwrap().strip_prefix(&base).unwrap();
    assert_eq!(client.get(location).expect(200).text("/userName"), "a");
    assert_eq!(client.get(&put).text("/userName"), "bb");
    assert_eq!(client.get(&patch).text("/title"), "t");
    client.get(&delete).error(404, None);
}

#[test]
fn operations_refer_to_each_other_backwards_and_forwards() {
    let server = Server::start();
    let client = server.client();
    for (round, order) in [[0, 1], [1, 0]].into_iter().enumerate() {
        let person = post("p", &user(&format!("a{round}")));
        let team = post("t", &group(&format!("T{round}"), &["bulkId:p"]));
        let operations: Vec<Value> = order.map(|at| [&person, &team][at].clone()).to_vec();
        let results = bulk(&client, &json!(operations));
        assert_eq!(statuses(&results), ["201", "201"]);
        assert_eq!(results[0]["bulkId"], operations[0]["bulkId"], "in the order of the request");
        let found = client.get(&format!("/Groups?filter=displayName%20eq%20%22T{round}%22"));
        assert_eq!(found.text("/Resources/0/members/0/display"), format!("a{round}"));
    }
}

#[test]
fn references_reach_into_paths_and_patches() {
    let server = Server::start();
    let client = server.client();
    let add = json!([{"op": "add", "path": "members", "value": [{"value": "bulkId:p"}]}]);
    let results = bulk(
        &client,
        &json!([
            {"method": "PATCH", "path": "/Groups/bulkId:t", "data": {"Operations": add}},
            post("t", &group("T", &[])),
            post("p", &user("a")),
            {"method": "DELETE", "path": "/Users/bulkId:q"},
            post("q", &user("b")),
        ]),
    );
    assert_eq!(statuses(&results), ["200", "201", "201", "204", "201"]);
    assert_eq!(client.get("/Groups").text("/Resources/0/members/0/display"), "a");
    assert_eq!(total(&client), 1);
}

#[test]
fn managers_in_a_circle_are_resolved_and_groups_in_a_circle_are_refused() {
    let server = Server::start();
    let client = server.client();
    let urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let with = |name: &str, manager: &str| json!({"userName": name, urn: {"manager": {"value": format!("bulkId:{manager}")}}});
    let results = bulk(&client, &json!([post("a", &with("a", "b")), post("b", &with("b", "a"))]));
    assert_eq!(statuses(&results), ["201", "201"]);
    let users = client.get("/Users").body["Resources"].clone();
    assert_eq!(users[0][urn]["manager"]["value"], users[1]["id"]);
    assert_eq!(users[1][urn]["manager"]["value"], users[0]["id"]);
    let results = bulk(
        &client,
        &json!([post("a", &group("A", &["bulkId:b"])), post("b", &group("B", &["bulkId:a"]))]),
    );
    for result in results {
        assert_eq!(result["status"], "400", "{result}");
    }
    assert_eq!(client.get("/Groups").body["totalResults"], 0);
}

#[test]
fn one_that_fails_does_not_spoil_the_others() {
    let server = Server::start();
    let client = server.client();
    create(&client, "/Users", &user("taken"));
    let results = bulk(
        &client,
        &json!([
            post("1", &user("a")),
            post("2", &user("TAKEN")),
            post("3", &json!({"userName": 5})),
            {"method": "DELETE", "path": "/Users/nobody"},
            {"method": "PUT", "path": "/Nothing/1", "data": {}},
            {"method": "PATCH", "path": "/Users/bulkId:1", "version": "W/\"9\"", "data": {"Operations": [{"op": "remove", "path": "title"}]}},
            post("4", &group("G", &["bulkId:none"])),
            post("5", &group("H", &["bulkId:2"])),
            post("6", &user("b")),
        ]),
    );
    let expected = ["201", "409", "400", "404", "400", "412", "400", "400", "201"];
    assert_eq!(statuses(&results), expected);
    for result in results.iter().filter(|result| !matches!(result["status"].as_str(), Some("201")))
    {
        let response = &result["response"];
        assert_eq!(
            (&response["status"], response["detail"].is_string()),
            (&result["status"], true)
        );
        assert_eq!(response["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:Error");
    }
    assert_eq!(results[1]["response"]["scimType"], "uniqueness");
    assert_eq!(results[3]["location"].as_str().map(|at| at.ends_with("/Users/nobody")), Some(true));
    assert!(results[6]["response"]["detail"].as_str().unwrap().contains("bulkId:none"));
    assert_eq!((total(&client), &client.get("/Groups").body["totalResults"]), (3, &json!(0)));
}

#[test]
fn one_that_is_no_operation_does_not_spoil_the_others() {
    let server = Server::start();
    let client = server.client();
    for (number, bad) in [
        json!({"method": "GET", "path": "/Users/x"}),
        json!({"method": "POST", "path": "/Users", "data": user("x")}),
        json!({"method": "PUT", "path": "/Users", "data": user("x")}),
        json!({"method": "PATCH", "path": "/Users/x"}),
    ]
    .into_iter()
    .enumerate()
    {
        let results = bulk(&client, &json!([bad, post("1", &user(&format!("u{number}")))]));
        assert_eq!(statuses(&results), ["400", "201"]);
    }
}

#[test]
fn it_stops_after_so_many_failures() {
    let server = Server::start();
    let client = server.client();
    let bad = json!({"method": "DELETE", "path": "/Users/nobody"});
    for (limit, answered, users) in [(0, 5, 3), (1, 2, 1), (2, 4, 2), (3, 5, 3)] {
        let name = |number: usize| post(&number.to_string(), &user(&format!("{limit}-{number}")));
        let before = total(&client);
        let body =
            json!({"failOnErrors": limit, "Operations": [name(1), bad, name(2), bad, name(3)]});
        let answer = client.post("/Bulk", &body).expect(200).body;
        assert_eq!(answer["Operations"].as_array().unwrap().len(), answered, "{limit}");
        assert_eq!(total(&client) - before, users);
    }
    for wrong in [json!(-1), json!("x")] {
        let body = json!({"failOnErrors": wrong, "Operations": []});
        client.post("/Bulk", &body).error(400, Some("invalidValue"));
    }
}

#[test]
fn too_much_is_refused_whole() {
    let server = Server::start();
    let client = server.client();
    let operations = |count: usize| -> Vec<Value> {
        (0..count).map(|number| post(&number.to_string(), &user(&number.to_string()))).collect()
    };
    let reply = client.post("/Bulk", &json!({"Operations": operations(1_001)}));
    assert!(reply.error(413, Some("tooMany")).contains("1000"), "{}", reply.body);
    assert_eq!(total(&client), 0);
    let results = bulk(&client, &json!(operations(1_000)));
    assert!(results.iter().all(|result| result["status"] == "201"));
    assert_eq!(total(&client), 1_000);
    let twice = json!({"Operations": [post("a", &user("x")), post("a", &user("y"))]});
    client.post("/Bulk", &twice).error(400, Some("invalidValue"));
    assert_eq!(total(&client), 1_000);
    assert!(bulk(&client, &json!([])).is_empty());
}

#[test]
fn a_chain_of_groups_that_refers_forwards_is_done_soon() {
    let server = Server::start();
    let client = server.client();
    let operations: Vec<Value> = (0..100)
        .map(|number| {
            let next = format!("bulkId:{}", number + 1);
            let members: Vec<&str> = if number < 99 { vec![&next] } else { Vec::new() };
            post(&number.to_string(), &group(&format!("g{number}"), &members))
        })
        .collect();
    let results = bulk(&client, &json!(operations));
    assert!(results.iter().all(|result| result["status"] == "201"));
    let inner = client.get("/Groups?filter=displayName%20eq%20%22g0%22").expect(200);
    assert!(inner.text("/Resources/0/members/0/display") == "g1");
}

#[test]
fn what_was_answered_survives_sigkill() {
    let mut server = Server::start();
    let operations: Vec<Value> =
        (0..50).map(|number| post(&number.to_string(), &user(&format!("u{number}")))).collect();
    bulk(&server.client(), &json!(operations));
    server.kill();
    server.boot(&[]);
    assert_eq!(total(&server.client()), 50);
}

#[test]
fn references_lead_to_the_account_that_a_post_opens_again() {
    let server = Server::start_with(
        "[connections.default]\nmethod = \"okta\"\non_inactive_create = \"reactivate\"",
    );
    let client = server.client();
    let (path, id) = create(&client, "/Users", &user("a"));
    let close = json!([{"op": "replace", "path": "active", "value": false}]);
    client.patch(&path, &close).expect(200);
    let (g, _) = create(&client, "/Groups", &group("g", &[]));
    let (h, _) = create(&client, "/Groups", &group("h", &[&id]));
    let patch = |path: &str, operations: Value| json!({"method": "PATCH", "path": path, "data": {"Operations": operations}});
    let manager = json!({"value": "bulkId:u"});
    let results = bulk(
        &client,
        &json!([
            post("k", &json!({"displayName": "k", "members": [{"value": "bulkId:u"}]})),
            patch(&g, json!([{"op": "add", "path": "members", "value": [{"value": "bulkId:u"}]}])),
            patch(&h, json!([{"op": "remove", "path": "members[value eq \"bulkId:u\"]"}])),
            patch("/Users/bulkId:u", json!([{"op": "add", "path": "title", "value": "t"}])),
            post("u", &user("a")),
            {"method": "PUT", "path": "/Users/bulkId:v", "data": {"userName": "v", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": manager}}},
            post("v", &user("v")),
            {"method": "PATCH", "path": "/Users/bulkId:u", "version": "W/\"77\"", "data": {"Operations": [{"op": "add", "path": "title", "value": "x"}]}},
        ]),
    );
    assert_eq!(
        statuses(&results),
        ["201", "200", "200", "200", "201", "200", "201", "412"],
        "{results:?}"
    );
    for place in [3, 4, 7] {
        assert!(
            results[place]["location"].as_str().unwrap().ends_with(&path),
            "{}",
            results[place]
        );
    }
    let read = client.get(&path).expect(200).body;
    assert_eq!((&read["active"], &read["title"]), (&json!(true), &json!("t")));
    let mut groups: Vec<&str> = read["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["display"].as_str().unwrap())
        .collect();
    groups.sort_unstable();
    assert_eq!(groups, ["g", "k"]);
    let v = client.get("/Users?filter=userName%20eq%20%22v%22").body;
    let extension = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    assert_eq!(v["Resources"][0][extension]["manager"]["value"], json!(id));
}

#[test]
fn references_in_brackets_are_resolved_or_refused() {
    let server = Server::start();
    let client = server.client();
    let remove = |literal: &str| {
        let path = format!("members[value eq {literal}]");
        json!({"method": "PATCH", "path": "/Groups/bulkId:g", "data": {"Operations": [{"op": "remove", "path": path}]}})
    };
    let add = json!([{"op": "add", "path": "members", "value": [
        {"value": "bulkId:a"}, {"value": "bulkId:B c"}, {"value": "bulkId:d"}, {"value": "bulkId:e"},
    ]}]);
    let results = bulk(
        &client,
        &json!([
            {"method": "PATCH", "path": "/Groups/bulkId:g", "data": {"Operations": add}},
            remove("\"bulkId:a\""),
            remove("'bulkId:B c'"),
            remove("bulkId:d"),
            remove("\"bulkId:unknown\""),
            post("g", &group("g", &[])),
            post("a", &user("a")),
            post("B c", &user("b")),
            post("d", &user("d")),
            post("e", &user("e")),
        ]),
    );
    assert_eq!(statuses(&results)[..5], ["200", "200", "200", "200", "400"], "{results:?}");
    assert_eq!(results[4]["response"]["scimType"], "invalidValue");
    let members = client.get("/Groups").body["Resources"][0]["members"].clone();
    assert_eq!(members.as_array().unwrap().len(), 1, "{members}");
    assert_eq!(members[0]["display"], "e");
}
