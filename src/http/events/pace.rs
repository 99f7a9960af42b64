//! When a consumer that waits for events is given what there is.
//!
//! The pauses of all consumers end on common beats: a thread that wakes serves all of them, and most of what a consumer
//! costs is waking a thread.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::Instant;

/// The time between two beats, on which consumers that keep up with the feed are answered: so one gets what happens
/// meanwhile in one page, and asks at most 125 times a second however many changes there are.
const PAUSE: Duration = Duration::from_millis(8);
/// The longest pause between two reads of events that the consumer does not want.
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// When events are read next for one consumer.
pub(super) struct Pace {
    /// The pause after the next read.
    pause: Duration,
    due: Instant,
}

impl Pace {
    /// For a consumer that asks at a moment: one that is behind is not kept waiting.
    pub(super) fn new(now: Instant, keeps_up: bool) -> Self {
        Self { pause: PAUSE, due: if keeps_up { next_beat(now, PAUSE) } else { now } }
    }

    /// When events are read at the earliest.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Events were read, and given to the consumer.
    pub(super) fn given(&mut self, now: Instant) {
        *self = Self::new(now, true);
    }

    /// Events were read, and the consumer wants none of them: each time it waits twice as long.
    pub(super) fn unwanted(&mut self, now: Instant) {
        self.due = next_beat(now, self.pause);
        self.pause = (self.pause * 2).min(MAX_PAUSE);
    }

    /// Further events were written; after a quiet time they are read at once.
    pub(super) fn written(&mut self, now: Instant) {
        if now >= self.due {
            self.pause = PAUSE;
        }
    }
}

/// The next of the moments that lie a pause apart, for all consumers the same.
fn next_beat(now: Instant, pause: Duration) -> Instant {
    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    let since = now.saturating_duration_since(*FIRST).as_nanos();
    let behind = since % pause.as_nanos();
    now + pause - Duration::from_nanos(u64::try_from(behind).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn a_consumer_that_keeps_up_is_answered_once_in_8_ms_and_one_that_is_behind_at_once() {
        let begun = Instant::now();
        let (mut now, mut answers) = (begun, 0);
        // It asks again at once, for eight seconds.
        while now < begun + 8_000 * MILLISECOND {
            let due = Pace::new(now, true).due();
            assert!(due > now && due <= now + PAUSE);
            (now, answers) = (due, answers + 1);
        }
        assert!((1_000..=1_001).contains(&answers), "{answers}");
        let mut behind = Pace::new(now, false);
        assert_eq!(behind.due(), now);
        behind.given(now);
        assert_eq!(behind.due(), now + PAUSE);
    }

    #[test]
    fn consumers_are_due_together() {
        let beat = Pace::new(Instant::now(), true).due();
        let dues = [0, 1, 3, 7].map(|later| Pace::new(beat + later * MILLISECOND, true).due());
        assert_eq!(dues, [beat + PAUSE; 4]);
    }

    #[test]
    fn while_no_event_is_wanted_they_are_read_twice_a_second_and_after_a_quiet_time_at_once() {
        let begun = Instant::now();
        let (mut pace, mut now, mut pauses) = (Pace::new(begun, true), begun, Vec::new());
        // A change each millisecond, for ten seconds.
        while now < begun + Duration::from_secs(10) {
            let read = now.max(pace.due());
            pauses.push(pace.pause.as_millis());
            pace.unwanted(read);
            assert!(pace.due() > read);
            now = read + MILLISECOND;
            pace.written(now);
        }
        assert_eq!(pauses[..8], [8, 16, 32, 64, 128, 256, 500, 500]);
        assert!(pauses.len() <= 7 + 21, "{}", pauses.len());
        let quiet = pace.due() + MILLISECOND;
        pace.written(quiet);
        assert!(pace.due() < quiet, "the first event is read at once");
        pace.unwanted(quiet);
        assert!(pace.due() <= quiet + PAUSE, "and those after it soon");
    }
}
