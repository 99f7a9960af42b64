//! How a change of the audit trail is shown to people: one row, without what a terminal would obey.

use anyhow::Result;

use crate::cli::output;
use crate::cli::table::Cell;
use crate::operator::audit::{AuditEntry, AuditVerification};
use crate::operator::words::{details_in_words, subject, who};

pub(super) const HEAD: [&str; 6] = ["TIME", "WHO", "FROM", "EVENT", "SUBJECT", "CHANGES"];

pub(super) fn row(change: &AuditEntry) -> [Cell; 6] {
    let (who, from) = who(&change.actor);
    [
        Cell::Time(Some(change.time), ""),
        output::sanitize(&who).into(),
        from.into(),
        output::sanitize(&change.event).into(),
        output::sanitize(&subject(change)).into(),
        output::sanitize(&details_in_words(&change.details)).into(),
    ]
}

/// What a check of the chain found.
pub(super) fn verified(verified: &AuditVerification, anchors: usize) -> Result<()> {
    let AuditVerification { first, head, changes, files, torn_bytes, first_faults, .. } = verified;
    for fault in first_faults {
        output::line(fault)?;
    }
    match verified.faults - first_faults.len() as u64 {
        0 => {}
        more => output::line(&format!("{more} more problems"))?,
    }
    let last = head.split(':').next().unwrap_or_default();
    let records = match changes {
        1 => "1 record".to_owned(),
        changes => format!("{changes} records"),
    };
    let files = output::counted(usize::try_from(*files).unwrap_or(usize::MAX), "file", "files");
    output::line(&format!("Checked {records} ({first} to {last}) in {files}."))?;
    if *torn_bytes > 0 {
        output::line(&format!(
            "The last {torn_bytes} bytes belong to an unfinished write that was never acknowledged."
        ))?;
    }
    if *first > 1 {
        output::line(&format!(
            "Changes before {first} were trimmed (keep_journal), are in the data directory from which a backup was \
             restored, or were removed."
        ))?;
    }
    if verified.faults > 0 {
        return Ok(());
    }
    output::line(&format!("Hash chain intact. Head: {head}"))?;
    if let (Some(signed), Some(at)) = (&verified.signed, verified.signed_at) {
        let change = signed.split(':').next().unwrap_or_default();
        output::line(&format!(
            "It contains the newest of {} signed heads: change {change}, signed on {}.",
            verified.signatures,
            output::moment(Some(at), "")
        ))?;
    }
    match anchors {
        0 => output::line(
            "Without an anchor, a truncated or rewritten tail can't be detected. Store the output of `scimd audit \
             --head` on another machine and pass it with --anchor.",
        ),
        1 => output::line("It contains the anchor."),
        _ => output::line(&format!("It contains all {anchors} anchors.")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn entry(details: &Value) -> AuditEntry {
        let mut entry = json!({
            "sequence": 7, "time": "2026-03-01T08:15:00.250Z",
            "actor": {"kind": "connection", "connection": "okta", "token": "df24", "address": "::1"},
            "event": "user.patched", "subject": "1", "hash": "00",
        });
        entry.as_object_mut().unwrap().extend(details.as_object().unwrap().clone());
        serde_json::from_value(entry).unwrap()
    }

    #[test]
    fn a_row_tells_who_did_what_to_whom() {
        let row = row(&entry(&json!({"name": "ada\u{1b}[31m\u{202e}", "more": 3, "changes": [
            {"attribute": "active", "before": true, "after": false},
            {"attribute": "title", "after": "Countess"},
            {"attribute": "urn:x:2.0:User:department", "before": "bi"},
            {"attribute": "members", "added": {"count": 3, "first": [{"value": "2", "display": "bob"}]},
             "removed": {"count": 1, "first": [{"value": "3"}]}},
            {"attribute": "pin", "hidden": true},
            {"attribute": "emails"},
        ]})))
        .map(|cell| cell.text(None));
        assert_eq!(row[..4], ["2026-03-01T08:15:00Z", "okta (token df24)", "::1", "user.patched"]);
        assert_eq!(row[4], "ada\\u{1b}[31m\\u{202e} (1)", "what a terminal would obey is escaped");
        assert_eq!(
            row[5],
            "active: true → false; title: \"Countess\"; department: \"bi\" → none; \
             members: +3 (bob (2), …) -1 (3); pin: not shown; emails: other order; 3 more"
        );
    }

    #[test]
    fn refusals_are_told_with_where_they_came_from() {
        let told = details_in_words(
            &entry(&json!({"others": 5, "refusals": [
                {"reason": "unknown_token", "address": "192.0.2.1", "first": "2026-03-01T08:15:00Z",
                 "last": "2026-03-01T08:15:09Z", "count": 412},
                {"reason": "scope", "connection": "okta", "token": "df24", "address": "::1",
                 "first": "2026-03-01T08:15:00Z", "last": "2026-03-01T08:15:00Z", "count": 1},
            ]}))
            .details,
        );
        let expected =
            "412 × unknown_token from 192.0.2.1; 1 × scope from ::1 for okta (token df24); 5 more";
        assert_eq!(told, expected);
    }
}
