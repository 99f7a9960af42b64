//! What one command may cost: keys read, bytes written, and time on the writer's thread.
//!
//! The writer runs one command at a time, so a command without a bound would hold up every other
//! client. [`super::Transaction`] charges each read and write here; commands within a command (bulk)
//! share its budget. Past it every read fails, and so does the command, whatever it makes of that error.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::event::Actor;
use crate::store::StoreError;

/// How many keys a command of a client may read, or look at in a scan.
pub(crate) const MAX_KEYS: u64 = 1_000_000;
/// How many keys a command of a client may set or remove: as many members as a body of 1 MiB names.
pub(crate) const MAX_WRITES: u64 = 50_000;
/// How many bytes of keys and values a command may write: well below what the log takes as one change.
pub(crate) const MAX_BYTES: usize = 48 * 1024 * 1024;
/// How many bytes a command may write for each byte of its request, and how many in any case: below what one
/// change of the largest resource needs, times eight.
const BYTES_PER_BODY_BYTE: u64 = 64;
const LEAST_BYTES: u64 = 1024 * 1024;
/// How long a command of a client may run. Builds without optimisation get more: they are many times
/// slower, and tests share their machine.
pub(crate) const MAX_TIME: Duration =
    if cfg!(debug_assertions) { Duration::from_secs(20) } else { Duration::from_millis(500) };
/// A command of a client that reads fewer keys never fails for the time that it takes: a stall of the machine
/// is not its fault, and an identity provider does not repeat a request that was answered 400.
const UNTIMED_KEYS: u64 = 8_192;
/// After how many keys the clock is read again: reading it costs more than reading a key.
const CLOCK_EVERY: u64 = 64;

/// The bounds of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BudgetLimits {
    pub(crate) keys: u64,
    pub(crate) writes: u64,
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
    /// The number of keys up to which reading is not timed.
    pub(crate) untimed_keys: u64,
}

impl BudgetLimits {
    const CLIENT: Self = Self {
        keys: MAX_KEYS,
        writes: MAX_WRITES,
        bytes: MAX_BYTES as u64,
        time: MAX_TIME,
        untimed_keys: UNTIMED_KEYS,
    };
    const NONE: Self = Self {
        keys: u64::MAX,
        writes: u64::MAX,
        bytes: u64::MAX,
        time: Duration::MAX,
        untimed_keys: u64::MAX,
    };

    /// The bounds that a command of this actor has. Operators, and scimd itself, ask for what is large
    /// on purpose (undo, following a new catalogue), and wait for it. Clearing bounds itself. What they write is still bounded
    /// by [`MAX_BYTES`] when the command is done.
    pub(crate) fn of(actor: &Actor, is_cleanup: bool) -> Self {
        match actor {
            Actor::Connection { .. } if !is_cleanup => Self::CLIENT,
            _ => Self::NONE,
        }
    }
}

impl BudgetLimits {
    /// The same bounds for a command that comes from a request of a size: what it writes is in proportion to that,
    /// so that a small request does not fill the log.
    pub(crate) fn of_request(self, body_bytes: usize, max_resource_bytes: usize) -> Self {
        let least = LEAST_BYTES.max(8 * max_resource_bytes as u64);
        let bytes = (body_bytes as u64).saturating_mul(BYTES_PER_BODY_BYTE).saturating_add(least);
        Self { bytes: self.bytes.min(bytes), ..self }
    }
}

/// The budget of one command.
pub(crate) struct Budget {
    limits: BudgetLimits,
    elapsed: Box<dyn Fn() -> Duration + Send + Sync>,
    keys: AtomicU64,
    writes: AtomicU64,
    bytes: AtomicU64,
    /// Whether it has searched for members.
    searched: AtomicBool,
    /// Of what the command needed too much, as a sentence for the client.
    exceeded: OnceLock<String>,
}

impl Budget {
    /// A budget whose time begins now.
    pub(crate) fn new(limits: BudgetLimits) -> Self {
        let since = Stopwatch::start();
        Self::timed_by(limits, move || since.elapsed())
    }

    fn timed_by(
        limits: BudgetLimits,
        elapsed: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        let (keys, writes, bytes) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let (searched, exceeded) = (AtomicBool::new(false), OnceLock::new());
        Self { limits, elapsed: Box::new(elapsed), keys, writes, bytes, searched, exceeded }
    }

    /// Charges keys that are read.
    ///
    /// # Errors
    ///
    /// [`StoreError::OverBudget`] once the command has needed too much of anything.
    pub(crate) fn read(&self, keys: u64) -> Result<(), StoreError> {
        let before = self.keys.fetch_add(keys, Ordering::Relaxed);
        let after = before.saturating_add(keys);
        if after > self.limits.keys {
            self.exceed(&format!("read more than {} keys", self.limits.keys));
        } else if after > self.limits.untimed_keys && before / CLOCK_EVERY != after / CLOCK_EVERY {
            return self.check_time();
        }
        self.check()
    }

    /// Charges a key that is set or removed, and its bytes. Writing goes on until the next read, or the end of the
    /// command.
    pub(crate) fn write(&self, bytes: usize) {
        if self.writes.fetch_add(1, Ordering::Relaxed) >= self.limits.writes {
            self.exceed(&format!("write more than {} keys", self.limits.writes));
        }
        let bytes = bytes as u64;
        let after = self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if after > self.limits.bytes {
            let (kib, mib) = (self.limits.bytes / 1024, self.limits.bytes / (1024 * 1024));
            self.exceed(&match self.limits.bytes % (1024 * 1024) {
                0 => format!("write more than {mib} MiB"),
                _ => format!("write more than {kib} KiB"),
            });
        }
    }

    /// Whether at most this number of bytes was written so far, and at most half of what may be: the other half
    /// is left for what remains to be done.
    pub(crate) fn has_written_at_most(&self, most: u64) -> bool {
        self.bytes.load(Ordering::Relaxed) <= most.min(self.limits.bytes / 2)
    }

    /// Checks how long the command has run: for steps that read no key and yet take time.
    ///
    /// # Errors
    ///
    /// As [`Budget::read`].
    pub(crate) fn check_time(&self) -> Result<(), StoreError> {
        if (self.elapsed)() > self.limits.time {
            self.exceed(&format!("run for longer than {} ms", self.limits.time.as_millis()));
        }
        self.check()
    }

    /// Notes that a search for members begins, to take them away; whether it is timed. The first of a command is
    /// not: what takes access away never fails for size.
    pub(crate) fn begin_search(&self) -> bool {
        self.searched.swap(true, Ordering::Relaxed)
    }

    /// Whether the command has stayed within its budget until now.
    ///
    /// # Errors
    ///
    /// As [`Budget::read`].
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match self.exceeded.get() {
            None => Ok(()),
            Some(reason) => Err(StoreError::OverBudget(reason.clone())),
        }
    }

    fn exceed(&self, need: &str) {
        self.exceeded.get_or_init(|| {
            format!(
                "The request would {need}, which is too much for one request; nothing was changed. Split it into \
                 several requests with fewer operations or members."
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_a_request_may_write_follows_its_size() {
        const MIB: u64 = 1024 * 1024;
        let bytes = |body, resource| BudgetLimits::CLIENT.of_request(body, resource).bytes;
        assert_eq!(bytes(0, 65_536), MIB);
        assert_eq!(bytes(1_000, 65_536), MIB + 64_000);
        assert_eq!(bytes(0, 1_048_576), 8 * MIB, "a change of the largest resource always fits");
        assert_eq!(bytes(1_048_576, 65_536), MAX_BYTES as u64);
        let budget = Budget::new(BudgetLimits::CLIENT.of_request(0, 0));
        budget.write(MIB as usize / 2);
        assert!(budget.has_written_at_most(MIB) && budget.check().is_ok());
        budget.write(MIB as usize / 2);
        assert!(!budget.has_written_at_most(MIB) && budget.check().is_ok());
        budget.write(1);
        assert!(budget.check().is_err());
    }

    #[test]
    fn the_last_key_is_written_and_the_next_is_not() {
        let budget = Budget::new(BudgetLimits::CLIENT);
        (0..MAX_WRITES).for_each(|_| budget.write(1));
        assert!(budget.check().is_ok());
        budget.write(1);
        assert!(reason(&budget).unwrap().contains("write more than 50000 keys"));
    }

    const LIMITS: BudgetLimits = BudgetLimits {
        keys: 100,
        writes: u64::MAX,
        bytes: 2 * 1024 * 1024,
        time: Duration::from_millis(7),
        untimed_keys: 0,
    };

    fn reason(budget: &Budget) -> Option<String> {
        budget.check().err().map(|error| error.to_string())
    }

    #[test]
    fn the_last_key_is_read_and_the_next_is_not() {
        let budget = Budget::timed_by(LIMITS, || Duration::ZERO);
        budget.read(99).unwrap();
        budget.read(1).unwrap();
        assert!(budget.read(1).is_err());
        assert!(reason(&budget).unwrap().contains("read more than 100 keys"));
        assert!(budget.read(0).is_err(), "a budget that is spent stays so");
    }

    #[test]
    fn the_last_byte_is_written_and_the_next_fails_the_command() {
        let budget = Budget::timed_by(LIMITS, || Duration::ZERO);
        budget.write(2 * 1024 * 1024);
        assert_eq!(reason(&budget), None);
        budget.write(1);
        assert!(reason(&budget).unwrap().contains("write more than 2 MiB"));
        assert!(budget.read(1).is_err());
    }

    #[test]
    fn time_is_up_past_the_limit_and_is_looked_at_while_keys_are_read() {
        let now = Arc::new(AtomicU64::new(7));
        let clock = Arc::clone(&now);
        let budget =
            Budget::timed_by(LIMITS, move || Duration::from_millis(clock.load(Ordering::Relaxed)));
        budget.check_time().unwrap();
        now.store(8, Ordering::Relaxed);
        let read = (0..=CLOCK_EVERY).take_while(|_| budget.read(1).is_ok()).count() as u64;
        assert!(read < CLOCK_EVERY, "{read}");
        assert!(reason(&budget).unwrap().contains("run for longer than 7 ms"));
    }

    #[test]
    fn a_command_that_reads_few_keys_is_not_timed() {
        let limits = BudgetLimits { keys: 10_000, untimed_keys: 500, ..LIMITS };
        let budget = Budget::timed_by(limits, || Duration::from_secs(60));
        (0..500).for_each(|_| budget.read(1).unwrap());
        let more = (0..=CLOCK_EVERY).take_while(|_| budget.read(1).is_ok()).count() as u64;
        assert!(more < CLOCK_EVERY, "{more}");
    }

    #[test]
    fn only_the_first_search_for_members_is_not_timed() {
        let budget = Budget::timed_by(LIMITS, || Duration::ZERO);
        assert_eq!([(); 3].map(|()| budget.begin_search()), [false, true, true]);
    }

    #[test]
    fn clients_have_bounds_and_operators_have_none() {
        let (name, token) = ("okta".to_owned(), "t".to_owned());
        let client = Actor::Connection { name, token, address: Ipv4Addr::LOCALHOST.into() };
        assert_eq!(BudgetLimits::of(&client, false), BudgetLimits::CLIENT);
        assert_eq!(BudgetLimits::of(&client, true), BudgetLimits::NONE);
        assert_eq!(BudgetLimits::of(&Actor::System, false), BudgetLimits::NONE);
        assert_eq!(
            BudgetLimits::of(&Actor::Operator { uid: None, name: None, sudo: None }, false),
            BudgetLimits::NONE
        );
    }
}
