//! Users as the flat dialect shows them.

use serde_json::{Value, json};

use super::{ACCESS, CUSTOM, ENTERPRISE, error, example, named, server, texts, user};
use crate::harness::{Client, Server, USER, create, encode, group};

#[test]
fn a_user_comes_back_as_the_dialect_has_it() {
    let server = server();
    let created = server.client().post("/Users", &example()).expect(201);
    let names: Vec<&String> = created.body.as_object().unwrap().keys().collect();
    let flat = ["schemas", "id", "userName", "name", "department", "createdAt", "lastSignInAt"];
    assert_eq!(names[..7], flat);
    assert_eq!(names[7..], ["permissions", "active", "meta"]);
    assert_eq!(created.body["schemas"], json!([USER]));
    assert_eq!(created.body["department"], "finance");
    assert_eq!(created.body["lastSignInAt"], "N/A");
    let created_at = created.text("/createdAt");
    assert!(created_at.ends_with(" AM") || created_at.ends_with(" PM"), "{created_at}");
    assert_eq!(without_derived_ids(created.body["permissions"].clone()), expected());
}

/// The permissions of the example in an answer, without ids that are derived from names.
fn expected() -> Value {
    let set = json!({"appGroupPermissionSetName": "Test Permission Set",
        "appGroupPermissionSetID": "set-1", "permissions": ["basic_access", "send_campaigns"]});
    let workspace = |of_team: &str, sets: &Value| {
        json!({"appGroupName": "Test Workspace", "appGroupId": "ws-1",
            "appGroupPermissions": ["basic_access"],
            "team": [{"teamName": "Test Team", "teamPermissions": [of_team]}],
            "appGroupPermissionSets": sets})
    };
    let main = json!({"appGroupName": "Main", "appGroupPermissions": [], "team": [],
        "appGroupPermissionSets": [set]});
    json!({
        "companyPermissions": ["manage_company_settings"],
        "roles": [{"roleName": "Test Role", "roleId": "2519dafcdba238ae7",
            "appGroup": [workspace("edit", &json!([set]))]}],
        "appGroup": [workspace("admin", &json!([])), main],
    })
}

/// Takes out the ids that are derived from names, which must be there.
fn without_derived_ids(permissions: Value) -> Value {
    match permissions {
        Value::Object(mut object) => {
            for (name, of, id) in
                [("teamName", "Test Team", "teamId"), ("appGroupName", "Main", "appGroupId")]
            {
                if object.get(name) == Some(&json!(of)) {
                    assert!(object.remove(id).unwrap().is_string());
                }
            }
            let members = object.into_iter();
            members.map(|(name, value)| (name, without_derived_ids(value))).collect()
        }
        Value::Array(elements) => elements.into_iter().map(without_derived_ids).collect(),
        other => other,
    }
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
    known.get(&format!("{path}?excludedAttributes=permissions")).expect(304);
    assert_eq!(known.get(&path).expect(200).body, now.body, "the catalogue may have changed");
    client.delete(&path).expect(204);
    error(&client.get(&path), 404, None);
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
fn a_page_of_accounts_with_much_access_ends_at_8_mib() {
    const ROLES: usize = 60;
    const USERS: usize = 100;
    let permissions: Vec<String> =
        (0..40).map(|number| format!("\"permission_of_a_long_name_{number}\"")).collect();
    let permissions = permissions.join(", ");
    let mut access = format!(
        "[access]\nworkspace_permissions = [{permissions}]\n[[workspaces]]\nname = \"Main\"\n"
    );
    for number in 0..ROLES {
        access.push_str(&format!(
            "[[roles]]\nname = \"Role {number}\"\n[[roles.workspaces]]\nname = \"Main\"\npermissions = [{permissions}]\n"
        ));
    }
    let server = Server::start_with(&format!("{CUSTOM}{access}"));
    let client = server.client();
    let roles: Vec<Value> =
        (0..ROLES).map(|number| json!({"roleName": format!("Role {number}")})).collect();
    for number in 0..USERS {
        let mut body = user(&format!("u{number}@example.com"));
        body["permissions"] = json!({"roles": roles});
        create(&client, "/Users", &body);
    }
    let mut found = 0;
    while found < USERS {
        let path = format!("/Users?count={USERS}&startIndex={}", found + 1);
        let page = client.get(&path).expect(200).body;
        let shown = page["Resources"].as_array().unwrap().len();
        assert!(page.to_string().len() <= 8 * 1024 * 1024 && shown > 0 && shown < USERS);
        assert_eq!((&page["totalResults"], &page["itemsPerPage"]), (&json!(USERS), &json!(shown)));
        found += shown;
    }
    assert_eq!(found, USERS);
}
