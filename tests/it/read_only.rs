//! Commands that only read, without a server: they find what is there and alter nothing on disk.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::harness::{Server, create, group, user};

/// Every command that only reads, with what its output must contain.
const READS: [(&[&str], &str); 19] = [
    (&["user", "list"], "ada"),
    (&["user", "list", "--json"], "\"ada\""),
    (&["user", "show", "ada"], "Username"),
    (&["user", "show", "ada", "--access", "--json"], "workspace:"),
    (&["access", "why", "ada"], "workspace:"),
    (&["access", "who", "Main"], "ada"),
    (&["access", "what-if", "ada", "--grant", "company:admin"], "gained"),
    (&["group", "list"], "Engineers"),
    (&["group", "show", "Engineers"], "1 member"),
    (&["token", "list"], "default"),
    (&["operator", "list"], "No operators."),
    (&["brake"], "default"),
    (&["clock"], "Expected"),
    (&["export"], "\"ada\""),
    (&["audit"], "user.created"),
    (&["audit", "--user", "ada", "--json"], "user.created"),
    (&["audit", "--head"], ":"),
    (&["audit", "--verify"], "Hash chain intact"),
    (&["undo", "--since", "1h", "--dry-run"], "keep"),
];

/// Every file and folder below a folder: content, size, owner, mode, and when it was last changed.
fn picture(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, [i64; 6])> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        for path in entries.chain([folder.clone()]) {
            let metadata = path.symlink_metadata().unwrap();
            let content = if metadata.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            let [uid, mode] = [metadata.uid(), metadata.mode()].map(i64::from);
            let (changed, changed_nsec) = (metadata.ctime(), metadata.ctime_nsec());
            let times = [metadata.mtime(), metadata.mtime_nsec(), changed, changed_nsec];
            if metadata.is_dir() && path != folder {
                folders.push(path.clone());
            }
            found.insert(path, (content, [uid, mode, times[0], times[1], times[2], times[3]]));
        }
    }
    found
}

/// A data folder with a user in a group, whose snapshot is older than its last changes.
fn populated() -> Server {
    let server = Server::start();
    let client = server.client();
    let ada = create(&client, "/Users", &user("ada")).1;
    server.succeed(&["backup", "b"]);
    create(&client, "/Groups", &group("Engineers", &[&ada]));
    server
}

fn assert_reads_alter_nothing(server: &Server) {
    let before = picture(&server.data());
    for (command, expected) in READS {
        let output = server.run(command);
        let printed = [output.stdout.as_slice(), &output.stderr].concat();
        let printed = String::from_utf8(printed).unwrap();
        assert!(output.status.success() && printed.contains(expected), "{command:?}: {printed}");
        assert!(picture(&server.data()) == before, "{command:?} alters the data folder");
    }
    let verified = server.run(&["verify"]);
    assert_eq!(verified.status.code(), Some(0));
    assert!(picture(&server.data()) == before, "verify alters the data folder");
}

#[test]
fn reading_without_a_server_alters_nothing_on_disk() {
    let mut server = populated();
    server.stop();
    assert_reads_alter_nothing(&server);
}

#[test]
fn reading_after_a_crash_finds_every_acknowledged_change_and_alters_nothing() {
    let mut server = populated();
    server.kill();
    assert_reads_alter_nothing(&server);
}

#[test]
fn reading_finds_the_same_with_a_server_and_without() {
    let mut server = populated();
    let with: Vec<String> = READS[..6].iter().map(|(command, _)| server.succeed(command)).collect();
    server.stop();
    for ((command, _), with) in READS.iter().zip(with) {
        assert_eq!(server.succeed(command), with, "{command:?}");
    }
}

#[test]
fn reading_without_a_data_folder_fails_and_creates_none() {
    let server = Server::configure("");
    for (command, _) in READS {
        let told = server.fail(command, 1);
        let folder = server.data();
        let folder = folder.file_name().unwrap().to_str().unwrap();
        for part in [folder, "not found", "config.toml", "--first-boot"] {
            assert!(told.contains(part), "{command:?}: {told}");
        }
        assert!(!server.data().exists(), "{command:?}");
    }
    server.fail(&["verify"], 1);
    assert!(!server.data().exists());
}

#[test]
fn reading_a_data_folder_without_a_journal_fails_and_creates_none() {
    let server = Server::configure("");
    fs::create_dir(server.data()).unwrap();
    for (command, _) in READS {
        server.fail(command, 1);
        assert_eq!(fs::read_dir(server.data()).unwrap().count(), 0, "{command:?}");
    }
}
