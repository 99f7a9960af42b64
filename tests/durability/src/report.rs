//! What was done and found: one row for each method.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

use crate::finding::{Finding, Harm};
use crate::server::{self, Place};

/// How a method ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing was found.
    Survived,
    /// Something was found.
    Red,
    /// A sabotaged server was found out, after so many cycles.
    Caught(usize),
    /// A sabotaged server was not found out.
    Missed,
    /// It could not be tried, for this reason.
    NotMeasured(String),
    /// The test itself failed, in this way.
    Broken(String),
}

impl Verdict {
    /// Whether this is as it should be.
    pub(crate) fn is_green(&self) -> bool {
        matches!(self, Self::Survived | Self::Caught(_))
    }

    fn text(&self) -> String {
        match self {
            Self::Survived => "SURVIVED".to_owned(),
            Self::Red => "RED".to_owned(),
            Self::Caught(cycles) => format!("CAUGHT in cycle {cycles}"),
            Self::Missed => "MISSED".to_owned(),
            Self::NotMeasured(reason) => format!("NOT-MEASURED: {reason}"),
            Self::Broken(reason) => format!("HARNESS-BROKEN: {reason}"),
        }
    }
}

/// One row of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The method's name.
    pub(crate) method: String,
    /// How often a server was hurt and looked at.
    pub(crate) cycles: usize,
    /// How many cycles were meant to be.
    pub(crate) planned: usize,
    /// How many faults it met.
    pub(crate) faults: usize,
    /// How many changes were acknowledged and had to be there afterwards.
    pub(crate) changes: usize,
    /// Acknowledged changes that were gone.
    pub(crate) lost: usize,
    /// Changes that were there by half.
    pub(crate) half: usize,
    /// What was revoked, deactivated or deleted, and came back.
    pub(crate) back: usize,
    /// Everything else that was found.
    pub(crate) other: usize,
    /// How long it took.
    pub(crate) seconds: f64,
    /// How it ended.
    pub(crate) verdict: Verdict,
}

/// Counts while a method runs.
#[derive(Debug)]
pub(crate) struct Tally {
    row: Mutex<Row>,
    begun: Instant,
    /// How the run is repeated, less the cycle.
    repeat: String,
    /// Where evidence is kept.
    kept: PathBuf,
    /// Whether findings are what is hoped for.
    is_canary: bool,
}

impl Tally {
    /// For a method; `repeat` is the command that repeats it.
    pub(crate) fn new(method: &str, repeat: String, kept: PathBuf, is_canary: bool) -> Self {
        let row = Row {
            method: method.to_owned(),
            cycles: 0,
            planned: 0,
            faults: 0,
            changes: 0,
            lost: 0,
            half: 0,
            back: 0,
            other: 0,
            seconds: 0.0,
            verdict: Verdict::Survived,
        };
        Self { row: Mutex::new(row), begun: Instant::now(), repeat, kept, is_canary }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Row) -> T) -> T {
        change(&mut self.row.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// So many cycles are meant to be.
    pub(crate) fn plan(&self, cycles: usize) {
        self.with(|row| row.planned += cycles);
    }

    /// A server was hurt so many times and looked at once; so many changes had been acknowledged.
    pub(crate) fn cycle(&self, faults: usize, changes: usize) {
        self.with(|row| {
            row.cycles += 1;
            row.faults += faults;
            row.changes += changes;
        });
    }

    /// Whether a sabotaged server was found out: then there is no more to learn.
    pub(crate) fn is_caught(&self) -> bool {
        self.is_canary && self.with(|row| row.verdict == Verdict::Red)
    }

    /// Notes that the method can't be tried.
    pub(crate) fn not_measured(&self, reason: impl Into<String>) {
        self.with(|row| row.verdict = Verdict::NotMeasured(reason.into()));
    }

    /// Notes that the test itself failed.
    pub(crate) fn broken(&self, reason: impl Into<String>) {
        let reason = reason.into();
        self.with(|row| {
            if row.verdict == Verdict::Survived {
                row.verdict = Verdict::Broken(reason);
            }
        });
    }

    /// Notes what a cycle found, tells of it, and keeps the folder.
    pub(crate) fn found(&self, cycle: usize, findings: &[Finding], place: &Place, log: &str) {
        if findings.is_empty() {
            return;
        }
        let first = self.with(|row| {
            for finding in findings {
                *match finding.harm {
                    Harm::Lost => &mut row.lost,
                    Harm::Half => &mut row.half,
                    Harm::CameBack => &mut row.back,
                    _ => &mut row.other,
                } += 1;
            }
            std::mem::replace(&mut row.verdict, Verdict::Red) != Verdict::Red
        });
        if self.is_canary && !first {
            return;
        }
        let mut text = format!("repeat with: {} --cycle {cycle}\n", self.repeat);
        findings.iter().for_each(|finding| text.push_str(&format!("  {finding}\n")));
        let method = self.with(|row| row.method.clone());
        println!("--- {method}, cycle {cycle}: {text}");
        if self.is_canary {
            return;
        }
        let folder = self.kept.join(format!("{method}-{cycle}"));
        // A second finding of one cycle replaces the first.
        let _ = fs::remove_dir_all(&folder);
        let kept = server::copy(place.folder(), &folder)
            .and_then(|()| fs::write(folder.join("findings.txt"), format!("{text}\n{log}")));
        match kept {
            Ok(()) => println!("    kept in {}", folder.display()),
            Err(error) => println!("    can't be kept: {error}"),
        }
    }

    /// The row as it stands.
    pub(crate) fn row(self) -> Row {
        let seconds = self.begun.elapsed().as_secs_f64();
        let mut row = self.row.into_inner().unwrap_or_else(PoisonError::into_inner);
        row.seconds = seconds;
        if self.is_canary {
            row.verdict = match row.verdict {
                Verdict::Red => Verdict::Caught(row.cycles),
                Verdict::Survived => Verdict::Missed,
                other => other,
            };
        } else if row.verdict == Verdict::Survived && row.cycles == 0 {
            row.verdict = Verdict::Broken("no cycle was run".to_owned());
        }
        row
    }
}

impl Row {
    /// Adds what another round of the same method did.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.cycles += other.cycles;
        self.planned += other.planned;
        self.changes += other.changes;
        self.faults += other.faults;
        self.lost += other.lost;
        self.half += other.half;
        self.back += other.back;
        self.other += other.other;
        self.seconds += other.seconds;
        if self.verdict.is_green() {
            self.verdict = other.verdict;
        }
    }

    /// With no failure in so many cycles, failures are rarer than this, at 95 %.
    fn bound(&self) -> String {
        match self.verdict {
            Verdict::Survived if self.cycles > 0 => {
                format!("< {:.3} %", 300.0 / self.cycles as f64)
            }
            _ => "-".to_owned(),
        }
    }

    fn verdict(&self) -> String {
        let mut text = self.verdict.text();
        if self.verdict == Verdict::Survived && self.cycles < self.planned {
            text.push_str(&format!(
                " (in {} of {} cycles: time was up)",
                self.cycles, self.planned
            ));
        }
        text
    }

    fn json(&self) -> Value {
        json!({
            "method": self.method, "cycles": self.cycles, "planned": self.planned,
            "faults": self.faults, "changes": self.changes, "lost": self.lost,
            "half_applied": self.half, "came_back": self.back, "other": self.other,
            "seconds": self.seconds.round(), "verdict": self.verdict(),
        })
    }
}

/// Prints the table.
pub(crate) fn print(rows: &[Row], seed: u64) {
    println!(
        "\n{:<21} {:>6} {:>6} {:>8} {:>5} {:>5} {:>5} {:>6} {:>9} {:>5}  verdict",
        "method", "cycles", "faults", "changes", "lost", "half", "back", "other", "bound", "s"
    );
    for row in rows {
        println!(
            "{:<21} {:>6} {:>6} {:>8} {:>5} {:>5} {:>5} {:>6} {:>9} {:>5.0}  {}",
            row.method,
            row.cycles,
            row.faults,
            row.changes,
            row.lost,
            row.half,
            row.back,
            row.other,
            row.bound(),
            row.seconds,
            row.verdict()
        );
    }
    println!("seed {seed}");
}

/// The same for programs.
pub(crate) fn json(rows: &[Row], seed: u64, commit: &str) -> Value {
    let green = rows.iter().all(|row| row.verdict.is_green());
    json!({
        "seed": seed,
        "commit": commit,
        "green": green,
        "methods": rows.iter().map(Row::json).collect::<Vec<_>>(),
    })
}
