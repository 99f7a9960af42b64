//! `scimd requests show`: one request, the reason for its answer, and what to change.

use anyhow::Result;

use crate::cli::output::{self, sanitize};
use crate::request_log::{KeptBodies, RequestEntry};

pub(super) fn print(entry: &RequestEntry) -> Result<()> {
    let text = |text: &Option<String>| text.iter().map(|text| sanitize(text)).collect::<Vec<_>>();
    let resource = match (&entry.resource_type, &entry.resource) {
        (Some(kind), Some(id)) => vec![sanitize(&format!("{kind}/{id}"))],
        (Some(kind), None) => vec![sanitize(kind)],
        _ => Vec::new(),
    };
    let scim_type = entry.scim_type.as_ref().map_or_else(String::new, |kind| format!(" {kind}"));
    output::key_values(&[
        ("Request", vec![sanitize(&entry.id)]),
        ("Time", vec![entry.time.to_string()]),
        ("Connection", text(&entry.connection)),
        ("Token", text(&entry.token)),
        ("Address", entry.address.iter().map(ToString::to_string).collect()),
        ("Asked", vec![sanitize(&format!("{} {}", entry.method, entry.path))]),
        ("Filter", text(&entry.filter)),
        ("Resource", resource),
        ("Answered", vec![format!("{}{scim_type} in {} ms", entry.status, entry.ms)]),
        ("Detail", text(&entry.detail)),
        ("Reason", text(&entry.reason)),
        ("Names", entry.claimed.iter().map(|name| sanitize(name)).collect()),
        ("Ignored", entry.ignored.iter().map(|name| sanitize(name)).collect()),
        ("Change", change(entry)),
        ("Body", bodies(entry, |bodies| &bodies.request)),
        ("Answer", bodies(entry, |bodies| &bodies.answer)),
        ("What to do", remedy(entry).into_iter().map(ToOwned::to_owned).collect()),
    ])
}

/// A body that was kept; nothing if it is empty.
fn bodies(entry: &RequestEntry, of: fn(&KeptBodies) -> &String) -> Vec<String> {
    let body = entry.bodies.iter().map(of).filter(|body| !body.is_empty());
    body.map(|body| sanitize(body)).collect()
}

fn change(entry: &RequestEntry) -> Vec<String> {
    let Some(change) = entry.change else {
        return vec!["none".to_owned()];
    };
    let last = change.sequence + change.records.saturating_sub(1);
    let numbers = match change.records {
        1 => format!("{last}"),
        _ => format!("{} to {last}", change.sequence),
    };
    vec![format!("{numbers} in the audit log; `scimd audit --since {}` shows it", entry.time)]
}

/// What to change so that the request succeeds, and where.
fn remedy(entry: &RequestEntry) -> Option<&'static str> {
    if entry.reason.is_some() {
        return Some(
            "Correct the token or X-Request-Origin at the client, or ip_allowlist, service_origin or \
             client_ca of the connection in config.toml. The reason above says which.",
        );
    }
    let scim_type = entry.scim_type.as_deref().unwrap_or_default();
    let says = |words: &str| entry.detail.as_ref().is_some_and(|detail| detail.contains(words));
    Some(match (entry.status, scim_type) {
        (..=399, _) if !entry.ignored.is_empty() => {
            "Nothing, if the ignored attributes are not needed. Otherwise add them under [[schemas]] in \
             config.toml, or remove them from the attribute mapping of the client."
        }
        (..=399, _) => return None,
        (_, "uniqueness") => {
            "Find the resource that has this value with `scimd user list` or `scimd group list`. Match or \
             rename the resource at the client, or delete the other one."
        }
        (_, "invalidValue") if says("Member \"") => {
            "Assign the user or group that is missing to the application at the identity provider before its group, or \
             set unknown_members = \"ignore\" for the connection in config.toml and reload scimd."
        }
        (_, "invalidValue") => {
            "Correct the value in the client's attribute mapping, or add the workspace, role, permission or \
             attribute that is missing to config.toml and reload scimd."
        }
        (_, "invalidSyntax") if says("The body ") => {
            "The client sent no JSON object: check what stands between it and scimd (a proxy that changes or cuts \
             bodies), and the body that a client of your own builds. `scimd requests --capture 10m` keeps bodies."
        }
        (_, "invalidSyntax") => {
            "Correct the attribute mapping of the client: it sent a body or an attribute that the schema \
             does not have."
        }
        (_, "invalidFilter" | "invalidPath" | "noTarget") => {
            "Correct the filter, the path or the matching attribute in the client's provisioning settings."
        }
        (_, "mutability") => {
            "Remove the attribute from the client's mapping: this request may not change it."
        }
        (_, "tooMany") => {
            "Send less in one request, or raise the limit in [limits] of config.toml that the detail names."
        }
        (_, "invalidCursor" | "expiredCursor" | "invalidCount") => {
            "Start the list again from its first page."
        }
        (403, _) => {
            "Check scope and may_grant of the connection in config.toml: they limit what it may change."
        }
        (404, _) => {
            "The client refers to a resource that does not exist, or has a wrong base URL. `scimd setup` \
             prints the right one; restart the client's provisioning to match resources again."
        }
        (405 | 501, _) => {
            "The client uses a feature that scimd does not offer. Turn it off at the client."
        }
        (408, _) => "The body arrived too slowly. Check the network, and body_timeout in [limits].",
        (412, _) => {
            "Another request changed the resource meanwhile. The client must read it again."
        }
        (413, _) => "Send less in one request, or raise max_body_bytes in [limits] of config.toml.",
        (415, _) => "Set the client's content type to application/scim+json.",
        (429, _) => {
            "Raise daily_requests of the connection in config.toml, or have the client send fewer requests."
        }
        (503, _) => {
            "scimd accepts no changes of this connection at the moment. `scimd brake` and the log say why; the \
             client can retry afterwards."
        }
        (500.., _) => "This is a bug. Search the log for the id of this request, and report it.",
        _ => "The detail says what the client sent wrong.",
    })
}
