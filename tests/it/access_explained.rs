//! `scimd access`: why a user has access, who has some, and what would change.

use serde_json::{Value, json};

use crate::harness::{Client, Server, create, group, user};

/// Groups that may be above one user.
const MANY: usize = 10_000;

const CONFIG: &str = r#"
    [connections.default]
    method = "okta-custom"
    service_origin = "localhost"
    [access]
    workspace_permissions = ["view", "edit"]
    [[workspaces]]
    name = "Main"
    teams = ["East"]
    [[permission_sets]]
    name = "Analyst"
    permissions = ["view"]
    [[roles]]
    name = "Developer"
    [[roles.workspaces]]
    name = "Main"
    permission_sets = ["Analyst"]
    [[roles]]
    name = "Guest"
    [[grants]]
    group = "Engineers"
    roles = ["Developer"]
    [[grants]]
    group = "Berlin"
    company_permissions = ["admin"]
    [[grants.workspaces]]
    name = "Main"
    permissions = ["edit"]
"#;

/// Ada in "Team" in "Engineers", Ben in "Engineers", Cleo with a role and an entitlement of her own, Dan inactive.
fn start() -> Server {
    let server = Server::start_with(CONFIG);
    let client = server.client();
    let ids: Vec<String> =
        ["ada", "ben", "dan"].map(|name| create(&client, "/Users", &user(name)).1).into();
    let cleo = json!({"schemas": user("cleo")["schemas"], "userName": "cleo",
        "roles": [{"value": "Guest"}],
        "entitlements": [{"value": "workspace:Main:permission:edit"}]});
    create(&client, "/Users", &cleo);
    let team = create(&client, "/Groups", &group("Team", &[&ids[0], &ids[2]])).1;
    create(&client, "/Groups", &group("Engineers", &[&ids[1], &team]));
    create(&client, "/Groups", &group("Berlin", &[]));
    let off = json!([{"op": "replace", "path": "active", "value": false}]);
    client.patch(&format!("/Users/{}", ids[2]), &off).expect(200);
    server
}

fn rows(server: &Server, args: &[&str]) -> Vec<Value> {
    let output = server.succeed(&[args, &["--json"]].concat());
    serde_json::from_str(&output).unwrap()
}

/// Each path as `VALUE: GROUP > GROUP, grant N, role R, set S`.
fn paths(rows: &[Value]) -> Vec<String> {
    let path = |row: &Value| {
        let path = &row["path"];
        let groups = path["groups"].as_array().unwrap().iter();
        let groups: Vec<&str> = groups.map(|group| group["name"].as_str().unwrap()).collect();
        let grant = path["grant"]["number"].as_u64().map(|number| format!(", grant {number}"));
        let part =
            |name: &str| path[name].as_str().map(|text| format!(", {text}")).unwrap_or_default();
        let value = row["value"].as_str().unwrap();
        let change = row["change"].as_str().map(|change| format!("{change} ")).unwrap_or_default();
        format!(
            "{change}{value}: {}{}{}{}",
            groups.join(" > "),
            grant.unwrap_or_default(),
            part("role"),
            part("permission_set")
        )
    };
    rows.iter().map(path).collect()
}

fn check_answers(server: &Server) {
    let ada = paths(&rows(server, &["access", "why", "ada"]));
    for expected in [
        "role:Developer: Team > Engineers, grant 1",
        "workspace:Main: Team > Engineers, grant 1, Developer",
        "workspace:Main:set:Analyst: Team > Engineers, grant 1, Developer",
        "workspace:Main:permission:view: Team > Engineers, grant 1, Developer, Analyst",
        "workspace:Main: ",
    ] {
        assert!(ada.contains(&expected.to_owned()), "{expected} in {ada:#?}");
    }
    assert_eq!(ada.len(), 5, "{ada:#?}");
    let view = rows(server, &["access", "why", "ada", "--permission", "VIEW"]);
    assert_eq!(paths(&view), [ada[3].as_str()]);
    assert!(ada[3].contains(":permission:view: "));
    assert_eq!(rows(server, &["access", "why", "dan"]), Vec::<Value>::new());

    let who = |of: &str| -> Vec<String> {
        let found = rows(server, &["access", "who", of]);
        found.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(who("view"), ["ada", "ben"]);
    assert_eq!(who("edit"), ["cleo"]);
    assert_eq!(who("role:Guest"), ["cleo"]);
    assert_eq!(who("Main"), ["ada", "ben", "cleo"]);
    assert_eq!(who("admin"), Vec::<String>::new());

    let changes = |args: &[&str]| paths(&rows(server, &[&["access", "what-if"], args].concat()));
    assert_eq!(
        changes(&["ada", "--group", "Berlin"]),
        [
            "gained company:admin: Berlin, grant 2",
            "kept, also workspace:Main: Berlin, grant 2",
            "gained workspace:Main:permission:edit: Berlin, grant 2",
        ]
    );
    let lost = changes(&["ada", "--without-group", "Team"]);
    assert_eq!(lost.len(), 4, "{lost:#?}");
    assert!(lost.contains(
        &"kept, without workspace:Main: Team > Engineers, grant 1, Developer".to_owned()
    ));
    assert!(lost.contains(&format!("lost {}", ada[3])));
    assert_eq!(changes(&["ada", "--grant", "role:Guest"]), ["gained role:Guest: "]);
    // What it has already, and what is not active, changes nothing.
    assert_eq!(changes(&["ben", "--group", "Engineers"]), Vec::<String>::new());
    assert_eq!(changes(&["dan", "--group", "Berlin"]), Vec::<String>::new());
}

#[test]
fn access_is_explained_with_and_without_a_server() {
    let mut server = start();
    check_answers(&server);
    let head = server.succeed(&["audit", "--head"]);
    server.succeed(&["access", "what-if", "ada", "--group", "Berlin"]);
    assert_eq!(server.succeed(&["audit", "--head"]), head, "a question writes nothing");
    let output = server.run(&["access", "what-if", "ada", "--without-group", "Engineers"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not a direct member of group"));
    let table = server.succeed(&["access", "why", "ada", "--permission", "view"]);
    assert!(
        table.contains("group \"Team\" > group \"Engineers\" > grant 1 > role \"Developer\" > permission set \"Analyst\""),
        "{table}"
    );
    server.stop();
    check_answers(&server);
}

#[test]
fn who_has_access_is_found_page_by_page() {
    let server = Server::start_with(CONFIG);
    let client = server.client();
    let bodies: Vec<Value> = (0..250).map(|number| user(&format!("user{number:03}"))).collect();
    let ids = create_all(&client, "/Users", &bodies);
    let some: Vec<&str> = ids.iter().map(String::as_str).collect();
    create(&client, "/Groups", &group("Engineers", &some));
    let found = rows(&server, &["access", "who", "view"]);
    let names: Vec<&str> = found.iter().map(|row| row["name"].as_str().unwrap()).collect();
    let expected: Vec<String> = (0..250).map(|number| format!("user{number:03}")).collect();
    assert_eq!(names, expected);
    assert_eq!(rows(&server, &["access", "who", "view", "--limit", "101"]).len(), 101);
}

#[test]
fn a_user_in_ten_thousand_groups_is_explained_within_bounds() {
    let server = Server::start_with(CONFIG);
    let client = server.client();
    let ada = create(&client, "/Users", &user("ada")).1;
    let bodies: Vec<Value> =
        (0..MANY).map(|number| group(&format!("group{number}"), &[&ada])).collect();
    let inner = create_all(&client, "/Groups", &bodies);
    // Each of these leads to the one that is granted something: more paths than are shown.
    let some: Vec<&str> = inner.iter().take(150).map(String::as_str).collect();
    let engineers = create(&client, "/Groups", &group("Engineers", &some)).1;
    let output = server.run(&["access", "why", "ada", "--permission", "view", "--json"]);
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    // One group more than are followed: the farthest is left out, with its grants, as in effective access.
    assert_eq!(found.len(), 0);
    client.delete(&format!("/Groups/{}", inner[MANY - 1])).expect(204);
    let output = server.run(&["access", "why", "ada", "--permission", "view", "--json"]);
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found.len(), 100);
    assert!(String::from_utf8_lossy(&output.stderr).contains("more paths than are shown"));
    let names = |row: &Value| row["path"]["groups"][1]["id"] == json!(engineers);
    assert!(found.iter().all(names), "{:#?}", found[0]);
}

/// Creates resources with bulk requests; their ids.
fn create_all(client: &Client, path: &str, bodies: &[Value]) -> Vec<String> {
    let mut ids = Vec::with_capacity(bodies.len());
    for bodies in bodies.chunks(1_000) {
        let operation = |(number, data): (usize, &Value)| json!({"method": "POST", "path": path, "bulkId": number.to_string(), "data": data});
        let operations: Vec<Value> = bodies.iter().enumerate().map(operation).collect();
        let answer = client.post("/Bulk", &json!({"Operations": operations})).expect(200).body;
        for result in answer["Operations"].as_array().unwrap() {
            let location = result["location"].as_str().unwrap();
            ids.push(location.rsplit('/').next().unwrap().to_owned());
        }
    }
    ids
}
