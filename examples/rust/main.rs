//! Keeps a copy of users, groups and access in a JSON file, in step with scimd.
//!
//! Usage: `follow FILE`, with `SCIMD_URL`, `SCIMD_CERTIFICATE` and `SCIMD_TOKEN_FILE` in the environment.

#![expect(clippy::indexing_slicing, reason = "an absent member of a JSON value is null")]
#![expect(clippy::print_stderr, reason = "a program reports failures there")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, thread};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

const ACCESS: &str = "urn:scimd:scim:schemas:extension:access:1.0:User";

/// The stored cursor and the directory as it was there.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Directory {
    cursor: String,
    users: BTreeMap<String, (String, bool)>,
    access: BTreeMap<String, BTreeSet<String>>,
    groups: BTreeMap<String, String>,
    members: BTreeMap<String, BTreeSet<String>>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let file = env::args().nth(1).ok_or("usage: follow FILE")?;
    let agent = agent()?;
    let stored = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let mut copy: Directory = stored.unwrap_or_default();
    loop {
        match step(&agent, copy.clone()) {
            // The file changes as a whole: after a crash the page comes again.
            Ok(next) => {
                fs::write(format!("{file}.next"), serde_json::to_vec(&next)?)?;
                fs::rename(format!("{file}.next"), &file)?;
                copy = next;
            }
            Err(error) => {
                eprintln!("{error}; trying again");
                thread::sleep(Duration::from_secs(1));
            }
        }
    }
}

/// Lists everything if there is no cursor, otherwise applies the next page of events.
fn step(agent: &ureq::Agent, mut copy: Directory) -> Result<Directory, Box<dyn Error>> {
    if copy.cursor.is_empty() {
        return list(agent);
    }
    let path = format!("/events?wait=30&limit=1000&after={}", copy.cursor);
    let (status, page, _) = get(agent, &path)?;
    match status {
        200 => {
            page["events"].as_array().into_iter().flatten().for_each(|one| copy.apply(one));
            copy.cursor = text(&page["next"]);
            Ok(copy)
        }
        410 => Ok(Directory::default()),
        _ => Err(format!("{status}: {}", page["detail"]).into()),
    }
}

/// Lists all users and groups. Changes made meanwhile come after the cursor of the first page.
fn list(agent: &ureq::Agent) -> Result<Directory, Box<dyn Error>> {
    let mut copy = Directory::default();
    let users = format!("Users?attributes=userName,active,{ACCESS}:effective");
    for path in [users.as_str(), "Groups?attributes=displayName,members"] {
        let mut next = Some(String::new());
        while let Some(cursor) = next {
            let (status, page, begin) =
                get(agent, &format!("/scim/v2/{path}&count=500&cursor={cursor}"))?;
            if status != 200 {
                return Err(format!("{status}: {}", page["detail"]).into());
            }
            if copy.cursor.is_empty() {
                copy.cursor = begin;
            }
            for resource in page["Resources"].as_array().into_iter().flatten() {
                let id = text(&resource["id"]);
                copy.put(&id, resource);
                copy.access.insert(id.clone(), texts(&resource[ACCESS]["effective"]));
                copy.members.insert(id, texts(&resource["members"]));
            }
            next = page["nextCursor"].as_str().map(ToOwned::to_owned);
        }
    }
    Ok(copy)
}

impl Directory {
    /// Applies an event. Applying it again changes nothing.
    fn apply(&mut self, event: &Value) {
        let data = &event["data"];
        let id = text(&event["subject"]).rsplit('/').next().unwrap_or_default().to_owned();
        match event["type"].as_str() {
            Some("user.deleted") => {
                self.users.remove(&id);
                self.access.remove(&id);
            }
            Some("group.deleted") => {
                self.groups.remove(&id);
                self.members.remove(&id);
            }
            Some("access.changed") => {
                self.access.insert(id, texts(&data["access"]["after"]));
            }
            _ => {
                self.put(&id, &data["resource"]);
                let members = self.members.entry(id).or_default();
                members.extend(texts(&data["members"]["added"]));
                let removed = texts(&data["members"]["removed"]);
                members.retain(|member| !removed.contains(member));
            }
        }
    }

    /// Inserts or updates a user or a group.
    fn put(&mut self, id: &str, resource: &Value) {
        if resource["userName"].is_string() {
            let user = (text(&resource["userName"]), resource["active"] == true);
            self.users.insert(id.to_owned(), user);
        } else if resource["displayName"].is_string() {
            self.groups.insert(id.to_owned(), text(&resource["displayName"]));
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The texts of an array, of which lists have objects with a `value`.
fn texts(array: &Value) -> BTreeSet<String> {
    let array = array.as_array().into_iter().flatten();
    array.map(|one| text(if one.is_object() { &one["value"] } else { one })).collect()
}

fn agent() -> Result<ureq::Agent, Box<dyn Error>> {
    let certificate = Certificate::from_pem(&fs::read(env::var("SCIMD_CERTIFICATE")?)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&[certificate]))
        .unversioned_rustls_crypto_provider(provider);
    let config = ureq::Agent::config_builder()
        .tls_config(tls.build())
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(90)));
    Ok(config.build().new_agent())
}

/// Status, body, and the cursor that a list begins with.
fn get(agent: &ureq::Agent, path: &str) -> Result<(u16, Value, String), Box<dyn Error>> {
    let token = fs::read_to_string(env::var("SCIMD_TOKEN_FILE")?)?;
    let request = agent.get(format!("{}{path}", env::var("SCIMD_URL")?));
    let mut answer = request.header("Authorization", format!("Bearer {}", token.trim())).call()?;
    let begin = answer.headers().get("scimd-cursor").and_then(|value| value.to_str().ok());
    let begin = begin.unwrap_or_default().to_owned();
    let body = answer.body_mut().with_config().limit(64 << 20).read_to_vec()?;
    Ok((answer.status().as_u16(), serde_json::from_slice(&body)?, begin))
}
