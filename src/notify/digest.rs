//! Repetitions: the same notification is delivered once an hour at most, with the number of those between.

use std::collections::BTreeMap;
use std::time::Duration;

use super::notification::{DueNotification, Notification, NotificationKind};

/// How long the same is not delivered again.
const QUIET: Duration = Duration::from_secs(60 * 60);
/// The most subjects that are counted each by itself; the configuration has fewer.
const MAX_SUBJECTS: usize = 10_000;

/// What was delivered within the last hour.
#[derive(Default)]
pub(super) struct Digest(BTreeMap<(NotificationKind, String), Delivered>);

struct Delivered {
    at: Duration,
    /// How often it came since, and the last one.
    repeated: u64,
    last: Option<Notification>,
}

impl Digest {
    /// Takes a notification; returns it if it is to be delivered now.
    pub(super) fn take(&mut self, now: Duration, new: Notification) -> Option<DueNotification> {
        let key = (new.kind, new.subject.clone());
        if let Some(delivered) = self.0.get_mut(&key).filter(|one| now < one.at + QUIET) {
            delivered.repeated += 1;
            delivered.last = Some(new);
            return None;
        }
        let repeated = self.0.remove(&key).map_or(0, |delivered| delivered.repeated);
        if self.0.len() < MAX_SUBJECTS {
            self.0.insert(key, Delivered { at: now, repeated: 0, last: None });
        }
        Some(DueNotification { notification: new, repeated })
    }

    /// The notifications that came again within the hour that is over, each summed up.
    pub(super) fn due(&mut self, now: Duration) -> Vec<DueNotification> {
        let mut due = Vec::new();
        self.0.retain(|_, delivered| {
            if now < delivered.at + QUIET {
                return true;
            }
            let Some(notification) = delivered.last.take() else { return false };
            // The one that is delivered is among those that came again.
            let repeated = delivered.repeated.saturating_sub(1);
            *delivered = Delivered { at: now, repeated: 0, last: None };
            due.push(DueNotification { notification, repeated });
            true
        });
        due
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn notification(subject: &str, message: &str) -> Notification {
        Notification {
            kind: NotificationKind::Alarmed,
            subject: subject.to_owned(),
            message: message.to_owned(),
            action: String::new(),
            time: Timestamp::UNIX_EPOCH,
        }
    }

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(60 * count)
    }

    #[test]
    fn the_same_is_delivered_once_an_hour_with_the_number_of_those_between() {
        let mut digest = Digest::default();
        assert_eq!(digest.take(minutes(0), notification("a", "1")).unwrap().repeated, 0);
        assert!(digest.take(minutes(1), notification("b", "1")).is_some(), "another subject");
        for minute in 2..5 {
            assert!(digest.take(minutes(minute), notification("a", "2")).is_none());
        }
        assert!(digest.take(minutes(59), notification("a", "3")).is_none());
        assert!(digest.due(minutes(59)).is_empty());
        let due = digest.due(minutes(60));
        assert_eq!((due.len(), due[0].repeated), (1, 3));
        assert_eq!(due[0].notification.message, "3");
        assert!(digest.take(minutes(61), notification("a", "4")).is_none(), "delivered just now");
        assert!(digest.take(minutes(61), notification("b", "2")).is_some());
        assert_eq!(digest.due(minutes(120))[0].repeated, 0);
        assert!(digest.due(minutes(300)).is_empty() && digest.0.is_empty());
    }
}
