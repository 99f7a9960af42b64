//! One-time links by which operators sign in to the console.

use std::time::Duration;

use jiff::Timestamp;

use super::context::OperatorContext;
use super::identity::Identity;
use super::reply::OperatorReply;
use crate::credential::OperatorRole;
use crate::directory::{Directory, NoteLink};
use crate::event::Actor;
use crate::text::duration;

/// How long a one-time link is valid at most.
const MAX_LINK: Duration = Duration::from_secs(24 * 60 * 60);

/// Makes a one-time link: for an operator, or with the role admin for the user who runs the command.
pub(super) fn create_link(
    OperatorContext { directory, server, .. }: &OperatorContext,
    actor: &Actor,
    operator: Option<String>,
    valid_for: Duration,
) -> OperatorReply {
    let Some(server) = server else {
        return OperatorReply::Failed("scimd is not running".to_owned());
    };
    let Some(console) = &server.console else {
        return OperatorReply::Failed(
            "the console is disabled; set console.enabled = true and restart scimd".to_owned(),
        );
    };
    if valid_for.is_zero() || valid_for > MAX_LINK {
        let most = duration::display(MAX_LINK);
        return OperatorReply::Failed(format!("a link can be valid for 1s to {most}"));
    }
    let identity = match operator {
        None => Identity::of_host(os_name(actor), OperatorRole::Admin),
        Some(name) => match directory.operator(&name.to_ascii_lowercase()) {
            Some(account) => Identity::named(&account),
            None => {
                return OperatorReply::NotFound(format!(
                    "operator \"{}\" not found; run `scimd operator list` to list all operators",
                    name.escape_debug()
                ));
            }
        },
    };
    let expires = directory.now().saturating_add(valid_for).unwrap_or_else(|_| directory.now());
    match console.create_link(identity.clone(), valid_for) {
        Ok(url) => {
            note(directory, actor, &identity, expires);
            OperatorReply::ConsoleLink { url, identity, expires }
        }
        Err(reason) => OperatorReply::Failed(reason),
    }
}

/// Records that a link was made, without the link. A full disk is no reason to keep an operator out.
fn note(directory: &Directory, actor: &Actor, identity: &Identity, expires: Timestamp) {
    let note = NoteLink { name: identity.name.clone(), role: identity.role, expires };
    if let Err(error) = directory.submit(actor.clone(), note).wait() {
        tracing::error!(%error, operator = identity.name, "a one-time link is not in the audit log");
    }
}

/// The name of the user who runs a command: behind sudo, the one who called it.
fn os_name(actor: &Actor) -> String {
    match actor {
        Actor::Operator { sudo: Some(sudo), .. } => sudo.name.clone(),
        Actor::Operator { name: Some(name), .. } => name.clone(),
        Actor::Operator { .. } | Actor::Connection { .. } | Actor::System => "admin".to_owned(),
    }
}
