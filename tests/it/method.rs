//! What the methods of connections set apart: what PATCH answers.

use serde_json::{Value, json};

use crate::harness::{Client, Reply, Server, USER, create, group};

/// A server with one connection, of this method.
fn server(method: &str) -> Server {
    Server::start_with(&format!(
        "[connections.default]\nmethod = \"{method}\"\nservice_origin = \"localhost\"\n"
    ))
}

/// A user that every method takes.
fn ada() -> Value {
    json!({"schemas": [USER], "userName": "ada@example.com", "name": {"givenName": "Ada"}})
}

fn retitle(client: &Client, path: &str, attribute: &str, value: &str) -> Reply {
    client.patch(path, &json!([{"op": "replace", "path": attribute, "value": value}]))
}

#[test]
fn patch_answers_as_the_method_is_used_to() {
    for (method, of_user, of_group) in
        [("okta", 200, 204), ("okta-custom", 200, 200), ("entra", 204, 204), ("custom", 200, 200)]
    {
        let server = server(method);
        let client = server.client();
        let (user, id) = create(&client, "/Users", &ada());
        let (team, _) = create(&client, "/Groups", &group("Team", &[&id]));
        let changes =
            [(&user, "title", "Countess", of_user), (&team, "displayName", "Engineers", of_group)];
        for (path, attribute, value, status) in changes {
            let reply = retitle(&client, path, attribute, value).expect(status);
            let tag = reply.header("etag");
            assert!(["W/\"2\"", "W/\"2."].iter().any(|start| tag.starts_with(start)), "{tag}");
            assert_eq!(reply.body.is_null(), status == 204, "{method} {path}");
            let now = client.get(path).expect(200);
            assert_eq!(now.body[attribute], value, "{method} {path}");
            if status == 200 {
                assert_eq!((tag, &reply.body), (now.header("etag"), &now.body), "{method} {path}");
            }
        }
    }
}

#[test]
fn whoever_asks_for_attributes_gets_them() {
    let server = server("entra");
    let client = server.client();
    let (user, id) = create(&client, "/Users", &ada());
    let (team, _) = create(&client, "/Groups", &group("Team", &[&id]));
    let asked = format!("{user}?attributes=title");
    assert_eq!(retitle(&client, &asked, "title", "Countess").expect(200).body["title"], "Countess");
    let asked = format!("{team}?EXCLUDEDattributes=members");
    let reply = retitle(&client, &asked, "displayName", "Engineers").expect(200);
    assert_eq!(
        (&reply.body["displayName"], reply.body.get("members")),
        (&json!("Engineers"), None)
    );
}
