//! The accounts to which a connection did something within a moving window: the lost and the gained, and how
//! many it created.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use super::alarm::BrakeAlarm;
use super::allowance::AllowedAccounts;
use crate::connection::{Brake, BrakeAction};
use crate::scim::resource::ResourceId;

/// The most accounts that are counted; the limit of a brake is within it.
const MAX_COUNTED: usize = 1_000_001;
/// How long a span of [`Creations`] is, as a part of the window.
const SPANS: u32 = 64;

/// What one connection did to accounts within the window.
#[derive(Default)]
pub(super) struct ConnectionTally {
    pub(super) lost: Tally,
    pub(super) gained: Tally,
    pub(super) created: Creations,
    pub(super) allowed: AllowedAccounts,
    pub(super) last_alarm: Option<BrakeAlarm>,
}

/// What one change added to the tally of a connection.
pub(super) enum Noted {
    Lost(Counting),
    Gained(Counting),
    Created(u64),
    Allowed(Vec<ResourceId>),
}

impl ConnectionTally {
    /// Takes back what was noted last.
    pub(super) fn take_back(&mut self, noted: Noted) {
        match noted {
            Noted::Lost(counting) => self.lost.take_back(counting),
            Noted::Gained(counting) => self.gained.take_back(counting),
            Noted::Created(count) => self.created.take_back(count),
            Noted::Allowed(accounts) => self.allowed.take_back(&accounts),
        }
    }

    /// Restarts the counts of accounts that lost or gained something. Those that are new stay so.
    pub(super) fn restart(&mut self) -> [Noted; 2] {
        [Noted::Lost(self.lost.restart()), Noted::Gained(self.gained.restart())]
    }
}

/// How many accounts a connection created within the window, in a few spans of time.
///
/// An account may count as new for up to 1/64 of the window longer than it is.
#[derive(Default)]
pub(super) struct Creations(VecDeque<(Duration, u64)>);

impl Creations {
    /// Adds accounts that are created at a moment.
    pub(super) fn note(&mut self, now: Duration, window: Duration, count: u64) {
        match self.0.back_mut() {
            Some((began, sum)) if now < began.saturating_add(window / SPANS) => *sum += count,
            _ => self.0.push_back((now, count)),
        }
        self.forget(now, window);
    }

    /// How many accounts were created within the window.
    pub(super) fn within(&mut self, now: Duration, window: Duration) -> u64 {
        self.forget(now, window);
        self.0.iter().map(|(_, count)| count).sum()
    }

    fn forget(&mut self, now: Duration, window: Duration) {
        let kept = window.saturating_add(window / SPANS);
        while self.0.pop_front_if(|(began, _)| began.saturating_add(kept) <= now).is_some() {}
    }

    fn take_back(&mut self, count: u64) {
        if let Some((_, sum)) = self.0.back_mut() {
            *sum = sum.saturating_sub(count);
        }
    }
}

/// The accounts that lost, or gained, something through one connection within the window.
///
/// It holds at most [`MAX_COUNTED`] accounts.
#[derive(Default)]
pub(super) struct Tally {
    /// The accounts with the time at which each was counted, oldest first.
    order: VecDeque<Counted>,
    members: HashSet<ResourceId>,
    /// Until when there is no other alarm, if the action is to alarm only.
    quiet_until: Duration,
    alarms: u64,
}

pub(super) struct Counted {
    at: Duration,
    id: ResourceId,
    /// The accounts just before.
    accounts: Accounts,
}

/// The accounts of the directory at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Accounts {
    /// The number of all.
    pub(super) all: u64,
    /// The number of those that the connection itself created within the window.
    pub(super) new: u64,
}

impl Accounts {
    /// The number of accounts of which the limit is a share: those that the connection did not just create.
    pub(super) fn counted(self) -> u64 {
        self.all.saturating_sub(self.new)
    }
}

/// What one change added to a tally, so that it can be taken back.
pub(super) struct Counting {
    /// How many accounts were added at the end.
    added: usize,
    /// The tally that a restart dropped.
    dropped: Option<(VecDeque<Counted>, HashSet<ResourceId>)>,
    quiet_until: Duration,
    alarms: u64,
}

/// The limit is exceeded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Excess {
    /// The number of accounts that lost, or gained, something.
    pub(super) affected: u64,
    /// The accounts when the window began, or now if they are more.
    pub(super) accounts: Accounts,
    /// When the first of them was counted.
    pub(super) began: Duration,
}

impl Tally {
    /// Counts accounts that lose, or gain, something at a moment, and returns the excess if they are more than
    /// the limit for those that are there.
    /// If the action is to alarm only, there is no other alarm for a window. Otherwise
    /// the tally is kept until the connection is released, since the hold may not have been committed.
    pub(super) fn note(
        &mut self,
        now: Duration,
        brake: &Brake,
        limit: impl FnOnce(Accounts) -> u64,
        accounts: Accounts,
        affected: HashSet<ResourceId>,
    ) -> (Option<Excess>, Counting) {
        let (quiet_until, alarms) = (self.quiet_until, self.alarms);
        let mut counting = Counting { added: 0, dropped: None, quiet_until, alarms };
        let is_quiet = brake.action == BrakeAction::Alarm && now < self.quiet_until;
        self.forget(now, brake.window);
        for id in affected {
            if self.order.len() < MAX_COUNTED && self.members.insert(id) {
                self.order.push_back(Counted { at: now, id, accounts });
                counting.added += 1;
            }
        }
        let before = self.accounts().unwrap_or(accounts);
        let accounts = if accounts.counted() > before.counted() { accounts } else { before };
        let affected = self.order.len() as u64;
        if is_quiet || affected <= limit(accounts) {
            return (None, counting);
        }
        self.alarms += 1;
        let began = self.order.front().map_or(now, |first| first.at);
        if brake.action == BrakeAction::Alarm {
            self.quiet_until = now.saturating_add(brake.window);
        }
        (Some(Excess { affected, accounts, began }), counting)
    }

    /// Restarts the count.
    pub(super) fn restart(&mut self) -> Counting {
        let (quiet_until, alarms) = (self.quiet_until, self.alarms);
        let dropped = (std::mem::take(&mut self.order), std::mem::take(&mut self.members));
        self.quiet_until = Duration::ZERO;
        Counting { added: 0, dropped: Some(dropped), quiet_until, alarms }
    }

    /// Takes back the last count or restart.
    pub(super) fn take_back(&mut self, counting: Counting) {
        let Counting { added, dropped, quiet_until, alarms } = counting;
        (self.quiet_until, self.alarms) = (quiet_until, alarms);
        if let Some((order, members)) = dropped {
            (self.order, self.members) = (order, members);
        }
        for _ in 0..added {
            if let Some(last) = self.order.pop_back() {
                self.members.remove(&last.id);
            }
        }
    }

    /// The accounts when the first counted one lost, or gained, something.
    pub(super) fn accounts(&self) -> Option<Accounts> {
        self.order.front().map(|first| first.accounts)
    }

    /// When the first counted account lost, or gained, something.
    pub(super) fn began(&self) -> Option<Duration> {
        self.order.front().map(|first| first.at)
    }

    /// The number of accounts that lost, or gained, something within the window.
    pub(super) fn counted(&mut self, now: Duration, window: Duration) -> u64 {
        self.forget(now, window);
        self.order.len() as u64
    }

    /// The number of alarms.
    pub(super) fn alarms(&self) -> u64 {
        self.alarms
    }

    fn forget(&mut self, now: Duration, window: Duration) {
        while let Some(first) =
            self.order.pop_front_if(|first| first.at.saturating_add(window) <= now)
        {
            self.members.remove(&first.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brake(action: BrakeAction) -> Brake {
        Brake {
            action,
            percent: 10,
            minimum: 2,
            window: Duration::from_secs(60),
            ..Brake::default()
        }
    }

    fn note(
        tally: &mut Tally,
        now: Duration,
        brake: &Brake,
        accounts: u64,
        lost: HashSet<ResourceId>,
    ) -> Option<Excess> {
        note_counting(tally, now, brake, accounts, lost).0
    }

    fn note_counting(
        tally: &mut Tally,
        now: Duration,
        brake: &Brake,
        accounts: u64,
        lost: HashSet<ResourceId>,
    ) -> (Option<Excess>, Counting) {
        let limit = |accounts: Accounts| brake.limit(accounts.counted());
        tally.note(now, brake, limit, Accounts { all: accounts, new: 0 }, lost)
    }

    fn excess(affected: u64, accounts: u64, began: Duration) -> Option<Excess> {
        Some(Excess { affected, accounts: Accounts { all: accounts, new: 0 }, began })
    }

    fn ids(numbers: std::ops::Range<u8>) -> HashSet<ResourceId> {
        numbers.map(|number| ResourceId::from_bytes([number; 16])).collect()
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn accounts_are_counted_once_and_forgotten_after_the_window() {
        let (mut tally, brake) = (Tally::default(), brake(BrakeAction::Hold));
        assert_eq!(note(&mut tally, at(0), &brake, 50, ids(0..3)), None);
        assert_eq!(note(&mut tally, at(1), &brake, 50, ids(0..5)), None);
        assert_eq!(tally.counted(at(59), brake.window), 5);
        assert_eq!(tally.counted(at(60), brake.window), 2);
        assert_eq!(note(&mut tally, at(60), &brake, 50, ids(10..13)), None);
        assert_eq!(note(&mut tally, at(60), &brake, 50, ids(13..14)), excess(6, 50, at(1)));
        assert_eq!((tally.counted(at(60), brake.window), tally.alarms()), (6, 1));
        // It may be that it could not be held.
        assert!(note(&mut tally, at(60), &brake, 50, ids(13..14)).is_some());
        tally.restart();
        assert_eq!((tally.counted(at(60), brake.window), tally.alarms()), (0, 2));
    }

    #[test]
    fn the_share_is_of_those_who_were_there_when_the_window_began() {
        let (mut tally, brake) = (Tally::default(), brake(BrakeAction::Hold));
        for (number, accounts) in (0..10).zip((91..=100).rev()) {
            let lost = ids(number..number + 1);
            assert_eq!(note(&mut tally, at(0), &brake, accounts, lost), None, "{number}");
        }
        assert_eq!(note(&mut tally, at(0), &brake, 90, ids(10..11)), excess(11, 100, at(0)));
    }

    #[test]
    fn an_alarm_is_told_once_a_window() {
        let (mut tally, brake) = (Tally::default(), brake(BrakeAction::Alarm));
        assert!(note(&mut tally, at(5), &brake, 10, ids(0..3)).is_some());
        assert_eq!(note(&mut tally, at(6), &brake, 10, ids(3..9)), None);
        assert_eq!(tally.counted(at(6), brake.window), 9, "counting goes on");
        assert!(note(&mut tally, at(65), &brake, 10, ids(3..9)).is_some());
        assert_eq!(tally.alarms(), 2);
        // A change of the action to hold takes effect within the window.
        let hold = Brake { action: BrakeAction::Hold, ..brake };
        assert!(note(&mut tally, at(66), &hold, 10, ids(3..9)).is_some());
    }

    #[test]
    fn what_was_not_committed_is_taken_back() {
        for action in [BrakeAction::Hold, BrakeAction::Alarm] {
            let (mut tally, brake) = (Tally::default(), brake(action));
            note(&mut tally, at(0), &brake, 50, ids(0..3));
            let state = |tally: &mut Tally| {
                (tally.counted(at(1), brake.window), tally.alarms(), tally.quiet_until)
            };
            let before = state(&mut tally);
            let few = note_counting(&mut tally, at(1), &brake, 50, ids(2..5)).1;
            let (excess, many) = note_counting(&mut tally, at(1), &brake, 50, ids(4..9));
            assert!(excess.is_some());
            let restart = tally.restart();
            for counting in [restart, many, few] {
                tally.take_back(counting);
            }
            assert_eq!(state(&mut tally), before);
            // The same again has the same outcome.
            assert_eq!(note(&mut tally, at(1), &brake, 50, ids(2..5)), None);
            assert!(note(&mut tally, at(1), &brake, 50, ids(4..9)).is_some());
        }
    }

    #[test]
    fn created_accounts_are_new_for_a_window_and_no_share_is_of_them() {
        let window = Duration::from_secs(64);
        let mut created = Creations::default();
        created.note(at(0), window, 3);
        created.note(at(10), window, 4);
        assert_eq!(created.within(at(64), window), 7);
        assert_eq!(created.within(at(65), window), 4);
        created.note(at(66), window, 5);
        created.take_back(5);
        assert_eq!(created.within(at(66), window), 4);
        assert_eq!(created.within(at(75), window), 0);
        for second in 0..1_000 {
            created.note(at(100) + Duration::from_millis(100 * second), window, 1);
        }
        assert!(created.0.len() <= SPANS as usize + 2, "the spans are few");
        assert_eq!(Accounts { all: 550, new: 450 }.counted(), 100);
    }
}
