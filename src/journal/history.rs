//! Reading the journal back beside the writer.
//!
//! The writer only appends, so a reader needs no lock while it reads: it takes down where the journal
//! ends and reads the files up to there. At most one file is in memory at a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::segment::Segment;
use super::{Frame, Hash, JournalError, sync_folder};
use crate::metrics::{Counts, Histogram};

/// A place in a journal: a change by its number, and its hash, which speaks for all before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The change's number; 0 before the first.
    pub sequence: u64,
    /// The hash of its frame; zeros before the first.
    pub hash: Hash,
}

/// Bounds of the time that a sync takes, in microseconds.
const SYNCS: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000,
];

/// A journal for readers.
#[derive(Clone)]
pub struct History {
    folder: PathBuf,
    identity: [u8; 16],
    /// The last change on disk.
    end: Arc<Mutex<Position>>,
    /// How long syncs took, in microseconds.
    syncs: Arc<Histogram>,
}

impl History {
    pub(super) fn new(folder: &Path, identity: [u8; 16], end: Position) -> Self {
        let syncs = Arc::new(Histogram::new(SYNCS));
        Self { folder: folder.to_owned(), identity, end: Arc::new(Mutex::new(end)), syncs }
    }

    pub(super) fn advance(&self, end: Position) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }

    pub(super) fn note_sync(&self, took: Duration) {
        self.syncs.observe(took.as_micros() as u64);
    }

    /// How long the syncs of appended groups took since the journal was opened, in microseconds.
    pub fn syncs(&self) -> Counts {
        self.syncs.counts()
    }

    /// What tells this journal from any other.
    pub fn identity(&self) -> [u8; 16] {
        self.identity
    }

    /// The last change on disk.
    pub fn end(&self) -> Position {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the first file follows: the journal holds every change after it.
    ///
    /// # Errors
    ///
    /// [`JournalError`] if the files can't be listed.
    pub fn begin(&self) -> Result<Position, JournalError> {
        let first = Segment::list(&self.folder)?.into_iter().next();
        Ok(first.map_or_else(|| self.end(), |first| first.before()))
    }

    /// Reads every change after the given one that is on disk by now, in order, checking checksums and
    /// chain.
    ///
    /// # Errors
    ///
    /// [`JournalError::Damaged`] at the first frame that is not what was written, or if the journal
    /// does not reach back that far; else whatever `visit` answers.
    pub fn follow<E: From<JournalError>>(
        &self,
        after: u64,
        mut visit: impl FnMut(Frame) -> Result<(), E>,
    ) -> Result<(), E> {
        let end = self.end();
        if after >= end.sequence {
            return Ok(());
        }
        let mut segments = Segment::list(&self.folder)?;
        segments.retain(|segment| segment.first <= end.sequence);
        let begins = segments.partition_point(|segment| segment.first <= after + 1);
        let wanted = segments.get(begins.saturating_sub(1)..).unwrap_or_default();
        let Some(mut reached) = wanted.first().map(Segment::before) else {
            return Err(self.damaged("its files are gone".to_owned()).into());
        };
        if reached.sequence > after {
            let (first, needed) = (reached.sequence + 1, after + 1);
            let reason = format!("it begins with change {first}, and {needed} is needed");
            return Err(self.damaged(reason).into());
        }
        for (place, segment) in wanted.iter().enumerate() {
            if segment.identity != self.identity {
                let reason = format!("{} is of another journal", segment.path.display());
                return Err(self.damaged(reason).into());
            }
            let upto = wanted.get(place + 1).map_or(end.sequence, |next| next.first - 1);
            reached = segment.read(reached, upto, |frame| {
                if frame.sequence > after { visit(frame) } else { Ok(()) }
            })?;
        }
        if reached != end {
            let reason =
                format!("its last change, {}, is not the one that was written", end.sequence);
            return Err(self.damaged(reason).into());
        }
        Ok(())
    }

    /// Reads the journal in `folder` without opening it for writing; also how many bytes at its end
    /// belong to a write that was not finished.
    ///
    /// # Errors
    ///
    /// [`JournalError`], also if there is no journal.
    pub fn inspect(folder: &Path) -> Result<(Self, u64), JournalError> {
        let missing = || JournalError::Damaged {
            path: folder.to_owned(),
            offset: 0,
            reason: "there is no journal in it".to_owned(),
        };
        let last = Segment::list(folder)?.pop().ok_or_else(missing)?;
        let tail = last.tail()?;
        Ok((Self::new(folder, last.identity, tail.last), tail.torn_bytes))
    }

    /// Checks every file, also behind one that is damaged, and that each follows the one before it;
    /// answers what the first file follows and how many changes were read.
    ///
    /// # Errors
    ///
    /// [`JournalError`] if the files can't be listed.
    pub fn check(
        &self,
        fault: &mut dyn FnMut(JournalError),
    ) -> Result<(Position, u64), JournalError> {
        let end = self.end();
        let mut segments = Segment::list(&self.folder)?;
        segments.retain(|segment| segment.first <= end.sequence.max(1));
        let begin = segments.first().map_or(end, Segment::before);
        let mut frames = 0;
        for (place, segment) in segments.iter().enumerate() {
            let next = segments.get(place + 1).map(Segment::before);
            let upto = next.unwrap_or(end);
            let read = segment.read::<JournalError>(segment.before(), upto.sequence, |_| {
                frames += 1;
                Ok(())
            });
            match read {
                Ok(reached) if reached != upto => {
                    let reason = "the next file does not follow it";
                    fault(JournalError::Damaged {
                        path: segment.path.clone(),
                        offset: 0,
                        reason: reason.to_owned(),
                    });
                }
                Ok(_) => {}
                Err(error) => fault(error),
            }
            if segment.identity != self.identity {
                fault(self.damaged(format!("{} is of another journal", segment.path.display())));
            }
        }
        Ok((begin, frames))
    }

    /// Removes files whose every change is `upto` or earlier and was made before the given moment,
    /// oldest first; answers how many. The file that is being written stays.
    ///
    /// # Errors
    ///
    /// [`JournalError`] at the first file that can't be read or removed; those before it are gone.
    pub fn trim(&self, upto: u64, made_before: Timestamp) -> Result<usize, JournalError> {
        let segments = Segment::list(&self.folder)?;
        let mut removed = 0;
        for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
            if next.first > upto + 1 {
                break;
            }
            let mut young = false;
            segment.read::<JournalError>(segment.before(), next.first - 1, |frame| {
                young |= frame.head.time >= made_before;
                Ok(())
            })?;
            if young {
                break;
            }
            fs::remove_file(&segment.path).map_err(JournalError::io("remove", &segment.path))?;
            sync_folder(&self.folder)?;
            removed += 1;
        }
        Ok(removed)
    }

    fn damaged(&self, reason: String) -> JournalError {
        JournalError::Damaged { path: self.folder.clone(), offset: 0, reason }
    }
}
