//! Plays a golden file against a server of its own.

use std::fs;

use data_encoding::BASE64;
use serde_json::Value;

use super::expect::{Comparison, Names};
use super::file::{Golden, Headers, Step};
use super::laws;
use crate::harness::{Raw, RawReply, Server, head, issuer};

/// Plays every step; the error says what is wrong with the first answer that is not as expected.
pub(super) fn play(golden: &Golden) -> Result<(), String> {
    let server = Server::start_with(&golden.configuration());
    let mut names = Names::default();
    if golden.signs_in() {
        prepare_sign_in(&server, &mut names);
    }
    let mut wire = Wire { server: &server, raw: None };
    names.set("base", format!("https://127.0.0.1:{}/scim/v2", server.port()));
    names.set("token", server.token());
    names.set("basic", BASE64.encode(format!("default:{}", server.token()).as_bytes()));
    for (index, step) in golden.steps.iter().enumerate() {
        for n in 1..=step.times {
            names.set("n", n.to_string());
            play_step(golden, step, &mut wire, &mut names).map_err(|problem| {
                let note = step.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
                format!("  step {}: {}{note}\n{problem}", index + 1, step.send)
            })?;
        }
    }
    Ok(())
}

/// Generates an OAuth client, and signs an assertion of the issuer whose keys are in `keys.json`.
fn prepare_sign_in(server: &Server, names: &mut Names) {
    let made: Value =
        serde_json::from_str(&server.succeed(&["client", "generate", "--json"])).unwrap();
    for name in ["client_id", "client_secret"] {
        names.set(name, made[name].as_str().unwrap());
    }
    fs::write(server.folder().join("keys.json"), issuer::jwks(&[0])).unwrap();
    names.set("assertion", issuer::signed(0, &issuer::claims()));
}

fn play_step(
    golden: &Golden,
    step: &Step,
    wire: &mut Wire<'_>,
    names: &mut Names,
) -> Result<(), String> {
    let request = request(golden, step, names).map_err(|problem| format!("    {problem}"))?;
    let reply = wire.ask(&request)?;
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    let body: Value = match text.as_str() {
        "" => Value::Null,
        text => serde_json::from_str(text).map_err(|_| format!("    it is not JSON: {text}"))?,
    };
    let mut comparison = Comparison { names, problems: Vec::new() };
    if reply.status != step.status {
        let problem = format!("the status is {}, not {}", reply.status, step.status);
        comparison.problems.push(problem);
    }
    if let Some(expected) = &step.answer {
        comparison.compare(expected, Some(&body), "");
    }
    for (name, expected) in &step.answer_headers {
        let found = reply.header(&name.to_ascii_lowercase()).map(Value::from);
        let expected = Value::from(expected.as_deref().unwrap_or("<absent>"));
        comparison.compare(&expected, found.as_ref(), name);
    }
    let mut problems = comparison.problems;
    laws::check(golden, step, &reply, &body, &mut problems);
    if problems.is_empty() {
        return Ok(());
    }
    Err(format!("    {}\n    the answer is {} {text}", problems.join("\n    "), reply.status))
}

/// The bytes of a request.
fn request(golden: &Golden, step: &Step, names: &Names) -> Result<Vec<u8>, String> {
    let body = match &step.body {
        Some(Value::String(text)) => Some(names.fill(text)?),
        Some(value) => Some(names.fill_all(value)?.to_string()),
        None => None,
    };
    let mut headers = vec![("Authorization".to_owned(), "Bearer {token}".to_owned())];
    if golden.asks_origin() {
        headers.push(("X-Request-Origin".to_owned(), "localhost".to_owned()));
    }
    if let Some(body) = &body {
        headers.push(("Content-Type".to_owned(), "application/scim+json".to_owned()));
        headers.push(("Content-Length".to_owned(), body.len().to_string()));
    }
    lay_over(&mut headers, &golden.headers);
    lay_over(&mut headers, &step.headers);
    let mut filled = Vec::new();
    for (name, value) in &headers {
        filled.push((name.as_str(), names.fill(value)?));
    }
    let (method, path) = step.request().unwrap_or_default();
    let base = if step.is_below_scim() { "/scim/v2" } else { "" };
    let mut bytes = head(method, &format!("{base}{}", names.fill(path)?), &filled);
    bytes.extend_from_slice(body.unwrap_or_default().as_bytes());
    Ok(bytes)
}

fn lay_over(headers: &mut Vec<(String, String)>, over: &Headers) {
    for (name, value) in over {
        headers.retain(|(present, _)| !present.eq_ignore_ascii_case(name));
        headers.extend(value.clone().map(|value| (name.clone(), value)));
    }
}

/// The client's end, which keeps its connection as long as the server does.
struct Wire<'a> {
    server: &'a Server,
    raw: Option<Raw>,
}

impl Wire<'_> {
    fn ask(&mut self, bytes: &[u8]) -> Result<RawReply, String> {
        let mut raw = match self.raw.take() {
            Some(raw) => raw,
            None => Raw::try_connect(self.server).map_err(|error| format!("    {error}"))?,
        };
        let reply = raw.try_write(bytes).and_then(|()| raw.try_reply());
        let reply = reply.map_err(|error| format!("    there was no answer: {error}"))?;
        if reply.header("connection") != Some("close") {
            self.raw = Some(raw);
        }
        Ok(reply)
    }
}
