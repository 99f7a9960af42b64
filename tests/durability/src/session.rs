//! One run: its seed, its size, its folders, and how cycles are shared out among workers.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::random::Random;
use crate::report::{Row, Tally};
use crate::server::{Place, Template};

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// What every choice is drawn from.
    pub(crate) seed: u64,
    /// How many times as much is done as in continuous integration.
    pub(crate) factor: usize,
    /// The one cycle that is wanted; all if none is named.
    pub(crate) cycle: Option<usize>,
    /// What servers begin with.
    pub(crate) template: Template,
    /// Where servers live.
    pub(crate) work: PathBuf,
    /// Where evidence is kept.
    pub(crate) kept: PathBuf,
    /// How many servers at once.
    pub(crate) workers: usize,
}

/// A cycle of a method, on a worker of its own.
#[derive(Debug)]
pub(crate) struct Cycle<'a> {
    /// The session that it belongs to.
    pub(crate) session: &'a Session,
    /// Its number.
    pub(crate) number: usize,
    /// A folder that no other cycle uses at the same time.
    pub(crate) folder: &'a Path,
    /// What it draws from.
    pub(crate) random: Random,
    /// Where it notes what it did and found.
    pub(crate) tally: &'a Tally,
}

impl Cycle<'_> {
    /// A place with the data of a first boot.
    pub(crate) fn place(&self) -> Result<Place, String> {
        Place::fresh(&self.session.template, self.folder)
    }
}

impl Session {
    /// Runs `count` cycles of a method, as many at once as there are workers, and for `limit` at most.
    ///
    /// A cycle that fails to be carried out makes the method's verdict that the test is broken.
    pub(crate) fn cycles(
        &self,
        method: &str,
        count: usize,
        limit: Duration,
        run: impl Fn(&mut Cycle<'_>) -> Result<(), String> + Sync,
    ) -> Row {
        let tally = self.tally(method, false);
        self.share_out(method, count, limit, &tally, run);
        tally.row()
    }

    /// Where a method notes what it does.
    pub(crate) fn tally(&self, method: &str, is_canary: bool) -> Tally {
        let repeat = format!("tests/durability/run --only {method} --seed {}", self.seed);
        Tally::new(method, repeat, self.kept.clone(), is_canary)
    }

    /// The same as [`Self::cycles`], noted where the caller says; ends early on a canary's first finding.
    pub(crate) fn share_out(
        &self,
        method: &str,
        count: usize,
        limit: Duration,
        tally: &Tally,
        run: impl Fn(&mut Cycle<'_>) -> Result<(), String> + Sync,
    ) {
        tally.plan(if self.cycle.is_some() { 1 } else { count });
        let deadline = Instant::now() + limit * u32::try_from(self.factor).unwrap_or(u32::MAX);
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for worker in 0..self.workers {
                let (next, run) = (&next, &run);
                let folder = self.work.join(format!("{method}-{worker}"));
                scope.spawn(move || {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count || Instant::now() > deadline || tally.is_caught() {
                            break;
                        }
                        if self.cycle.is_some_and(|wanted| wanted != number) {
                            continue;
                        }
                        let random = self.random(method, number);
                        let mut cycle =
                            Cycle { session: self, number, folder: &folder, random, tally };
                        if let Err(error) = run(&mut cycle) {
                            tally.broken(format!("cycle {number}: {error}"));
                        }
                    }
                    // What was found is kept elsewhere.
                    let _ = std::fs::remove_dir_all(&folder);
                });
            }
        });
    }

    /// What a cycle of a method draws from.
    pub(crate) fn random(&self, method: &str, number: usize) -> Random {
        let name = method.bytes().fold(0, |sum: u64, byte| {
            sum.wrapping_mul(0x0100_0000_01b3).wrapping_add(u64::from(byte))
        });
        Random::new(self.seed, &[name, number as u64])
    }
}
