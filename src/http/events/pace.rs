//! When a consumer that waits for events is given what there is.

use std::time::Duration;

use tokio::time::Instant;

/// The least time from a request that may wait to its answer if the consumer keeps up with the feed: so it gets what
/// happens meanwhile in one page, and asks at most 100 times a second however many changes there are.
const PAUSE: Duration = Duration::from_millis(10);
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
        Self { pause: PAUSE, due: if keeps_up { now + PAUSE } else { now } }
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
        self.due = now + self.pause;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
    }

    /// Further events were written; after a quiet time they are read at once.
    pub(super) fn written(&mut self, now: Instant) {
        if now >= self.due {
            self.pause = PAUSE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn a_consumer_that_keeps_up_is_answered_once_in_10_ms_and_one_that_is_behind_at_once() {
        let now = Instant::now();
        assert_eq!(Pace::new(now, true).due(), now + 10 * MILLISECOND);
        let mut behind = Pace::new(now, false);
        assert_eq!(behind.due(), now);
        behind.given(now);
        assert_eq!(behind.due(), now + 10 * MILLISECOND);
    }

    #[test]
    fn while_no_event_is_wanted_they_are_read_twice_a_second_and_after_a_quiet_time_at_once() {
        let begun = Instant::now();
        let (mut pace, mut now, mut pauses) = (Pace::new(begun, true), begun, Vec::new());
        // A change each millisecond, for ten seconds.
        while now < begun + Duration::from_secs(10) {
            let read = now.max(pace.due());
            pace.unwanted(read);
            pauses.push((pace.due() - read).as_millis());
            now = read + MILLISECOND;
            pace.written(now);
        }
        assert_eq!(pauses[..8], [10, 20, 40, 80, 160, 320, 500, 500]);
        assert!(pauses.len() <= 7 + 20, "{}", pauses.len());
        let quiet = pace.due() + MILLISECOND;
        pace.written(quiet);
        assert!(pace.due() < quiet, "the first event is read at once");
        pace.unwanted(quiet);
        assert_eq!(pace.due(), quiet + 10 * MILLISECOND, "and those after it soon");
    }
}
