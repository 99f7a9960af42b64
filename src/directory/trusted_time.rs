//! The time that the directory goes by, from a wall clock that may be wrong.
//!
//! The time of the last record is a mark that a clock which is set back can't undo: expiry is judged by the
//! later of the two. A clock that is far from where it should be is not trusted for records, so that it
//! moves no mark: until it is right again, or an operator accepts it, records carry the time by which it was
//! last trusted, and what has passed since by the monotonic clock. Expiry still follows a clock that is
//! ahead, and so ends with it: nothing expires for good by a clock that was wrong for an hour.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

use crate::clock::{Clock, Stopwatch};
use crate::log::{Frame, Log, LogError, ReadLog};

/// How far the clock may be from the time that has passed since it was trusted.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(10);
/// How far the clock may be after the last record at a start: a machine may have been off.
const LONGEST_REST: SignedDuration = SignedDuration::from_hours(90 * 24);

/// The wall clock, held against the log and the monotonic clock.
pub(crate) struct TrustedTime {
    since: Stopwatch,
    /// The time of the last record, in milliseconds since 1970; `i64::MIN` if there is none.
    mark: AtomicI64,
    /// The time at which `since` began, by the clock when it was last trusted, else by the mark.
    base: AtomicI64,
    /// Whether the clock was trusted since the start: before that, the rule for a start holds.
    anchored: AtomicBool,
    /// Whether the last look found the clock out of step.
    alarmed: AtomicBool,
}

/// The clock at one moment, held against what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockStatus {
    /// What the clock says.
    pub clock: Timestamp,
    /// What it should say, by the last record and the time that has passed.
    pub expected: Timestamp,
    /// The time that records are given.
    pub records: Timestamp,
    /// Whether the clock is trusted.
    pub is_trusted: bool,
}

/// What a look at the clock found that is new.
pub(crate) enum ClockChange {
    /// The clock is no longer trusted.
    Alarm(ClockStatus),
    /// The clock is trusted again.
    Trusted,
}

impl TrustedTime {
    /// Begins with the time of the last record in a log.
    ///
    /// # Errors
    ///
    /// [`LogError`] if the record can't be read.
    pub(crate) fn of(log: &dyn Log, clock: Clock) -> Result<Self, LogError> {
        Ok(Self::new(last_record(log)?, clock.now()))
    }

    /// Begins with the time of the last record, if there is one.
    fn new(mark: Option<Timestamp>, clock: Timestamp) -> Self {
        Self {
            since: Stopwatch::start(),
            mark: AtomicI64::new(mark.map_or(i64::MIN, Timestamp::as_millisecond)),
            base: AtomicI64::new(mark.unwrap_or(clock).as_millisecond()),
            anchored: AtomicBool::new(mark.is_none()),
            alarmed: AtomicBool::new(false),
        }
    }

    /// The time for a record: never before the last one, and never that of a clock that is not trusted.
    pub(crate) fn for_records(&self, clock: Clock) -> Timestamp {
        self.at(clock.now(), self.elapsed()).records
    }

    /// The time by which expiry is judged: the later of the clock and the time for records.
    pub(crate) fn for_expiry(&self, clock: Clock) -> Timestamp {
        let status = self.at(clock.now(), self.elapsed());
        status.clock.max(status.records)
    }

    /// The clock, held against what is known.
    pub(crate) fn status(&self, clock: Clock) -> ClockStatus {
        self.at(clock.now(), self.elapsed())
    }

    /// Looks whether the clock is in step; returns what has changed since the last look.
    pub(crate) fn look(&self, clock: Clock) -> Option<ClockChange> {
        self.look_at(clock.now(), self.elapsed())
    }

    /// Trusts the clock as it stands, also if it is before the last record.
    pub(crate) fn accept(&self, clock: Clock) {
        self.accept_at(clock.now(), self.elapsed());
    }

    /// Takes over the time of a record that was committed.
    pub(crate) fn observe(&self, frame: &Frame) {
        self.mark.store(frame.head.time.as_millisecond(), Ordering::Relaxed);
    }

    fn elapsed(&self) -> i64 {
        i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// `elapsed` is in milliseconds since this was made, by the monotonic clock.
    fn at(&self, clock: Timestamp, elapsed: i64) -> ClockStatus {
        let expected = moment(self.base.load(Ordering::Relaxed).saturating_add(elapsed));
        let mark = moment(self.mark.load(Ordering::Relaxed));
        let ahead = clock.duration_since(expected);
        let most = if self.anchored.load(Ordering::Relaxed) { TOLERANCE } else { LONGEST_REST };
        let is_trusted = -TOLERANCE <= ahead && ahead <= most;
        let records = if is_trusted { clock } else { expected }.max(mark);
        ClockStatus { clock, expected, records, is_trusted }
    }

    fn look_at(&self, clock: Timestamp, elapsed: i64) -> Option<ClockChange> {
        let status = self.at(clock, elapsed);
        if status.is_trusted && !self.anchored.load(Ordering::Relaxed) {
            self.anchor(clock, elapsed);
        }
        match (self.alarmed.swap(!status.is_trusted, Ordering::Relaxed), status.is_trusted) {
            (false, false) => Some(ClockChange::Alarm(status)),
            (true, true) => Some(ClockChange::Trusted),
            _ => None,
        }
    }

    fn accept_at(&self, clock: Timestamp, elapsed: i64) {
        self.mark.store(clock.as_millisecond(), Ordering::Relaxed);
        self.anchor(clock, elapsed);
    }

    fn anchor(&self, clock: Timestamp, elapsed: i64) {
        self.base.store(clock.as_millisecond().saturating_sub(elapsed), Ordering::Relaxed);
        self.anchored.store(true, Ordering::Relaxed);
    }
}

/// The moment that is this number of milliseconds after 1970, or the nearest that can be represented.
fn moment(milliseconds: i64) -> Timestamp {
    let limit = if milliseconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(milliseconds).unwrap_or(limit)
}

/// The time of the last record; `None` if the log has none, as behind a backup that was restored.
fn last_record(log: &dyn ReadLog) -> Result<Option<Timestamp>, LogError> {
    let head = log.head();
    if head == log.start()? {
        return Ok(None);
    }
    let mut last = None;
    log.read(head.sequence.saturating_sub(1), &mut |frame| {
        last = Some(frame.head.time);
        ControlFlow::Continue(())
    })?;
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000;
    const MINUTE: i64 = 60 * SECOND;
    const DAY: i64 = 24 * 60 * MINUTE;
    /// The time of the last record, in milliseconds.
    const MARK: i64 = 1_800_000_000_000;

    /// After a start whose clock is this far after the last record.
    fn started(offset: i64) -> TrustedTime {
        let time = TrustedTime::new(Some(moment(MARK)), moment(MARK + offset));
        time.look_at(moment(MARK + offset), 0);
        time
    }

    fn trusts(time: &TrustedTime, offset: i64, elapsed: i64) -> bool {
        time.at(moment(MARK + offset), elapsed).is_trusted
    }

    fn records(time: &TrustedTime, offset: i64, elapsed: i64) -> i64 {
        time.at(moment(MARK + offset), elapsed).records.as_millisecond() - MARK
    }

    #[test]
    fn at_a_start_the_clock_may_be_up_to_90_days_after_the_last_record() {
        for (offset, trusted) in [
            (-10 * MINUTE - 1, false),
            (-10 * MINUTE, true),
            (0, true),
            (90 * DAY, true),
            (90 * DAY + 1, false),
        ] {
            assert_eq!(trusts(&started(offset), offset, 0), trusted, "{offset}");
        }
        let fresh = TrustedTime::new(None, moment(MARK));
        assert!(trusts(&fresh, 0, 0) && !trusts(&fresh, DAY, 0));
    }

    #[test]
    fn while_running_the_clock_may_leave_the_monotonic_clock_by_10_minutes() {
        let time = started(DAY);
        for (jump, trusted) in [
            (-10 * MINUTE - 1, false),
            (-10 * MINUTE, true),
            (10 * MINUTE, true),
            (10 * MINUTE + 1, false),
        ] {
            assert_eq!(trusts(&time, DAY + 3 * DAY + jump, 3 * DAY), trusted, "{jump}");
        }
    }

    #[test]
    fn a_clock_that_jumped_ahead_gives_no_record_its_time() {
        let time = started(SECOND);
        assert_eq!(records(&time, 3_650 * DAY, 5 * SECOND), 6 * SECOND);
        let alarm = time.look_at(moment(MARK + 3_650 * DAY), 5 * SECOND);
        assert!(matches!(alarm, Some(ClockChange::Alarm(_))));
        assert!(time.look_at(moment(MARK + 3_650 * DAY), 6 * SECOND).is_none());
        // Set right, it is trusted again.
        let again = time.look_at(moment(MARK + 8 * SECOND), 7 * SECOND);
        assert!(matches!(again, Some(ClockChange::Trusted)));
        assert_eq!(records(&time, 8 * SECOND, 7 * SECOND), 8 * SECOND);
    }

    #[test]
    fn a_clock_that_is_set_back_gives_no_record_a_time_before_the_last_one() {
        let time = started(0);
        assert_eq!(records(&time, -MINUTE, SECOND), 0);
        assert_eq!(records(&time, -DAY, SECOND), SECOND);
        // One that is behind at the start may come right later, as by NTP.
        let behind = started(-20_000 * DAY);
        assert_eq!(records(&behind, -20_000 * DAY, MINUTE), MINUTE);
        assert!(matches!(
            behind.look_at(moment(MARK + 3 * DAY), MINUTE),
            Some(ClockChange::Trusted)
        ));
        assert_eq!(records(&behind, 3 * DAY + SECOND, MINUTE + SECOND), 3 * DAY + SECOND);
        assert!(!trusts(&behind, 80 * DAY, 2 * MINUTE), "the rule for a start holds once");
    }

    #[test]
    fn a_clock_that_was_accepted_is_trusted_in_either_direction() {
        for offset in [3_650 * DAY, -3_650 * DAY] {
            let time = started(offset);
            assert!(!trusts(&time, offset, 0));
            time.accept_at(moment(MARK + offset), SECOND);
            assert_eq!(records(&time, offset + MINUTE, MINUTE + SECOND), offset + MINUTE);
            assert!(trusts(&time, offset + MINUTE, MINUTE + SECOND));
        }
    }
}
