//! The flat dialect of method `custom`.

use serde_json::{Value, json};

use crate::harness::{Client, Raw, Reply, Server, USER, create, encode, group};

const CUSTOM: &str = "[connections.default]\nmethod = \"custom\"\nservice_origin = \"localhost\"\n";

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// A catalogue with something of everything.
const ACCESS: &str = r#"
[access]
workspace_permissions = ["basic_access", "send_campaigns"]
team_permissions = ["admin", "edit"]
[[workspaces]]
name = "Main"
[[workspaces]]
name = "Test Workspace"
id = "ws-1"
teams = ["Test Team"]
[[permission_sets]]
name = "Test Permission Set"
id = "set-1"
permissions = ["basic_access", "send_campaigns"]
[[roles]]
name = "Test Role"
id = "2519dafcdba238ae7"
[[roles.workspaces]]
name = "Test Workspace"
permissions = ["basic_access"]
permission_sets = ["Test Permission Set"]
[[roles.workspaces.teams]]
name = "Test Team"
permissions = ["edit"]
[[roles]]
name = "Other Role"
"#;

/// A server with that catalogue.
fn server() -> Server {
    Server::start_with(&format!("{CUSTOM}{ACCESS}"))
}

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

/// A user as the dialect's documentation has it.
fn example() -> Value {
    json!({
        "schemas": [USER], "userName": "user@example.com",
        "name": {"givenName": "Test", "familyName": "User"},
        "department": "finance",
        "createdAt": "2024 Nov 11, 4:20 PM", "lastSignInAt": "N/A",
        "permissions": {
            "companyPermissions": ["manage_company_settings"],
            "roles": [{"roleName": "Test Role"}, {"roleId": "2519dafcdba238ae7"}],
            "appGroup": [
                {"appGroupName": "Test Workspace", "appGroupPermissions": ["basic_access"],
                    "team": [{"teamName": "Test Team", "teamPermissions": ["admin"]}]},
                {"appGroupName": "Main",
                    "appGroupPermissionSets": [{"appGroupPermissionSetName": "Test Permission Set"}]},
            ],
        },
    })
}

/// What stays of an answer without ids that are derived from names.
fn without_derived_ids(mut permissions: Value) -> Value {
    for app_group in permissions["appGroup"].as_array_mut().unwrap() {
        if app_group["appGroupName"] == "Main" {
            app_group.as_object_mut().unwrap().remove("appGroupId").unwrap();
        }
        for team in app_group["team"].as_array_mut().unwrap() {
            assert!(team.as_object_mut().unwrap().remove("teamId").unwrap().is_string());
        }
    }
    permissions
}

#[test]
fn a_user_comes_back_as_the_dialect_has_it() {
    let server = server();
    let client = server.client();
    let created = client.post("/Users", &example()).expect(201);
    let names: Vec<&String> = created.body.as_object().unwrap().keys().collect();
    let flat = ["schemas", "id", "userName", "name", "department", "createdAt", "lastSignInAt"];
    assert_eq!(names[..7], flat);
    assert_eq!(names[7..], ["permissions", "active", "meta"]);
    assert_eq!(created.body["schemas"], json!([USER]));
    assert_eq!(
        (&created.body["department"], created.text("/lastSignInAt")),
        (&json!("finance"), "N/A")
    );
    let set = json!({"appGroupPermissionSetName": "Test Permission Set",
        "appGroupPermissionSetID": "set-1", "permissions": ["basic_access", "send_campaigns"]});
    let permissions = without_derived_ids(created.body["permissions"].clone());
    assert_eq!(permissions["companyPermissions"], json!(["manage_company_settings"]));
    assert_eq!(
        permissions["appGroup"],
        json!([
            {"appGroupName": "Test Workspace", "appGroupId": "ws-1", "appGroupPermissions": ["basic_access"],
                "team": [{"teamName": "Test Team", "teamPermissions": ["admin"]}],
                "appGroupPermissionSets": []},
            {"appGroupName": "Main", "appGroupPermissions": [], "team": [],
                "appGroupPermissionSets": [set.clone()]},
        ])
    );
    let role = &permissions["roles"][0];
    assert_eq!(permissions["roles"].as_array().unwrap().len(), 1, "name and id are of one role");
    assert_eq!(
        (&role["roleName"], &role["roleId"]),
        (&json!("Test Role"), &json!("2519dafcdba238ae7"))
    );
    assert_eq!(
        without_derived_ids(role.clone())["appGroup"],
        json!([
            {"appGroupName": "Test Workspace", "appGroupId": "ws-1", "appGroupPermissions": ["basic_access"],
                "team": [{"teamName": "Test Team", "teamPermissions": ["edit"]}],
                "appGroupPermissionSets": [set]},
        ])
    );
}
