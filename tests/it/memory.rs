//! What one request may take of the server's memory, whatever a client sends.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Client, Server, create, encode, group, user};

/// How many bytes a body may have here: the default of `max_body_bytes`.
const MAX_BODY: usize = 1_048_576;
/// What a request may take besides: its answer, and what the database holds until a change is in it.
const BESIDES: usize = 16 * 1024 * 1024;
const MAX_MEMORY: usize = 4 * MAX_BODY + BESIDES;
/// Requests that take more, and how many MiB at most: as values of JSON, the smallest elements take many times
/// their bytes until they are refused, and the database holds the old and new pages of a large change. The feed
/// derives the events of a change beside it, which counts as well.
const LARGER: [(&str, usize); 7] = [
    ("members are added", 28),
    ("members are put", 28),
    ("groups in groups", 48),
    ("many objects", 32),
    ("many numbers", 24),
    ("many names", 36),
    ("many values", 36),
];

/// How often a request is tried that other work of the server may add to: what it takes is the least.
const TRIES: usize = 3;

const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";

/// A field of the memory of a server, in bytes.
fn memory(server: &Server, field: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<usize>().unwrap() * 1_024
}

/// A request, and how its answer may begin.
struct Hostile {
    name: &'static str,
    method: &'static str,
    path: String,
    body: String,
}

#[expect(clippy::needless_pass_by_value, reason = "it is made where it is passed")]
fn hostile(
    name: &'static str,
    method: &'static str,
    path: impl Into<String>,
    body: Value,
) -> Hostile {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    Hostile { name, method, path: path.into(), body }
}

fn bulk(operations: impl Iterator<Item = Value>) -> Value {
    json!({"schemas": [BULK], "Operations": operations.collect::<Vec<_>>()})
}

#[expect(clippy::needless_pass_by_value, reason = "they are made where they are passed")]
fn patch(operations: Value) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations})
}

/// Creates users; their ids.
fn users(client: &Client, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for first in (0..count).step_by(1_000) {
        let one = |number: usize| {
            let mut data = user(&format!("user{number}"));
            data["emails"] = json!([{"value": "all@example.com"}]);
            json!({"method": "POST", "path": "/Users", "bulkId": number.to_string(), "data": data})
        };
        let answer = client.post("/Bulk", &bulk((first..first + 1_000).map(one))).expect(200).body;
        for result in answer["Operations"].as_array().unwrap() {
            ids.push(result["location"].as_str().unwrap().rsplit('/').next().unwrap().to_owned());
        }
    }
    ids
}

#[test]
fn no_request_takes_more_than_its_share() {
    let server = Server::start();
    let client = server.client();
    let ids = users(&client, 18_000);
    let (member, member_id) = create(&client, "/Users", &user("member"));
    let (large, _) = create(&client, "/Groups", &group("Large", &[]));
    let (fat, _) = create(&client, "/Users", &user("fat"));
    let filler: Vec<Value> = (0..80)
        .map(|n| json!({"value": format!("{n}{}", "x".repeat(700)), "type": n.to_string()}))
        .collect();
    client.patch(&fat, &json!([{"op": "add", "path": "ims", "value": filler}])).expect(200);
    let groups = |n: usize| {
        let data = group(&format!("Of {n}"), &[&member_id]);
        json!({"method": "POST", "path": "/Groups", "bulkId": n.to_string(), "data": data})
    };
    client.post("/Bulk", &bulk((0..1_000).map(groups))).expect(200);

    let everybody: Vec<Value> = ids.iter().map(|id| json!({"value": id})).collect();
    let rename = |n: usize| {
        let data = patch(json!([{"op": "replace", "path": "displayName", "value": n.to_string()}]));
        json!({"method": "PATCH", "path": member, "data": data})
    };
    let retitle = |n: usize| {
        let data = patch(json!([{"op": "replace", "path": "title", "value": n.to_string()}]));
        json!({"method": "PATCH", "path": fat, "data": data})
    };
    let nested = |n: usize| {
        let inner: Vec<_> = (n + 1..(n + 35).min(1_000)).map(|n| format!("bulkId:{n}")).collect();
        let inner: Vec<_> = inner.iter().map(String::as_str).collect();
        let data = group(&format!("Nest {n}"), &inner);
        json!({"method": "POST", "path": "/Groups", "bulkId": n.to_string(), "data": data})
    };
    let searching: Vec<Value> = (0..1_000)
        .map(|n| json!({"op": "remove", "path": format!("members[display co \"nobody-{n}\"]")}))
        .collect();
    let odd = |x: Value| json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "odd", "x": x});
    let terms: Vec<_> = (0..60).map(|n| format!("title eq \"{n}\"")).collect();
    let search =
        encode(&format!("emails.value eq \"all@example.com\" and ({})", terms.join(" or ")));
    let rest = MAX_BODY - 1_000;

    let mut all = vec![
        hostile("the configuration", "GET", "/ServiceProviderConfig", Value::Null),
        hostile("the schemas", "GET", "/Schemas", Value::Null),
        hostile("the resource types", "GET", "/ResourceTypes", Value::Null),
        hostile("roles", "GET", "/Roles", Value::Null),
        hostile("entitlements", "GET", "/Entitlements", Value::Null),
        hostile("a page", "GET", "/Users?count=1000", Value::Null),
        hostile("a sorted page", "GET", "/Users?count=1000&sortBy=userName", Value::Null),
        hostile("a scan", "GET", "/Users?count=1000&filter=title%20co%20%22nobody%22", Value::Null),
        hostile("a shared value", "GET", format!("/Users?count=1000&filter={search}"), Value::Null),
        hostile(
            "a search at the root",
            "POST",
            "/.search",
            json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "count": 1000}),
        ),
        hostile(
            "members are added",
            "PATCH",
            &large,
            patch(json!([
                {"op": "add", "path": "members", "value": everybody.clone()}
            ])),
        ),
        hostile("a large group", "GET", &large, Value::Null),
        hostile("groups with members", "GET", "/Groups?count=1000", Value::Null),
        hostile(
            "a group found by its name",
            "GET",
            "/Groups?filter=displayName%20eq%20%22Large%22",
            Value::Null,
        ),
        hostile("a thousand searches for members", "PATCH", &large, patch(json!(searching))),
        hostile(
            "members are removed",
            "PATCH",
            &large,
            patch(json!([{"op": "remove", "path": "members"}])),
        ),
        hostile(
            "members are put",
            "PUT",
            &large,
            json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Large",
                "members": everybody,
            }),
        ),
        hostile("a group is deleted", "DELETE", &large, Value::Null),
        hostile("a member of many is renamed", "POST", "/Bulk", bulk((0..1_000).map(rename))),
        hostile("a large record is changed often", "POST", "/Bulk", bulk((0..1_000).map(retitle))),
        hostile("groups in groups", "POST", "/Bulk", bulk((0..1_000).map(nested))),
        hostile("many objects", "POST", "/Users", odd(json!(vec![json!({}); rest / 3]))),
        hostile("many numbers", "POST", "/Users", odd(json!(vec![1; rest / 2]))),
        hostile(
            "many names",
            "POST",
            "/Users",
            odd((0..rest / 11)
                .map(|n| (format!("{n:05}"), json!(1)))
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ),
        hostile("many values", "POST", "/Users", {
            let mut many = user("many");
            many["emails"] = (0..30_000).map(|n| json!({"value": format!("{n}@x")})).collect();
            many
        }),
        hostile(
            "a long filter",
            "POST",
            "/.search",
            json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
                "filter": format!("userName eq \"{}\"", "x".repeat(rest)),
            }),
        ),
    ];
    all.push(Hostile {
        name: "nothing but brackets",
        method: "POST",
        path: "/Users".to_owned(),
        body: "[".repeat(MAX_BODY),
    });
    all.push(hostile("a deleted user", "DELETE", &member, Value::Null));

    let mut faults = Vec::new();
    for Hostile { name, method, path, body } in &all {
        assert!(body.len() <= MAX_BODY, "{name}: {} bytes", body.len());
        let larger = LARGER.iter().find(|(larger, _)| larger == name);
        let most = larger.map_or(MAX_MEMORY, |(_, mib)| mib * 1024 * 1024);
        let is_repeatable = ["members are added", "members are put"].contains(name);
        let mut tries = 1..=if is_repeatable { TRIES } else { 1 };
        while tries.next().is_some() {
            server.wait_until_idle();
            // From here on the most that it holds counts again from the start.
            fs::write(format!("/proc/{}/clear_refs", server.pid()), "5").unwrap();
            let before = memory(&server, "VmRSS:");
            let status =
                client.send(method, path, (!body.is_empty()).then_some(body.as_bytes())).status;
            let took = memory(&server, "VmHWM:").saturating_sub(before);
            let mib = |bytes: usize| bytes as f64 / 1_048_576.0;
            println!("{name:<34} {status} {:>6.1} MiB from {:>6.1}", mib(took), mib(before));
            if status < 500 && took <= most {
                break;
            }
            if tries.is_empty() {
                faults.push(format!("{name}: {status}, {took} bytes"));
            } else {
                let removed = json!([{"op": "remove", "path": "members"}]);
                client.patch(path, &removed).expect(200);
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
