//! Groups and who belongs to them, seen from both ends.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Client, Server, create, encode, group, user};

/// The ids in a list of references, in their order.
fn ids(references: &Value) -> Vec<&str> {
    let references = references.as_array().map(Vec::as_slice).unwrap_or_default();
    references.iter().map(|one| one["value"].as_str().unwrap()).collect()
}

/// Creates users with these names; their ids.
fn users(client: &Client, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| create(client, "/Users", &user(name)).1).collect()
}

#[test]
fn a_group_is_created_replaced_and_deleted_with_its_members() {
    let server = Server::start();
    let client = server.client();
    let people = users(&client, &["a", "b", "c"]);
    let created = client.post("/Groups", &group("Team", &[&people[0], &people[1]])).expect(201);
    let path = format!("/Groups/{}", created.text("/id"));
    assert_eq!(created.header("location"), created.text("/meta/location"));
    assert_eq!(created.text("/meta/resourceType"), "Group");
    assert_eq!(ids(&created.body["members"]), [&people[0], &people[1]]);
    assert_eq!(client.get(&path).expect(200).body, created.body);
    assert_eq!(client.get("/Groups").expect(200).body["Resources"], json!([created.body]));

    let replaced = client.put(&path, &group("Team", &[&people[1], &people[2]])).expect(200);
    assert_eq!(ids(&replaced.body["members"]), [&people[1], &people[2]]);
    assert_eq!(replaced.text("/meta/version"), "W/\"2\"");
    let same = client.put(&path, &group("Team", &[&people[2], &people[1]])).expect(200);
    assert_eq!(same.body, replaced.body, "members have no order");
    assert_eq!(client.get(&format!("/Users/{}", people[0])).body.get("groups"), None);
    let emptied = client.put(&path, &json!({"displayName": "Team"})).expect(200);
    assert_eq!(emptied.body.get("members"), None);

    client.put(&path, &group("Team", &[&people[0]])).expect(200);
    client.delete(&path).expect(204);
    client.get(&path).error(404, None);
    assert_eq!(client.get(&format!("/Users/{}", people[0])).body.get("groups"), None);
}

#[test]
fn members_say_where_what_and_who_they_are() {
    let server = Server::start();
    let client = server.client();
    let mut ada = user("ada@example.com");
    ada["displayName"] = json!("Ada");
    let (person, person_id) = create(&client, "/Users", &ada);
    let (inner, inner_id) = create(&client, "/Groups", &group("Inner", &[]));
    let read = client.post("/Groups", &group("Outer", &[&person_id, &inner_id])).expect(201);
    let base = format!("https://127.0.0.1:{}/scim/v2", server.port());
    let mut members = read.body["members"].as_array().unwrap().clone();
    members.sort_by_key(|member| member["type"].as_str().unwrap().to_owned());
    let expected = [
        json!({"value": inner_id, "$ref": format!("{base}{inner}"), "type": "Group", "display": "Inner"}),
        json!({"value": person_id, "$ref": format!("{base}{person}"), "type": "User", "display": "Ada"}),
    ];
    assert_eq!(members, expected);
}

#[test]
fn users_show_their_groups_direct_and_indirect() {
    let server = Server::start();
    let client = server.client();
    let (person, person_id) = create(&client, "/Users", &user("a"));
    let (inner, inner_id) = create(&client, "/Groups", &group("Inner", &[&person_id]));
    let (middle, middle_id) = create(&client, "/Groups", &group("Middle", &[&inner_id]));
    let (_, outer_id) = create(&client, "/Groups", &group("Outer", &[&middle_id]));
    let groups = |path: &str| client.get(path).expect(200).body["groups"].clone();
    let seen = groups(&person);
    assert_eq!(ids(&seen), [&inner_id, &middle_id, &outer_id]);
    let kinds: Vec<&Value> = seen.as_array().unwrap().iter().map(|one| &one["type"]).collect();
    assert_eq!(kinds, ["direct", "indirect", "indirect"]);
    assert_eq!((&seen[0]["display"], &seen[2]["display"]), (&json!("Inner"), &json!("Outer")));
    assert!(seen[0]["$ref"].as_str().unwrap().ends_with(&inner));
    client.patch(&middle, &json!([{"op": "remove", "path": "members"}])).expect(200);
    assert_eq!(ids(&groups(&person)), [&inner_id]);
}

#[test]
fn groups_of_a_user_are_read_only() {
    let server = Server::start();
    let client = server.client();
    let (person, _) = create(&client, "/Users", &user("a"));
    let (team, team_id) = create(&client, "/Groups", &group("Team", &[]));
    let claim = json!([{"value": team_id}]);
    for op in ["add", "replace"] {
        let operation = json!([{"op": op, "path": "groups", "value": claim}]);
        client.patch(&person, &operation).error(400, Some("mutability"));
    }
    client.patch(&person, &json!([{"op": "add", "value": {"groups": claim}}])).expect(200);
    client.put(&person, &json!({"userName": "a", "groups": claim})).expect(200);
    assert_eq!(client.get(&person).body.get("groups"), None);
    assert_eq!(client.get(&team).body.get("members"), None);
}

#[test]
fn no_group_comes_to_contain_itself() {
    let server = Server::start();
    let client = server.client();
    let (one, one_id) = create(&client, "/Groups", &group("One", &[]));
    let (_, two_id) = create(&client, "/Groups", &group("Two", &[&one_id]));
    let (_, three_id) = create(&client, "/Groups", &group("Three", &[&two_id]));
    let before = client.get(&one).body;
    for id in [&one_id, &two_id, &three_id] {
        let add = json!([{"op": "add", "path": "members", "value": [{"value": id}]}]);
        let refused = client.patch(&one, &add);
        assert!(refused.error(400, Some("invalidValue")).contains(id.as_str()));
        client.put(&one, &group("One", &[id])).error(400, Some("invalidValue"));
    }
    assert_eq!(client.get(&one).body, before);
}

#[test]
fn adding_twice_is_one_membership_and_no_change() {
    let server = Server::start();
    let client = server.client();
    let people = users(&client, &["a"]);
    let (path, _) = create(&client, "/Groups", &group("Team", &[&people[0], &people[0]]));
    let before = client.get(&path).expect(200).body;
    assert_eq!(ids(&before["members"]), [&people[0]]);
    let one = json!({"value": people[0]});
    let twice = json!([{"op": "add", "path": "members", "value": [one, one]}]);
    assert_eq!(client.patch(&path, &twice).expect(200).body, before);
    assert_eq!(client.get(&path).body, before);
}

#[test]
fn an_unknown_member_is_named_and_nothing_changes() {
    let server = Server::start();
    let client = server.client();
    let people = users(&client, &["a", "b"]);
    let (path, _) = create(&client, "/Groups", &group("Team", &[&people[0]]));
    let before = client.get(&path).body;
    for unknown in ["nobody", "01a20e60-9a8a-7318-b89f-9a62379b6844", ""] {
        let members = json!([{"value": people[1]}, {"value": unknown}]);
        for op in ["add", "replace"] {
            let operations = json!([{"op": "replace", "path": "displayName", "value": "Other"},
                                    {"op": op, "path": "members", "value": members}]);
            let refused = client.patch(&path, &operations);
            assert!(refused.error(400, Some("invalidValue")).contains(unknown), "{unknown:?}");
        }
        let body = group("Other", &[&people[1], unknown]);
        client.put(&path, &body).error(400, Some("invalidValue"));
        client.post("/Groups", &body).error(400, Some("invalidValue"));
    }
    assert_eq!(client.get(&path).body, before);
    assert_eq!(client.get("/Groups").body["totalResults"], 1);
    assert_eq!(client.get(&format!("/Users/{}", people[1])).body.get("groups"), None);
}

#[test]
fn removing_who_is_no_member_changes_nothing() {
    let server = Server::start();
    let client = server.client();
    let people = users(&client, &["a", "b"]);
    let (path, _) = create(&client, "/Groups", &group("Team", &[&people[0]]));
    let before = client.get(&path).body;
    for id in [people[1].as_str(), "01a20e60-9a8a-7318-b89f-9a62379b6844"] {
        let listed = json!([{"op": "Remove", "path": "members", "value": [{"value": id}]}]);
        assert_eq!(client.patch(&path, &listed).expect(200).body, before);
    }
    assert_eq!(client.get(&path).body, before);
}

#[test]
fn removing_what_cannot_be_a_member_changes_nothing() {
    let server = Server::start();
    let client = server.client();
    let people = users(&client, &["a"]);
    let (path, _) = create(&client, "/Groups", &group("Team", &[&people[0]]));
    let before = client.get(&path).body;
    let filtered = json!([{"op": "remove", "path": "members[value eq \"nobody\"]"}]);
    assert_eq!(client.patch(&path, &filtered).expect(200).body, before);
    let listed = json!([{"op": "remove", "path": "members", "value": [{"value": "nobody"}]}]);
    assert_eq!(client.patch(&path, &listed).expect(200).body, before);
}

#[test]
fn quotation_marks_of_both_kinds_name_a_member_and_others_are_refused() {
    let server = Server::start();
    let client = server.client();
    let people = users(&client, &["a", "b"]);
    let (path, _) = create(&client, "/Groups", &group("Team", &[&people[0], &people[1]]));
    let remove = |value: &str| {
        let path_in_group = format!("members[value eq {value}]");
        client.patch(&path, &json!([{"op": "remove", "path": path_in_group}]))
    };
    for (open, close) in [("\u{2018}", "\u{2019}"), ("`", "`"), ("{", "}"), ("'", "\"")] {
        remove(&format!("{open}{}{close}", people[0])).error(400, Some("invalidPath"));
    }
    let filter = |value: &str| format!("/Groups?filter={}", encode(&format!("members eq {value}")));
    client.get(&filter(&format!("`{}`", people[0]))).error(400, Some("invalidFilter"));
    assert_eq!(client.get(&filter(&format!("'{}'", people[0]))).body["totalResults"], 1);
    let search = json!({"filter": format!("members[value eq '{}']", people[0])});
    assert_eq!(client.post("/Groups/.search", &search).expect(200).body["totalResults"], 1);
    assert_eq!(ids(&remove(&format!("'{}'", people[0])).expect(200).body["members"]), [&people[1]]);
    assert_eq!(remove(&people[1]).expect(200).body.get("members"), None, "unquoted");
}

#[test]
fn deleting_a_user_ends_its_memberships_and_changes_its_groups() {
    let server = Server::start();
    let client = server.client();
    let people = users(&client, &["a", "b"]);
    let (path, id) = create(&client, "/Groups", &group("Team", &[&people[0], &people[1]]));
    let (outer, _) = create(&client, "/Groups", &group("Outer", &[&id]));
    client.delete(&format!("/Users/{}", people[0])).expect(204);
    let read = client.get(&path).expect(200);
    assert_eq!(ids(&read.body["members"]), [&people[1]]);
    assert_eq!(read.text("/meta/version"), "W/\"2\"");
    client.delete(&path).expect(204);
    let outer = client.get(&outer).expect(200);
    assert_eq!((outer.body.get("members"), outer.text("/meta/version")), (None, "W/\"2\""));
    assert_eq!(client.get(&format!("/Users/{}", people[1])).body.get("groups"), None);
}

#[test]
fn a_new_name_is_shown_wherever_someone_belongs() {
    let server = Server::start();
    let client = server.client();
    let (person, person_id) = create(&client, "/Users", &user("a"));
    let (inner, inner_id) = create(&client, "/Groups", &group("Inner", &[&person_id]));
    let (outer, _) = create(&client, "/Groups", &group("Outer", &[&inner_id]));
    let rename = |path: &str, name: &str| {
        let operation = json!([{"op": "replace", "path": "displayName", "value": name}]);
        client.patch(path, &operation).expect(200);
    };
    rename(&person, "Ada");
    assert_eq!(client.get(&inner).text("/members/0/display"), "Ada");
    client.put(&person, &json!({"userName": "a", "displayName": "Bea"})).expect(200);
    assert_eq!(client.get(&inner).text("/members/0/display"), "Bea");
    rename(&inner, "Core");
    assert_eq!(client.get(&outer).text("/members/0/display"), "Core");
    assert_eq!(client.get(&person).text("/groups/0/display"), "Core");
}

#[test]
fn members_that_are_not_wanted_are_left_out_everywhere() {
    let server = Server::start();
    let client = server.client();
    let people = users(&client, &["a", "b"]);
    let (path, _) = create(&client, "/Groups", &group("Team", &[&people[0]]));
    let without = "excludedAttributes=members";
    let filter = encode("displayName eq \"team\"");
    let list = client.get(&format!("/Groups?{without}&filter={filter}")).expect(200).body;
    assert_eq!(list["totalResults"], 1);
    let add = json!([{"op": "add", "path": "members", "value": [{"value": people[1]}]}]);
    for served in [
        list["Resources"][0].clone(),
        client.get(&format!("{path}?{without}")).expect(200).body,
        client.get(&format!("{path}?excludedattributes=MEMBERS")).expect(200).body,
        client.patch(&format!("{path}?{without}"), &add).expect(200).body,
        client.put(&format!("{path}?{without}"), &group("Team", &[&people[0]])).expect(200).body,
    ] {
        assert_eq!(served.get("members"), None, "{served}");
        assert_eq!(served["displayName"], "Team");
    }
}

#[test]
fn a_display_name_belongs_to_one_group() {
    let server = Server::start();
    let client = server.client();
    let (path, _) = create(&client, "/Groups", &group("Team", &[]));
    let (other, _) = create(&client, "/Groups", &group("Other", &[]));
    let taken = client.post("/Groups", &group("TEAM", &[]));
    assert!(taken.error(409, Some("uniqueness")).contains("displayName"));
    client.put(&other, &group("team", &[])).error(409, Some("uniqueness"));
    let rename = json!([{"op": "replace", "value": {"displayName": "Team"}}]);
    client.patch(&other, &rename).error(409, Some("uniqueness"));
    client.patch(&path, &rename).expect(200);
    client.put(&path, &group("TEAM", &[])).expect(200);
    client.post("/Groups", &json!({"members": []})).error(400, Some("invalidValue"));
}

#[test]
fn memberships_survive_sigkill_from_both_ends() {
    let mut server = Server::start();
    let client = server.client();
    let people = users(&client, &["a", "b"]);
    let (path, id) = create(&client, "/Groups", &group("Team", &[&people[0]]));
    let add = json!([{"op": "add", "path": "members", "value": [{"value": people[1]}]}]);
    let patched = client.patch(&path, &add).expect(200);
    server.kill();
    server.boot(&[]);
    let client = server.client();
    assert_eq!(client.get(&path).expect(200).body, patched.body);
    for person in &people {
        assert_eq!(client.get(&format!("/Users/{person}")).text("/groups/0/value"), id);
    }
}

/// Creates many users with bulk requests; their ids.
fn many_users(client: &Client, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|number| format!("user{number}")).collect();
    let mut ids = Vec::with_capacity(count);
    for names in names.chunks(1_000) {
        let operation = |name: &String| json!({"method": "POST", "path": "/Users", "bulkId": name, "data": user(name)});
        let operations: Vec<Value> = names.iter().map(operation).collect();
        let answer = client.post("/Bulk", &json!({"Operations": operations})).expect(200).body;
        for result in answer["Operations"].as_array().unwrap() {
            let location = result["location"].as_str().unwrap();
            ids.push(location.rsplit('/').next().unwrap().to_owned());
        }
    }
    ids
}

/// Adds each of these with a PATCH of its own, over 64 connections.
fn add_at_once(server: &Server, path: &str, people: &[String]) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..64 {
            let (client, next) = (server.client(), &next);
            scope.spawn(move || {
                while let Some(id) = people.get(next.fetch_add(1, Ordering::Relaxed)) {
                    client.patch(path, &adding(&[id])).expect(200);
                }
            });
        }
    });
}

/// The operations that add members.
fn adding(ids: &[&str]) -> Value {
    let members: Vec<Value> = ids.iter().map(|id| json!({"value": id})).collect();
    json!([{"op": "add", "path": "members", "value": members}])
}

/// The median time of 21 one-member PATCHes.
fn median(client: &Client, path: &str, id: &str) -> Duration {
    let remove = json!([{"op": "remove", "path": format!("members[value eq \"{id}\"]")}]);
    let mut times: Vec<Duration> = (0..21)
        .map(|number| {
            let began = Instant::now();
            let operations = if number % 2 == 0 { adding(&[id]) } else { remove.clone() };
            client.patch(path, &operations).expect(200);
            began.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

#[test]
fn a_patch_that_wants_no_members_costs_the_same_in_a_group_of_10_000() {
    let server = Server::start();
    let client = server.client();
    let people = many_users(&client, 10_001);
    let (last, others) = people.split_last().unwrap();
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    let (large, _) = create(&client, "/Groups", &group("Large", &others));
    let (small, _) = create(&client, "/Groups", &group("Small", &others[..10]));
    let quiet = |path: &str| median(&client, &format!("{path}?excludedAttributes=members"), last);
    let (of_small, of_large) = (quiet(&small), quiet(&large));
    assert!(of_large < of_small * 3 + Duration::from_millis(10), "{of_small:?} {of_large:?}");
    let whole = median(&client, &large, last);
    println!("small {of_small:?}, large {of_large:?}, large with its members {whole:?}");
}

#[test]
fn of_10_000_members_that_64_clients_add_at_once_none_is_lost() {
    let server = Server::start();
    let client = server.client();
    let people = many_users(&client, 10_000);
    let (path, _) = create(&client, "/Groups", &group("Everyone", &[]));
    let quiet = format!("{path}?excludedAttributes=members");
    add_at_once(&server, &quiet, &people);
    let read = client.get(&path).expect(200);
    assert_eq!(read.text("/meta/version"), "W/\"10001\"");
    let mut members = ids(&read.body["members"]);
    members.sort_unstable();
    let mut people: Vec<&str> = people.iter().map(String::as_str).collect();
    people.sort_unstable();
    assert!(members == people, "{} of 10,000", members.len());
}

/// Operations that give a resource an id: with a path, and in an object.
fn identified(id: &Value) -> [Value; 3] {
    [
        json!({"op": "replace", "path": "id", "value": id}),
        json!({"op": "replace", "value": {"id": id, "externalId": "x"}}),
        json!({"op": "add", "value": {"ID": [id]}}),
    ]
}

#[test]
fn a_request_may_repeat_the_id_of_its_group_and_name_no_other() {
    let server = Server::start();
    let client = server.client();
    let (_, other) = create(&client, "/Groups", &group("Other", &[]));
    let (path, id) = create(&client, "/Groups", &group("Team", &[]));
    let mut body = group("Team", &[]);
    body["id"] = json!(id);
    client.put(&path, &body).expect(200);
    for operation in identified(&json!(id)) {
        client.patch(&path, &json!([operation])).expect(200);
    }
    let before = client.get(&path).expect(200).body;
    for wrong in [json!(other), json!("x"), json!(5)] {
        body["id"] = wrong.clone();
        let detail = client.put(&path, &body);
        assert!(detail.error(400, Some("mutability")).contains("\"id\" can't be changed"));
        let mut bulk = vec![json!({"method": "PUT", "path": path, "data": body})];
        for operation in identified(&wrong) {
            client.patch(&path, &json!([operation])).error(400, Some("mutability"));
            let data = json!({"Operations": [operation]});
            bulk.push(json!({"method": "PATCH", "path": path, "data": data}));
        }
        let answer = client.post("/Bulk", &json!({"Operations": bulk})).expect(200).body;
        for result in answer["Operations"].as_array().unwrap() {
            assert_eq!(result["response"]["scimType"], "mutability", "{result}");
        }
    }
    assert_eq!(client.get(&path).expect(200).body, before);
}

#[test]
fn the_id_of_an_account_is_ignored_but_as_a_path() {
    let server = Server::start();
    let client = server.client();
    let (path, id) = create(&client, "/Users", &user("a"));
    let [own, ..] = identified(&json!(id));
    client.patch(&path, &json!([own])).expect(200);
    let [at_path, within, added] = identified(&json!("x"));
    client.patch(&path, &json!([at_path])).error(400, Some("mutability"));
    client.patch(&path, &json!([within, added])).expect(200);
    client.put(&path, &json!({"userName": "a", "id": "x"})).expect(200);
    assert_eq!(client.get(&path).expect(200).body["id"], json!(id));
}
