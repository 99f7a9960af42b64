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
use super::sync_folder;
use crate::log::{Frame, LogError, Position};
use crate::metrics::{Counts, Histogram};

/// Bounds of the time that a sync takes, in microseconds.
const SYNCS: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000,
];

/// A journal for readers.
#[derive(Clone)]
pub struct LogFiles {
    pub(super) folder: PathBuf,
    identity: [u8; 16],
    /// The last change on disk.
    end: Arc<Mutex<Position>>,
    /// How long syncs took, in microseconds.
    syncs: Arc<Histogram>,
}

impl LogFiles {
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
    /// [`LogError`] if the files can't be listed.
    pub fn begin(&self) -> Result<Position, LogError> {
        let first = Segment::list(&self.folder)?.into_iter().next();
        Ok(first.map_or_else(|| self.end(), |first| first.before()))
    }

    /// A change behind which all stand that were made at a moment or later. It is the last before some
    /// file, as far as the first change of each file tells; where the clock was set back, an early one.
    ///
    /// # Errors
    ///
    /// [`LogError`] if the files can't be read.
    pub fn before(&self, moment: Timestamp) -> Result<u64, LogError> {
        let segments = Segment::list(&self.folder)?;
        let later = segments
            .iter()
            .position(|segment| segment.first_time().is_none_or(|time| time >= moment))
            .unwrap_or(segments.len());
        let holds = segments.get(later.saturating_sub(1));
        Ok(holds.map_or(0, |segment| segment.before().sequence))
    }

    /// The change before the file that holds a change: from there on, reading up to that one reads one
    /// file. The change itself if no file holds it.
    ///
    /// # Errors
    ///
    /// [`LogError`] if the files can't be listed.
    pub fn before_file_of(&self, sequence: u64) -> Result<u64, LogError> {
        let segments = Segment::list(&self.folder)?;
        let holds = segments.iter().rfind(|segment| segment.first <= sequence);
        Ok(holds.map_or(sequence, |segment| segment.before().sequence))
    }

    /// Reads every change after the given one that is on disk by now, in order, checking checksums and
    /// chain.
    ///
    /// # Errors
    ///
    /// [`LogError::Damaged`] at the first frame that is not what was written, or if the journal
    /// does not reach back that far; else whatever `visit` answers.
    pub fn follow<E: From<LogError>>(
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

    /// The last change that was made before a moment, by the clock of then; `None` if the journal has
    /// none. Files are read from the newest back to the one that has it.
    ///
    /// # Errors
    ///
    /// [`LogError`].
    pub fn last_before(&self, moment: Timestamp) -> Result<Option<u64>, LogError> {
        let mut upto = self.end().sequence;
        let mut segments = Segment::list(&self.folder)?;
        segments.retain(|segment| segment.first <= upto);
        for segment in segments.iter().rev() {
            let mut last = None;
            segment.read::<LogError>(segment.before(), upto, |frame| {
                if frame.head.time < moment {
                    last = Some(frame.sequence);
                }
                Ok(())
            })?;
            if last.is_some() {
                return Ok(last);
            }
            upto = segment.before().sequence;
        }
        Ok(None)
    }

    /// Reads the journal in `folder` without opening it for writing; also how many bytes at its end
    /// belong to a write that was not finished.
    ///
    /// # Errors
    ///
    /// [`LogError`], also if there is no journal.
    pub fn inspect(folder: &Path) -> Result<(Self, u64), LogError> {
        let last = Self::last_segment(folder)?;
        let tail = last.tail()?;
        Ok((Self::new(folder, last.identity, tail.last), tail.torn_bytes))
    }

    pub(super) fn last_segment(folder: &Path) -> Result<Segment, LogError> {
        Segment::list(folder)?.pop().ok_or_else(|| LogError::Damaged {
            path: folder.to_owned(),
            offset: 0,
            reason: "there is no journal in it".to_owned(),
        })
    }

    /// Removes files whose every change is `upto` or earlier and was made before the given moment,
    /// oldest first; answers how many. The file that is being written stays.
    ///
    /// # Errors
    ///
    /// [`LogError`] at the first file that can't be read or removed; those before it are gone.
    pub fn trim(&self, upto: u64, made_before: Timestamp) -> Result<usize, LogError> {
        let segments = Segment::list(&self.folder)?;
        let mut removed = 0;
        for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
            if next.first > upto + 1 {
                break;
            }
            let mut young = false;
            segment.read::<LogError>(segment.before(), next.first - 1, |frame| {
                young |= frame.head.time >= made_before;
                Ok(())
            })?;
            if young {
                break;
            }
            fs::remove_file(&segment.path).map_err(LogError::io("remove", &segment.path))?;
            sync_folder(&self.folder)?;
            removed += 1;
        }
        Ok(removed)
    }

    pub(super) fn damaged(&self, reason: String) -> LogError {
        LogError::Damaged { path: self.folder.clone(), offset: 0, reason }
    }
}
