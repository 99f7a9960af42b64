//! The flat dialect of method `custom`: what it takes, how a user is shown, what it refuses.

mod answer;
mod refusal;

use serde_json::{Value, json};

use crate::harness::{Reply, Server, USER, create, group};

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

#[test]
fn names_and_keys_are_taken_in_any_letter_case_and_by_id() {
    let server = server();
    let client = server.client();
    let mut body = user("ada@example.com");
    body["DEPARTMENT"] = json!("Finance");
    body[ENTERPRISE] = json!({"department": "bi", "division": "West"});
    body["Permissions"] = json!({
        "ROLES": [{"ROLEID": "2519dafcdba238ae7", "roleName": "test role"}],
        "appgroup": [{"appGroupID": "ws-1", "team": [{"teamname": "TEST TEAM"}],
            "appGroupPermissionSets": [{"appGroupPermissionSetId": "set-1"}]}],
    });
    let created = client.post("/Users", &body).expect(201).body;
    assert_eq!(created["department"], "finance", "the one at top level counts");
    assert_eq!(created[ENTERPRISE], json!({"division": "West"}));
    assert_eq!(created["schemas"], json!([USER, ENTERPRISE]));
    let app_group = &created["permissions"]["appGroup"][0];
    assert_eq!(app_group["team"][0]["teamName"], "Test Team");
    assert_eq!(app_group["appGroupPermissionSets"][0]["appGroupPermissionSetID"], "set-1");
    assert_eq!(created["permissions"]["roles"][0]["roleName"], "Test Role");
}

#[test]
fn the_attributes_of_the_dialect_are_taken_in_any_shape() {
    let server = server();
    let client = server.client();
    let mut body = user("ada@example.com");
    body["department"] = json!(["finance"]);
    body[format!("{USER}:active")] = json!("False");
    let (path, _) = create(&client, "/Users", &body);
    let is = |department: &str| {
        let shown = client.get(&path).expect(200).body;
        assert_eq!((&shown["department"], &shown["active"]), (&json!(department), &json!(false)));
    };
    is("finance");
    body["department"] = json!({"value": "bi", "$ref": null});
    client.put(&path, &body).expect(200);
    is("bi");
    let with_path = json!([{"op": "replace", "path": "department", "value": ["pm"]}]);
    client.patch(&path, &with_path).expect(200);
    is("pm");
    let without = json!([{"op": "replace", "value": [{"department": {"value": "agency"}}]}]);
    client.patch(&path, &without).expect(200);
    is("agency");
    let both = json!({"department": "bi", ENTERPRISE: {"department": "finance"}});
    let patched = client.patch(&path, &json!([{"op": "add", "value": both}]));
    error(&patched, 400, Some("invalidSyntax"));
}

#[test]
fn a_put_can_leave_out_the_name_and_not_change_it() {
    let server = server();
    let client = server.client();
    let (path, _) = create(&client, "/Users", &user("Ada@example.com"));
    let names = json!({"givenName": "Ada", "familyName": "L"});
    let put = |body: Value| client.put(&path, &body);
    let replaced =
        put(json!({"schemas": [USER], "name": names, "department": "bi"})).expect(200).body;
    assert_eq!((&replaced["userName"], &replaced["name"]), (&json!("Ada@example.com"), &names));
    assert_eq!(replaced["department"], "bi");
    let version = replaced["meta"]["version"].clone();
    let same = put(json!({"userName": "ada@EXAMPLE.com", "name": names, "department": "bi"}));
    assert_eq!(same.expect(200).body["meta"]["version"], version, "the stored spelling stays");
    let detail =
        error(&put(json!({"userName": "eve@example.com", "name": names})), 400, Some("mutability"));
    assert!(detail.contains("\"userName\" can't be changed with PUT"), "{detail}");
    let cleared = put(json!({"userName": null})).expect(200).body;
    assert_eq!((cleared.get("name"), cleared.get("department")), (None, None));
    let operation = json!({"method": "PUT", "path": path, "data": {"userName": "eve@example.com"}});
    let answer = client.post("/Bulk", &json!({"Operations": [operation]})).expect(200).body;
    assert_eq!(answer["Operations"][0]["response"]["scimType"], "mutability", "{answer}");
    let rename = json!([{"op": "replace", "path": "userName", "value": "eve@example.com"}]);
    assert_eq!(client.patch(&path, &rename).expect(200).body["userName"], "eve@example.com");
}

#[test]
fn the_name_stays_whoever_renames_meanwhile() {
    let server = server();
    let client = server.client();
    let (path, _) = create(&client, "/Users", &user("ada0@example.com"));
    std::thread::scope(|scope| {
        let renames = scope.spawn(|| {
            for number in 1..100 {
                let name = format!("ada{number}@example.com");
                let rename = json!([{"op": "replace", "path": "userName", "value": name}]);
                client.patch(&path, &rename).expect(200);
            }
        });
        while !renames.is_finished() {
            client.put(&path, &json!({"name": {"givenName": "Ada"}})).expect(200);
        }
    });
    assert_eq!(client.get(&path).expect(200).body["userName"], "ada99@example.com");
}

/// What there is of a user's permissions: company, roles, app groups, each by name.
fn named(body: &Value) -> [Vec<&str>; 3] {
    let permissions = &body["permissions"];
    [
        texts(&permissions["companyPermissions"], ""),
        texts(&permissions["roles"], "roleName"),
        texts(&permissions["appGroup"], "appGroupName"),
    ]
}

/// The texts of a list, or those that its elements have under a key.
fn texts<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    let items = list.as_array().unwrap().iter();
    items.map(|item| item.get(key).unwrap_or(item).as_str().unwrap()).collect()
}

#[test]
fn patch_changes_permissions_as_a_whole() {
    let server = server();
    let client = server.client();
    let (path, _) = create(&client, "/Users", &example());
    let patch = |operation: Value| client.patch(&path, &json!([operation])).expect(200).body;
    let added = patch(json!({"op": "Add", "path": "permissions", "value":
        {"companyPermissions": ["admin"], "roles": [{"roleName": "Other Role"}]}}));
    assert_eq!(
        named(&added),
        [
            vec!["manage_company_settings", "admin"],
            vec!["Test Role", "Other Role"],
            vec!["Test Workspace", "Main"],
        ]
    );
    let replaced = patch(json!({"op": "replace", "value": {"department": "bi",
        "Permissions": {"appGroup": [{"appGroupName": "Main"}]}, "createdAt": "x", "title": "T"}}));
    assert_eq!(named(&replaced), [vec![], vec![], vec!["Main"]]);
    assert_eq!((&replaced["department"], &replaced["title"]), (&json!("bi"), &json!("T")));
    let path_of_core = format!("{USER}:permissions");
    let replaced = patch(
        json!({"op": "replace", "path": path_of_core, "value": {"roles": [{"roleName": "Test Role"}]}}),
    );
    assert_eq!(named(&replaced), [vec![], vec!["Test Role"], vec![]]);
    let removed = patch(json!({"op": "remove", "path": "PERMISSIONS"}));
    assert_eq!(named(&removed), [Vec::<&str>::new(), vec![], vec![]]);
    let removed = patch(json!({"op": "remove", "path": "department"}));
    assert_eq!(removed.get("department"), None);
    let through = patch(json!({"op": "add", "path": "roles", "value": [{"value": "Test Role"}]}));
    assert_eq!(named(&through)[1], ["Test Role"]);
}

#[test]
fn bulk_data_is_in_the_dialect_too() {
    let server = server();
    let client = server.client();
    let post = |id: &str, data: Value| json!({"method": "POST", "path": "/Users", "bulkId": id, "data": data});
    let patch = json!({"method": "PATCH", "path": "/Users/bulkId:a", "data": {"Operations":
        [{"op": "add", "path": "permissions", "value": {"companyPermissions": ["admin"]}}]}});
    let operations =
        json!([post("a", example()), post("b", json!({"userName": "eve@example.com"})), patch]);
    let answer = client.post("/Bulk", &json!({"Operations": operations})).expect(200).body;
    let statuses: Vec<&str> =
        (0..3).map(|place| answer["Operations"][place]["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["201", "400", "200"], "{answer}");
    let users = client.get("/Users").expect(200).body;
    assert_eq!(users["totalResults"], 1);
    assert_eq!(named(&users["Resources"][0])[0], ["manage_company_settings", "admin"]);
}
