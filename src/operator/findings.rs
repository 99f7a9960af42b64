//! What needs attention of a running server.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::reply::{ConnectionStatus, ServerStatus, TokenInfo};
use super::webhook::WebhookInfo;
use crate::directory::BrakeAlarm;

/// The time before an expiry from which on it needs attention.
const NEAR_END: SignedDuration = SignedDuration::from_hours(14 * 24);
/// How long an alarm of the brake is shown.
const ALARM_SHOWN: SignedDuration = SignedDuration::from_hours(24);
const MIB: u64 = 1024 * 1024;

/// Something that needs attention.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What is wrong.
    pub finding: String,
    /// What to do about it.
    pub action: String,
}

/// What the status is held against.
pub struct StatusLimits {
    /// Until when the certificate is valid, if there is one; or why it can't be used.
    pub certificate: Result<Option<Timestamp>, String>,
    /// The free disk space that changes need, in MiB.
    pub min_free_mib: u32,
    /// The time between two snapshots.
    pub snapshot_interval: Duration,
}

/// What needs attention at a time, the server first.
pub fn findings(status: &ServerStatus, limits: &StatusLimits, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |finding: String, action: String| findings.push(Finding { finding, action });
    if let Some(problem) = &status.node_problem {
        add(problem.clone(), "see docs/high-availability.md".to_owned());
    } else if !status.ready {
        add(
            "scimd accepts no changes".to_owned(),
            "check the disk and the log, then restart scimd".to_owned(),
        );
    }
    if let Some(warning) = &status.node_warning {
        let action = "let the user of the service write conf.d, then restart scimd".to_owned();
        add(warning.clone(), action);
    }
    if !status.clock_trusted {
        add("the clock is not trusted".to_owned(), "run `scimd clock`".to_owned());
    }
    match &limits.certificate {
        Ok(Some(end)) if end.duration_since(now) < NEAR_END => add(
            format!("the certificate expires on {}", shown(*end)),
            "replace the certificate and key files; no restart is needed".to_owned(),
        ),
        Ok(_) => {}
        Err(error) => add(
            format!("the certificate can't be used: {error}"),
            "correct [listen] in config.toml, or the files".to_owned(),
        ),
    }
    let wanted = 2 * u64::from(limits.min_free_mib) * MIB;
    if let Some(free) = status.disk_free_bytes.filter(|free| *free < wanted) {
        add(
            format!("{} MiB of disk space are left", free / MIB),
            format!("free disk space: below {} MiB scimd rejects changes", limits.min_free_mib),
        );
    }
    let interval = limits.snapshot_interval;
    let is_old = |taken: Timestamp| {
        now.duration_since(taken) > SignedDuration::try_from(2 * interval).unwrap_or(NEAR_END)
    };
    if let Some(taken) = status.snapshot.filter(|taken| is_old(*taken)) {
        add(
            format!("the newest snapshot is from {}", shown(taken)),
            "search the log for \"snapshot\"".to_owned(),
        );
    }
    status.connections.iter().for_each(|connection| of_connection(connection, now, &mut add));
    status.webhooks.iter().for_each(|webhook| of_webhook(webhook, &mut add));
    findings
}
fn of_connection(
    connection: &ConnectionStatus,
    now: Timestamp,
    add: &mut impl FnMut(String, String),
) {
    let name = &connection.name;
    let brake = connection.brake.as_ref();
    let is_recent = |alarm: &&BrakeAlarm| now.duration_since(alarm.time) < ALARM_SHOWN;
    if let Some(hold) = brake.and_then(|brake| brake.hold.as_ref()) {
        add(
            format!("connection {name} is paused since {}: {}", shown(hold.since), hold.reason),
            format!("check `scimd audit`, then run `scimd brake resume --connection {name}`"),
        );
    } else if let Some(brake) = brake
        && let Some(alarm) = brake.last_alarm.as_ref().filter(is_recent)
    {
        let undo = brake.undo.as_ref();
        add(
            format!("connection {name} raised an alarm at {}: {}", shown(alarm.time), alarm.reason),
            match undo {
                Some(undo) => format!(
                    "if that was not intended, pause it with `scimd brake pause --connection {name}`; `{undo}` shows what \
                     can be reverted"
                ),
                None => format!("check `scimd audit --connection {name}`"),
            },
        );
    }
    let end = |token: &TokenInfo| token.expires.unwrap_or(Timestamp::MAX);
    match connection.tokens.iter().map(end).max() {
        None => add(
            format!("connection {name} has no valid token"),
            format!("run `scimd token generate --connection {name}`"),
        ),
        Some(end) if end.duration_since(now) < NEAR_END => add(
            format!("the last token of connection {name} expires on {}", shown(end)),
            format!("run `scimd token reset --connection {name} --overlap 24h`"),
        ),
        Some(_) => {}
    }
    if connection.traffic.errors > 0 {
        let requests = match connection.traffic.errors {
            1 => "1 request".to_owned(),
            errors => format!("{errors} requests"),
        };
        add(
            format!("{requests} of connection {name} failed in the last hour"),
            format!("run `scimd requests --failed --connection {name} --since 1h`"),
        );
    }
}

fn of_webhook(webhook: &WebhookInfo, add: &mut impl FnMut(String, String)) {
    let WebhookInfo { name, parked, error, failing_since, .. } = webhook;
    let test = format!("correct the receiver, then run `scimd webhook test {name}`");
    match (parked, failing_since) {
        (Some(reason), _) => add(format!("webhook {name} is parked: {reason}"), test),
        (None, Some(since)) => {
            let reason = error.as_deref().unwrap_or("the next attempt is due");
            let since = shown(*since);
            add(format!("deliveries to webhook {name} fail since {since}: {reason}"), test);
        }
        (None, None) => {}
    }
}

/// A time to the minute.
fn shown(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
