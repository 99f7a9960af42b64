//! Reading the log's files beside the writer.
//!
//! The writer only appends, so a reader needs no lock while it reads: it takes the head and reads up to
//! there, from memory what is recent, else from the files. At most a part of one file is in memory.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::folder::sync_folder;
use super::offsets::Offsets;
use super::segment::Segment;
use crate::log::recent::RecentFrames;
use crate::log::{ChainReport, Frame, LogError, LogStats, Position, ReadLog};
use crate::metrics::Histogram;

/// Bounds of the time that a sync takes, in microseconds.
const SYNCS: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000,
];

/// The files of a log, for readers.
#[derive(Clone)]
pub struct LogFiles {
    pub(super) folder: PathBuf,
    identity: [u8; 16],
    /// The head, and the last frames that were appended by this process.
    pub(super) recent: Arc<RecentFrames>,
    /// Where in the files frames begin.
    pub(super) offsets: Arc<Offsets>,
    /// How long syncs took, in microseconds.
    syncs: Arc<Histogram>,
}

impl LogFiles {
    pub(super) fn new(
        folder: &Path,
        identity: [u8; 16],
        head: Position,
        offsets: Arc<Offsets>,
    ) -> Self {
        let syncs = Arc::new(Histogram::new(SYNCS));
        let recent = Arc::new(RecentFrames::new(head));
        Self { folder: folder.to_owned(), identity, recent, offsets, syncs }
    }

    pub(super) fn note_sync(&self, took: Duration) {
        self.syncs.observe(took.as_micros() as u64);
    }

    /// The figures of the files.
    pub(super) fn stats(&self) -> LogStats {
        let files = fs::read_dir(&self.folder).ok();
        // A file that was removed meanwhile has no size.
        let size = |file: fs::DirEntry| file.metadata().map_or(0, |metadata| metadata.len());
        let bytes = files.map(|files| files.flatten().map(size).sum());
        LogStats { bytes, syncs: self.syncs.counts() }
    }

    /// Reads frames after a sequence up to `end` from the files, each with its bytes.
    pub(in crate::log) fn read_files(
        &self,
        after: u64,
        end: Position,
        visit: &mut dyn FnMut(Frame, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        let mut segments = Segment::list(&self.folder)?;
        segments.retain(|segment| segment.first <= end.sequence);
        let begins = segments.partition_point(|segment| segment.first <= after + 1);
        let wanted = segments.get(begins.saturating_sub(1)..).unwrap_or_default();
        let Some(mut reached) = wanted.first().map(Segment::before) else {
            return Err(self.damaged("its files are missing".to_owned()));
        };
        if reached.sequence > after {
            let (first, needed) = (reached.sequence + 1, after + 1);
            let reason = format!("it begins with change {first}, but change {needed} is needed");
            return Err(self.damaged(reason));
        }
        for (place, segment) in wanted.iter().enumerate() {
            if segment.identity != self.identity {
                let reason = format!("{} belongs to another journal", segment.path.display());
                return Err(self.damaged(reason));
            }
            let upto = wanted.get(place + 1).map_or(end.sequence, |next| next.first - 1);
            match segment.read(reached, (after, upto), &self.offsets, visit)? {
                Some(last) => reached = last,
                None => return Ok(()),
            }
        }
        if reached != end {
            let reason =
                format!("its last change, {}, differs from the one that was written", end.sequence);
            return Err(self.damaged(reason));
        }
        Ok(())
    }

    /// Opens the log in `folder` for reading alone; also returns how many bytes at its end belong to a
    /// write that was not finished.
    ///
    /// # Errors
    ///
    /// [`LogError`], also if there is no log.
    pub fn inspect(folder: &Path) -> Result<(Self, u64), LogError> {
        let last = Self::last_segment(folder)?;
        let offsets = Arc::<Offsets>::default();
        let tail = last.tail(&offsets)?;
        Ok((Self::new(folder, last.identity, tail.last, offsets), tail.torn_bytes))
    }

    pub(super) fn last_segment(folder: &Path) -> Result<Segment, LogError> {
        Segment::list(folder)?.pop().ok_or_else(|| LogError::Damaged {
            path: folder.to_owned(),
            offset: 0,
            reason: "it contains no journal".to_owned(),
        })
    }

    /// Removes files whose every change is `upto` or earlier and was made before the given moment,
    /// oldest first; returns how many. The file that is being written stays.
    ///
    /// # Errors
    ///
    /// [`LogError`] at the first file that can't be read or removed; those before it are gone.
    pub(super) fn trim(&self, upto: u64, made_before: Timestamp) -> Result<usize, LogError> {
        let segments = Segment::list(&self.folder)?;
        let mut removed = 0;
        for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
            if next.first > upto + 1 {
                break;
            }
            let mut young = false;
            segment.read(
                segment.before(),
                (0, next.first - 1),
                &self.offsets,
                &mut |frame, _| {
                    young = frame.head.time >= made_before;
                    if young { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                },
            )?;
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

impl ReadLog for LogFiles {
    fn identity(&self) -> [u8; 16] {
        self.identity
    }

    fn head(&self) -> Position {
        self.recent.head()
    }

    fn start(&self) -> Result<Position, LogError> {
        let first = Segment::list(&self.folder)?.into_iter().next();
        Ok(first.map_or_else(|| self.head(), |first| first.before()))
    }

    fn read(
        &self,
        after: u64,
        visit: &mut dyn FnMut(Arc<Frame>) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        match self.recent.after(after) {
            Some(frames) => {
                let _ = frames.into_iter().try_for_each(visit);
                Ok(())
            }
            None => self.read_files(after, self.head(), &mut |frame, _| visit(Arc::new(frame))),
        }
    }

    /// The first frame of each file tells: the answer is the last sequence before some file.
    fn before(&self, moment: Timestamp) -> Result<u64, LogError> {
        let segments = Segment::list(&self.folder)?;
        let later = segments
            .iter()
            .position(|segment| segment.first_time().is_none_or(|time| time >= moment))
            .unwrap_or(segments.len());
        let holds = segments.get(later.saturating_sub(1));
        Ok(holds.map_or(0, |segment| segment.before().sequence))
    }

    /// Files are read from the newest back to the one that has the frame.
    fn last_before(&self, moment: Timestamp) -> Result<Option<u64>, LogError> {
        let mut upto = self.head().sequence;
        let mut segments = Segment::list(&self.folder)?;
        segments.retain(|segment| segment.first <= upto);
        for segment in segments.iter().rev() {
            let mut last = None;
            segment.read(segment.before(), (0, upto), &self.offsets, &mut |frame, _| {
                if frame.head.time < moment {
                    last = Some(frame.sequence);
                }
                ControlFlow::Continue(())
            })?;
            if last.is_some() {
                return Ok(last);
            }
            upto = segment.before().sequence;
        }
        Ok(None)
    }

    /// The sequence before the file that holds the frame.
    fn before_part_of(&self, sequence: u64) -> Result<u64, LogError> {
        let segments = Segment::list(&self.folder)?;
        let holds = segments.iter().rfind(|segment| segment.first <= sequence);
        Ok(holds.map_or(sequence, |segment| segment.before().sequence))
    }

    fn verify(
        &self,
        anchors: &[Position],
        fault: &mut dyn FnMut(LogError),
    ) -> Result<ChainReport, LogError> {
        self.verify_files(anchors, None, fault)
    }
}
