//! The flat dialect of method `custom`.

use serde_json::{Value, json};

use crate::harness::{Raw, Reply, Server, USER, create, group};

const CUSTOM: &str = "[connections.default]\nmethod = \"custom\"\nservice_origin = \"localhost\"\n";

/// The least that makes a user in this dialect.
fn user(user_name: &str) -> Value {
    json!({"schemas": [USER], "userName": user_name,
        "name": {"givenName": "Test", "familyName": "User"}})
}

/// Insists that this is an error as this dialect has them, with a number for its status.
#[track_caller]
fn error(reply: &Reply, status: u16, scim_type: Option<&str>) -> String {
    assert_eq!(reply.status, status, "{}", reply.body);
    assert_eq!(reply.body["status"], json!(status), "{}", reply.body);
    assert_eq!(reply.body["scimType"].as_str(), scim_type, "{}", reply.body);
    reply.text("/detail").to_owned()
}

#[test]
fn the_status_of_an_error_is_a_number() {
    let server = Server::start_with(CUSTOM);
    let client = server.client();
    error(&client.get("/Users/none"), 404, None);
    error(&client.get("/nothing"), 404, None);
    error(&client.delete("/Schemas"), 405, None);
    error(&client.send("POST", "/Users", Some(b"{")), 400, Some("invalidSyntax"));
    error(&client.get("/Users?filter=x"), 400, Some("invalidFilter"));
    error(&server.stranger().get("/Users"), 401, None);
    let mut raw = Raw::connect(&server);
    raw.write("GET /a b HTTP/1.1\r\n\r\n");
    let unparsed: Value = serde_json::from_slice(&raw.reply().body).unwrap();
    assert_eq!(unparsed["status"], 400, "{unparsed}");
    let operation = json!({"method": "DELETE", "path": "/Users/none"});
    let answer = client.post("/Bulk", &json!({"Operations": [operation]})).expect(200).body;
    assert_eq!(answer["Operations"][0]["response"]["status"], 404, "{answer}");
}

#[test]
fn strangers_are_told_the_status_as_a_text_where_not_every_connection_is_custom() {
    let server = Server::start_with(&format!("{CUSTOM}[connections.idp]\nmethod = \"entra\"\n"));
    server.stranger().get("/Users").error(401, None);
    let token = server.succeed(&["token", "generate", "--connection", "default"]);
    error(&server.client_with(token.trim()).get("/Users/none"), 404, None);
    let token = server.succeed(&["token", "generate", "--connection", "idp"]);
    server.client_with(token.trim()).get("/Users/none").error(404, None);
}

#[test]
fn a_taken_name_is_told_in_the_words_of_the_dialect() {
    let server = Server::start_with(CUSTOM);
    let client = server.client();
    create(&client, "/Users", &user("ada@example.com"));
    let taken = client.post("/Users", &user("ADA@example.com"));
    let detail = error(&taken, 409, Some("uniqueness"));
    assert_eq!(detail, "User already exists in the database.");
    create(&client, "/Groups", &group("Team", &[]));
    let detail = error(&client.post("/Groups", &group("team", &[])), 409, Some("uniqueness"));
    assert_eq!(detail, "Group already exists in the database.");
}
