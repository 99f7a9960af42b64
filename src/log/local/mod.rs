//! The local log: append-only files in the data folder.
//!
//! A group of frames costs one `fdatasync`. Space is allocated ahead in zeroed steps, so that the sync
//! of a group does not have to change the size of the file.

mod files;
mod segment;
mod verify;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub use files::LogFiles;
use segment::{Segment, Tail};
pub use verify::ChainReport;

use super::{LogEntry, LogError, Position, frame};
use crate::clock::Stopwatch;

/// At which size a new file is begun.
const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
/// How much space is laid out ahead at a time.
const STEP_BYTES: u64 = 1024 * 1024;

/// The journal, open for appending.
pub struct LocalLog {
    folder: PathBuf,
    segment: Segment,
    file: File,
    /// Where the next frame goes.
    end: u64,
    /// Up to where the file is laid out.
    allocated: u64,
    /// The last frame.
    last: Position,
    history: LogFiles,
}

/// Somebody who knows of a change that was acknowledged.
pub struct HighWaterMark {
    /// The journal that it is in.
    pub identity: [u8; 16],
    /// The change.
    pub sequence: u64,
    /// Who knows, as in "the database".
    pub name: String,
}

impl LocalLog {
    /// Opens the journal in `folder`, or begins one whose identity is `new_identity`.
    ///
    /// A write that an abrupt stop left half done was never acknowledged and is cut off.
    ///
    /// # Errors
    ///
    /// [`LogError::Damaged`] if acknowledged changes are missing: a frame is wrong and later groups
    /// follow it, or the journal ends before what a mark knows, or is gone. Then nothing is cut off.
    pub fn open(
        folder: &Path,
        new_identity: [u8; 16],
        high_water_marks: &[HighWaterMark],
    ) -> Result<Self, LogError> {
        create_folder(folder)?;
        let missing = |at: u64, reason: String| LogError::Damaged {
            path: folder.to_owned(),
            offset: at,
            reason: format!("{reason}; put back the journal, or restore a backup"),
        };
        let segment = match Segment::list(folder)?.pop() {
            Some(last) => last,
            None => match high_water_marks.iter().find(|mark| mark.sequence > 0) {
                Some(HighWaterMark { name, sequence, .. }) => {
                    let reason = format!("it is empty, and {name} has seen change {sequence}");
                    return Err(missing(0, reason));
                }
                None => Segment::create(folder, new_identity, Position::default())?,
            },
        };
        let tail = segment.tail()?;
        let ahead = |mark: &&HighWaterMark| {
            mark.identity == segment.identity && mark.sequence > tail.last.sequence
        };
        if let Some(HighWaterMark { name, sequence, .. }) = high_water_marks.iter().find(ahead) {
            let next = tail.last.sequence + 1;
            let reason =
                format!("it ends before change {next}, and {name} has seen change {sequence}");
            return Err(missing(tail.end, reason));
        }
        let file = File::options()
            .read(true)
            .write(true)
            .open(&segment.path)
            .map_err(LogError::io("open", &segment.path))?;
        let mut journal = Self {
            folder: folder.to_owned(),
            file,
            end: tail.end,
            allocated: tail.file_bytes,
            last: tail.last,
            history: LogFiles::new(folder, segment.identity, tail.last),
            segment,
        };
        journal.cut_torn(&tail)?;
        Ok(journal)
    }

    /// Begins a journal in `folder`, which holds none, behind a change of another one.
    ///
    /// # Errors
    ///
    /// [`LogError::Io`].
    pub fn begin(folder: &Path, identity: [u8; 16], behind: Position) -> Result<(), LogError> {
        create_folder(folder)?;
        Segment::create(folder, identity, behind).map(drop)
    }

    fn cut_torn(&mut self, tail: &Tail) -> Result<(), LogError> {
        if tail.torn_bytes == 0 {
            return Ok(());
        }
        tracing::warn!(
            file = %self.segment.path.display(), at = tail.end, bytes = tail.torn_bytes,
            "the last write before an abrupt stop was not finished and is dropped; it was never acknowledged"
        );
        let path = &self.segment.path;
        self.file.set_len(tail.end).map_err(LogError::io("shorten", path))?;
        self.file.sync_all().map_err(LogError::io("sync", path))?;
        self.allocated = tail.end;
        Ok(())
    }

    /// What tells this journal from any other.
    pub fn identity(&self) -> [u8; 16] {
        self.segment.identity
    }

    /// The sequence of the last frame; 0 if there is none.
    pub fn last_sequence(&self) -> u64 {
        self.last.sequence
    }

    /// The journal for readers, who need not wait for the writer.
    pub fn history(&self) -> LogFiles {
        self.history.clone()
    }

    /// Puts a group of changes on disk and returns the sequence of the first.
    ///
    /// When this returns `Ok` they survive a loss of power.
    ///
    /// # Errors
    ///
    /// [`LogError::Io`]: whether the group is on disk is unknown, and nothing may be appended
    /// until the journal was opened anew. A failed sync is never tried again: the kernel reports it
    /// once and then forgets the data.
    pub fn append(&mut self, group: &[LogEntry]) -> Result<u64, LogError> {
        let first = self.last.sequence + 1;
        let mut bytes = Vec::new();
        let mut last = self.last;
        for (sequence, entry) in (first..).zip(group) {
            let hash = frame::encode(sequence, first, last.hash, entry, &mut bytes);
            last = Position { sequence, hash };
        }
        if self.end >= SEGMENT_BYTES {
            self.begin_segment()?;
        }
        self.preallocate(self.end + bytes.len() as u64)?;
        let path = &self.segment.path;
        self.file.write_all_at(&bytes, self.end).map_err(LogError::io("write", path))?;
        let watch = Stopwatch::start();
        self.file.sync_data().map_err(LogError::io("sync", path))?;
        self.history.note_sync(watch.elapsed());
        self.end += bytes.len() as u64;
        self.last = last;
        self.history.advance(last);
        Ok(first)
    }

    fn begin_segment(&mut self) -> Result<(), LogError> {
        self.segment = Segment::create(&self.folder, self.identity(), self.last)?;
        let path = &self.segment.path;
        self.file = File::options()
            .read(true)
            .write(true)
            .open(path)
            .map_err(LogError::io("open", path))?;
        self.end = segment::HEADER_BYTES;
        self.allocated = self.end;
        Ok(())
    }

    fn preallocate(&mut self, needed: u64) -> Result<(), LogError> {
        if needed <= self.allocated {
            return Ok(());
        }
        let path = &self.segment.path;
        let target = needed.div_ceil(STEP_BYTES) * STEP_BYTES;
        let step = vec![0; STEP_BYTES as usize];
        while self.allocated < target {
            let length = (target - self.allocated).min(STEP_BYTES);
            let zeros = step.get(..length as usize).unwrap_or(&step);
            self.file.write_all_at(zeros, self.allocated).map_err(LogError::io("extend", path))?;
            self.allocated += length;
        }
        self.file.sync_all().map_err(LogError::io("sync", path))
    }
}

/// Makes the folder if it is missing, durably.
fn create_folder(folder: &Path) -> Result<(), LogError> {
    fs::create_dir_all(folder).map_err(LogError::io("create", folder))?;
    folder.parent().map_or(Ok(()), sync_folder)
}

/// Makes it durable which files a folder holds.
fn sync_folder(folder: &Path) -> Result<(), LogError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(LogError::io("sync", folder))
}

#[cfg(test)]
mod tests;
