//! `scimd backup` and `scimd restore`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;

use crate::harness::{Client, Server, create, files, group, resealed, total, user};

/// Every resource as it is served, in order.
fn everything(client: &Client) -> Vec<Value> {
    let mut all = Vec::new();
    for endpoint in ["Users", "Groups"] {
        let mut cursor = String::new();
        loop {
            let page = client.get(&format!("/{endpoint}?count=500&cursor={cursor}")).expect(200);
            all.extend(page.body["Resources"].as_array().into_iter().flatten().cloned());
            match page.body["nextCursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
    }
    // Where it is served differs by port.
    let text = serde_json::to_string(&all).unwrap();
    let port = all
        .first()
        .and_then(|one| one["meta"]["location"].as_str())
        .map_or("", |location| location.split("/scim/").next().unwrap());
    serde_json::from_str(&if port.is_empty() { text } else { text.replace(port, "") }).unwrap()
}

/// A server with users, a group and a deleted user.
fn populated() -> Server {
    let server = Server::start();
    let client = server.client();
    let ids: Vec<String> = (0..20)
        .map(|number| create(&client, "/Users", &user(&format!("user{number}"))).1)
        .collect();
    create(&client, "/Groups", &group("All", &ids.iter().map(String::as_str).collect::<Vec<_>>()));
    let (gone, _) = create(&client, "/Users", &user("gone"));
    client.delete(&gone).expect(204);
    server
}

/// A new server, filled from a backup and started.
fn restored(backup: &Path) -> Server {
    let mut server = Server::configure("");
    server.succeed(&["restore", backup.to_str().unwrap()]);
    server.boot(&[]);
    server
}

#[test]
fn a_backup_restored_elsewhere_differs_in_nothing() {
    let mut server = populated();
    let before = everything(&server.client());
    assert_eq!(before.len(), 21);
    let file = server.folder().join("online.backup");
    let told = server.succeed(&["backup", "online.backup"]);
    for line in ["Users      20", "Groups     1", "SHA-256    "] {
        assert!(told.lines().any(|told| told.starts_with(line)), "{line} in {told}");
    }
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let token = server.token().to_owned();
    let mut other = restored(&file);
    let client = other.client_with(&token);
    assert_eq!(everything(&client), before);
    client.post("/Users", &user("USER3")).error(409, Some("uniqueness"));
    create(&client, "/Users", &user("gone"));

    // What was written after the restore survives as well, with and without the database.
    let after = everything(&client);
    other.kill();
    other.boot(&[]);
    assert_eq!(everything(&other.client_with(&token)), after);
    other.kill();
    fs::remove_dir_all(other.data().join("state")).unwrap();
    other.boot(&[]);
    assert_eq!(everything(&other.client_with(&token)), after);

    server.stop();
    server.succeed(&["backup", "offline.backup"]);
    let other = restored(&server.folder().join("offline.backup"));
    assert_eq!(everything(&other.client_with(&token)), before);
}

#[test]
fn a_backup_under_load_is_the_state_at_one_moment() {
    let server = Server::start();
    let (acknowledged, sent): (Vec<_>, Vec<_>) =
        (0..8).map(|_| (AtomicUsize::new(0), AtomicUsize::new(0))).unzip();
    let stop = AtomicBool::new(false);
    let file = server.folder().join("loaded.backup");
    let mut least = Vec::new();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (client, acknowledged, sent) =
                (server.client(), &acknowledged[number], &sent[number]);
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let next = sent.fetch_add(1, Ordering::SeqCst);
                    let name = format!("client{number}-{next}");
                    let (_, id) = create(&client, "/Users", &user(&name));
                    create(&client, "/Groups", &group(&name, &[&id]));
                    acknowledged.store(next + 1, Ordering::SeqCst);
                }
            });
        }
        std::thread::sleep(std::time::Duration::from_millis(1_500));
        least = acknowledged.iter().map(|one| one.load(Ordering::SeqCst)).collect();
        server.succeed(&["backup", "loaded.backup"]);
        stop.store(true, Ordering::Relaxed);
    });
    assert!(least.iter().all(|&least| least > 0), "{least:?}");

    let other = restored(&file);
    let client = other.client_with(server.token());
    let (mut users, mut groups) = (0, 0);
    for number in 0..8 {
        let found = |endpoint: &str, attribute: &str| {
            let filter = format!("{attribute}%20sw%20%22client{number}-%22");
            let page = client.get(&format!("/{endpoint}?count=10000&filter={filter}")).expect(200);
            let resources = page.body["Resources"].as_array().unwrap().clone();
            let mut numbers: Vec<usize> = resources
                .iter()
                .map(|one| one[attribute].as_str().unwrap().split_once('-').unwrap().1)
                .map(|number| number.parse().unwrap())
                .collect();
            numbers.sort_unstable();
            // Of what one client did in order, there is a beginning and nothing else.
            assert_eq!(numbers, (0..numbers.len()).collect::<Vec<_>>());
            (numbers.len(), resources)
        };
        let (with_user, _) = found("Users", "userName");
        let (with_group, resources) = found("Groups", "displayName");
        assert!(with_user == with_group || with_user == with_group + 1);
        assert!(with_group >= least[number], "client {number}: an acknowledged change is missing");
        assert!(with_user <= sent[number].load(Ordering::SeqCst));
        for group in resources {
            assert_eq!(group["members"][0]["display"], group["displayName"]);
        }
        users += with_user as u64;
        groups += with_group as u64;
    }
    assert_eq!(total(&client), users);
    assert_eq!(client.get("/Groups?count=0").expect(200).body["totalResults"], groups);
    assert!(other.succeed(&["verify"]).contains("No problems found."));
}

#[test]
fn a_backup_that_is_not_whole_is_refused_and_nothing_is_touched() {
    let server = populated();
    server.succeed(&["backup", "good"]);
    let good = fs::read(server.folder().join("good")).unwrap();
    let other = Server::configure("");
    let bad = other.folder().join("bad");
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let mut first = good.clone();
    first[3] ^= 1;
    for (bytes, words) in [
        (&flipped[..], "checksum"),
        (&first, "its header is not"),
        (&good[..good.len() - 1], "truncated"),
        (&good[..good.len() / 2], "truncated"),
        (&[], "truncated"),
        (&[&good[..], b"x"].concat(), "data after its end"),
    ] {
        fs::write(&bad, bytes).unwrap();
        let said = other.fail(&["restore", "bad"], 1);
        assert!(said.contains(words) && said.contains("bad"), "{said}");
        assert!(!other.data().exists(), "{words}: the data folder was made");
    }
    let said = other.fail(&["restore", "missing"], 1);
    assert!(said.contains("can't open missing"), "{said}");
}

#[test]
fn a_data_folder_that_is_in_use_is_not_restored_to() {
    let mut server = populated();
    server.succeed(&["backup", "b"]);
    let said = server.fail(&["restore", "b"], 1);
    assert!(said.contains("is not empty"), "{said}");
    let before = everything(&server.client());
    server.stop();
    let kept: Vec<_> =
        files(&server.data()).into_iter().map(|path| fs::read(path).unwrap()).collect();
    server.fail(&["restore", "b"], 1);
    let now: Vec<_> =
        files(&server.data()).into_iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(kept == now, "something was altered");
    server.boot(&[]);
    assert_eq!(everything(&server.client()), before);

    // A certificate may be there already: clients may have been told to trust it.
    let other = Server::configure("");
    fs::create_dir_all(other.data().join("tls")).unwrap();
    fs::copy(server.folder().join("b"), other.folder().join("b")).unwrap();
    other.succeed(&["restore", "b"]);
}

#[test]
fn a_backup_overwrites_nothing() {
    let server = Server::start();
    fs::write(server.folder().join("precious"), "precious").unwrap();
    let said = server.fail(&["backup", "precious"], 1);
    assert!(said.contains("choose a new file"), "{said}");
    assert_eq!(fs::read_to_string(server.folder().join("precious")).unwrap(), "precious");
    server.fail(&["backup", "no/such/folder"], 1);
    let none = Server::configure("");
    none.fail(&["backup", "b"], 1);
    assert!(!none.data().exists() && !none.folder().join("b").exists());
}

#[test]
fn a_restored_appliance_takes_nothing_of_what_came_after_the_backup() {
    let mut server = populated();
    server.succeed(&["backup", "b"]);
    let before = everything(&server.client());
    for number in 0..10 {
        create(&server.client(), "/Users", &user(&format!("later{number}")));
    }
    server.stop();
    let old = server.folder().join("old");
    fs::rename(server.data(), &old).unwrap();
    let output = server.run(&["restore", "b"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("scimd token revoke"), "{told}");
    // The old database knows changes that this journal never had.
    fs::remove_dir_all(server.data().join("state")).unwrap();
    fs::rename(old.join("state"), server.data().join("state")).unwrap();
    server.boot(&[]);
    assert!(server.stderr().contains("belongs to another journal"), "{}", server.stderr());
    assert_eq!(everything(&server.client()), before);
}

#[test]
fn a_forged_backup_leaves_nothing_behind() {
    let server = populated();
    server.succeed(&["backup", "good"]);
    let mut good = fs::read(server.folder().join("good")).unwrap();
    // Without its signature, which begins with 16 bytes of its own.
    good.truncate(good.len() - 16 - 64);
    assert!(resealed(&good, |_| {}) == good, "a backup is read as it is written");
    let number = |number: u64| {
        move |body: &mut Vec<u8>| {
            if body[0] == 2 {
                body[1..9].copy_from_slice(&number.to_le_bytes());
            }
        }
    };
    // The last byte of the key of the count of users, and the count.
    let (counts, counts_wrong) = ([1, 8, 0, 0, 0, 20, 0, 0], [1, 8, 0, 0, 0, 21, 0, 0]);
    let miscounts = |body: &mut Vec<u8>| {
        for at in 0..body.len().saturating_sub(8) {
            if body[at..at + 8] == counts {
                body[at..at + 8].copy_from_slice(&counts_wrong);
            }
        }
    };
    let other = Server::configure("");
    fs::create_dir_all(other.data().join("tls")).unwrap();
    for (forged, words) in [
        (resealed(&good, number(u64::MAX)), "malformed"),
        (resealed(&good, number(u64::MAX - 1)), "malformed"),
        (resealed(&good, miscounts), "nothing was restored: counts"),
    ] {
        fs::write(other.folder().join("forged"), forged).unwrap();
        let said = other.fail(&["restore", "forged", "--unsigned"], 1);
        assert!(said.contains(words), "{said}");
        let left: Vec<_> =
            fs::read_dir(other.data()).unwrap().map(|one| one.unwrap().file_name()).collect();
        let data = ["journal", "snapshots", "state"];
        assert!(left.iter().all(|name| data.iter().all(|data| name != data)), "{left:?}");
    }
    fs::write(other.folder().join("good"), good).unwrap();
    other.succeed(&["restore", "good", "--unsigned"]);
}

#[test]
fn a_restore_by_root_gives_the_files_to_the_owner_of_the_data_directory() {
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        // Only root can give files away.
        return;
    }
    use std::os::unix::fs::{MetadataExt as _, chown};
    let mut server = Server::start();
    create(&server.client(), "/Users", &user("ada"));
    server.succeed(&["backup", "saved"]);
    server.stop();
    fs::remove_dir_all(server.data()).unwrap();
    let owners = || {
        let mut all = vec![server.data()];
        all.extend(files(&server.data()));
        all.iter()
            .map(|path| path.metadata().unwrap().uid())
            .collect::<std::collections::BTreeSet<_>>()
    };
    std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o700)
        .create(server.data())
        .unwrap();
    chown(server.data(), Some(NOBODY), Some(NOBODY)).unwrap();
    server.succeed(&["restore", "saved"]);
    assert_eq!(owners(), [NOBODY].into());
    fs::remove_dir_all(server.data()).unwrap();
    server.succeed(&["restore", "saved", "--user", "nobody"]);
    assert_eq!(owners(), [NOBODY].into());
    fs::remove_dir_all(server.data()).unwrap();
    server.succeed(&["restore", "saved"]);
    assert_eq!(owners(), [0].into());
    server.fail(&["restore", "saved", "--user", "no-such-user"], 2);
}

#[test]
fn a_backup_and_the_audit_log_do_not_depend_on_what_the_configuration_says_since() {
    const SCHEMA: &str = "[[schemas]]\nid = \"urn:example:badge\"\nname = \"Badge\"\n[[schemas.attributes]]\n\
                          name = \"badge\"\nuniqueness = \"server\"\n";
    let mut server = Server::start_with(SCHEMA);
    let client = server.client();
    let mut ada = user("ada");
    ada["urn:example:badge"] = serde_json::json!({"badge": "7"});
    let (path, _) = create(&client, "/Users", &ada);
    let renamed = serde_json::json!([{"op": "replace", "path": "userName", "value": "countess"}]);
    client.patch(&path, &renamed).expect(200);
    let former = |server: &Server| server.succeed(&["audit", "--json", "--user", "ada"]);
    let counts = |server: &Server, file: &str| {
        let lines = server.succeed(&["backup", file]);
        let is_count = |line: &&str| line.starts_with("Users ") || line.starts_with("Groups ");
        lines.lines().filter(is_count).collect::<Vec<_>>().join("\n")
    };
    let (changes, counted) = (former(&server), counts(&server, "before"));
    assert!(changes.lines().count() == 2 && counted == "Users      1\nGroups     0", "{counted}");
    server.stop();
    server.rewrite(|config| {
        config.replace(SCHEMA, "[[roles]]\nname = \"Auditor\"\n[[workspaces]]\nname = \"Other\"\n")
    });
    assert_eq!(former(&server), changes);
    assert_eq!(counts(&server, "after"), counted);
}
