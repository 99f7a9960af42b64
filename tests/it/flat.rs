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

/// A user of the least, with one attribute more.
fn user_with(name: &str, value: &Value) -> Value {
    let mut body = user("ada@example.com");
    body[name] = value.clone();
    body
}

#[test]
fn a_new_user_needs_schemas_an_address_and_a_name() {
    let server = server();
    let client = server.client();
    for missing in ["schemas", "userName", "name"] {
        let mut body = user("ada@example.com");
        body.as_object_mut().unwrap().remove(missing);
        let detail = error(&client.post("/Users", &body), 400, Some("invalidValue"));
        assert_eq!(detail, format!("\"{missing}\" is required."));
    }
    for empty in [json!(null), json!({}), json!({"givenName": ""})] {
        let detail =
            error(&client.post("/Users", &user_with("name", &empty)), 400, Some("invalidValue"));
        assert_eq!(detail, "\"name\" is required.");
    }
    for name in ["ada", "@example.com", "ada@", "ada lovelace@example.com", "ada@.example.com"] {
        let detail = error(&client.post("/Users", &user(name)), 400, Some("invalidValue"));
        assert!(detail.contains("must be an e-mail address"), "{name}: {detail}");
    }
    let mut wanted = user("Ada@localhost");
    wanted["Schemas"] = wanted.as_object_mut().unwrap().remove("schemas").unwrap();
    client.post("/Users", &wanted).expect(201);
    client.post("/Groups", &json!({"displayName": "Team"})).expect(201);
}

#[test]
fn what_the_catalogue_does_not_know_is_named() {
    let server = server();
    let client = server.client();
    let app_group = |more: Value| {
        let mut app_group = json!({"appGroupName": "Test Workspace"});
        app_group.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"appGroup": [app_group]})
    };
    for (permissions, said) in [
        (
            json!({"companyPermissions": ["admn"]}),
            "no company permission \"admn\"; did you mean \"admin\"?",
        ),
        (
            json!({"roles": [{"roleName": "Tets Role"}]}),
            "no role \"Tets Role\"; did you mean \"Test Role\"?",
        ),
        (json!({"roles": [{"roleId": "2519"}]}), "no role \"2519\""),
        (
            json!({"appGroup": [{"appGroupName": "Mian"}]}),
            "no workspace \"Mian\"; did you mean \"Main\"?",
        ),
        (json!({"appGroup": [{"appGroupName": "Main:team:x"}]}), "no workspace \"Main:team:x\""),
        (app_group(json!({"appGroupPermissions": ["basic"]})), "no workspace permission \"basic\""),
        (app_group(json!({"team": [{"teamName": "Tset Team"}]})), "did you mean \"Test Team\"?"),
        (
            app_group(json!({"team": [{"teamName": "Test Team", "teamPermissions": ["edt"]}]})),
            "did you mean \"edit\"?",
        ),
        (
            app_group(json!({"appGroupPermissionSets": [{"appGroupPermissionSetName": "x"}]})),
            "no permission set \"x\"",
        ),
    ] {
        let reply = client.post("/Users", &user_with("permissions", &permissions));
        let detail = error(&reply, 400, Some("invalidValue"));
        assert!(detail.contains(said), "{detail}");
    }
    let detail = error(
        &client.post("/Users", &user_with("department", &json!("finanse"))),
        400,
        Some("invalidValue"),
    );
    assert_eq!(detail, "There is no department \"finanse\"; did you mean \"finance\"?");
    let extension = json!({"department": "sales"});
    let detail = error(
        &client.post("/Users", &user_with(ENTERPRISE, &extension)),
        400,
        Some("invalidValue"),
    );
    assert!(detail.contains("\"sales\""), "{detail}");
}

#[test]
fn wrong_types_and_contradictions_name_the_place() {
    let server = server();
    let client = server.client();
    let app_groups = |second: Value| json!({"appGroup": [{"appGroupName": "Main"}, second]});
    for (permissions, scim_type, said) in [
        (json!("admin"), "invalidSyntax", "\"permissions\" must be an object, not a string"),
        (
            json!({"companyPermissions": "admin"}),
            "invalidSyntax",
            "\"permissions.companyPermissions\" must be an array",
        ),
        (
            json!({"companyPermissions": [1]}),
            "invalidSyntax",
            "\"permissions.companyPermissions[0]\" must be a string",
        ),
        (json!({"roles": ["x"]}), "invalidSyntax", "\"permissions.roles[0]\" must be an object"),
        (
            json!({"roles": [{"roleName": 1}]}),
            "invalidSyntax",
            "\"permissions.roles[0].roleName\" must be a string",
        ),
        (
            app_groups(json!({"appGroupName": "Main", "appGroupPermissions": "x"})),
            "invalidSyntax",
            "\"permissions.appGroup[1].appGroupPermissions\" must be an array",
        ),
        (
            app_groups(json!({"appGroupPermissions": []})),
            "invalidValue",
            "\"permissions.appGroup[1]\" needs \"appGroupName\" or \"appGroupId\"",
        ),
        (
            app_groups(json!({"appGroupName": "Main", "appGroupId": "ws-1"})),
            "invalidValue",
            "\"appGroupName\" and \"appGroupId\" of \"permissions.appGroup[1]\" name two different things",
        ),
        (
            json!({"roles": [{"roleName": "Other Role", "roleId": "2519dafcdba238ae7"}]}),
            "invalidValue",
            "name two different things",
        ),
    ] {
        let reply = client.post("/Users", &user_with("permissions", &permissions));
        let detail = error(&reply, 400, Some(scim_type));
        assert!(detail.contains(said), "{detail}");
    }
    let reply = client.post("/Users", &user_with("department", &json!(["bi"])));
    assert!(error(&reply, 400, Some("invalidSyntax")).contains("department"));
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
fn what_is_answered_can_be_sent_back() {
    let server = server();
    let client = server.client();
    let (path, _) = create(&client, "/Users", &example());
    let present = client.get(&path).expect(200).body;
    let same = client.put(&path, &present).expect(200).body;
    assert_eq!(same, present, "nothing has changed, the version included");
    let same = client.patch(&path, &json!([{"op": "replace", "value": present}])).expect(200).body;
    assert_eq!(same, present);
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
fn patch_says_what_to_do_instead() {
    let server = server();
    let client = server.client();
    let (path, _) = create(&client, "/Users", &example());
    let present = client.get(&path).expect(200).body;
    let replace = |path: &str, value: Value| json!({"op": "replace", "path": path, "value": value});
    for (operation, scim_type, said) in [
        (
            replace("permissions.companyPermissions", json!([])),
            "invalidPath",
            "send \"permissions\" whole",
        ),
        (
            replace("permissions[x eq 1]", json!([])),
            "invalidPath",
            "or change \"roles\" and \"entitlements\"",
        ),
        (
            json!({"op": "add", "value": {"permissions.roles": []}}),
            "invalidPath",
            "send \"permissions\" whole",
        ),
        (replace("createdAt", json!("x")), "mutability", "\"createdAt\" is read-only"),
        (
            json!({"op": "remove", "path": "lastSignInAt"}),
            "mutability",
            "\"lastSignInAt\" is read-only",
        ),
        (
            json!({"op": "remove", "path": "permissions", "value": {}}),
            "invalidValue",
            "takes all of them",
        ),
        (json!({"op": "add", "path": "permissions"}), "invalidValue", "has no \"value\""),
        (replace("department", json!("finanse")), "invalidValue", "did you mean \"finance\"?"),
        (replace(&format!("{ENTERPRISE}:department"), json!("x")), "invalidValue", "no department"),
        (
            json!({"op": "add", "value": {ENTERPRISE: {"department": "x"}}}),
            "invalidValue",
            "no department",
        ),
        (
            replace("permissions", json!({"appGroup": 1})),
            "invalidSyntax",
            "\"permissions.appGroup\" must be an array",
        ),
    ] {
        let title = json!({"op": "add", "path": "title", "value": "T"});
        let detail = error(&client.patch(&path, &json!([title, operation])), 400, Some(scim_type));
        assert!(detail.contains(said), "{detail}");
    }
    assert_eq!(client.get(&path).expect(200).body, present);
}

#[test]
fn attributes_are_asked_for_by_their_names_in_the_dialect() {
    let server = server();
    let client = server.client();
    let (path, _) = create(&client, "/Users", &example());
    let keys = |query: &str| -> Vec<String> {
        let body = client.get(&format!("{path}?{query}")).expect(200).body;
        body.as_object().unwrap().keys().cloned().collect()
    };
    for (query, more) in [
        ("attributes=PERMISSIONS", &["permissions"][..]),
        ("attributes=permissions.roles", &["permissions"]),
        ("attributes=createdAt,userName", &["userName", "createdAt"]),
        ("attributes=department", &["department"]),
        ("attributes=lastSignInAt", &["lastSignInAt"]),
        ("attributes=urn:ietf:params:scim:schemas:core:2.0:User:createdAt", &["createdAt"]),
        ("attributes=meta.created", &["meta"]),
    ] {
        assert_eq!(keys(query)[..2], ["schemas", "id"], "{query}");
        assert_eq!(keys(query)[2..], *more, "{query}");
    }
    let left = keys("excludedAttributes=permissions,createdAt,meta,department,active");
    assert_eq!(left, ["schemas", "id", "userName", "name", "lastSignInAt"]);
    let left = keys("excludedAttributes=permissions.roles,name.givenName,name.familyName,meta");
    assert_eq!(
        left[2..],
        ["userName", "department", "createdAt", "lastSignInAt", "permissions", "active"]
    );
    let roles = client.get(&format!("{path}?attributes=roles.display")).expect(200).body;
    assert_eq!(roles["permissions"].as_object().unwrap().keys().collect::<Vec<_>>(), ["roles"]);
}

#[test]
fn lists_searches_and_groups_go_on_working() {
    let server = server();
    let client = server.client();
    let (path, id) = create(&client, "/Users", &example());
    let present = client.get(&path).expect(200).body;
    let filters = [
        "userName eq \"USER@example.com\"",
        "department eq \"finance\"",
        "roles eq \"Test Role\"",
        "entitlements eq \"workspace:ws-1:team:Test Team:admin\"",
    ];
    for filter in filters {
        let found = client.get(&format!("/Users?filter={}", encode(filter))).expect(200).body;
        assert_eq!(found["Resources"], json!([present]), "{filter}");
        let found = client
            .post("/.search", &json!({"filter": filter, "attributes": ["permissions"]}))
            .expect(200)
            .body;
        assert_eq!(found["Resources"][0]["permissions"], present["permissions"], "{filter}");
    }
    let (team, _) = create(&client, "/Groups", &group("Team", &[&id]));
    assert_eq!(client.get(&team).expect(200).body["members"][0]["value"], id.as_str());
    let now = client.get(&path).expect(200);
    assert_eq!(now.body["groups"][0]["display"], "Team");
    let known = server.client().header("If-None-Match", now.header("etag"));
    known.get(&path).expect(304);
    client.delete(&path).expect(204);
    error(&client.get(&path), 404, None);
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

#[test]
fn a_user_is_the_same_through_a_connection_that_speaks_rfc() {
    let config = format!("{CUSTOM}[connections.idp]\nmethod = \"okta-custom\"\n{ACCESS}");
    let server = Server::start_with(&config);
    let client = |name: &str| -> Client {
        let token = server.succeed(&["token", "generate", "--connection", name]);
        server.client_with(token.trim())
    };
    let (flat, rfc) = (client("default"), client("idp"));
    let (path, _) = create(&flat, "/Users", &example());
    let body = rfc.get(&path).expect(200).body;
    assert_eq!(body["schemas"], json!([USER, ENTERPRISE]));
    assert_eq!(body[ENTERPRISE], json!({"department": "finance"}));
    assert_eq!(body["roles"], json!([{"value": "Test Role"}]));
    let entitlements = texts(&body["entitlements"], "value");
    assert_eq!(
        entitlements,
        [
            "company:manage_company_settings",
            "workspace:Test Workspace",
            "workspace:Test Workspace:permission:basic_access",
            "workspace:Test Workspace:team:Test Team",
            "workspace:Test Workspace:team:Test Team:admin",
            "workspace:Main",
            "workspace:Main:set:Test Permission Set"
        ]
    );
    assert_eq!((body.get("permissions"), body.get("createdAt")), (None, None));
    rfc.patch(&path, &json!([{"op": "add", "path": "roles", "value": [{"value": "Other Role"}]}]))
        .expect(200);
    assert_eq!(named(&flat.get(&path).expect(200).body)[1], ["Test Role", "Other Role"]);
}

#[test]
fn a_strict_connection_refuses_what_the_dialect_does_not_know() {
    for (compat, status) in [("strict", 400), ("lenient", 201)] {
        let server = Server::start_with(&format!("{CUSTOM}compat = \"{compat}\"\n{ACCESS}"));
        let permissions = json!({"appGroup": [{"appGroupName": "Main", "colour": "blue"}]});
        let reply = server.client().post("/Users", &user_with("permissions", &permissions));
        assert_eq!(reply.status, status, "{}", reply.body);
        if status == 400 {
            let detail = error(&reply, 400, Some("invalidSyntax"));
            assert!(detail.contains("permissions.appGroup[0].colour"), "{detail}");
        }
        let reply = server.client().post("/Users", &example());
        reply.expect(201);
    }
}
