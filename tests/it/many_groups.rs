//! What is left to be cleared when a user of very many groups changes or goes, or a large group goes: it
//! is cleared in the end, also if the server is killed meanwhile, and nothing else is lost.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Client, Server, create, encode, group, user};

/// More than a change ends or renames itself.
const GROUPS: usize = 1_100;
/// More than are cleared at once, many times over.
const MEMBERS: usize = 12_000;

/// Only what the operator does is counted here.
const CONFIG: &str = "[connections.default]\nmethod = \"okta-custom\"\nservice_origin = \"localhost\"\n\
    [connections.default.brake]\naction = \"off\"\n";

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

/// The number of memberships that are stored, void or not, if `verify` finds no fault.
#[track_caller]
fn stored(server: &Server) -> u64 {
    let output = server.run(&["verify", "--json"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let checks: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut checks = checks.as_array().unwrap().iter();
    let memberships = checks.find(|check| check["what"] == "memberships").unwrap();
    // Each is two keys; markers are checked among them.
    memberships["checked"].as_u64().unwrap() / 2
}

/// Waits until no more than these memberships are stored.
#[track_caller]
fn until_stored(server: &Server, expected: u64) {
    let since = Instant::now();
    loop {
        let stored = stored(server);
        if stored == expected {
            return;
        }
        assert!(stored > expected, "{stored} memberships, not {expected}");
        assert!(since.elapsed() < Duration::from_secs(60), "{stored} memberships, not {expected}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A group: its id and version, and the members with their names.
struct Shown {
    id: String,
    version: String,
    members: Vec<(String, String)>,
}

/// Every group.
fn groups(client: &Client) -> Vec<Shown> {
    let mut groups = Vec::new();
    for start in (1..=GROUPS).step_by(1_000) {
        let query = format!("/Groups?count=1000&startIndex={start}");
        let page = client.get(&query).expect(200).body;
        for one in page["Resources"].as_array().unwrap() {
            let text = |of: &Value, name: &str| of[name].as_str().unwrap().to_owned();
            let members = one["members"].as_array().into_iter().flatten();
            let members = members.map(|member| (text(member, "value"), text(member, "display")));
            groups.push(Shown {
                id: text(one, "id"),
                version: text(&one["meta"], "version"),
                members: members.collect(),
            });
        }
    }
    assert_eq!(groups.len(), GROUPS);
    groups
}

/// A user who shares very many groups with another; both ids.
fn in_many_groups(client: &Client) -> (String, String) {
    let [one, other] = ["one", "other"].map(|name| create(client, "/Users", &user(name)).1);
    let named = (0..GROUPS).map(|number| group(&format!("group{number}"), &[&one, &other]));
    create_all(client, "/Groups", &named.collect::<Vec<_>>());
    (one, other)
}

/// Whether in each group the members have these names, and whether its version is another one than before.
#[track_caller]
fn check_groups(client: &Client, before: &[Shown], names: &[(&str, &str)], changed: bool) {
    let names: Vec<_> =
        names.iter().map(|(id, name)| ((*id).to_owned(), (*name).to_owned())).collect();
    for (group, before) in groups(client).iter().zip(before) {
        let is_changed = group.version != before.version;
        assert_eq!((&group.members, is_changed), (&names, changed), "{}", group.id);
    }
}

#[test]
fn a_user_of_very_many_groups_is_deactivated_renamed_and_deleted() {
    let server = Server::start_with(CONFIG);
    let client = server.client();
    let (one, other) = in_many_groups(&client);
    let path = format!("/Users/{one}");
    let before = groups(&client);
    let name_of = |id: &str| {
        let members = &before[0].members;
        members.iter().find(|(member, _)| member == id).unwrap().1.clone()
    };
    let (old, kept) = (name_of(&one), name_of(&other));
    let replace =
        |name: &str, value: Value| json!([{"op": "replace", "path": name, "value": value}]);

    client.patch(&path, &replace("active", json!(false))).expect(200);
    let shown = client.get(&path).expect(200).body;
    assert_eq!(
        (&shown["active"], shown["groups"].as_array().unwrap().len()),
        (&json!(false), GROUPS)
    );
    check_groups(&client, &before, &[(&one, &old), (&other, &kept)], false);

    client.patch(&path, &replace("displayName", json!("Renamed"))).expect(200);
    assert_eq!(client.get(&path).text("/displayName"), "Renamed");
    let since = Instant::now();
    while groups(&client)
        .iter()
        .any(|group| group.members.iter().all(|(_, name)| name != "Renamed"))
    {
        assert!(since.elapsed() < Duration::from_secs(60), "not every group shows the new name");
        std::thread::sleep(Duration::from_millis(20));
    }
    check_groups(&client, &before, &[(&one, "Renamed"), (&other, &kept)], true);
    let renamed = groups(&client);

    client.delete(&path).expect(204);
    client.get(&path).error(404, None);
    let filter = encode(&format!("members.value eq \"{one}\""));
    let holding = client.get(&format!("/Groups?count=0&filter={filter}")).expect(200).body;
    assert_eq!(holding["totalResults"], 0);
    until_stored(&server, GROUPS as u64);
    check_groups(&client, &renamed, &[(&other, &kept)], true);
    server.succeed(&["audit", "--verify"]);
}

#[test]
fn a_server_that_is_killed_again_and_again_clears_a_large_group_in_the_end() {
    let mut server = Server::start_with(CONFIG);
    let client = server.client();
    let people: Vec<Value> = (0..MEMBERS).map(|number| user(&format!("user{number}"))).collect();
    let ids = create_all(&client, "/Users", &people);
    let all: Vec<&str> = ids.iter().map(String::as_str).collect();
    let few = &all[..10];
    let path = create(&client, "/Groups", &group("Large", &all)).0;
    let beside = create(&client, "/Groups", &group("Beside", few)).0;
    assert_eq!(stored(&server), (MEMBERS + few.len()) as u64);

    let kept = &all[MEMBERS - 100..];
    client.put(&path, &group("Large", kept)).expect(200);
    // One comes back while the others are cleared.
    let add = json!([{"op": "add", "path": "members", "value": [{"value": all[0]}]}]);
    client.patch(&path, &add).expect(200);
    let left = (kept.len() + 1 + few.len()) as u64;
    let mut seen = Vec::new();
    for _ in 0..3 {
        server.kill();
        seen.push(stored(&server));
        server.boot(&[]);
    }
    assert!(seen[0] > left, "it was killed before the end: {seen:?}");

    until_stored(&server, left);
    let client = server.client();
    let members = |path: &str| {
        let body = client.get(path).expect(200).body;
        let members = body["members"].as_array().unwrap().iter();
        let mut ids: Vec<_> =
            members.map(|one| one["value"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    let mut expected: Vec<_> = kept.iter().chain(&all[..1]).map(|id| (*id).to_owned()).collect();
    expected.sort();
    assert_eq!(members(&path), expected);
    assert_eq!(members(&beside), few);
    assert_eq!(crate::harness::total(&client), MEMBERS as u64);
    server.succeed(&["audit", "--verify"]);
}
