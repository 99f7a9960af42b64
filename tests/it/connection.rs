//! Several connections on one directory: who may change what, and accounts that come back.

use serde_json::{Value, json};

use crate::harness::{Client, Server, create, encode, group, user};

const ACCESS: &str = "urn:scimd:scim:schemas:extension:access:1.0:User";

/// A server with the connections `one` and `two`, with these lines for `two`.
fn start(of_two: &str) -> (Server, Client, Client) {
    let config = format!(
        "[connections.one]\nmethod = \"okta-custom\"\n[connections.two]\nmethod = \"okta-custom\"\n{of_two}\n"
    );
    let server = Server::start_with(&config);
    let client = |name: &str| {
        let token = server.succeed(&["token", "generate", "--connection", name]);
        server.client_with(token.trim())
    };
    let (one, two) = (client("one"), client("two"));
    (server, one, two)
}

fn manager(client: &Client, path: &str) -> Value {
    client.get(&format!("{path}?attributes={ACCESS}:managedBy")).expect(200).body[ACCESS]["managedBy"]
        .clone()
}

#[test]
fn a_connection_may_change_everything_unless_it_is_held_to_its_own() {
    let (_server, one, two) = start("");
    let (path, id) = create(&one, "/Users", &user("ada"));
    let (group_path, _) = create(&two, "/Groups", &group("g", &[&id]));
    two.patch(&path, &json!([{"op": "replace", "path": "title", "value": "x"}])).expect(200);
    assert_eq!(manager(&two, &path), "one", "it is still the one that created it");
    two.delete(&path).expect(204);
    one.delete(&group_path).expect(204);
}

#[test]
fn own_scope_keeps_a_connection_from_what_others_created() {
    let (_server, one, two) = start("scope = \"own\"");
    let (others, others_id) = create(&one, "/Users", &user("ada"));
    let (others_group, _) = create(&one, "/Groups", &group("theirs", &[]));
    let (own, own_id) = create(&two, "/Users", &user("bob"));
    let (own_group, _) = create(&two, "/Groups", &group("ours", &[&own_id]));
    let title = json!([{"op": "replace", "path": "title", "value": "x"}]);
    let add = json!([{"op": "add", "path": "members", "value": [{"value": others_id}]}]);
    let before = (two.get(&others).expect(200).body, two.get(&others_group).expect(200).body);
    let refusals = [
        two.patch(&others, &title),
        two.put(&others, &user("mine")),
        two.delete(&others),
        two.put(&others_group, &group("theirs", &[&own_id])),
        two.delete(&others_group),
        // Membership can give access.
        two.patch(&own_group, &add),
        two.post("/Groups", &group("more", &[&others_id])),
    ];
    for refusal in refusals {
        let detail = refusal.error(403, None);
        assert!(
            detail.contains("managed by connection \"one\"") && detail.contains("scope"),
            "{detail}"
        );
    }
    let bulk = json!({"Operations": [
        {"method": "DELETE", "path": others},
        {"method": "PATCH", "path": own, "data": {"Operations": title}},
    ]});
    let answered = two.post("/Bulk", &bulk).expect(200).body;
    assert_eq!(answered["Operations"][0]["status"], "403");
    assert_eq!(answered["Operations"][1]["status"], "200");
    assert_eq!((two.get(&others).body, two.get(&others_group).body), before);
    // It is seen all the same, and its name is taken.
    let filter = encode("userName eq \"ada\"");
    assert_eq!(two.get(&format!("/Users?filter={filter}")).body["totalResults"], 1);
    two.post("/Users", &user("ADA")).error(409, Some("uniqueness"));
    one.patch(&own, &title).expect(200);
}

/// An account that was created through `one`, with a group and access, and then closed.
fn closed(one: &Client) -> (String, String) {
    let mut body = user("ada");
    body["externalId"] = json!("00u1");
    body["title"] = json!("Countess");
    body["entitlements"] = json!([{"value": "company:admin"}, {"value": "workspace:Main"}]);
    let (path, id) = create(one, "/Users", &body);
    create(one, "/Groups", &group("g", &[&id]));
    let close = json!([{"op": "replace", "path": "active", "value": false}]);
    let closed = one.patch(&path, &close).expect(200).body;
    assert_eq!((&closed["active"], &closed["title"]), (&json!(false), &json!("Countess")));
    assert_eq!(closed["entitlements"], body["entitlements"]);
    assert_eq!(one.get(&path).body["groups"][0]["display"], "g");
    (path, id)
}

#[test]
fn a_closed_account_keeps_its_name_unless_a_create_may_open_it() {
    let (_server, one, two) = start("on_inactive_create = \"reactivate\"");
    let (path, id) = closed(&two);
    one.post("/Users", &user("Ada")).error(409, Some("uniqueness"));
    let mut body = user("Ada");
    body["displayName"] = json!("A. L.");
    let opened = two.post("/Users", &body).expect(201);
    assert_eq!((opened.text("/id"), opened.text("/userName")), (id.as_str(), "Ada"));
    assert!(opened.header("location").ends_with(&path));
    let read = two.get(&path).body;
    assert_eq!(read["active"], true);
    // What the request says holds, as in a PUT; groups are not in it and stay.
    assert_eq!((read.get("title"), &read["displayName"]), (None, &json!("A. L.")));
    assert_eq!(read["entitlements"], json!([{"value": "workspace:Main"}]));
    assert_eq!(read["groups"][0]["display"], "g");
    assert_eq!(manager(&two, &path), "two");
    // An account that is in use is nobody's to take.
    two.post("/Users", &body).error(409, Some("uniqueness"));
}

#[test]
fn a_closed_account_is_opened_by_its_external_id_through_its_own_connection() {
    let (_server, one, two) = start("on_inactive_create = \"reactivate\"");
    let (path, id) = closed(&two);
    create(&one, "/Users", &user("taken"));
    let mut body = user("taken");
    body["externalId"] = json!("00u1");
    two.post("/Users", &body).error(409, Some("uniqueness"));
    assert_eq!(one.get(&path).body["active"], false);
    body["userName"] = json!("new name");
    assert_eq!(two.post("/Users", &body).expect(201).text("/id"), id);
    assert_eq!(one.get(&path).body["userName"], "new name");
    // Created closed: it is found, and stays closed.
    let mut born_closed = user("sleeper");
    born_closed["active"] = json!(false);
    let (sleeper, sleeper_id) = create(&two, "/Users", &born_closed);
    assert_eq!(two.post("/Users", &born_closed).expect(201).text("/id"), sleeper_id);
    assert_eq!(two.get(&sleeper).body["active"], false);
}

#[test]
fn the_external_id_of_another_connection_is_somebody_elses() {
    let (_server, one, two) = start("on_inactive_create = \"reactivate\"");
    let (path, id) = closed(&one);
    let mut body = user("john");
    body["externalId"] = json!("00u1");
    let (_, johns) = create(&two, "/Users", &body);
    assert_ne!(johns, id);
    assert_eq!(one.get(&path).body["active"], false);
}

#[test]
fn no_scope_opens_an_account_of_another_connection() {
    for scope in ["all", "own"] {
        let of_two = format!("on_inactive_create = \"reactivate\"\nscope = \"{scope}\"");
        let (_server, one, two) = start(&of_two);
        let (path, _) = closed(&one);
        two.post("/Users", &user("ada")).error(409, Some("uniqueness"));
        let read = one.get(&path).body;
        assert_eq!((&read["active"], manager(&one, &path)), (&json!(false), json!("one")));
    }
}

#[test]
fn a_connection_takes_its_own_accounts_out_of_any_group_and_closes_them() {
    let (_server, one, two) = start("scope = \"own\"");
    let (others, others_id) = create(&one, "/Users", &user("ada"));
    let (own, own_id) = create(&two, "/Users", &user("bob"));
    let (group_path, _) = create(&one, "/Groups", &group("theirs", &[&own_id, &others_id]));
    let by_filter =
        |id: &str| json!([{"op": "remove", "path": format!("members[value eq \"{id}\"]")}]);
    let by_value =
        |id: &str| json!([{"op": "remove", "path": "members", "value": [{"value": id}]}]);
    for patch in [
        by_filter(&others_id),
        by_value(&others_id),
        json!([{"op": "remove", "path": "members"}]),
        json!([{"op": "remove", "path": "members[display eq \"bob\"]"}]),
        json!([{"op": "add", "path": "members", "value": [{"value": own_id}]}]),
        json!([by_value(&own_id)[0], {"op": "replace", "path": "displayName", "value": "x"}]),
    ] {
        two.patch(&group_path, &patch).error(403, None);
    }
    two.patch(&group_path, &by_value(&own_id)).expect(200);
    one.patch(
        &group_path,
        &json!([{"op": "add", "path": "members", "value": [{"value": own_id}]}]),
    )
    .expect(200);
    two.patch(&group_path, &by_filter(&own_id)).expect(200);
    assert_eq!(one.get(&group_path).body["members"].as_array().unwrap().len(), 1);
    two.patch(&own, &json!([{"op": "replace", "path": "active", "value": false}])).expect(200);
    two.delete(&own).expect(204);
    one.get(&others).expect(200);
}

#[test]
fn a_deleted_account_leaves_its_name_and_nothing_else() {
    let (_server, one, two) = start("on_inactive_create = \"reactivate\"");
    let (path, id) = closed(&one);
    one.delete(&path).expect(204);
    one.get(&path).error(404, None);
    one.delete(&path).error(404, None);
    let (new_path, new_id) = create(&two, "/Users", &user("ada"));
    assert_ne!(new_id, id);
    let new = two.get(&new_path).body;
    assert_eq!(new["entitlements"], json!([{"value": "workspace:Main"}]));
    assert!(new.get("groups").is_none() && new.get("title").is_none(), "{new}");
}
