//! What accounts may do: roles, entitlements, grants, and a catalogue that changes.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Client, Server, create, encode, group, user};

const ACCESS: &str = "urn:scimd:scim:schemas:extension:access:1.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

const CATALOGUE: &str = r#"
    [access]
    workspace_permissions = ["basic_access", "view_reports", "edit_reports"]
    team_permissions = ["admin"]
    [[workspaces]]
    name = "Main"
    id = "main"
    teams = ["East", "West"]
    [[workspaces]]
    name = "Sales"
    id = "sales"
    [[permission_sets]]
    name = "Analyst"
    id = "analyst"
    permissions = ["view_reports"]
    [[roles]]
    name = "Test Role"
    id = "2519dafcdba238ae7"
    [[roles.workspaces]]
    name = "Sales"
    permissions = ["basic_access"]
    permission_sets = ["Analyst"]
    [[roles]]
    name = "Guest"
    [[grants]]
    group = "Engineers"
    company_permissions = ["admin"]
    [[grants.workspaces]]
    name = "main"
    permissions = ["edit_reports"]
    [[grants.workspaces.teams]]
    name = "East"
    permissions = ["admin"]
    [[grants]]
    external_id = "g-7"
    roles = ["Test Role"]
"#;

const CONNECTION: &str = r#"
    [connections.default]
    method = "okta-custom"
    service_origin = "localhost"
"#;

fn start() -> (Server, Client) {
    let server = Server::start_with(&format!("{CONNECTION}{CATALOGUE}"));
    let client = server.client();
    (server, client)
}

/// The values of a multi-valued attribute.
fn values(body: &Value, attribute: &str) -> Vec<String> {
    let elements = body[attribute].as_array().cloned().unwrap_or_default();
    elements.iter().map(|element| element["value"].as_str().unwrap().to_owned()).collect()
}

/// What an account's access comes to: each piece with its sources.
fn effective(client: &Client, path: &str) -> Vec<(String, Vec<String>)> {
    let user = client.get(&format!("{path}?attributes={ACCESS}:effective")).expect(200).body;
    let pieces = user[ACCESS]["effective"].as_array().cloned().unwrap_or_default();
    pieces
        .iter()
        .map(|piece| {
            let sources = piece["sources"].as_array().unwrap().iter();
            let sources = sources.map(|source| source.as_str().unwrap().to_owned()).collect();
            (piece["value"].as_str().unwrap().to_owned(), sources)
        })
        .collect()
}

fn names(pieces: &[(String, Vec<String>)]) -> Vec<&str> {
    pieces.iter().map(|(piece, _)| piece.as_str()).collect()
}

fn with(user_name: &str, attribute: &str, given: &[&str]) -> Value {
    let mut body = user(user_name);
    body[attribute] = given.iter().map(|value| json!({"value": value})).collect();
    body
}

#[test]
fn whoever_names_no_workspace_gets_the_default_one() {
    let defaults = "default_workspace = \"Sales\"\ndefault_permissions = [\"basic_access\"]\n";
    let server = Server::start_with(&format!("{CONNECTION}{defaults}{CATALOGUE}"));
    let client = server.client();
    let default = ["workspace:Sales", "workspace:Sales:permission:basic_access"];
    let created = client.post("/Users", &user("ada")).expect(201);
    assert_eq!(values(&created.body, "entitlements"), default);
    let company = client.post("/Users", &with("b", "entitlements", &["company:admin"])).expect(201);
    assert_eq!(values(&company.body, "entitlements")[1..], default);
    for (attribute, given) in [("roles", "Test Role"), ("entitlements", "workspace:Main:team:West")]
    {
        let created = client.post("/Users", &with(given, attribute, &[given])).expect(201).body;
        assert_eq!(values(&created, attribute), [given]);
        assert_eq!(created.as_object().unwrap().contains_key("entitlements"), attribute != "roles");
    }
    // A role without a workspace names none.
    let created = client.post("/Users", &with("guest", "roles", &["Guest"])).expect(201).body;
    assert_eq!(values(&created, "entitlements"), default);
    // PUT takes away what it leaves out, and names no workspace either; PATCH does what it says.
    let path = format!("/Users/{}", company.text("/id"));
    let replaced = client.put(&path, &user("b")).expect(200).body;
    assert_eq!(values(&replaced, "entitlements"), default);
    let stripped = client.patch(&path, &json!([{"op": "remove", "path": "entitlements"}]));
    assert_eq!(stripped.expect(200).body.get("entitlements"), None);
    assert_eq!(effective(&client, &path), []);
}

#[test]
fn names_and_ids_are_one_and_answers_carry_names() {
    let (_server, client) = start();
    let given = ["2519dafcdba238ae7", "TEST ROLE", "Guest"];
    let (path, _) = create(&client, "/Users", &with("ada", "roles", &given));
    assert_eq!(values(&client.get(&path).body, "roles"), ["Test Role", "Guest"]);
    let given = [
        "Workspace:main",
        "workspace:main:set:ANALYST",
        "workspace:SALES:Permission:basic_access",
        "workspace:Main:team:east:admin",
        "company:admin",
    ];
    let replaced = client.put(&path, &with("ada", "entitlements", &given)).expect(200).body;
    let canonical = [
        "workspace:Main",
        "workspace:Main:set:Analyst",
        "workspace:Sales:permission:basic_access",
        "workspace:Main:team:East:admin",
        "company:admin",
    ];
    assert_eq!(values(&replaced, "entitlements"), canonical);
    let filter = encode("entitlements.value eq \"workspace:sales:permission:basic_access\"");
    assert_eq!(client.get(&format!("/Users?filter={filter}")).body["totalResults"], 1);
    // Whichever of its names a role is taken away by, it is gone.
    for name in ["2519dafcdba238ae7", "test role"] {
        client.patch(&path, &json!([{"op": "Add", "path": "roles", "value": [{"value": name}]}]));
        let filter = encode(&format!("roles eq \"{name}\""));
        assert_eq!(client.get(&format!("/Users?filter={filter}")).body["totalResults"], 1);
        let target = format!("roles[value eq \"{name}\"]");
        let patched = client.patch(&path, &json!([{"op": "remove", "path": target}])).expect(200);
        assert_eq!(patched.body.get("roles"), None, "{name}");
    }
}

#[test]
fn what_is_not_in_the_catalogue_is_refused_with_the_nearest_and_nothing_is_stored() {
    let (_server, client) = start();
    let (path, _) = create(&client, "/Users", &user("ada"));
    let before = client.get(&path).body;
    for (attribute, value, expected) in [
        ("roles", "Test Rule", "Unknown role \"Test Rule\"; did you mean \"Test Role\"?"),
        ("entitlements", "workspace:Mian", "Unknown workspace \"Mian\"; did you mean \"Main\"?"),
        (
            "entitlements",
            "workspace:Main:team:Eats",
            "Unknown team of workspace \"Main\" called \"Eats\"",
        ),
        ("entitlements", "workspace:Main:set:Analist", "did you mean \"Analyst\"?"),
        ("entitlements", "workspace:Main:permission:basic_acess", "did you mean \"basic_access\"?"),
        ("entitlements", "workspace:Main:team:East:amdin", "did you mean \"admin\"?"),
        ("entitlements", "company:admn", "did you mean \"admin\"?"),
        (
            "entitlements",
            "company",
            "\"company\" is not an entitlement; expected company:PERMISSION",
        ),
        ("entitlements", "workspace:Main:x:y", "is not an entitlement"),
    ] {
        let body = with("bob", attribute, &[value]);
        let detail = client.post("/Users", &body).error(400, Some("invalidValue")).to_owned();
        assert!(detail.contains(expected), "{detail}");
        client.put(&path, &body).error(400, Some("invalidValue"));
        let operations = json!([
            {"op": "replace", "path": "title", "value": "x"},
            {"op": "add", "path": attribute, "value": [{"value": value}]},
        ]);
        let detail = client.patch(&path, &operations).error(400, Some("invalidValue")).to_owned();
        assert!(detail.contains(expected), "{detail}");
    }
    assert_eq!(client.get(&path).body, before);
    assert_eq!(client.get("/Users?count=0").body["totalResults"], 1);
}

#[test]
fn a_role_that_is_an_object_in_a_text_is_the_role_that_it_names() {
    let (_server, client) = start();
    for (number, text) in [
        json!({"id": "a1", "value": "2519dafcdba238ae7", "displayName": "x"}),
        json!({"id": "a1", "value": "25", "displayName": "Test Role"}),
        json!({"id": "2519dafcdba238ae7", "value": "", "displayName": null}),
    ]
    .iter()
    .enumerate()
    {
        let (path, _) = create(&client, "/Users", &user(&format!("u{number}")));
        let value = json!([{"value": text.to_string()}]);
        let operation = json!([{"op": "Add", "path": "roles", "value": value}]);
        let patched = client.patch(&path, &operation).expect(200);
        assert_eq!(values(&patched.body, "roles"), ["Test Role"]);
    }
    let value = json!({"id": "1", "value": "Nobody"}).to_string();
    let detail = client
        .post("/Users", &with("x", "roles", &[&value]))
        .error(400, Some("invalidValue"))
        .to_owned();
    assert!(detail.contains("Unknown role \"Nobody\""), "{detail}");
}

#[test]
fn effective_access_names_every_source_and_each_piece_once() {
    let (_server, client) = start();
    let mut body = with("ada", "entitlements", &["workspace:Sales:permission:basic_access"]);
    body["roles"] = json!([{"value": "Test Role"}]);
    let (path, _) = create(&client, "/Users", &body);
    let role = "role \"Test Role\"";
    let expected = [
        ("workspace:Sales", vec!["direct", role]),
        ("workspace:Sales:permission:basic_access", vec!["direct", role]),
        (
            "workspace:Sales:permission:view_reports",
            vec!["role \"Test Role\", permission set \"Analyst\""],
        ),
        ("workspace:Sales:set:Analyst", vec![role]),
    ];
    let found = effective(&client, &path);
    let found: Vec<(&str, Vec<&str>)> = found
        .iter()
        .map(|(piece, sources)| (piece.as_str(), sources.iter().map(String::as_str).collect()))
        .collect();
    assert_eq!(found, expected);
    let shown =
        client.get(&format!("{path}?attributes={ACCESS}:effective,{ACCESS}:managedBy")).body;
    assert_eq!(shown[ACCESS]["managedBy"], "default");
    assert!(shown["schemas"].as_array().unwrap().contains(&json!(ACCESS)));
    let usual = client.get(&path).body;
    assert_eq!(usual.get(ACCESS), None);
    let knowing = client.clone().header("If-None-Match", "W/\"1\"");
    knowing.get(&path).expect(304);
    // The version says nothing of what groups give.
    knowing.get(&format!("{path}?attributes={ACCESS}:effective")).expect(200);
    let listed = client.get(&format!("/Users?attributes=userName,{ACCESS}:effective")).body;
    assert_eq!(listed["Resources"][0][ACCESS]["effective"], shown[ACCESS]["effective"]);
    let filter = encode(&format!("{ACCESS}:managedBy eq \"default\""));
    client.get(&format!("/Users?filter={filter}")).error(400, Some("invalidFilter"));
}

#[test]
fn grants_follow_membership_and_the_names_of_groups_at_once() {
    let (_server, client) = start();
    let (path, id) = create(&client, "/Users", &user("ada"));
    let (engineers, engineers_id) = create(&client, "/Groups", &group("Engineers", &[]));
    let granted = [
        "company:admin",
        "workspace:Main",
        "workspace:Main:permission:edit_reports",
        "workspace:Main:team:East",
        "workspace:Main:team:East:admin",
    ];
    let own = ["workspace:Main"];
    assert_eq!(names(&effective(&client, &path)), own);
    let add = json!([{"op": "add", "path": "members", "value": [{"value": id}]}]);
    client.patch(&engineers, &add).expect(200);
    let found = effective(&client, &path);
    assert_eq!(names(&found), granted);
    assert_eq!(found[0].1, ["group \"Engineers\""]);
    assert_eq!(found[1].1, ["direct", "group \"Engineers\""]);
    let rename = |name: &str| json!([{"op": "replace", "value": {"displayName": name}}]);
    client.patch(&engineers, &rename("Builders")).expect(200);
    assert_eq!(names(&effective(&client, &path)), own);
    client.patch(&engineers, &rename("ENGINEERS")).expect(200);
    assert_eq!(names(&effective(&client, &path)), granted);
    // Through a group of groups, and by the external id of that.
    let mut outer = group("Outer", &[&engineers_id]);
    outer["externalId"] = json!("g-7");
    let (outer, _) = create(&client, "/Groups", &outer);
    assert!(names(&effective(&client, &path)).contains(&"workspace:Sales:set:Analyst"));
    client.delete(&outer).expect(204);
    assert_eq!(names(&effective(&client, &path)), granted);
    // A closed account may do nothing, and everything again once it is opened.
    let active = |flag: bool| json!([{"op": "replace", "path": "active", "value": flag}]);
    client.patch(&path, &active(false)).expect(200);
    assert_eq!(effective(&client, &path), []);
    client.patch(&path, &active(true)).expect(200);
    assert_eq!(names(&effective(&client, &path)), granted);
    client.delete(&engineers).expect(204);
    assert_eq!(names(&effective(&client, &path)), own);
}

#[test]
fn a_department_is_any_text_unless_the_configuration_says_otherwise() {
    let department = |name: &str| {
        let mut body = user(name);
        body[ENTERPRISE] = json!({"department": name});
        body
    };
    let (_server, client) = start();
    let created = client.post("/Users", &department("Sales EMEA")).expect(201);
    assert_eq!(created.body[ENTERPRISE]["department"], "Sales EMEA");
    let strict = "[access]\nunknown_departments = \"refuse\"\n";
    let server = Server::start_with(&format!("{CONNECTION}{strict}"));
    let client = server.client();
    let created = client.post("/Users", &department("Finance")).expect(201);
    assert_eq!(created.body[ENTERPRISE]["department"], "finance");
    let refused = client.post("/Users", &department("finnance"));
    let detail = refused.error(400, Some("invalidValue"));
    assert_eq!(detail, "Unknown department \"finnance\"; did you mean \"finance\"?");
}

/// Changes the configuration of a server that has stopped.
fn configure(server: &Server, from: &str, to: &str) {
    let file = server.folder().join("config.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(file, text.replace(from, to)).unwrap();
}

#[test]
fn a_name_may_change_where_an_id_is_given_and_its_holders_follow() {
    let (mut server, client) = start();
    let mut body = with("ada", "entitlements", &["workspace:Main:set:Analyst", "workspace:Main"]);
    body["roles"] = json!([{"value": "Test Role", "type": "kept"}]);
    let (path, _) = create(&client, "/Users", &body);
    let version = client.get(&path).body["meta"]["version"].clone();
    server.stop();
    server.boot(&[]);
    assert_eq!(client.get(&path).body["meta"]["version"], version, "nothing changed");
    server.stop();
    configure(&server, "\"Main\"", "\"Prime\"");
    configure(&server, "\"Test Role\"", "\"Best Role\"");
    configure(&server, "\"Analyst\"", "\"Reader\"");
    server.boot(&[]);
    let followed = client.get(&path).body;
    assert_eq!(
        values(&followed, "entitlements"),
        ["workspace:Prime:set:Reader", "workspace:Prime"]
    );
    assert_eq!(followed["roles"], json!([{"value": "Best Role", "type": "kept"}]));
    assert_eq!(followed["meta"]["version"], "W/\"2\"");
}

#[test]
fn a_workspace_in_use_can_only_be_removed_on_purpose() {
    let (mut server, client) = start();
    let (path, _) = create(&client, "/Users", &with("ada", "entitlements", &["workspace:Sales"]));
    let (both, _) = create(
        &client,
        "/Users",
        &with("bob", "entitlements", &["workspace:Sales", "company:admin"]),
    );
    server.stop();
    let role = "\n    [[roles.workspaces]]\n    name = \"Sales\"\n    permissions = [\"basic_access\"]\n    permission_sets = [\"Analyst\"]";
    configure(&server, role, "");
    configure(&server, "[[workspaces]]\n    name = \"Sales\"\n    id = \"sales\"", "");
    let refused = server.run(&["serve"]);
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8(refused.stderr).unwrap();
    let expected = "entitlements \"workspace:Sales\" (2: ada, bob)";
    assert!(told.contains(expected) && told.contains("--drop-unknown-access"), "{told}");
    assert_eq!(told.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{told}");
    server.boot(&["--drop-unknown-access"]);
    assert_eq!(client.get(&path).body.get("entitlements"), None);
    assert_eq!(values(&client.get(&both).body, "entitlements"), ["company:admin"]);
    server.stop();
    server.boot(&[]);
}

#[test]
fn roles_that_were_removed_with_the_last_of_them_are_gone_too() {
    let (mut server, client) = start();
    let (path, _) = create(&client, "/Users", &with("ada", "roles", &["Guest"]));
    let (other, _) = create(&client, "/Users", &user("bob"));
    server.stop();
    let file = server.folder().join("config.toml");
    let text = fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once("[[roles]]").unwrap();
    let grants = rest.split_once("[[grants]]").unwrap().1.replace("roles = [\"Test Role\"]", "");
    fs::write(&file, format!("{before}[[grants]]{grants}")).unwrap();
    let refused = server.run(&["serve"]);
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(
        refused.status.code() == Some(1) && told.contains("roles \"Guest\" (1: ada)"),
        "{told}"
    );
    server.boot(&["--drop-unknown-access"]);
    assert_eq!(client.get(&path).body.get("roles"), None);
    // From now on they are free texts, which no start minds.
    client.put(&other, &with("bob", "roles", &["anything"])).expect(200);
    server.stop();
    server.boot(&[]);
    assert_eq!(values(&client.get(&other).body, "roles"), ["anything"]);
}

#[test]
fn what_nobody_knows_can_be_taken_away() {
    let (_server, client) = start();
    let (path, _) = create(&client, "/Users", &with("ada", "roles", &["Guest", "Test Role"]));
    let gone = json!([{"value": "Old Role"}, {"value": "guest"}]);
    let operation = json!([{"op": "Remove", "path": "roles", "value": gone}]);
    let patched = client.patch(&path, &operation).expect(200).body;
    assert_eq!(values(&patched, "roles"), ["Test Role"]);
    let operation = json!([{"op": "remove", "path": "roles[value eq \"Old Role\"]"}]);
    client.patch(&path, &operation).expect(200);
    // A role that a filter describes and that is there already is there once.
    let target = "roles[primary eq \"True\"].value";
    let operation = json!([{"op": "Add", "path": target, "value": "test role"}]);
    let patched = client.patch(&path, &operation).expect(200).body;
    assert_eq!(values(&patched, "roles"), ["Test Role"]);
}

#[test]
fn a_configuration_whose_catalogue_contradicts_itself_says_where() {
    for (from, to, expected) in [
        (
            "name = \"main\"",
            "name = \"mian\"",
            "unknown workspace \"mian\"; did you mean \"Main\"?",
        ),
        (
            "permission_sets = [\"Analyst\"]",
            "permission_sets = [\"Analist\"]",
            "did you mean \"Analyst\"?",
        ),
        ("name = \"East\"", "name = \"Eats\"", "unknown team \"Eats\"; did you mean \"East\"?"),
        ("roles = [\"Test Role\"]", "roles = [\"Test Rolle\"]", "did you mean \"Test Role\"?"),
        ("[\"edit_reports\"]", "[\"edit_report\"]", "did you mean \"edit_reports\"?"),
        (
            "company_permissions = [\"admin\"]",
            "company_permissions = [\"amdin\"]",
            "did you mean \"admin\"?",
        ),
        ("external_id = \"g-7\"", "", "grants.group: missing"),
        ("name = \"Guest\"", "name = \"Guest:1\"", "invalid name"),
        ("name = \"Guest\"", "name = \"TEST role\"", "appears twice"),
        ("name = \"Guest\"", "name = \"2519dafcdba238ae7\"", "appears twice"),
    ] {
        let server = Server::configure(&format!("{CONNECTION}{}", CATALOGUE.replace(from, to)));
        let output = server.run(&["config", "check"]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{from}: {told}");
        assert!(told.lines().count() == 1 && told.contains(expected), "{told}");
        let line = told.split("config.toml:").nth(1).and_then(|rest| rest.split(':').next());
        assert!(line.unwrap().parse::<usize>().is_ok(), "{told}");
    }
}

#[test]
fn roles_and_entitlements_are_on_offer_and_can_be_given_as_they_are_listed() {
    let (_server, client) = start();
    let types = client.get("/ResourceTypes").expect(200).body;
    for (name, endpoint) in [("Role", "/Roles"), ("Entitlement", "/Entitlements")] {
        let listed = types["Resources"].as_array().unwrap();
        let listed = listed.iter().find(|one| one["id"] == name).unwrap();
        assert_eq!(listed["endpoint"], endpoint);
        let schema = client.get(&format!("/Schemas/{}", listed["schema"].as_str().unwrap()));
        assert_eq!(schema.expect(200).body["attributes"][0]["name"], "value");
    }
    let roles = client.get("/Roles?startIndex=1&count=100").expect(200).body;
    assert_eq!((&roles["totalResults"], &roles["itemsPerPage"]), (&json!(2), &json!(2)));
    let role = &roles["Resources"][0];
    assert_eq!((&role["id"], &role["value"]), (&json!("2519dafcdba238ae7"), &json!("Test Role")));
    assert_eq!((&role["displayName"], &role["supported"]), (&json!("Test Role"), &json!(true)));
    let entitlements = client.get("/Entitlements?count=1000").expect(200).body;
    let values: Vec<String> = values(&entitlements, "Resources");
    assert!(values.contains(&"workspace:Main:team:East:admin".to_owned()), "{values:?}");
    assert_eq!(entitlements["totalResults"], values.len());
    // Every one that is offered is served at its place and may be given, all at once.
    for entry in entitlements["Resources"].as_array().unwrap() {
        let location = entry["meta"]["location"].as_str().unwrap();
        let path = location.split("/scim/v2").nth(1).unwrap();
        assert_eq!(client.get(path).expect(200).body, *entry);
    }
    let given: Vec<&str> = values.iter().map(String::as_str).collect();
    let (path, _) = create(&client, "/Users", &with("ada", "entitlements", &given));
    assert_eq!(self::values(&client.get(&path).body, "entitlements"), values);
}

#[test]
fn a_page_of_entitlements_ends_at_8_mib_and_the_next_goes_on_where_it_ended() {
    let long = |number: usize| format!("{}{number}", "é".repeat(95));
    let teams: Vec<String> = (0..100).map(long).collect();
    let permissions: Vec<String> = (0..100).map(|number| format!("p{number}")).collect();
    let server = Server::start_with(&format!(
        "[limits]\nmax_count = 10000\n[access]\nteam_permissions = {permissions:?}\n\
         [[workspaces]]\nname = {:?}\nteams = {teams:?}\n",
        long(0)
    ));
    let client = server.client();
    let (mut seen, mut pages, mut total) = (std::collections::BTreeSet::new(), 0, 1);
    while seen.len() < total {
        let path = format!("/Entitlements?count=10000&startIndex={}", seen.len() + 1);
        let page = client.get(&path).expect(200).body;
        assert!(page.to_string().len() <= 8 * 1024 * 1024 + 200);
        let shown: Vec<String> = values(&page, "Resources");
        assert_eq!(page["itemsPerPage"], shown.len());
        seen.extend(shown);
        (pages, total) = (pages + 1, page["totalResults"].as_u64().unwrap() as usize);
    }
    assert!(total > 10_100 && pages > 1, "{total} in {pages} pages");
}

#[test]
fn what_is_on_offer_is_searched_like_other_resources_and_never_changed() {
    let (_server, client) = start();
    let filter = encode("type eq \"team\" and value co \"main\"");
    let found =
        client.get(&format!("/Entitlements?filter={filter}&sortBy=value&sortOrder=descending"));
    assert_eq!(
        values(&found.expect(200).body, "Resources"),
        ["workspace:Main:team:West", "workspace:Main:team:East"]
    );
    let page = client.get("/Entitlements?startIndex=3&count=2&attributes=value").expect(200).body;
    assert_eq!((&page["startIndex"], &page["itemsPerPage"]), (&json!(3), &json!(2)));
    let first = page["Resources"][0].as_object().unwrap();
    assert_eq!(first.keys().collect::<Vec<_>>(), ["schemas", "id", "value"]);
    let searched = client.post("/Roles/.search", &json!({"filter": "value eq \"guest\""}));
    assert_eq!(searched.expect(200).body["totalResults"], 1);
    client.get("/Roles?filter=nothing%20eq%201").error(400, Some("invalidFilter"));
    client.get("/Roles?cursor=abc").error(400, Some("invalidCursor"));
    client.get("/Roles/nothing").error(404, None);
    let role = "/Roles/2519dafcdba238ae7";
    let refusals = [
        client.post("/Roles", &json!({"value": "x"})),
        client.put(role, &json!({"value": "x"})),
        client.patch(role, &json!([{"op": "replace", "path": "value", "value": "x"}])),
        client.delete(role),
    ];
    for refusal in refusals {
        refusal.error(405, None);
        assert_eq!(refusal.header("allow"), "GET, HEAD");
    }
}

#[test]
fn the_command_line_explains_access_and_exports_it_for_everybody() {
    let (mut server, client) = start();
    let (path, id) = create(&client, "/Users", &with("=ada,\"1\"", "roles", &["Test Role"]));
    create(&client, "/Users", &user("bob"));
    create(&client, "/Groups", &group("Engineers", &[&id]));
    let explained = server.succeed(&["user", "show", &id, "--access"]);
    for line in [
        "workspace:Sales:permission:view_reports  view_reports in workspace Sales",
        "role \"Test Role\", permission set \"Analyst\"",
        "company:admin",
        "group \"Engineers\"",
    ] {
        assert!(explained.contains(line), "{line}\n{explained}");
    }
    let listed: Value =
        serde_json::from_str(&server.succeed(&["user", "show", &id, "--access", "--json"]))
            .unwrap();
    let listed: Vec<&str> =
        listed.as_array().unwrap().iter().map(|piece| piece["value"].as_str().unwrap()).collect();
    assert_eq!(listed, names(&effective(&client, &path)));

    let close = json!([{"op": "replace", "path": "active", "value": false}]);
    client.patch("/Users/nobody", &close).error(404, None);
    let exported = server.succeed(&["export"]);
    server.stop();
    assert_eq!(server.succeed(&["export"]), exported, "with a server and without");
    let users: Vec<Value> =
        exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(users.len(), 3, "two users, and a group with its members");
    assert_eq!(users[2]["resource"]["members"][0]["value"], users[0]["resource"]["id"]);
    assert_eq!(users[0]["access"][0]["sources"], json!(["group \"Engineers\""]));
    assert_eq!(
        (&users[1]["resource"]["userName"], &users[1]["connection"]),
        (&json!("bob"), &json!("default"))
    );
    let table = server.succeed(&["export", "--format", "csv"]);
    let row = table.lines().nth(1).unwrap();
    // A spreadsheet must not take a name for a formula.
    assert!(row.starts_with(&format!("{id},\"'=ada,\"\"1\"\"\",,true,")), "{row}");
    assert_eq!(table.lines().next().unwrap().split(',').count(), 11);
}

#[test]
fn an_id_is_nobody_elses_be_it_given_or_derived() {
    // A workspace called Main has this id unless it is given another.
    let prime = "[[workspaces]]\nname = \"Prime\"\nid = \"ade9e1442ee46f990108b78c\"\n";
    let main = "[[workspaces]]\nname = \"Main\"\n";
    for both in [format!("{prime}{main}"), format!("{main}{prime}")] {
        let output = Server::configure(&format!("{CONNECTION}{both}")).run(&["config", "check"]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("\"ade9e1442ee46f990108b78c\" is already used"), "{told}");
    }
    let renamed = format!("{CONNECTION}{prime}[[workspaces]]\nname = \"Main\"\nid = \"new\"\n");
    assert!(Server::configure(&renamed).run(&["config", "check"]).status.success());
}
