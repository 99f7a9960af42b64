//! Large groups: what is taken away takes effect at once, and no request holds up the others.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Client, Raw, Server, create, encode, group, head, user};

const ACCESS: &str = "urn:scimd:scim:schemas:extension:access:1.0:User";

/// More than a command clears itself.
const MEMBERS: usize = 2_500;

/// A grant to one group.
const CONFIG: &str = "[connections.default]\nmethod = \"okta-custom\"\nservice_origin = \"localhost\"\n\
    [connections.default.brake]\naction = \"off\"\n\
    [[grants]]\ngroup = \"Large\"\ncompany_permissions = [\"admin\"]\n";

/// Creates users; their ids.
pub(crate) fn users(client: &Client, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for part in (0..count).collect::<Vec<_>>().chunks(1_000) {
        let operations: Vec<Value> = part
            .iter()
            .map(|number| {
                let bulk_id = number.to_string();
                let data = user(&format!("user{number}"));
                json!({"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": data})
            })
            .collect();
        let schema = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
        let body = json!({"schemas": [schema], "Operations": operations});
        let answer = client.post("/Bulk", &body).expect(200).body;
        for result in answer["Operations"].as_array().unwrap() {
            let location = result["location"].as_str().unwrap();
            ids.push(location.rsplit('/').next().unwrap().to_owned());
        }
    }
    ids
}

/// A group of that many users; its path, and their ids.
pub(crate) fn large(client: &Client, members: usize) -> (String, Vec<String>) {
    let ids = users(client, members);
    let members: Vec<&str> = ids.iter().map(String::as_str).collect();
    (create(client, "/Groups", &group("Large", &members)).0, ids)
}

/// Whether an account has the grant.
fn access(client: &Client, id: &str) -> bool {
    let path = format!("/Users/{id}?attributes={}", encode(&format!("{ACCESS}:effective")));
    let body = client.get(&path).expect(200).body;
    body[ACCESS]["effective"].to_string().contains("company:admin")
}

fn groups(client: &Client, id: &str) -> usize {
    let body = client.get(&format!("/Users/{id}")).expect(200).body;
    body["groups"].as_array().map_or(0, Vec::len)
}

fn holding(client: &Client, id: &str) -> u64 {
    let filter = encode(&format!("members.value eq \"{id}\""));
    let body = client.get(&format!("/Groups?count=0&filter={filter}")).expect(200).body;
    body["totalResults"].as_u64().unwrap()
}

#[test]
fn a_large_group_that_is_deleted_is_gone_at_once_for_all_its_members() {
    let mut server = Server::start_with(CONFIG);
    let client = server.client();
    let (path, ids) = large(&client, MEMBERS);
    let asked = [&ids[0], &ids[MEMBERS / 2], &ids[MEMBERS - 1]];
    for id in asked {
        assert_eq!((groups(&client, id), holding(&client, id), access(&client, id)), (1, 1, true));
    }
    client.delete(&path).expect(204);
    for id in asked {
        assert_eq!((groups(&client, id), holding(&client, id), access(&client, id)), (0, 0, false));
    }
    client.get(&path).error(404, None);
    // What is left to be cleared survives a crash.
    server.kill();
    server.boot(&[]);
    let client = server.client();
    for id in asked {
        assert_eq!((groups(&client, id), holding(&client, id), access(&client, id)), (0, 0, false));
    }
    client.get(&path).error(404, None);
    let deleted = server.succeed(&["audit", "--json"]);
    assert!(deleted.contains("group.deleted"), "{deleted}");
    server.succeed(&["verify"]);
    let undone = server.succeed(&["undo", "--since", "10m", "--dry-run"]);
    assert!(!undone.is_empty());
}

#[test]
fn members_that_most_are_removed_of_are_replaced_at_once() {
    let server = Server::start_with(CONFIG);
    let client = server.client();
    let (path, ids) = large(&client, MEMBERS);
    let (kept, gone) = (&ids[7], &ids[8]);
    let body = json!({"displayName": "Large", "members": [{"value": kept}]});
    let before = client.get(&path).expect(200);
    let etag = before.header("etag").to_owned();
    client.put(&path, &body).expect(200);
    let shown = client.get(&path).expect(200).body;
    assert_eq!(shown["members"].as_array().unwrap().len(), 1);
    assert_eq!((groups(&client, kept), access(&client, kept)), (1, true));
    assert_eq!((groups(&client, gone), access(&client, gone)), (0, false));
    // A member that comes back while the others are cleared stays.
    let add = json!([{"op": "add", "path": "members", "value": [{"value": gone}]}]);
    client.patch(&path, &add);
    assert_eq!((groups(&client, gone), access(&client, gone)), (1, true));
    let changed = client.header("If-None-Match", &etag).get(&path).expect(200);
    assert_eq!(changed.body["members"].as_array().unwrap().len(), 2);
    server.succeed(&["verify"]);
}

#[test]
fn an_undo_right_after_a_large_deletion_brings_all_members_back() {
    let server = Server::start_with(CONFIG);
    let client = server.client();
    let (path, ids) = large(&client, MEMBERS);
    // Moments are told apart by the millisecond.
    std::thread::sleep(Duration::from_millis(1_100));
    client.delete(&path).expect(204);
    let undone = server.succeed(&["undo", "--since", "1s", "--json", "--yes"]);
    let undone: Value = serde_json::from_str(&undone).unwrap();
    assert_eq!(undone["members_back"], MEMBERS, "{undone}");
    let shown = client.get(&path).expect(200).body;
    assert_eq!(shown["members"].as_array().unwrap().len(), MEMBERS);
    for id in [&ids[0], &ids[MEMBERS - 1]] {
        assert_eq!((groups(&client, id), holding(&client, id), access(&client, id)), (1, 1, true));
    }
    server.succeed(&["verify"]);
}

#[test]
fn the_brake_counts_the_members_of_a_large_group_that_is_deleted_or_emptied() {
    let config =
        CONFIG.replace("action = \"off\"", "action = \"hold\"\nmax_gains = 1000000\npercent = 10");
    let server = Server::start_with(&config);
    let client = server.client();
    let (path, ids) = large(&client, MEMBERS);
    let held = client.delete(&path);
    let detail = held.error(503, None);
    assert!(detail.contains("at least 11 of 2500 accounts"), "{detail}");
    assert_eq!(groups(&client, &ids[0]), 1, "what went too far was not done");
    server.succeed(&["brake", "release"]);
    let emptied = client.put(&path, &json!({"displayName": "Large", "members": []}));
    let detail = emptied.error(503, None);
    assert!(detail.contains("at least 11 of 2500 accounts"), "{detail}");
    assert_eq!(groups(&client, &ids[0]), 1, "what went too far was not done");
}

#[test]
fn the_brake_does_not_count_members_that_the_same_request_adds_again() {
    let config =
        CONFIG.replace("action = \"off\"", "action = \"hold\"\nmax_gains = 1000000\npercent = 10");
    let server = Server::start_with(&config);
    let client = server.client();
    let (path, ids) = large(&client, MEMBERS);
    let members: Vec<Value> = ids[..1_200].iter().map(|id| json!({"value": id})).collect();
    let operation = |op: &str| {
        let schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"];
        let operations = [json!({"op": op, "path": "members", "value": members})];
        let data = json!({"schemas": schemas, "Operations": operations});
        json!({"method": "PATCH", "path": path, "data": data})
    };
    let schema = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
    let body = json!({"schemas": [schema], "Operations": [operation("remove"), operation("add")]});
    client.post("/Bulk", &body).expect(200);
    let shown = client.get(&path).expect(200).body;
    assert_eq!(shown["members"].as_array().unwrap().len(), MEMBERS);
    server.succeed(&["verify"]);
}

#[test]
fn a_thousand_filters_on_members_hold_up_nobody() {
    let server = Server::start_with(CONFIG);
    let client = server.client();
    let (path, _) = large(&client, MEMBERS);
    let operations: Value = (0..1_000)
        .map(|number| json!({"op": "remove", "path": format!("members[display co \"nobody-{number}\"]")}))
        .collect();
    let since = Instant::now();
    std::thread::scope(|scope| {
        let patch = scope.spawn(|| server.client().patch(&path, &operations).status);
        std::thread::sleep(Duration::from_millis(20));
        create(&client, "/Users", &user("beside"));
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
        assert!([200, 204].contains(&patch.join().unwrap()));
    });
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    let members = client.get(&path).expect(200).body["members"].as_array().unwrap().len();
    assert_eq!(members, MEMBERS);
}

#[test]
fn a_token_that_is_revoked_while_its_body_comes_changes_nothing() {
    let server = Server::start();
    let body = user("late").to_string();
    let bearer = format!("Bearer {}", server.token());
    let length = body.len().to_string();
    let headers = [
        ("Authorization", bearer.as_str()),
        ("X-Request-Origin", "localhost"),
        ("Content-Type", "application/scim+json"),
        ("Content-Length", length.as_str()),
    ];
    let mut raw = Raw::connect(&server);
    raw.write(head("POST", "/scim/v2/Users", &headers));
    raw.write(&body[..10]);
    // The gate has let it in by now.
    std::thread::sleep(Duration::from_millis(300));
    let listed = server.succeed(&["token", "list", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let id = listed.pointer("/tokens/0/id").or_else(|| listed.pointer("/0/id")).unwrap();
    server.succeed(&["token", "revoke", id.as_str().unwrap()]);
    raw.write(&body[10..]);
    raw.reply().detail(401);
    let token = server.succeed(&["token", "generate"]);
    let client = server.client_with(token.trim());
    assert_eq!(crate::harness::total(&client), 0);
}
