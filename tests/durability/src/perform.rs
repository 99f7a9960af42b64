//! Carries a change out: over HTTP, and tokens by command.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Client, Reply};
use crate::history::Player;
use crate::model::{Answer, Change, Known, Model, group_name, patch, user_body, user_patch};
use crate::server::Place;

/// How a change was answered.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is done.
    Acknowledged(Answer),
    /// Nobody knows: no answer, or one that says that storage failed.
    Unknown(String),
    /// It was refused, and should not have been.
    Refused(String),
}

/// Plays one change of a script; what is known is noted in the history.
pub(crate) fn step(player: &mut Player, client: &Client, place: &Place) -> Outcome {
    let model = player.history.expectation().model;
    let change = player.script.next(&model);
    player.history.sent(change.clone());
    let outcome = perform(&change, &model, client, place);
    if let Outcome::Acknowledged(answer) = &outcome {
        player.history.acknowledged(answer.clone());
    }
    outcome
}

/// Plays changes until one is not acknowledged, or `most` are. How many were, and how it ended.
pub(crate) fn play(
    player: &mut Player,
    client: &Client,
    place: &Place,
    most: usize,
) -> (usize, Option<Outcome>) {
    for done in 0..most {
        match step(player, client, place) {
            Outcome::Acknowledged(_) => {}
            other => return (done, Some(other)),
        }
    }
    (most, None)
}

/// Carries a change out.
pub(crate) fn perform(change: &Change, model: &Model, client: &Client, place: &Place) -> Outcome {
    let user = |name: &str| format!("/Users/{}", id(model.users.get(name)));
    let group = |name: &str| format!("/Groups/{}", id(model.groups.get(name)));
    let active = |name: &str| model.users.get(name).is_none_or(|known| known.state.active);
    let answered = match change {
        Change::CreateUser { user, number } => {
            client.ask("POST", "/Users", Some(&user_body(user, *number, true)))
        }
        Change::PutUser { user: name, number } => {
            client.ask("PUT", &user(name), Some(&user_body(name, *number, active(name))))
        }
        Change::PatchUser { user: name, number } => {
            client.ask("PATCH", &user(name), Some(&user_patch(*number)))
        }
        Change::Deactivate { user: name } => {
            let off = json!({"op": "replace", "path": "active", "value": false});
            client.ask("PATCH", &user(name), Some(&patch(vec![off])))
        }
        Change::DeleteUser { user: name } => client.ask("DELETE", &user(name), None),
        Change::CreateGroup { group: name, number, members } => {
            client.ask("POST", "/Groups", Some(&group_body(name, *number, members, model)))
        }
        Change::PutGroup { group: name, number, members } => {
            client.ask("PUT", &group(name), Some(&group_body(name, *number, members, model)))
        }
        Change::PatchGroup { group: name, number, add, remove } => {
            let body = group_patch(name, *number, add, remove, model);
            client.ask("PATCH", &group(name), Some(&body))
        }
        Change::DeleteGroup { group: name } => client.ask("DELETE", &group(name), None),
        Change::GenerateToken | Change::RevokeToken { .. } => {
            return match token_change(change, place, None) {
                Some(answer) => Outcome::Acknowledged(answer),
                None => Outcome::Unknown("the command failed".to_owned()),
            };
        }
    };
    match answered {
        Ok(reply) if reply.is_success() => Outcome::Acknowledged(told(&reply)),
        Ok(Reply { status: status @ (500..=599), body }) => {
            Outcome::Unknown(format!("{status}: {body}"))
        }
        Ok(Reply { status, body }) => Outcome::Refused(format!("{change:?}: {status}: {body}")),
        Err(error) => Outcome::Unknown(error),
    }
}

fn told(reply: &Reply) -> Answer {
    Answer { id: reply.text("/id"), version: reply.version(), secret: None }
}

fn id<T>(known: Option<&Known<T>>) -> String {
    known.and_then(|known| known.id.clone()).unwrap_or_default()
}

fn members(names: &BTreeSet<String>, model: &Model) -> Value {
    names.iter().map(|name| json!({"value": id(model.users.get(name))})).collect()
}

fn group_body(name: &str, number: u64, names: &BTreeSet<String>, model: &Model) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "externalId": name,
        "displayName": group_name(name, number),
        "members": members(names, model),
    })
}

fn group_patch(
    name: &str,
    number: u64,
    add: &BTreeSet<String>,
    remove: &BTreeSet<String>,
    model: &Model,
) -> Value {
    let display = group_name(name, number);
    let mut operations = vec![json!({"op": "replace", "path": "displayName", "value": display})];
    if !add.is_empty() {
        operations.push(json!({"op": "add", "path": "members", "value": members(add, model)}));
    }
    for gone in remove {
        let path = format!("members[value eq \"{}\"]", id(model.users.get(gone)));
        operations.push(json!({"op": "remove", "path": path}));
    }
    patch(operations)
}

/// Makes or ends a token by a command, which is killed if it lives longer than `life`. The answer, if it
/// was given.
pub(crate) fn token_change(
    change: &Change,
    place: &Place,
    life: Option<Duration>,
) -> Option<Answer> {
    match change {
        Change::GenerateToken => {
            let args = ["token", "generate", "--expires", "never"];
            let (ok, stdout, stderr) = place.run_for(&args, life);
            let id = stderr.split("Created token ").nth(1)?.split(' ').next()?.to_owned();
            let secret = Some(stdout.trim().to_owned());
            ok.then_some(Answer { id: Some(id), version: 0, secret })
        }
        Change::RevokeToken { token } => {
            let (ok, ..) = place.run_for(&["token", "revoke", token], life);
            ok.then(Answer::default)
        }
        _ => None,
    }
}
