//! Versions: what a client knows of a resource, and what it may do with it.

use std::sync::Barrier;

use serde_json::json;

use crate::harness::{Server, create, group, user};

#[test]
fn a_change_that_expects_another_version_is_refused() {
    let server = Server::start();
    let client = server.client();
    for (endpoint, body) in [("/Users", user("a")), ("/Groups", group("a", &[]))] {
        let (path, _) = create(&client, endpoint, &body);
        let before = client.get(&path).body;
        let change = json!([{"op": "replace", "path": "externalId", "value": "1"}]);
        for tag in ["W/\"9\"", "\"0\"", "W/\"x\"", "nonsense"] {
            let stale = server.client().header("If-Match", tag);
            stale.put(&path, &body).error(412, None);
            stale.patch(&path, &change).error(412, None);
            stale.delete(&path).error(412, None);
        }
        assert_eq!(client.get(&path).body, before);
    }
}

#[test]
fn a_change_that_expects_the_present_version_is_done() {
    let server = Server::start();
    let (path, _) = create(&server.client(), "/Users", &user("a"));
    let with = |tag: &str| server.client().header("If-Match", tag);
    let change = |value: &str| json!([{"op": "replace", "path": "title", "value": value}]);
    assert_eq!(with("W/\"1\"").patch(&path, &change("b")).expect(200).header("etag"), "W/\"2\"");
    assert_eq!(
        with("\"7\", \"2\"").patch(&path, &change("c")).expect(200).header("etag"),
        "W/\"3\""
    );
    assert_eq!(with("*").put(&path, &user("b")).expect(200).header("etag"), "W/\"4\"");
    with("W/\"3\"").delete(&path).error(412, None);
    with("W/\"4\"").delete(&path).expect(204);
    with("*").patch(&path, &change("d")).error(404, None);
}

#[test]
fn a_reader_is_told_only_what_is_new() {
    let server = Server::start();
    let client = server.client();
    let (_, member) = create(&client, "/Users", &user("a"));
    let (path, _) = create(&client, "/Groups", &group("a", &[]));
    let knows = |tag: &str| server.client().header("If-None-Match", tag);
    for tag in ["W/\"1\"", "\"1\"", "*", "\"5\", W/\"1\""] {
        let reply = knows(tag).get(&path).expect(304);
        assert_eq!((reply.header("etag"), &reply.body), ("W/\"1\"", &json!(null)), "{tag}");
    }
    knows("W/\"2\"").get(&path).expect(200);
    let add = json!([{"op": "add", "path": "members", "value": [{"value": member}]}]);
    assert_eq!(client.patch(&path, &add).expect(200).header("etag"), "W/\"2\"");
    knows("W/\"1\"").get(&path).expect(200);
    knows("W/\"1\"").get("/Users/nobody").error(404, None);
}

#[test]
fn a_member_under_a_new_name_makes_a_new_version_of_its_group() {
    let server = Server::start();
    let client = server.client();
    let (person, id) = create(&client, "/Users", &user("a"));
    let (path, _) = create(&client, "/Groups", &group("a", &[&id]));
    let known = client.get(&path).expect(200).header("etag").to_owned();
    let rename = json!([{"op": "replace", "path": "displayName", "value": "Ada"}]);
    client.patch(&person, &rename).expect(200);
    let read = server.client().header("If-None-Match", &known).get(&path).expect(200);
    assert_eq!(read.text("/members/0/display"), "Ada");
}

#[test]
fn the_tag_of_a_user_follows_its_groups_and_is_the_same_in_lists() {
    let server = Server::start();
    let client = server.client();
    let (path, id) = create(&client, "/Users", &user("a"));
    let (inner, inner_id) = create(&client, "/Groups", &group("inner", &[]));
    let (outer, _) = create(&client, "/Groups", &group("outer", &[]));
    let add = |id: &str| json!([{"op": "add", "path": "members", "value": [{"value": id}]}]);
    let rename = |name: &str| json!([{"op": "replace", "path": "displayName", "value": name}]);
    let mut known = client.get(&path).expect(200).header("etag").to_owned();
    assert_eq!(known, "W/\"1\"", "without groups there is nothing to follow");
    for (changed, change) in [
        (&inner, add(&id)),
        (&outer, add(&inner_id)),
        (&outer, rename("renamed outer")),
        (&inner, rename("renamed inner")),
    ] {
        client.patch(changed, &change).expect(200);
        let knows = server.client().header("If-None-Match", &known);
        let read = knows.get(&path).expect(200);
        known = read.header("etag").to_owned();
        assert_eq!(read.body["meta"]["version"], known);
        assert_eq!(client.get("/Users").expect(200).body["Resources"][0], read.body);
        let knows = server.client().header("If-None-Match", &known);
        assert_eq!(knows.get(&path).expect(304).header("etag"), known);
    }
    let (title, old) = (json!({"userName": "a", "title": "b"}), "W/\"1\"");
    server.client().header("If-Match", old).put(&path, &title).expect(200);
    server.client().header("If-Match", &known).put(&path, &title).error(412, None);
    let plain = client.get(&format!("{path}?excludedAttributes=groups")).expect(200);
    assert_eq!((plain.header("etag"), plain.text("/meta/version")), ("W/\"2\"", "W/\"2\""));
    client.patch(&inner, &json!([{"op": "remove", "path": "members"}])).expect(200);
    assert_eq!(client.get(&path).expect(200).header("etag"), "W/\"2\"");
}

#[test]
fn of_32_writers_with_one_version_exactly_one_succeeds() {
    let server = Server::start();
    let (path, _) = create(&server.client(), "/Users", &user("a"));
    for round in 1..=20 {
        let barrier = Barrier::new(32);
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let writer = |number: usize| {
                let client = server.client().header("If-Match", &format!("W/\"{round}\""));
                let (barrier, path) = (&barrier, &path);
                scope.spawn(move || {
                    let title = format!("{round}-{number}");
                    barrier.wait();
                    let change = json!([{"op": "replace", "path": "title", "value": title}]);
                    match number % 2 {
                        0 => client.patch(path, &change).status,
                        _ => client.put(path, &json!({"userName": "a", "title": title})).status,
                    }
                })
            };
            let writers: Vec<_> = (0..32).map(writer).collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        let count = |status| statuses.iter().filter(|&&found| found == status).count();
        assert_eq!((count(200), count(412)), (1, 31), "round {round}: {statuses:?}");
    }
}
