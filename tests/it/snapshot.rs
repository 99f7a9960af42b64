//! Snapshots that are taken by themselves, the trimmed journal, and a disk that fails.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Client, Server, create, files, total, user};

const EVERY_SECOND: &str = "[store]\nsnapshot_interval = \"1s\"\nkeep_snapshots = 2\n";
const TRIMMING: &str = "[store]\nsnapshot_interval = \"1s\"\nkeep_snapshots = 2\nkeep_journal = \"0s\"\n[events]\nretention = \"0s\"\n";

/// The snapshots of a server, oldest first.
fn snapshots(server: &Server) -> Vec<PathBuf> {
    if !server.data().join("snapshots").exists() {
        return Vec::new();
    }
    let mut found = files(&server.data().join("snapshots"));
    found.retain(|path| path.extension().is_some_and(|suffix| suffix == "snapshot"));
    found.sort();
    found
}

/// The change whose state a snapshot holds, or with which a file of the journal begins.
fn number(path: &std::path::Path) -> u64 {
    path.file_stem().unwrap().to_str().unwrap().parse().unwrap()
}

/// The change with which the journal begins.
fn begin(server: &Server) -> u64 {
    let files = files(&server.data().join("journal"));
    files.iter().map(|path| number(path)).min().unwrap()
}

fn users(client: &Client) -> Value {
    client.get("/Users?count=1000").expect(200).body
}

/// Changes users until the journal has more than two files.
fn grow(server: &Server) {
    std::thread::scope(|scope| {
        for number in 0..4 {
            let client = server.client();
            scope.spawn(move || {
                let (path, _) = create(&client, "/Users", &user(&format!("busy{number}")));
                for turn in 0..160 {
                    let title = format!("{turn}{}", "x".repeat(60_000));
                    let change = json!([{"op": "replace", "path": "title", "value": title}]);
                    client.patch(&path, &change).expect(200);
                }
            });
        }
    });
}

/// A server whose journal no longer begins at its beginning, stopped; its users.
fn trimmed() -> (Server, Value) {
    let mut server = Server::start_with(TRIMMING);
    grow(&server);
    server.until("the journal is trimmed", |server| begin(server) > 1);
    // Two snapshots behind what was trimmed, and changes behind the older one.
    let client = server.client();
    let reached = number(snapshots(&server).last().unwrap());
    for more in 1..=2 {
        create(&client, "/Users", &user(&format!("later{more}")));
        server.until("there are later snapshots", |server| {
            snapshots(server).last().is_some_and(|path| number(path) >= reached + more)
        });
    }
    create(&client, "/Users", &user("last"));
    server.kill();
    server.boot(&[]);
    let users = users(&server.client());
    server.stop();
    assert_eq!(snapshots(&server).len(), 2);
    (server, users)
}

/// Runs `serve`, which must be refused; what it says.
#[track_caller]
fn refused(server: &Server) -> String {
    let output = server.run(&["serve"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    stderr
}

#[test]
fn snapshots_are_taken_and_only_the_newest_are_kept() {
    let mut server = Server::start_with(EVERY_SECOND);
    let mut seen = Vec::new();
    for turn in 0..4 {
        create(&server.client(), "/Users", &user(&format!("user{turn}")));
        let last = seen.last().copied().unwrap_or_default();
        server.until("there is a newer snapshot", |server| {
            snapshots(server).last().is_some_and(|path| number(path) > last)
        });
        seen.push(number(snapshots(&server).last().unwrap()));
    }
    server.until("the oldest are gone", |server| snapshots(server).len() <= 2);
    assert_eq!(begin(&server), 1, "the journal is kept for ever, unless something else is said");
    server.stop();
    fs::remove_dir_all(server.data().join("state")).unwrap();
    server.boot(&[]);
    assert_eq!(total(&server.client()), 4);
    assert!(
        server.stderr().contains("the database is empty; rebuilding it"),
        "{}",
        server.stderr()
    );
}

#[test]
fn nothing_is_done_without_a_pause_where_nothing_changes() {
    let server = Server::start_with("[store]\nsnapshot_interval = \"1s\"\n");
    std::thread::sleep(Duration::from_secs(5));
    let times = server.stderr().matches("snapshot is up to date").count();
    assert!((2..=6).contains(&times), "{times} times in 5 s");
}

#[test]
fn a_trimmed_journal_and_a_snapshot_rebuild_the_database() {
    let (mut server, before) = trimmed();
    assert!(server.succeed(&["verify"]).contains("No problems found."));
    fs::remove_dir_all(server.data().join("state")).unwrap();
    server.boot(&[]);
    assert_eq!(users(&server.client()), before);
    server.succeed(&["verify"]);
    server.stop();

    // A damaged one is set aside; the damaged newest snapshot is passed over.
    fs::write(server.data().join("state/conf"), [0xa5; 1_000]).unwrap();
    let newest = snapshots(&server).pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&newest, bytes).unwrap();
    server.boot(&[]);
    let log = server.stderr();
    assert!(
        log.contains("using an older one") && log.contains("setting it aside and rebuilding it"),
        "{log}"
    );
    assert_eq!(users(&server.client()), before);
}

#[test]
fn what_can_not_be_rebuilt_is_named_and_not_served() {
    let (server, _) = trimmed();
    let missing = begin(&server) - 1;
    for snapshot in snapshots(&server) {
        let mut bytes = fs::read(&snapshot).unwrap();
        bytes[20] ^= 1;
        fs::write(&snapshot, bytes).unwrap();
    }
    fs::write(server.data().join("state/conf"), [0xa5; 1_000]).unwrap();
    let before = files(&server.data()).len();
    let said = refused(&server);
    assert!(said.contains(&format!("changes 1 to {missing} are missing")), "{said}");
    assert!(said.contains("restore a backup"), "{said}");
    assert_eq!(files(&server.data()).len(), before, "all is left as it was");
}

#[test]
fn a_journal_that_ends_before_a_snapshot_is_not_served() {
    let mut server = Server::start_with(EVERY_SECOND);
    create(&server.client(), "/Users", &user("a"));
    server.until("there is a snapshot", |server| {
        snapshots(server).last().is_some_and(|path| number(path) > 1)
    });
    server.stop();
    fs::remove_dir_all(server.data().join("state")).unwrap();
    fs::remove_dir_all(server.data().join("journal")).unwrap();
    let said = refused(&server);
    assert!(said.contains("has change"), "{said}");
}

#[test]
fn a_snapshot_that_fails_stops_nothing() {
    let server = Server::configure(EVERY_SECOND);
    fs::create_dir_all(server.data()).unwrap();
    fs::write(server.data().join("snapshots"), "in the way").unwrap();
    let refused = server.run(&["serve"]);
    assert_eq!(refused.status.code(), Some(1), "what is no folder is not read as an empty one");
    fs::remove_file(server.data().join("snapshots")).unwrap();

    let mut server = Server::start_with(EVERY_SECOND);
    create(&server.client(), "/Users", &user("a"));
    server.until("there is a snapshot", |server| !snapshots(server).is_empty());
    fs::remove_dir_all(server.data().join("snapshots")).unwrap();
    fs::write(server.data().join("snapshots"), "in the way").unwrap();
    create(&server.client(), "/Users", &user("b"));
    server.until("it is told", |server| server.stderr().contains("snapshot failed"));
    create(&server.client(), "/Users", &user("c"));
    assert_eq!(server.stranger().get("//healthz").status, 200);
    fs::remove_file(server.data().join("snapshots")).unwrap();
    server.until("it is tried again", |server| !snapshots(server).is_empty());
    assert_eq!(total(&server.client()), 3);
}

#[test]
fn a_disk_that_takes_no_more_stops_writing_and_loses_nothing() {
    let mut server = Server::start();
    let (path, _) = create(&server.client(), "/Users", &user("busy"));
    server.stop();
    server.boot_with_files_up_to(3 * 1024);
    let client = server.client();
    let title = |turn: usize| {
        let title = format!("{turn}{}", "x".repeat(60_000));
        json!([{"op": "replace", "path": "title", "value": title}])
    };
    let last = (0..200).find(|&turn| client.patch(&path, &title(turn)).status != 200);
    let last = last.expect("the limit is reached");
    client.patch(&path, &title(last)).error(503, None);
    client.post("/Users", &user("late")).error(503, None);
    assert_eq!(server.stranger().get("//healthz").status, 503);
    let kept = client.get(&path).expect(200).text("/title").to_owned();
    assert!(kept.starts_with(&format!("{}x", last - 1)), "{}", &kept[..5]);
    let log = server.stderr();
    assert!(log.contains("check the disk, then restart scimd"), "{log}");
    server.stop();

    server.boot(&[]);
    let client = server.client();
    let now = client.get(&path).expect(200).text("/title").to_owned();
    assert!(now == kept || now.starts_with(&format!("{last}x")), "{}", &now[..5]);
    create(&client, "/Users", &user("late"));
    server.succeed(&["verify"]);
}

#[test]
fn while_little_room_is_left_changes_are_refused_and_reading_goes_on() {
    let mut server = Server::start();
    let (path, _) = create(&server.client(), "/Users", &user("a"));
    server.stop();
    let config = fs::read_to_string(server.folder().join("config.toml")).unwrap();
    let more_than_any_disk_has = format!("{config}[store]\nmin_free_mib = 1000000000\n");
    fs::write(server.folder().join("config.toml"), more_than_any_disk_has).unwrap();
    server.boot(&[]);
    let client = server.client();
    for name in ["b", "c"] {
        client.post("/Users", &user(name)).error(503, None);
    }
    let title = json!([{"op": "replace", "path": "title", "value": "x"}]);
    client.patch(&path, &title).error(503, None);
    assert_eq!(server.stranger().get("//healthz").status, 503);
    client.get(&path).expect(200);
    let log = server.stop();
    let told = log
        .matches("low disk space; accepting only changes that remove access, reads still work")
        .count();
    assert_eq!(told, 1, "{log}");

    fs::write(server.folder().join("config.toml"), config).unwrap();
    server.boot(&[]);
    create(&server.client(), "/Users", &user("b"));
    assert_eq!(total(&server.client()), 2);
}

#[test]
fn the_server_stops_in_time_whatever_still_runs() {
    let mut server = Server::start_with("[limits]\ndrain_timeout = \"1s\"\n");
    server.succeed(&["backup", "one"]);
    // A file that never ends to be read: the check of the snapshots waits for whoever writes to it.
    let pipe = server.data().join("snapshots/00000000000000009999.snapshot");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut check = server.command(&["verify"]);
    let mut check = check.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let since = Instant::now();
    let log = server.stop();
    assert!(since.elapsed() < Duration::from_secs(6), "{:?}", since.elapsed());
    assert!(log.contains("some work did not finish in time and was abandoned"), "{log}");
    check.wait().unwrap();
    fs::remove_file(pipe).unwrap();
    server.boot(&[]);
    assert_eq!(total(&server.client()), 0);
}
