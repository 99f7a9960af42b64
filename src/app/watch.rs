//! Looks every few seconds at what operators are notified of, and hands in what is new.
//!
//! It reads what others have counted or stored, so that nothing is added to the path of a request.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::credential_warnings::ending_tokens;
use super::reload::LiveConfig;
use crate::connection::token::TokenOwner;
use crate::directory::{BrakeAlarm, BrakeStatus, undo_command};
use crate::notify::{Notification, NotificationKind};
use crate::operator::{OperatorContext, WebhookControl as _};
use crate::transport::TlsConfig;

/// The time from one look to the next.
const EVERY: Duration = Duration::from_secs(5);
/// How many denials of one connection, within which time, are notified of.
const MANY_DENIALS: u64 = 20;
const DENIAL_WINDOW: SignedDuration = SignedDuration::from_mins(10);
/// The days before an expiry at each of which it is notified of.
const DAYS_LEFT: [i64; 7] = [30, 14, 7, 3, 2, 1, 0];
const MIB: u64 = 1024 * 1024;

/// Hands in notifications until dropped.
pub(super) async fn run(live: LiveConfig, min_free_bytes: u64) {
    let mut watch = Watch::default();
    loop {
        if live.notifier.is_configured() {
            let seen = live.clone();
            // Files are looked at, and the state of the brakes is read.
            let observed = tokio::task::spawn_blocking(move || {
                observe(&seen.context.load(), &seen, min_free_bytes)
            });
            if let Ok(observed) = observed.await {
                watch.look(&observed).into_iter().for_each(|one| live.notifier.notify(one));
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The state of what is watched, at one time.
struct Observed {
    now: Timestamp,
    brakes: Vec<BrakeStatus>,
    denials: BTreeMap<TokenOwner, u64>,
    data_dir: String,
    free_bytes: Option<u64>,
    min_free_bytes: u64,
    is_writable: bool,
    /// The webhooks that are parked, and why.
    parked: BTreeMap<String, String>,
    certificate_end: Option<Timestamp>,
    /// The connections and applications whose last valid token expires soon.
    token_ends: Vec<(TokenOwner, Timestamp)>,
}

fn observe(context: &OperatorContext, live: &LiveConfig, min_free_bytes: u64) -> Observed {
    let OperatorContext { directory, site, .. } = context;
    let webhooks = live.webhooks.list().into_iter();
    let stats = directory.stats();
    let now = directory.time_for_expiry();
    Observed {
        now,
        // After a failed read they are looked at again.
        brakes: directory.brakes().unwrap_or_default(),
        denials: directory.denials_by_owner(),
        data_dir: site.data_dir.clone(),
        free_bytes: stats.store.free_bytes,
        min_free_bytes,
        is_writable: stats.writable,
        parked: webhooks
            .filter(|webhook| webhook.sends)
            .filter_map(|webhook| Some((webhook.name, webhook.parked?)))
            .collect(),
        certificate_end: live.listener.load().tls.as_ref().and_then(TlsConfig::not_after),
        token_ends: ending_tokens(context, now),
    }
}

/// What has been notified of.
#[derive(Default)]
struct Watch {
    /// When the last alarm, and the present pause, of each connection began.
    alarms: BTreeMap<String, Timestamp>,
    pauses: BTreeMap<String, Timestamp>,
    denials: BTreeMap<TokenOwner, DenialWindow>,
    disk: Option<NotificationKind>,
    has_stopped: bool,
    parked: BTreeSet<String>,
    /// The days left at which each expiry was last notified of.
    expiries: BTreeMap<(NotificationKind, String), i64>,
}

/// The denials of an owner of tokens since a time.
struct DenialWindow {
    began: Timestamp,
    count_before: u64,
}

impl Watch {
    /// What is new since the last look.
    fn look(&mut self, observed: &Observed) -> Vec<Notification> {
        let mut found = Vec::new();
        let mut add = |kind, subject: &str, message: String, action: String| {
            let (subject, time) = (subject.to_owned(), observed.now);
            found.push(Notification { kind, subject, message, action, time });
        };
        for brake in &observed.brakes {
            self.look_at_brake(brake, &mut add);
        }
        self.pauses.retain(|name, _| {
            observed.brakes.iter().any(|brake| brake.connection == *name && brake.hold.is_some())
        });
        for (owner, count) in &observed.denials {
            if let Some(denied) = self.many_denials(owner, *count, observed.now) {
                let (kind, name) = (owner.kind(), owner.name());
                add(
                    NotificationKind::Denied,
                    name,
                    format!(
                        "{denied} requests with a token of {owner} were denied within 10 minutes."
                    ),
                    format!("`scimd requests --{kind} {name} --failed` shows why."),
                );
            }
        }
        self.look_at_disk(observed, &mut add);
        if !observed.is_writable && !self.has_stopped {
            add(
                NotificationKind::WritesStopped,
                &observed.data_dir,
                "A change could not be written. scimd refuses further changes, and still answers reads.".to_owned(),
                "Look at the log for the reason and check the disk; then restart scimd.".to_owned(),
            );
        }
        self.has_stopped = !observed.is_writable;
        for (name, reason) in
            observed.parked.iter().filter(|(name, _)| !self.parked.contains(*name))
        {
            add(
                NotificationKind::WebhookParked,
                name,
                format!("Webhook {name} is parked: {reason}"),
                format!(
                    "Correct the receiver, then run `scimd webhook test {name}`, or `resend` if events are missing."
                ),
            );
        }
        self.parked = observed.parked.keys().cloned().collect();
        if let Some(end) = observed.certificate_end
            && let Some(days) =
                self.expiry(NotificationKind::CertificateExpiring, "", end, observed.now)
        {
            add(
                NotificationKind::CertificateExpiring,
                "certificate",
                format!("The certificate expires on {end:.0}, {}.", in_days(days)),
                "Put a newer one in its place; no restart is needed.".to_owned(),
            );
        }
        for (owner, end) in &observed.token_ends {
            let (kind, name) = (owner.kind(), owner.name());
            let expiring = NotificationKind::TokenExpiring;
            if let Some(days) = self.expiry(expiring, &owner.to_string(), *end, observed.now) {
                add(
                    expiring,
                    name,
                    format!(
                        "The last valid token of {owner} expires on {end:.0}, {}.",
                        in_days(days)
                    ),
                    format!(
                        "Generate another with `scimd token reset --{kind} {name} --overlap 24h` and enter it in the client."
                    ),
                );
            }
        }
        found
    }

    fn look_at_brake(
        &mut self,
        BrakeStatus { connection, hold, last_alarm, .. }: &BrakeStatus,
        add: &mut dyn FnMut(NotificationKind, &str, String, String),
    ) {
        let undo =
            |began| format!("To see what can be undone: `{}`.", undo_command(connection, began));
        if let Some(hold) = hold
            && self.pauses.insert(connection.clone(), hold.since) != Some(hold.since)
        {
            let undo = hold.began.map(|began| format!(" {}", undo(began))).unwrap_or_default();
            add(
                NotificationKind::Paused,
                connection,
                format!(
                    "Connection {connection} is paused since {:.0}: {}. Its changes get 503.",
                    hold.since, hold.reason
                ),
                format!(
                    "`scimd brake show --connection {connection}` shows what was refused. If it is intended: `scimd brake \
                     resume --connection {connection}`.{undo}"
                ),
            );
        }
        if let Some(BrakeAlarm { time, began, reason }) = last_alarm
            && self.alarms.insert(connection.clone(), *time) != Some(*time)
            && hold.is_none()
        {
            add(
                NotificationKind::Alarmed,
                connection,
                format!(
                    "Connection {connection} changed many accounts: {reason}. The first was changed at about {began}."
                ),
                format!(
                    "If it is not intended: `scimd brake pause --connection {connection}`. {}",
                    undo(*began)
                ),
            );
        }
    }

    /// The number of denials of an owner of tokens within the window, if they are many.
    fn many_denials(&mut self, owner: &TokenOwner, count: u64, now: Timestamp) -> Option<u64> {
        let started = DenialWindow { began: now, count_before: 0 };
        let window = self.denials.entry(owner.clone()).or_insert(started);
        let denied = count.saturating_sub(window.count_before);
        let is_over = now.duration_since(window.began) > DENIAL_WINDOW;
        if denied >= MANY_DENIALS || is_over {
            *window = DenialWindow { began: now, count_before: count };
        }
        (denied >= MANY_DENIALS && !is_over).then_some(denied)
    }

    fn look_at_disk(
        &mut self,
        observed: &Observed,
        add: &mut dyn FnMut(NotificationKind, &str, String, String),
    ) {
        let Some(free) = observed.free_bytes else { return };
        let least = observed.min_free_bytes;
        let state = match free {
            free if free < least => Some(NotificationKind::DiskFull),
            free if free < 2 * least => Some(NotificationKind::DiskLow),
            _ => None,
        };
        if let Some(kind) = state.filter(|kind| self.disk != Some(*kind)) {
            let (free, least) = (free / MIB, least / MIB);
            let consequence = match kind {
                NotificationKind::DiskFull => {
                    "Changes are refused, but for those that take access away."
                }
                _ => "Below that, changes are refused.",
            };
            add(
                kind,
                &observed.data_dir,
                format!(
                    "The disk of the data directory has {free} MiB left; scimd needs {least} MiB. {consequence}"
                ),
                "Free disk space, or enlarge the disk; changes are accepted again by themselves."
                    .to_owned(),
            );
        }
        self.disk = state;
    }

    /// The days until an expiry, if they are fewer than when it was last notified of.
    fn expiry(
        &mut self,
        kind: NotificationKind,
        subject: &str,
        end: Timestamp,
        now: Timestamp,
    ) -> Option<i64> {
        let key = (kind, subject.to_owned());
        let days = end.duration_since(now).as_hours().max(0) / 24;
        let Some(stage) = DAYS_LEFT.into_iter().rev().find(|stage| days <= *stage) else {
            self.expiries.remove(&key);
            return None;
        };
        let before = self.expiries.insert(key, stage);
        before.is_none_or(|before| stage < before).then_some(days)
    }
}

fn in_days(days: i64) -> String {
    match days {
        0 => "within a day".to_owned(),
        1 => "in 1 day".to_owned(),
        days => format!("in {days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::BrakeAction;
    use crate::directory::Hold;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn observed(now: i64) -> Observed {
        Observed {
            now: at(now),
            brakes: Vec::new(),
            denials: BTreeMap::new(),
            data_dir: "/data".to_owned(),
            free_bytes: Some(10 * MIB),
            min_free_bytes: MIB,
            is_writable: true,
            parked: BTreeMap::new(),
            certificate_end: None,
            token_ends: Vec::new(),
        }
    }

    fn brake(alarm: Option<i64>, hold: Option<i64>) -> BrakeStatus {
        let reason = "13 of 62 accounts lost access".to_owned();
        let last_alarm =
            alarm.map(|time| BrakeAlarm { time: at(time), began: at(time - 9), reason });
        let hold = hold.map(|since| Hold {
            since: at(since),
            reason: "it lost".to_owned(),
            began: Some(at(since - 9)),
        });
        BrakeStatus {
            connection: "okta".to_owned(),
            action: Some(BrakeAction::Alarm),
            hold,
            allowance: None,
            counted: 0,
            accounts: 0,
            counting_since: None,
            alarms: 0,
            gained: 0,
            gain_alarms: 0,
            last_alarm,
        }
    }

    fn kinds(watch: &mut Watch, observed: &Observed) -> Vec<NotificationKind> {
        watch.look(observed).into_iter().map(|found| found.kind).collect()
    }

    #[test]
    fn each_alarm_and_each_pause_is_found_once() {
        use NotificationKind::{Alarmed, Paused};
        let mut watch = Watch::default();
        let look = |watch: &mut Watch, brake| {
            kinds(watch, &Observed { brakes: vec![brake], ..observed(100) })
        };
        assert_eq!(look(&mut watch, brake(None, None)), []);
        assert_eq!(look(&mut watch, brake(Some(50), None)), [Alarmed]);
        assert_eq!(look(&mut watch, brake(Some(50), None)), []);
        assert_eq!(look(&mut watch, brake(Some(60), Some(60))), [Paused]);
        assert_eq!(look(&mut watch, brake(Some(60), Some(60))), []);
        assert_eq!(look(&mut watch, brake(Some(60), None)), []);
        let found = watch.look(&Observed { brakes: vec![brake(None, Some(70))], ..observed(100) });
        assert!(found[0].action.contains("--since 1970-01-01T00:01:01Z --dry-run"), "{found:?}");
    }

    #[test]
    fn denials_are_found_if_they_are_many_within_the_window() {
        let mut watch = Watch::default();
        let mut look = |now, count| {
            let denials = BTreeMap::from([(TokenOwner::Connection("okta".to_owned()), count)]);
            kinds(&mut watch, &Observed { denials, ..observed(now) }).len()
        };
        assert_eq!([look(0, 1), look(300, 19), look(601, 30), look(700, 49)], [0, 0, 0, 0]);
        assert_eq!([look(900, 50), look(905, 51), look(910, 70)], [1, 0, 1]);
    }

    #[test]
    fn the_disk_the_writer_and_expiries_are_found_when_they_get_worse() {
        use NotificationKind::{
            CertificateExpiring, DiskFull, DiskLow, TokenExpiring, WebhookParked, WritesStopped,
        };
        let mut watch = Watch::default();
        let mut disk =
            |free| kinds(&mut watch, &Observed { free_bytes: Some(free), ..observed(0) });
        assert_eq!(disk(2 * MIB), []);
        assert_eq!(disk(2 * MIB - 1), [DiskLow]);
        assert_eq!(disk(MIB), []);
        assert_eq!(disk(MIB - 1), [DiskFull]);
        assert_eq!(disk(9 * MIB), []);
        let stopped = || Observed { is_writable: false, ..observed(0) };
        assert_eq!(kinds(&mut watch, &stopped()), [WritesStopped]);
        assert_eq!(kinds(&mut watch, &stopped()), []);
        let parked = |name: &str| {
            let parked = [(name.to_owned(), "it answered 410".to_owned())].into();
            Observed { parked, ..observed(0) }
        };
        assert_eq!(kinds(&mut watch, &parked("crm")), [WebhookParked]);
        assert_eq!(kinds(&mut watch, &parked("crm")), []);
        assert_eq!(kinds(&mut watch, &parked("erp")), [WebhookParked]);
        assert_eq!(kinds(&mut watch, &observed(0)), []);
        assert_eq!(kinds(&mut watch, &parked("erp")), [WebhookParked], "it was not meanwhile");
        let day = 24 * 60 * 60;
        let mut ends = |days: i64| {
            let end = at(days * day + 60);
            let token_ends = vec![(TokenOwner::Connection("okta".to_owned()), end)];
            kinds(&mut watch, &Observed { certificate_end: Some(end), token_ends, ..observed(0) })
        };
        assert_eq!(ends(31), []);
        assert_eq!(ends(30), [CertificateExpiring, TokenExpiring]);
        assert_eq!(ends(15), []);
        assert_eq!(ends(14), [CertificateExpiring, TokenExpiring]);
        assert_eq!(ends(365), [], "renewed");
        assert_eq!(ends(0), [CertificateExpiring, TokenExpiring]);
    }
}
