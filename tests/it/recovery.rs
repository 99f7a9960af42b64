//! Damage to the data folder, and changes that meet another version.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::{Server, files, user};

/// Users by id and name.
type Users = Vec<(String, String)>;

/// Creates users and kills the server.
fn populated(users: usize) -> (Server, Users) {
    let mut server = Server::start();
    let users = create(&server, "user", users);
    server.kill();
    (server, users)
}

fn create(server: &Server, prefix: &str, users: usize) -> Users {
    let client = server.client();
    let names = (0..users).map(|number| format!("{prefix}{number}"));
    names
        .map(|name| (client.post("/Users", &user(&name)).expect(201).text("/id").to_owned(), name))
        .collect()
}

/// Insists that these users and no others are there, by id and by name.
#[track_caller]
fn all_there(server: &Server, users: &Users) {
    let client = server.client();
    assert_eq!(client.get("/Users?count=0").expect(200).body["totalResults"], users.len());
    for (id, name) in users {
        assert_eq!(client.get(&format!("/Users/{id}")).expect(200).text("/userName"), name);
        let found = client.get(&format!("/Users?filter=userName%20eq%20%22{name}%22")).expect(200);
        assert_eq!(found.text("/Resources/0/id"), id);
    }
    client.post("/Users", &user(&users[0].1)).error(409, Some("uniqueness"));
}

/// The folders with databases that were set aside.
fn aside(server: &Server) -> Vec<PathBuf> {
    let entries = fs::read_dir(server.data()).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("state.damaged-"))
        .collect()
}

/// Insists that the database was set aside and that the log says so.
#[track_caller]
fn set_aside(server: &Server) {
    let folders = aside(server);
    assert_eq!(folders.len(), 1, "{}", server.stderr());
    let log = server.stderr();
    let line = log
        .lines()
        .find(|line| line.contains("setting it aside and rebuilding it from the journal"));
    let line = line.unwrap_or_else(|| panic!("the log is silent: {log}"));
    let name = folders[0].file_name().unwrap().to_str().unwrap();
    assert!(line.contains("ERROR") && line.contains(name), "{line}");
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(file, target).unwrap();
    }
}

/// The journal's file.
fn journal(server: &Server) -> PathBuf {
    let mut files = files(&server.data().join("journal"));
    assert_eq!(files.len(), 1);
    files.remove(0)
}

/// Where the written part of a journal's file ends.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1
}

#[test]
fn a_database_that_is_gone_is_rebuilt() {
    let (mut server, mut users) = populated(40);
    fs::remove_dir_all(server.data().join("state")).unwrap();
    server.boot(&[]);
    all_there(&server, &users);
    users.extend(create(&server, "later", 5));
    server.stop();
    fs::remove_dir_all(server.data().join("state")).unwrap();
    server.boot(&[]);
    all_there(&server, &users);
    assert!(aside(&server).is_empty());
}

#[test]
fn a_database_that_does_not_open_is_set_aside_and_rebuilt() {
    let (mut server, mut users) = populated(40);
    fs::write(server.data().join("state/conf"), [0xa5; 1_000]).unwrap();
    server.boot(&[]);
    all_there(&server, &users);
    set_aside(&server);
    users.extend(create(&server, "later", 5));
    server.kill();
    server.boot(&[]);
    all_there(&server, &users);
    assert_eq!(aside(&server).len(), 1, "once is enough");
}

#[test]
fn damage_anywhere_in_the_database_loses_nothing() {
    let mut server = Server::start();
    let users = create(&server, "user", 60);
    server.stop();
    let (state, kept) = (server.data().join("state"), server.folder().join("kept"));
    copy(&state, &kept);
    for path in files(&kept) {
        let whole = fs::read(&path).unwrap();
        let end = used(&whole);
        for at in [0, end / 2, end.saturating_sub(200)] {
            let mut bytes = whole.clone();
            bytes[at..end.min(at + 4_096)].fill(0xa5);
            fs::remove_dir_all(&state).unwrap();
            copy(&kept, &state);
            fs::write(state.join(path.file_name().unwrap()), bytes).unwrap();
            server.boot(&[]);
            all_there(&server, &users);
            server.kill();
        }
    }
}

#[test]
fn a_database_that_was_cut_short_loses_nothing() {
    for keep in [0, 1, 2, 3] {
        let mut server = Server::start();
        let users = create(&server, "user", 40);
        server.stop();
        for path in files(&server.data().join("state")) {
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() * keep / 4]).unwrap();
        }
        server.boot(&[]);
        all_there(&server, &users);
        let log = server.stderr();
        assert_eq!(
            aside(&server).len(),
            log.matches("setting it aside and rebuilding it").count(),
            "{log}"
        );
    }
}

#[test]
fn a_database_of_another_server_is_set_aside_and_rebuilt() {
    let (mut server, users) = populated(10);
    let (mut other, _) = populated(20);
    other.boot(&[]);
    other.stop();
    let state = server.data().join("state");
    fs::remove_dir_all(&state).unwrap();
    copy(&other.data().join("state"), &state);
    server.boot(&[]);
    all_there(&server, &users);
    set_aside(&server);
    assert!(server.stderr().contains("belongs to another journal"), "{}", server.stderr());
}

#[test]
fn a_database_of_yesterday_is_brought_up_to_date() {
    let (mut server, mut users) = populated(10);
    server.boot(&[]);
    server.stop();
    let (state, yesterday) = (server.data().join("state"), server.folder().join("yesterday"));
    copy(&state, &yesterday);
    server.boot(&[]);
    users.extend(create(&server, "later", 30));
    let gone = users.remove(3).0;
    server.client().delete(&format!("/Users/{gone}")).expect(204);
    server.stop();
    fs::remove_dir_all(&state).unwrap();
    copy(&yesterday, &state);
    server.boot(&[]);
    all_there(&server, &users);
    server.client().get(&format!("/Users/{gone}")).error(404, None);
    assert!(aside(&server).is_empty());
}

#[test]
fn a_journal_whose_end_was_torn_keeps_everything_before() {
    for zeros in [false, true] {
        let (mut server, mut users) = populated(10);
        let file = journal(&server);
        let mut bytes = fs::read(&file).unwrap();
        let cut = used(&bytes) - 5;
        bytes[cut..].fill(0);
        fs::write(&file, if zeros { &bytes[..] } else { &bytes[..cut] }).unwrap();
        server.boot(&[]);
        users.pop();
        all_there(&server, &users);
        assert!(server.stderr().contains("dropped an unfinished write"), "{}", server.stderr());
        users.extend(create(&server, "later", 3));
        server.kill();
        server.boot(&[]);
        all_there(&server, &users);
    }
}

#[test]
fn a_journal_that_ends_before_what_the_database_has_seen_is_not_served() {
    let mut server = Server::start();
    create(&server, "user", 10);
    server.stop();
    let file = journal(&server);
    let bytes = fs::read(&file).unwrap();
    // The last frame is the note of the token's use; this cut reaches into the one before it.
    let cut = bytes.windows(13).rposition(|window| window == b"\"verb\":\"creat").unwrap();
    fs::write(&file, &bytes[..cut]).unwrap();
    for damage in ["cut short", "gone"] {
        let output = server.run(&["serve"]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{damage}: {stderr}");
        assert!(stderr.contains(" change "), "{damage}: {stderr}");
        fs::remove_file(&file).unwrap_or_default();
    }
}

#[test]
fn garbage_behind_the_end_of_the_journal_is_dropped() {
    let (mut server, users) = populated(10);
    let file = journal(&server);
    let mut bytes = fs::read(&file).unwrap();
    let end = used(&bytes);
    bytes[end + 20..end + 3_000].fill(0x5a);
    fs::write(&file, bytes).unwrap();
    server.boot(&[]);
    all_there(&server, &users);
    assert!(server.stderr().contains("dropped"), "{}", server.stderr());
}

#[test]
fn a_damaged_journal_is_never_cut_but_stops_the_start() {
    let (server, _) = populated(20);
    let file = journal(&server);
    let mut bytes = fs::read(&file).unwrap();
    let place = used(&bytes) / 3;
    bytes[place] ^= 1;
    fs::write(&file, &bytes).unwrap();
    for state in ["present", "deleted"] {
        let output = server.run(&["serve", "--first-boot"]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{state}: {stderr}");
        assert!(stderr.contains("acknowledged changes follow"), "{state}: {stderr}");
        assert!(stderr.contains(file.file_name().unwrap().to_str().unwrap()), "{state}: {stderr}");
        assert_eq!(fs::read(&file).unwrap(), bytes, "{state}: nothing was altered");
        let _ = fs::remove_dir_all(server.data().join("state"));
    }
}

#[test]
fn a_record_that_is_damaged_in_the_database_comes_back_by_a_restart() {
    let mut server = Server::start();
    let mut users = create(&server, "user", 10);
    users.extend(create(&server, "findmeagain", 1));
    server.stop();
    let mut hits = 0;
    for path in files(&server.data().join("state")) {
        let mut bytes = fs::read(&path).unwrap();
        let found: Vec<_> =
            (0..bytes.len()).filter(|&at| bytes[at..].starts_with(b"findmeagain0\"")).collect();
        found.iter().for_each(|&at| bytes[at] ^= 1);
        hits += found.len();
        fs::write(&path, bytes).unwrap();
    }
    assert!(hits > 0, "the record is somewhere");
    server.boot(&[]);
    let read = server.client().get(&format!("/Users/{}", users[10].0));
    if read.status != 200 {
        read.error(503, None);
        server.stop();
        server.boot(&[]);
    }
    all_there(&server, &users);
}

#[test]
fn a_replace_that_expects_another_version_is_refused_with_412() {
    let server = Server::start();
    let client = server.client();
    let created = client.post("/Users", &user("a")).expect(201);
    let path = format!("/Users/{}", created.text("/id"));
    let put = |tag: &str, title: &str| {
        client.clone().header("If-Match", tag).put(&path, &json!({"userName": "a", "title": title}))
    };
    for wrong in ["W/\"2\"", "\"0\"", "W/\"1", "1", "W/1", "", "\"x\"", "W/\"2\", W/\"3\""] {
        let detail = put(wrong, "x").error(412, None).to_owned();
        assert!(detail.contains("version is now W/\"1\""), "{wrong}: {detail}");
    }
    assert_eq!(client.get(&path).body, created.body);
    assert_eq!(put("W/\"1\"", "b").expect(200).header("etag"), "W/\"2\"");
    assert_eq!(put("\"2\"", "c").expect(200).header("etag"), "W/\"3\"");
    assert_eq!(put("*", "d").expect(200).header("etag"), "W/\"4\"");
    assert_eq!(put("W/\"9\",W/\"4\" , \"7\"", "e").expect(200).header("etag"), "W/\"5\"");
    put("W/\"1\"", "f").error(412, None);
    client.clone().header("If-Match", "*").put("/Users/nobody", &user("b")).error(404, None);
    assert_eq!(client.get(&path).text("/title"), "e");
}

#[test]
fn a_delete_that_expects_another_version_is_refused_with_412() {
    let server = Server::start();
    let client = server.client();
    let create = |name: &str| {
        format!("/Users/{}", client.post("/Users", &user(name)).expect(201).text("/id"))
    };
    for (name, right) in [("a", "W/\"1\""), ("b", "*"), ("c", "\"5\", \"1\""), ("d", "\"1\"")] {
        let path = create(name);
        for wrong in ["W/\"2\"", "\"x\""] {
            client.clone().header("If-Match", wrong).delete(&path).error(412, None);
        }
        client.get(&path).expect(200);
        client.clone().header("If-Match", right).delete(&path).expect(204);
        client.get(&path).error(404, None);
    }
}

#[test]
fn of_many_who_replace_one_version_exactly_one_succeeds() {
    let server = Server::start();
    let created = server.client().post("/Users", &user("a")).expect(201);
    let path = format!("/Users/{}", created.text("/id"));
    let client = server.client().header("If-Match", created.header("etag"));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let replace = |number: usize| {
            let body = json!({"userName": "a", "title": number.to_string()});
            let (client, path) = (&client, &path);
            scope.spawn(move || client.put(path, &body).status)
        };
        let all: Vec<_> = (0..30).map(replace).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 29, "{statuses:?}");
}

#[test]
fn a_reader_who_has_the_version_gets_304() {
    let server = Server::start();
    let client = server.client();
    let created = client.post("/Users", &user("a")).expect(201);
    let path = format!("/Users/{}", created.text("/id"));
    for known in ["W/\"1\"", "\"1\"", "*", "\"7\", W/\"1\""] {
        let reply = client.clone().header("If-None-Match", known).get(&path).expect(304);
        assert_eq!((reply.header("etag"), reply.body.is_null()), ("W/\"1\"", true), "{known}");
    }
    for other in ["W/\"2\"", "\"\"", "x", ""] {
        let reply = client.clone().header("If-None-Match", other).get(&path).expect(200);
        assert_eq!(reply.body, created.body, "{other}");
    }
}
