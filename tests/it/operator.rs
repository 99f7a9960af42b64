//! What operators change in the directory themselves.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Client, Server, create, group, user};

fn set_active(active: bool) -> Value {
    json!([{"op": "replace", "path": "active", "value": active}])
}

/// The records of an event in the audit trail, oldest first.
fn records(server: &Server, event: &str) -> Vec<Value> {
    let trail = server.succeed(&["audit", "--json", "--limit", "1000"]);
    let records = trail.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["event"] == event).collect()
}

/// What a record says of an attribute.
fn change<'a>(record: &'a Value, attribute: &str) -> &'a Value {
    let changes = record["changes"].as_array().unwrap();
    changes.iter().find(|change| change["attribute"] == attribute).unwrap_or(&Value::Null)
}

fn is_found_active(client: &Client) -> bool {
    let found = client.get("/Users?filter=userName%20eq%20%22ada%22%20and%20active%20eq%20true");
    found.expect(200).body["totalResults"] == 1
}

#[test]
fn an_operators_deactivation_holds_whatever_the_identity_provider_sends() {
    let server = Server::start();
    let client = server.client();
    let (ada, id) = create(&client, "/Users", &user("ada"));
    server.succeed(&["user", "deactivate", "ada", "--reason", "lost laptop"]);
    assert!(!is_found_active(&client));
    let before = client.get(&ada).expect(200);
    assert_eq!(before.body["active"], false);

    // It is accepted, and changes nothing that is seen.
    let patched = client.patch(&ada, &set_active(true)).expect(200);
    let mut whole = user("ada");
    whole["active"] = json!(true);
    let replaced = client.put(&ada, &whole).expect(200);
    for answer in [&patched, &replaced, &client.get(&ada).expect(200)] {
        assert_eq!(
            (&answer.body["active"], answer.header("etag")),
            (&json!(false), before.header("etag"))
        );
    }
    server
        .client()
        .header("If-Match", before.header("etag"))
        .patch(&ada, &json!([{"op": "add", "path": "title", "value": "Dr."}]))
        .expect(200);
    assert!(!is_found_active(&client));
    let shown = server.succeed(&["user", "show", "ada"]);
    assert!(shown.contains("lost laptop (otherwise active)"), "{shown}");
    let access = server.run(&["user", "show", "ada", "--access"]);
    assert!(String::from_utf8(access.stderr).unwrap().contains("an operator has deactivated it"));
    let patches = records(&server, "user.patched");
    assert_eq!(change(&patches[0], "reason")["after"], "lost laptop");
    assert_eq!(change(&patches[0], "active")["after"], false);

    // What the identity provider wants is kept, and changes with what it sends.
    client.patch(&ada, &set_active(false)).expect(200);
    assert!(server.succeed(&["user", "show", "ada"]).contains("(otherwise inactive)"));
    client.patch(&ada, &set_active(true)).expect(200);
    let wanted = records(&server, "user.patched");
    assert_eq!(change(wanted.last().unwrap(), "active (requested)")["after"], true);

    server.succeed(&["user", "activate", &id]);
    assert!(is_found_active(&client));
    client.patch(&ada, &set_active(false)).expect(200);
    client.patch(&ada, &set_active(true)).expect(200);
    assert!(is_found_active(&client));
}

#[test]
fn an_operators_deactivation_survives_a_crash_a_backup_an_undo_and_a_deletion() {
    let mut server = Server::start();
    let client = server.client();
    let (ada, _) = create(&client, "/Users", &user("ada"));
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    server.succeed(&["user", "deactivate", "ada"]);
    server.kill();
    fs::remove_dir_all(server.data().join("state")).unwrap();
    server.boot(&[]);
    let client = server.client();
    client.patch(&ada, &set_active(true)).expect(200);
    assert!(!is_found_active(&client));
    client.patch(&ada, &json!([{"op": "add", "path": "title", "value": "Dr."}])).expect(200);
    server.succeed(&["undo", "--since", "1s", "--yes"]);
    assert!(!is_found_active(&client));
    client.delete(&ada).expect(204);
    server.succeed(&["undo", "--since", "1s", "--only", "deleted", "--yes"]);
    assert_eq!(client.get(&ada).expect(200).body["active"], false);

    server.succeed(&["backup", "one.backup"]);
    let backup = server.folder().join("one.backup");
    let mut other = Server::configure("");
    other.succeed(&["restore", backup.to_str().unwrap()]);
    other.boot(&[]);
    let client = other.client_with(server.token());
    client.patch(&ada, &set_active(true)).expect(200);
    assert!(!is_found_active(&client));
    assert!(other.succeed(&["verify"]).contains("No problems found."));
    other.stop();
    other.succeed(&["user", "activate", "ada"]);
    other.boot(&[]);
    assert!(is_found_active(&other.client_with(server.token())));
}

#[test]
fn operators_name_users_by_what_identifies_them() {
    let mut server = Server::start();
    let client = server.client();
    for (name, mail) in
        [("ada", "ada@example.com"), ("bob", "desk@example.com"), ("eve", "desk@example.com")]
    {
        let mut body = user(name);
        body["externalId"] = json!(format!("00u-{name}"));
        body["emails"] = json!([{"value": mail}]);
        create(&client, "/Users", &body);
    }
    let told = server.fail(&["user", "deactivate", "desk@example.com"], 1);
    assert!(told.contains("several users have the emails.value"), "{told}");
    let told = server.fail(&["user", "deactivate", "nobody"], 4);
    assert!(told.contains("user \"nobody\" not found"), "{told}");
    server.succeed(&["user", "deactivate", "ADA@example.com"]);
    server.stop();
    let again = server.run(&["user", "deactivate", "00u-ada"]);
    let again = (again.status.code(), String::from_utf8(again.stderr).unwrap());
    assert!(again.0 == Some(0) && again.1.contains("already deactivated"), "{again:?}");
    server.succeed(&["user", "deactivate", "00u-bob"]);
    let shown = server.succeed(&["user", "list"]);
    let inactive = shown.lines().filter(|line| line.contains("  no  ")).count();
    assert_eq!(inactive, 2, "{shown}");
}

#[test]
fn operators_change_memberships_and_are_named_with_the_reason() {
    let server = Server::start();
    let client = server.client();
    create(&client, "/Users", &user("ada"));
    let (staff, _) = create(&client, "/Groups", &group("Staff", &[]));
    let members = || client.get(&staff).expect(200).body["members"].as_array().map_or(0, Vec::len);
    let add = ["group", "add-member", "Staff", "ada", "--reason", "until Friday"];
    let mut sudo = server.command(&add);
    sudo.env("SUDO_USER", "grace").env("SUDO_UID", "1000");
    assert!(sudo.status().unwrap().success());
    let added = server.run(&add);
    assert!(String::from_utf8(added.stderr).unwrap().contains("already"));
    assert_eq!(members(), 1);
    server.succeed(&["group", "remove-member", "Staff", "ada"]);
    assert_eq!(members(), 0);
    let patches = records(&server, "group.patched");
    assert_eq!(patches.len(), 2, "what changes nothing leaves no record");
    assert_eq!(patches[0]["actor"]["sudo"], json!({"name": "grace", "uid": 1000}));
    assert_eq!(change(&patches[0], "reason")["after"], "until Friday");
    assert_eq!(change(&patches[0], "members")["added"]["first"][0]["display"], "ada");
    assert!(server.succeed(&["audit"]).contains("operator grace (sudo as "));
    server.fail(&["group", "add-member", "Nobody", "ada"], 4);
    server.fail(&["group", "add-member", "Staff", "nobody"], 4);
}

#[test]
fn a_user_is_transferred_to_the_connection_that_is_to_manage_it() {
    let server = Server::start_with(
        "[connections.app]\nmethod = \"okta-custom\"\n[connections.idp]\nmethod = \"okta-custom\"\nscope = \"own\"\n",
    );
    let app = server.client();
    let token = server.succeed(&["token", "generate", "--connection", "idp"]);
    let idp = server.client_with(token.trim());
    let (ada, _) = create(&app, "/Users", &user("ada"));
    idp.patch(&ada, &set_active(false)).error(403, None);
    server.fail(&["user", "transfer", "ada", "--to", "okta"], 4);
    for again in ["is now managed", "already"] {
        let told = server.run(&["user", "transfer", "ada", "--to", "idp"]);
        assert!(String::from_utf8(told.stderr).unwrap().contains(again));
    }
    idp.patch(&ada, &set_active(false)).expect(200);
    let moved = &records(&server, "user.patched")[0];
    assert_eq!(
        change(moved, "connection"),
        &json!({"attribute": "connection", "before": "app", "after": "idp"})
    );
    assert!(server.succeed(&["user", "show", "ada"]).contains("idp"));
}
