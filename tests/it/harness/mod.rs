//! Starts the real binary in a folder of its own and speaks to it as a client.

mod browser;
mod client;
pub(crate) mod issuer;
pub(crate) mod proxy;
mod raw;
mod server;
mod snapshot;
mod terminal;

pub(crate) use browser::{Browser, Page};
pub(crate) use client::{Client, Reply};
pub(crate) use raw::{Identity, Raw, RawReply, client_config, head};
pub(crate) use server::{Server, free_port, scimd};
pub(crate) use snapshot::{contents, resealed};
pub(crate) use terminal::Terminal;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// The URN of the core User schema.
pub(crate) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

/// The least that makes a user.
pub(crate) fn user(user_name: &str) -> Value {
    json!({"schemas": [USER], "userName": user_name})
}

/// The URN of the core Group schema.
pub(crate) const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// A group with these members.
pub(crate) fn group(display_name: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
    json!({"schemas": [GROUP], "displayName": display_name, "members": members})
}

/// Looks again and again for ten seconds, until there is something.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..200 {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{what}: not within ten seconds");
}

/// Creates a resource; its path below the SCIM base and its id.
pub(crate) fn create(client: &Client, endpoint: &str, body: &Value) -> (String, String) {
    let created = client.post(endpoint, body).expect(201);
    let id = created.text("/id").to_owned();
    (format!("{endpoint}/{id}"), id)
}

/// How many users there are.
pub(crate) fn total(client: &Client) -> u64 {
    client.get("/Users?count=0").expect(200).body["totalResults"].as_u64().unwrap()
}

/// Text as a query parameter's value or a path segment.
pub(crate) fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Every file below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = match path.symlink_metadata() {
            Ok(metadata) => metadata,
            // A server that runs has removed it since.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => panic!("{}: {error}", path.display()),
        };
        match metadata.file_type() {
            kind if kind.is_dir() => found.extend(files(&path)),
            kind if kind.is_file() => found.push(path),
            _ => {}
        }
    }
    found
}

/// The files below a folder that contain a text, also compressed.
pub(crate) fn files_with(folder: &Path, text: &str) -> Vec<PathBuf> {
    let holds = |path: &PathBuf| {
        let bytes = contents(path);
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    files(folder).into_iter().filter(holds).collect()
}
