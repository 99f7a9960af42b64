//! The whole life of a user, and what survives the death of the server.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Server, USER, encode, user};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

#[test]
fn a_user_is_created_read_found_replaced_and_deleted() {
    let server = Server::start();
    let client = server.client();
    let mut sent = user("Ada@Example.com");
    sent["name"] = json!({"givenName": "Ada", "familyName": "L"});
    sent["emails"] = json!([{"value": "ada@example.com", "type": "work", "primary": true}]);
    sent[ENTERPRISE] = json!({"department": "engineering"});
    let created = client.post("/Users", &sent).expect(201);
    let id = created.text("/id").to_owned();
    let location = format!("https://127.0.0.1:{}/scim/v2/Users/{id}", server.port());
    assert_eq!(created.header("location"), location);
    assert_eq!(created.text("/meta/location"), location);
    assert_eq!(created.header("etag"), created.text("/meta/version"));
    assert_eq!(created.body["schemas"], json!([USER, ENTERPRISE]));
    assert_eq!(created.body["active"], json!(true));
    for (name, value) in sent.as_object().unwrap() {
        if name != "schemas" {
            assert_eq!(&created.body[name], value);
        }
    }

    let path = format!("/Users/{id}");
    assert_eq!(client.get(&path).expect(200).body, created.body);
    for filter in ["userName eq \"ADA@example.COM\"", "emails eq \"Ada@example.com\""] {
        let found = client.get(&format!("/Users?filter={}", encode(filter))).expect(200);
        assert_eq!(found.body["totalResults"], 1, "{filter}");
        assert_eq!(found.body["Resources"], json!([created.body]));
    }

    let replaced = client.put(&path, &json!({"userName": "ada", "active": false})).expect(200);
    assert_eq!(replaced.body["active"], false);
    assert_eq!(replaced.body.get("name"), None);
    assert_eq!(replaced.body["meta"]["created"], created.body["meta"]["created"]);
    assert_eq!(replaced.text("/meta/version"), "W/\"2\"");
    let found = client.get("/Users?filter=userName%20eq%20%22Ada@Example.com%22").expect(200);
    assert_eq!(found.body["totalResults"], 0, "the old name is free");

    assert_eq!(client.delete(&path).expect(204).body, Value::Null);
    client.get(&path).error(404, None);
    client.delete(&path).error(404, None);
    client.put(&path, &user("ada")).error(404, None);
    let again = client.post("/Users", &user("ada")).expect(201);
    assert_ne!(again.text("/id"), id, "a new account is another account");
}

#[test]
fn an_account_is_not_reopened_by_a_replace_that_does_not_say_so() {
    let server = Server::start();
    let client = server.client();
    let created = client.post("/Users", &json!({"userName": "a", "active": "False"})).expect(201);
    let path = format!("/Users/{}", created.text("/id"));
    let replaced = client.put(&path, &json!({"userName": "a", "title": "x"})).expect(200);
    assert_eq!(replaced.body["active"], false);
    let unchanged = client.put(&path, &json!({"userName": "a", "title": "x"})).expect(200);
    assert_eq!(unchanged.text("/meta/version"), replaced.text("/meta/version"));
    assert_eq!(client.put(&path, &json!({"userName": "a", "active": true})).body["active"], true);
}

#[test]
fn pages_are_in_the_order_of_creation() {
    let server = Server::start();
    let client = server.client();
    for number in 0..25 {
        client.post("/Users", &user(&format!("user{number}"))).expect(201);
    }
    let mut seen = Vec::new();
    for start in [1, 11, 21, 31] {
        let page = client.get(&format!("/Users?startIndex={start}&count=10")).expect(200).body;
        assert_eq!((&page["totalResults"], &page["startIndex"]), (&json!(25), &json!(start)));
        let resources = page["Resources"].as_array().unwrap();
        assert_eq!(page["itemsPerPage"], resources.len());
        seen.extend(resources.iter().map(|user| user["userName"].as_str().unwrap().to_owned()));
    }
    assert_eq!(seen, (0..25).map(|number| format!("user{number}")).collect::<Vec<_>>());
    assert_eq!(client.get("/Users?count=0").body["Resources"], json!([]));
}

#[test]
fn every_acknowledged_user_survives_sigkill_in_the_middle() {
    let mut server = Server::start();
    let acknowledged = Mutex::new(Vec::new());
    for round in 0..3 {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let (client, acknowledged, stop) = (server.client(), &acknowledged, &stop);
                scope.spawn(move || {
                    for number in 0.. {
                        let name = format!("r{round}w{writer}n{number}");
                        let body = user(&name).to_string();
                        match client.try_send("POST", "/Users", Some(body.as_bytes())) {
                            Ok(reply) if reply.status == 201 => {
                                let id = reply.text("/id").to_owned();
                                acknowledged.lock().unwrap().push((id, name));
                            }
                            _ if stop.load(Ordering::SeqCst) => return,
                            other => panic!("before the kill: {other:?}"),
                        }
                    }
                });
            }
            let target = (round + 1) * 300;
            while acknowledged.lock().unwrap().len() < target {
                std::thread::sleep(Duration::from_millis(1));
            }
            stop.store(true, Ordering::SeqCst);
            server.kill();
        });
        server.boot(&["--first-boot"]);
    }
    let client = server.client();
    let acknowledged = acknowledged.into_inner().unwrap();
    for (id, name) in &acknowledged {
        let read = client.get(&format!("/Users/{id}")).expect(200);
        assert_eq!(read.text("/userName"), name);
        let found = client.get(&format!("/Users?filter=userName%20eq%20%22{name}%22"));
        assert_eq!(found.text("/Resources/0/id"), id);
    }
    let total = client.get("/Users?count=0").body["totalResults"].as_u64().unwrap();
    assert!(total >= acknowledged.len() as u64, "{total} of {}", acknowledged.len());
    assert!(total <= acknowledged.len() as u64 + 3 * 8, "at most what was under way is more");
}

#[test]
fn of_200_clients_with_one_name_exactly_one_gets_it() {
    let server = Server::start();
    let names = ["ada@example.com", "ADA@example.com", "Ada@Example.Com", "adA@EXAMPLE.com"];
    let replies: Vec<_> = std::thread::scope(|scope| {
        let client = |number: usize| {
            let client = server.client();
            scope.spawn(move || client.post("/Users", &user(names[number % names.len()])))
        };
        let clients: Vec<_> = (0..200).map(client).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1);
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        assert!(reply.error(409, Some("uniqueness")).contains("userName"));
    }
    assert_eq!(server.client().get("/Users").body["totalResults"], 1);
}
