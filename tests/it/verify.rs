//! `scimd verify`, and compacting the database.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::harness::{Server, create, files, group, user};

fn populated() -> Server {
    let server = Server::start();
    let client = server.client();
    let ids: Vec<String> = (0..20)
        .map(|number| create(&client, "/Users", &user(&format!("user{number}"))).1)
        .collect();
    create(&client, "/Groups", &group("All", &ids.iter().map(String::as_str).collect::<Vec<_>>()));
    server
}

/// What `verify --json` tells of one thing that it checked.
#[track_caller]
fn check(server: &Server, what: &str, code: i32) -> Value {
    let output = server.run(&["verify", "--json"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    let checks: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut checks = checks.as_array().unwrap().iter();
    checks.find(|check| check["what"] == what).unwrap_or_else(|| panic!("no {what}")).clone()
}

#[test]
fn a_sound_folder_has_no_fault_while_it_is_served_and_after() {
    let mut server = populated();
    server.succeed(&["backup", "b"]);
    for served in [true, false] {
        for (what, least) in [
            ("journal", 22),
            ("snapshots", 1),
            ("records", 21),
            ("index entries", 21),
            ("memberships", 40),
            ("counts", 2),
            ("tokens", 1),
        ] {
            let check = check(&server, what, 0);
            assert!(check["checked"].as_u64() >= Some(least), "{served}: {check}");
            assert_eq!(check["faults"], 0, "{served}: {check}");
        }
        let told = server.succeed(&["verify"]);
        assert!(told.ends_with("No problems found.\n"), "{told}");
        if served {
            server.stop();
        }
    }
    let empty = Server::configure("");
    let output = empty.run(&["verify"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!empty.data().exists(), "looking makes nothing");
}

#[test]
fn damage_is_named_and_left_as_it_is() {
    let mut server = populated();
    server.succeed(&["backup", "b"]);
    server.stop();
    for (folder, what) in [("journal", "journal"), ("snapshots", "snapshots")] {
        let path = files(&server.data().join(folder)).remove(0);
        let whole = fs::read(&path).unwrap();
        let mut damaged = whole.clone();
        damaged[300] ^= 1;
        fs::write(&path, &damaged).unwrap();
        let check = check(&server, what, 1);
        assert!(check["faults"].as_u64() > Some(0), "{check}");
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(check["findings"][0].as_str().unwrap().contains(name), "{check}");
        assert_eq!(fs::read(&path).unwrap(), damaged);
        fs::write(&path, &whole).unwrap();
    }
    // The end of the journal is missing, and the database knows.
    let path = files(&server.data().join("journal")).remove(0);
    let whole = fs::read(&path).unwrap();
    let end = whole.iter().rposition(|&byte| byte != 0).unwrap();
    fs::write(&path, &whole[..end - 5]).unwrap();
    let found = check(&server, "database", 1);
    assert!(found["findings"][0].as_str().unwrap().contains("acknowledged changes are missing"));
    assert_eq!(fs::read(&path).unwrap(), &whole[..end - 5]);
    fs::write(&path, &whole).unwrap();
    // No database at all: nothing is built by looking.
    fs::remove_dir_all(server.data().join("state")).unwrap();
    check(&server, "database", 1);
    assert!(!server.data().join("state").exists());
    server.boot(&[]);
    check(&server, "records", 0);
}

#[test]
fn changes_that_go_on_are_no_faults() {
    let server = Server::start();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for number in 0..6 {
            let (client, stop) = (server.client(), &stop);
            scope.spawn(move || {
                let mut turn = 0;
                while !stop.load(Ordering::Relaxed) {
                    let (path, id) = create(&client, "/Users", &user(&format!("u{number}-{turn}")));
                    let members = group(&format!("g{number}-{turn}"), &[&id]);
                    let (group, _) = create(&client, "/Groups", &members);
                    let title =
                        json!([{"op": "add", "path": "userName", "value": format!("x{id}")}]);
                    client.patch(&path, &title).expect(200);
                    if turn % 2 == 0 {
                        client.delete(&path).expect(204);
                        client.delete(&group).expect(204);
                    }
                    turn += 1;
                }
            });
        }
        for _ in 0..8 {
            server.succeed(&["verify"]);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(check(&server, "counts", 0)["checked"], 2);
}

#[test]
fn compacting_makes_the_database_small_and_changes_nothing() {
    let mut server = populated();
    let client = server.client();
    let (path, _) = create(&client, "/Users", &user("busy"));
    for turn in 0..300 {
        let title = format!("{turn}{}", "x".repeat(20_000));
        client
            .patch(&path, &json!([{"op": "replace", "path": "title", "value": title}]))
            .expect(200);
    }
    let before = client.get("/Users?count=1000").expect(200).body;
    let size = |server: &Server| -> u64 {
        files(&server.data().join("state")).iter().map(|path| path.metadata().unwrap().len()).sum()
    };

    let output = server.run(&["verify", "--compact"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("at its next start"), "{output:?}");
    server.stop();
    let grown = size(&server);
    server.boot(&[]);
    assert!(server.stderr().contains("the database was compacted"), "{}", server.stderr());
    assert_eq!(server.client().get("/Users?count=1000").expect(200).body, before);
    server.stop();
    assert!(size(&server) < grown, "{} of {grown}", size(&server));
    server.boot(&[]);
    assert!(!server.stderr().contains("compacted"), "once is enough");
    server.stop();

    server.succeed(&["verify", "--compact"]);
    server.succeed(&["verify"]);
    server.boot(&[]);
    assert_eq!(server.client().get("/Users?count=1000").expect(200).body, before);
}
