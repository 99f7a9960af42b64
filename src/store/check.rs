//! The results of a check of the data directory.

use std::error::Error;

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::snapshot;
use super::snapshots::Snapshots;
use crate::log::{ChainReport, ReadLog};
use crate::text::with_causes;

/// The maximum number of faults of one kind that are listed.
const TOLD: usize = 20;

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was checked.
    pub what: String,
    /// The number of items.
    pub checked: u64,
    /// How many faults there are.
    pub faults: u64,
    /// The first faults, each a sentence.
    #[serde(alias = "told")]
    pub findings: Vec<String>,
    /// A note on the result.
    pub note: String,
}

impl Check {
    /// Nothing checked yet.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), checked: 0, faults: 0, findings: Vec::new(), note: String::new() }
    }

    /// Notes a fault.
    pub fn fault(&mut self, fault: impl Into<String>) {
        self.faults += 1;
        if self.findings.len() < TOLD {
            self.findings.push(fault.into());
        }
    }

    /// Notes an error with all that caused it.
    pub fn error(&mut self, error: &dyn Error) {
        self.fault(with_causes(error));
    }
}

/// Checks every frame of the journal and how its files follow one another.
pub(super) fn journal(log: &dyn ReadLog) -> Check {
    let mut check = Check::new("journal");
    match log.verify(&[], &mut |error| check.error(&error)) {
        Ok(ChainReport { begin, end, changes, .. }) => {
            check.checked = changes;
            check.note = format!("changes {} to {}", begin.sequence + 1, end.sequence);
        }
        Err(error) => check.error(&error),
    }
    check
}

/// Reads every snapshot to its end, and checks that the database could be rebuilt.
pub(super) fn snapshots(snapshots: &Snapshots, log: &dyn ReadLog) -> Check {
    let mut check = Check::new("snapshots");
    if let Err(error) = check_snapshots(snapshots, log, &mut check) {
        check.error(&error);
    }
    check
}

fn check_snapshots(
    snapshots: &Snapshots,
    log: &dyn ReadLog,
    check: &mut Check,
) -> Result<(), StoreError> {
    let (found, damaged) = snapshots.list()?;
    damaged.iter().for_each(|error| check.error(error));
    let begin = log.start()?.sequence;
    let mut newest = None;
    for snapshot in found {
        check.checked += 1;
        match snapshot::load(&snapshot.path, |_| Ok(())) {
            Ok(_) => newest = newest.max(Some(snapshot.position.sequence)),
            // Another one has taken its place meanwhile.
            Err(_) if !snapshot.path.exists() => check.checked -= 1,
            Err(error) => check.error(&error),
        }
    }
    if begin > 0 && newest.is_none_or(|newest| newest < begin) {
        check.fault(format!(
            "changes 1 to {begin} are neither in the journal nor in a snapshot, so the database can't be rebuilt; \
             make a backup"
        ));
    }
    if let Some(newest) = newest {
        check.note = format!("the newest is at change {newest}");
    }
    Ok(())
}
