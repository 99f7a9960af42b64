//! What the flat dialect refuses, and in which words.

use serde_json::{Value, json};

use super::{ACCESS, CUSTOM, ENTERPRISE, error, example, server, user};
use crate::harness::{Server, create};

/// A user of the least, with one attribute more.
fn user_with(name: &str, value: &Value) -> Value {
    let mut body = user("ada@example.com");
    body[name] = value.clone();
    body
}

/// The rows of a table: JSON, the keyword of its refusal, and words that its detail has.
fn rows(table: &str) -> impl Iterator<Item = (Value, &str, &str)> {
    table.trim().lines().map(|line| {
        let (sent, refusal) = line.split_once(" => ").unwrap();
        let (scim_type, said) = refusal.split_once(' ').unwrap();
        (serde_json::from_str(sent).unwrap(), scim_type, said)
    })
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

/// Permissions that can't be given.
const PERMISSIONS: &str = r#"
{"companyPermissions": ["admn"]} => invalidValue Unknown company permission "admn"; did you mean "admin"?
{"roles": [{"roleName": "Tets Role"}]} => invalidValue Unknown role "Tets Role"; did you mean "Test Role"?
{"roles": [{"roleId": "2519"}]} => invalidValue Unknown role "2519"
{"appGroup": [{"appGroupName": "Mian"}]} => invalidValue Unknown workspace "Mian"; did you mean "Main"?
{"appGroup": [{"appGroupName": "Main:team:x"}]} => invalidValue Unknown workspace "Main:team:x"
{"appGroup": [{"appGroupName": "Main", "appGroupPermissions": ["basic"]}]} => invalidValue Unknown workspace permission "basic"
{"appGroup": [{"appGroupId": "ws-1", "team": [{"teamName": "Tset Team"}]}]} => invalidValue did you mean "Test Team"?
{"appGroup": [{"appGroupId": "ws-1", "team": [{"teamName": "Test Team", "teamPermissions": ["edt"]}]}]} => invalidValue did you mean "edit"?
{"appGroup": [{"appGroupName": "Main", "appGroupPermissionSets": [{"appGroupPermissionSetName": "x"}]}]} => invalidValue Unknown permission set "x"
{"appGroup": [{"appGroupName": "Main"}, {"appGroupPermissions": []}]} => invalidValue "permissions.appGroup[1]" needs "appGroupName" or "appGroupId"
{"appGroup": [{"appGroupName": "Main", "appGroupId": "ws-1"}]} => invalidValue "appGroupName" and "appGroupId" of "permissions.appGroup[0]" refer to different entries
{"roles": [{"roleName": "Other Role", "roleId": "2519dafcdba238ae7"}]} => invalidValue refer to different entries
"admin" => invalidSyntax "permissions" must be an object, not a string
{"companyPermissions": "admin"} => invalidSyntax "permissions.companyPermissions" must be an array
{"companyPermissions": [1]} => invalidSyntax "permissions.companyPermissions[0]" must be a string
{"roles": ["x"]} => invalidSyntax "permissions.roles[0]" must be an object
{"roles": [{"roleName": 1}]} => invalidSyntax "permissions.roles[0].roleName" must be a string
{"appGroup": [{"appGroupName": "Main"}, {"appGroupName": "Main", "appGroupPermissions": "x"}]} => invalidSyntax "permissions.appGroup[1].appGroupPermissions" must be an array
"#;

#[test]
fn permissions_that_cannot_be_given_are_named() {
    let server = server();
    let client = server.client();
    for (permissions, scim_type, said) in rows(PERMISSIONS) {
        let reply = client.post("/Users", &user_with("permissions", &permissions));
        let detail = error(&reply, 400, Some(scim_type));
        assert!(detail.contains(said), "{permissions}: {detail}");
    }
}

#[test]
fn a_department_that_is_not_listed_is_refused_wherever_it_stands() {
    let server = server();
    let client = server.client();
    let refused = |name: &str, value: Value, scim_type: &str| {
        error(&client.post("/Users", &user_with(name, &value)), 400, Some(scim_type))
    };
    let detail = refused("department", json!("finanse"), "invalidValue");
    assert_eq!(detail, "Unknown department \"finanse\"; did you mean \"finance\"?");
    let detail = refused(ENTERPRISE, json!({"department": "sales"}), "invalidValue");
    assert!(detail.contains("Unknown department \"sales\""), "{detail}");
    assert!(refused("department", json!(["bi", "pm"]), "invalidSyntax").contains("department"));
}

/// Operations that can't be done.
const OPERATIONS: &str = r#"
{"op": "replace", "path": "permissions.companyPermissions", "value": []} => invalidPath send all of "permissions"
{"op": "replace", "path": "permissions[x eq 1]", "value": []} => invalidPath or change "roles" and "entitlements"
{"op": "add", "value": {"permissions.roles": []}} => invalidPath send all of "permissions"
{"op": "replace", "path": "createdAt", "value": "x"} => mutability "createdAt" is read-only
{"op": "remove", "path": "lastSignInAt"} => mutability "lastSignInAt" is read-only
{"op": "remove", "path": "permissions", "value": {}} => invalidValue removes all of them
{"op": "add", "path": "permissions"} => invalidValue has no "value"
{"op": "replace", "path": "permissions", "value": {"appGroup": 1}} => invalidSyntax "permissions.appGroup" must be an array
{"op": "replace", "path": "department", "value": "finanse"} => invalidValue did you mean "finance"?
{"op": "replace", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "value": "x"} => invalidValue Unknown department
{"op": "add", "value": {"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "x"}}} => invalidValue Unknown department
"#;

#[test]
fn patch_says_what_to_do_instead() {
    let server = server();
    let client = server.client();
    let (path, _) = create(&client, "/Users", &example());
    let present = client.get(&path).expect(200).body;
    for (operation, scim_type, said) in rows(OPERATIONS) {
        let title = json!({"op": "add", "path": "title", "value": "T"});
        let reply = client.patch(&path, &json!([title, operation]));
        let detail = error(&reply, 400, Some(scim_type));
        assert!(detail.contains(said), "{operation}: {detail}");
    }
    assert_eq!(client.get(&path).expect(200).body, present, "all or nothing");
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
