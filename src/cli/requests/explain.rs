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
        ("What to do", entry.remedy().into_iter().map(ToOwned::to_owned).collect()),
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
