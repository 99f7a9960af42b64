//! Keeps a copy of users, groups and access in a JSON file, in step with scimd: `follow FILE`, with `SCIMD_URL`,
//! `SCIMD_CERTIFICATE` and `SCIMD_TOKEN_FILE` in the environment.

#![expect(clippy::indexing_slicing, reason = "an absent member of a JSON value is null")]
#![expect(clippy::print_stderr, reason = "a program reports failures there")]

use std::{env, fs, sync::Arc, thread, time::Duration};

use serde_json::{Value, json};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

const ACCESS: &str = "urn:scimd:scim:schemas:extension:access:1.0:User";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let file = env::args().nth(1).ok_or("usage: follow FILE")?;
    let agent = agent()?;
    let stored = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let mut copy: Value = stored.unwrap_or_default();
    loop {
        match step(&agent, copy.clone()) {
            // The file changes as a whole: after a crash the page comes again.
            Ok(next) => {
                fs::write(format!("{file}.next"), next.to_string())?;
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
fn step(agent: &ureq::Agent, mut copy: Value) -> Result<Value> {
    let Some(cursor) = copy["cursor"].as_str() else { return list(agent) };
    let (status, page, _) = get(agent, &format!("/events?wait=30&limit=1000&after={cursor}"))?;
    match status {
        200 => array(&page["events"]).for_each(|event| apply(&mut copy, event)),
        // Events behind the cursor are gone.
        410 => return list(agent),
        _ => return Err(format!("{status}: {}", page["detail"]).into()),
    }
    copy["cursor"] = page["next"].clone();
    Ok(copy)
}

/// Lists all users and groups. Changes made meanwhile come after the cursor of the first page.
fn list(agent: &ureq::Agent) -> Result<Value> {
    let mut copy = json!({"users": {}, "access": {}, "groups": {}, "members": {}});
    let users = format!("Users?attributes=userName,active,{ACCESS}:effective");
    for path in [users.as_str(), "Groups?attributes=displayName,members"] {
        let mut next = json!("");
        while let Some(cursor) = next.as_str() {
            let path = format!("/scim/v2/{path}&count=500&cursor={cursor}");
            let (status, page, begin) = get(agent, &path)?;
            if status != 200 {
                return Err(format!("{status}: {}", page["detail"]).into());
            }
            if copy["cursor"].is_null() {
                copy["cursor"] = begin.into();
            }
            for resource in array(&page["Resources"]) {
                let id = text(&resource["id"]);
                put(&mut copy, id, resource);
                let access = array(&resource[ACCESS]["effective"]);
                copy["access"][id] = access.map(|piece| piece["value"].clone()).collect();
                for member in array(&resource["members"]) {
                    copy["members"][id][text(&member["value"])] = true.into();
                }
            }
            next = page["nextCursor"].clone();
        }
    }
    Ok(copy)
}

/// Applies an event. Applying it again changes nothing.
fn apply(copy: &mut Value, event: &Value) {
    let data = &event["data"];
    let id = text(&event["subject"]).rsplit('/').next().unwrap_or_default();
    match text(&event["type"]) {
        "user.deleted" | "group.deleted" => {
            for part in ["users", "access", "groups", "members"] {
                copy[part].as_object_mut().map(|part| part.remove(id));
            }
        }
        "access.changed" => copy["access"][id] = data["access"]["after"].clone(),
        _ => {
            put(copy, id, &data["resource"]);
            for member in array(&data["members"]["added"]) {
                copy["members"][id][text(member)] = true.into();
            }
            for member in array(&data["members"]["removed"]) {
                let members = copy["members"].get_mut(id).and_then(Value::as_object_mut);
                members.map(|members| members.remove(text(member)));
            }
        }
    }
}

/// Inserts or updates a user or a group.
fn put(copy: &mut Value, id: &str, resource: &Value) {
    if resource["userName"].is_string() {
        copy["users"][id] = json!([resource["userName"], resource["active"] == true]);
    } else if resource["displayName"].is_string() {
        copy["groups"][id] = resource["displayName"].clone();
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn agent() -> Result<ureq::Agent> {
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
fn get(agent: &ureq::Agent, path: &str) -> Result<(u16, Value, String)> {
    let token = fs::read_to_string(env::var("SCIMD_TOKEN_FILE")?)?;
    let request = agent.get(format!("{}{path}", env::var("SCIMD_URL")?));
    let mut answer = request.header("Authorization", format!("Bearer {}", token.trim())).call()?;
    let begin = answer.headers().get("scimd-cursor").and_then(|value| value.to_str().ok());
    let begin = begin.unwrap_or_default().to_owned();
    let body = answer.body_mut().with_config().limit(64 << 20).read_to_vec()?;
    Ok((answer.status().as_u16(), serde_json::from_slice(&body)?, begin))
}
