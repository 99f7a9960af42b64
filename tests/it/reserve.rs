//! What still works when disk space or file descriptors run short: taking access away fails last.

use std::fs;
use std::process::{Command, Output};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};

use crate::harness::{Client, Server, create, group, user};

/// A server whose disk has less left than is required, and users and a group from before.
struct Low {
    server: Server,
    users: Vec<(String, String)>,
    group: String,
}

fn low() -> Low {
    let mut server = Server::start();
    let client = server.client();
    let users: Vec<_> =
        (0..6).map(|number| create(&client, "/Users", &user(&format!("user{number}")))).collect();
    let ids: Vec<&str> = users[..4].iter().map(|(_, id)| id.as_str()).collect();
    let (group, _) = create(&client, "/Groups", &group("g", &ids));
    server.stop();
    server.rewrite(|text| format!("{text}[store]\nmin_free_mib = 1000000000\n"));
    server.boot(&[]);
    Low { server, users, group }
}

fn set(path: &str, value: impl Into<Value>) -> Value {
    let value: Value = value.into();
    json!([{"op": "replace", "path": path, "value": value}])
}

fn bulk(operations: &[(&str, &str, Value)]) -> Value {
    let operations: Vec<Value> = operations
        .iter()
        .map(|(method, path, data)| match data {
            Value::Null => json!({"method": method, "path": path}),
            data if *method == "POST" => {
                json!({"method": method, "path": path, "bulkId": "b", "data": data})
            }
            data => json!({"method": method, "path": path, "data": data}),
        })
        .collect();
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": operations,
    })
}

#[test]
fn with_little_room_on_the_disk_access_is_taken_away_and_nothing_else_changes() {
    let Low { server, users, group: path } = low();
    let client = server.client();
    let member = |number: usize| json!([{"value": users[number].1}]);
    let add = json!([{"op": "add", "path": "members", "value": member(5)}]);
    let remove = json!([{"op": "remove", "path": "members", "value": member(0)}]);
    let mixed = bulk(&[("DELETE", &users[3].0, Value::Null), ("POST", "/Users", user("new"))]);
    let refused: [(&str, &dyn Fn() -> u16); 6] = [
        ("a new account", &|| client.post("/Users", &user("new")).status),
        ("another title", &|| client.patch(&users[1].0, &set("title", "x")).status),
        ("another name", &|| client.patch(&users[1].0, &set("userName", "x")).status),
        ("a new member", &|| client.patch(&path, &add).status),
        ("a new group", &|| client.post("/Groups", &group("new", &[])).status),
        ("a deletion with something else", &|| client.post("/Bulk", &mixed).status),
    ];
    for (what, ask) in refused {
        assert_eq!(ask(), 503, "{what}");
    }
    client.patch(&path, &remove).expect(200);
    client.patch(&users[1].0, &set("active", false)).expect(200);
    assert_eq!(client.patch(&users[1].0, &set("active", true)).status, 503);
    client.delete(&users[2].0).expect(204);
    let both = [("DELETE", users[3].0.as_str(), Value::Null), ("DELETE", &users[4].0, Value::Null)];
    client.post("/Bulk", &bulk(&both)).expect(200);
    client.put(&path, &group("g", &[])).expect(200);
    client.delete(&path).expect(204);
    server.succeed(&["brake", "hold"]);
    client.delete(&users[5].0).error(503, None);
    server.succeed(&["brake", "release"]);
    let tokens: Value =
        serde_json::from_str(&server.succeed(&["token", "list", "--json"])).unwrap();
    server.succeed(&["token", "revoke", tokens[0]["id"].as_str().unwrap()]);
    client.get("/Users").error(401, None);
    assert!(server.succeed(&["verify"]).contains("No problems found."));
}

/// The answer of a command under a hard limit on open files.
fn under_limit(server: &Server, files: u64, arguments: &str) -> Output {
    let line = format!("ulimit -Sn 64; ulimit -Hn {files}; exec \"$0\" {arguments}");
    let mut command = Command::new("sh");
    command.args(["-c", &line, env!("CARGO_BIN_EXE_scimd")]).current_dir(server.folder());
    command.output().unwrap()
}

#[test]
fn more_connections_than_open_files_allow_are_refused_and_the_limit_is_raised() {
    let mut server = Server::configure("[limits]\nmax_connections = 156\n");
    assert!(under_limit(&server, 256, "config check").status.success());
    let refused = under_limit(&server, 255, "config check");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{told}");
    assert!(told.contains("limits.max_connections: 156 exceeds 155"), "{told}");
    assert_eq!(under_limit(&server, 255, "serve").status.code(), Some(2));
    let line = "ulimit -Sn 64; ulimit -Hn 256; exec \"$0\" serve --first-boot";
    let mut serve = Command::new("sh");
    serve.args(["-c", line, env!("CARGO_BIN_EXE_scimd")]).current_dir(server.folder());
    server.boot_as(serve, true);
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(files.split_whitespace().filter(|word| *word == "256").count(), 2, "{files}");
}

/// Sets how many files a server may open from now on.
fn limit_files(server: &Server, current: u64) {
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap());
    let Rlimit { maximum, .. } = rustix::process::getrlimit(Resource::Nofile);
    prlimit(pid, Resource::Nofile, Rlimit { current: Some(current), maximum }).unwrap();
}

fn create_all(client: &Client, names: std::ops::Range<u32>) -> Vec<u16> {
    names.map(|name| client.post("/Users", &user(&format!("user{name}"))).status).collect()
}

#[test]
fn a_lack_of_file_descriptors_refuses_changes_for_the_moment_alone() {
    let server = Server::start();
    let client = server.client();
    assert_eq!(create_all(&client, 0..1), [201]);
    let open = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count() as u64;
    limit_files(&server, open + 4);
    assert_eq!(create_all(&client, 1..3), [503; 2]);
    client.get("/Users").expect(200);
    limit_files(&server, open + 100);
    assert_eq!(create_all(&client, 1..3), [201; 2]);
    let log = server.stderr();
    assert_eq!(log.matches("too few files can be opened; rejecting writes").count(), 1, "{log}");
    assert!(log.contains("files can be opened again"), "{log}");
    assert!(server.succeed(&["verify"]).contains("No problems found."));
}

#[test]
fn what_a_request_adds_to_the_log_is_in_proportion_to_its_size() {
    let server = Server::start();
    let client = server.client();
    let mut large = user("large");
    large["displayName"] = "x".repeat(60_000).into();
    let (path, _) = create(&client, "/Users", &large);
    let journal = || -> u64 {
        let text = server.succeed(&["audit", "--json"]);
        text.lines().count() as u64
    };
    let before = journal();
    let nickname = |number: usize| json!({"Operations": set("nickName", number.to_string())});
    let patches = |count: usize| {
        let one = |number| ("PATCH", path.as_str(), nickname(number));
        bulk(&(0..count).map(one).collect::<Vec<_>>())
    };
    // 64 bytes for each byte of the body, and a MiB: about 20 times 60 KB.
    client.post("/Bulk", &patches(400)).error(400, Some("tooMany"));
    client.post("/Bulk", &patches(30)).error(400, Some("tooMany"));
    assert_eq!(journal(), before, "nothing of it was done");
    client.post("/Bulk", &patches(15)).expect(200);
    client.patch(&path, &set("active", false)).expect(200);
    client.delete(&path).expect(204);
}
