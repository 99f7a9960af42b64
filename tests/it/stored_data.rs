//! Data folders and backups that released versions wrote still open: `tests/data/README.md`.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{Client, Server, encode};

/// The size in which space for the journal is allocated.
const STEP: u64 = 1024 * 1024;

/// What a version wrote.
struct Version(PathBuf);

impl Version {
    /// All that are kept.
    fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut versions: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
        versions.sort();
        assert!(!versions.is_empty());
        versions.into_iter().map(Self).collect()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn expected(&self) -> Value {
        serde_json::from_str(&self.text("expected.json")).unwrap()
    }

    /// A folder with its configuration.
    fn configured(&self) -> Server {
        Server::configure(&self.text("config.toml"))
    }

    /// Puts a copy of its data folder in place, as the version left it.
    fn copy_data(&self, server: &Server) {
        let data = server.data();
        copy(&self.0.join("data"), &data);
        fs::create_dir_all(data.join("state/blobs")).unwrap();
        fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
        for entry in fs::read_dir(data.join("journal")).unwrap() {
            let file = File::options().write(true).open(entry.unwrap().path()).unwrap();
            let used = file.metadata().unwrap().len();
            file.set_len(used.div_ceil(STEP) * STEP).unwrap();
        }
    }

    /// Checks that a server shows what the version wrote.
    fn check(&self, server: &Server, what: &str) {
        let client = server.client_with(self.text("token").trim());
        let expected = self.expected();
        assert_eq!(shown(&client), expected[what], "{what} of {}", self.0.display());
        let query = expected["filter"]["query"].as_str().unwrap();
        let found = client.get(&format!("/Users?filter={}", encode(query))).expect(200);
        assert_eq!(found.body["Resources"][0]["userName"], expected["filter"]["finds"]);
        // It can be changed: names that were given are taken.
        let taken = expected["filter"]["finds"].as_str().unwrap();
        client.post("/Users", &json!({"userName": taken})).expect(409);
        client.post("/Users", &json!({"userName": "new@example.com"})).expect(201);
        server.succeed(&["verify"]);
        server.succeed(&["audit", "--verify"]);
    }
}

/// Users by name, and whether they are active; groups, and the names of their members.
fn shown(client: &Client) -> Value {
    let list = |path: &str| client.get(path).expect(200).body["Resources"].clone();
    let name = |of: &Value, field: &str| of[field].as_str().unwrap().to_owned();
    let (mut users, mut groups) = (serde_json::Map::new(), serde_json::Map::new());
    let mut names = serde_json::Map::new();
    for user in list("/Users").as_array().unwrap() {
        names.insert(name(user, "id"), json!(name(user, "userName")));
        users.insert(name(user, "userName"), user["active"].clone());
    }
    let listed = list("/Groups");
    for group in listed.as_array().unwrap() {
        names.insert(name(group, "id"), json!(name(group, "displayName")));
    }
    for group in listed.as_array().unwrap() {
        let members = group["members"].as_array().unwrap();
        let mut members: Vec<String> =
            members.iter().map(|member| name(&json!(names), &name(member, "value"))).collect();
        members.sort();
        groups.insert(name(group, "displayName"), json!(members));
    }
    json!({"users": users, "groups": groups})
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_data_folder_of_each_version_opens_with_its_database_and_without() {
    for version in Version::all() {
        for with_database in [true, false] {
            let mut server = version.configured();
            version.copy_data(&server);
            if !with_database {
                fs::remove_dir_all(server.data().join("state")).unwrap();
            }
            // Before anything is changed, and without a server.
            let listed = server.succeed(&["user", "list", "--json"]);
            assert!(listed.contains("ada@example.com"), "{listed}");
            let settings = |server: &Server| {
                let trail = server.succeed(&["audit", "--since", "2000-01-01"]);
                trail.matches("settings.changed").count()
            };
            assert_eq!(settings(&server), 0);
            server.boot(&[]);
            assert_eq!(settings(&server), 1, "the first start puts them into the log");
            let tokens = server.succeed(&["token", "list", "--json"]);
            let tokens: Value = serde_json::from_str(&tokens).unwrap();
            assert_eq!(tokens.as_array().unwrap().len() as u64, version.expected()["tokens"]);
            version.check(&server, "data");
            server.stop();
            server.succeed(&["verify"]);
            assert_eq!(
                fs::read_dir(server.data()).unwrap().filter(set_aside).count(),
                0,
                "nothing was set aside"
            );
        }
    }
}

fn set_aside(entry: &std::io::Result<fs::DirEntry>) -> bool {
    entry.as_ref().unwrap().file_name().to_string_lossy().contains("damaged")
}

#[test]
fn a_backup_of_each_version_is_restored() {
    for version in Version::all() {
        let mut server = version.configured();
        let backup = version.0.join("early.backup");
        server.succeed(&["restore", backup.to_str().unwrap()]);
        server.boot(&[]);
        version.check(&server, "backup");
        server.stop();
        server.succeed(&["verify"]);
    }
}
