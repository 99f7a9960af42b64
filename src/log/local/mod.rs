//! The local log: append-only files in the data folder.
//!
//! A group of frames costs one `fdatasync`. Space is allocated ahead in zeroed steps, so that the sync
//! of a group does not have to change the size of the file.

mod files;
mod folder;
mod offsets;
mod read_only;
mod reader;
mod segment;
mod verify;

use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

pub use files::LogFiles;
use folder::create_folder;
use offsets::{Mark, Offsets};
pub use read_only::ReadOnlyLog;
pub use segment::FORMAT;
use segment::{SEGMENT_BYTES, Segment, Tail};

use super::{
    Append, ChainReport, Frame, Log, LogEntry, LogError, LogStats, Position, ReadLog, frame,
};
use crate::clock::Stopwatch;

/// How much space is laid out ahead at a time.
const STEP_BYTES: u64 = 1024 * 1024;

/// A log in files, open for appending.
pub struct LocalLog {
    /// Locked while a group becomes durable; readers never take it.
    appender: Mutex<Appender>,
    files: LogFiles,
    /// Whether an append has failed.
    stopped: AtomicBool,
}

/// The end of the last file.
struct Appender {
    folder: PathBuf,
    segment: Segment,
    file: File,
    /// Where the next frame goes.
    end: u64,
    /// Up to where space is allocated in the file.
    allocated: u64,
    /// The last frame.
    last: Position,
    /// Whether each group is synced.
    syncs: bool,
}

/// A change that is known to have been acknowledged: a log that ends before it has lost changes.
pub struct HighWaterMark {
    /// The identity of the log.
    pub identity: [u8; 16],
    /// The change.
    pub sequence: u64,
    /// What knows of it, as in "the database".
    pub name: String,
}

impl LocalLog {
    /// Opens the log in `folder`, or begins one whose identity is `new_identity`.
    ///
    /// A write that an abrupt stop left half done was never acknowledged and is cut off.
    ///
    /// # Errors
    ///
    /// [`LogError::Damaged`] if acknowledged changes are missing: a frame is wrong and later groups
    /// follow it, or the log ends before a high-water mark, or is gone. Then nothing is cut off.
    pub fn open(
        folder: &Path,
        new_identity: [u8; 16],
        marks: &[HighWaterMark],
    ) -> Result<Self, LogError> {
        create_folder(folder)?;
        let missing = |at: u64, reason: String| LogError::Damaged {
            path: folder.to_owned(),
            offset: at,
            reason: format!("{reason}; put the journal back, or restore a backup"),
        };
        let segment = match Segment::list(folder)?.pop() {
            Some(last) => last,
            None => match marks.iter().find(|mark| mark.sequence > 0) {
                Some(HighWaterMark { name, sequence, .. }) => {
                    let reason = format!("it is empty, but {name} has change {sequence}");
                    return Err(missing(0, reason));
                }
                None => Segment::create(folder, new_identity, Position::default())?,
            },
        };
        let offsets = Arc::<Offsets>::default();
        let tail = segment.tail(&offsets)?;
        let ahead = |mark: &&HighWaterMark| {
            mark.identity == segment.identity && mark.sequence > tail.last.sequence
        };
        if let Some(HighWaterMark { name, sequence, .. }) = marks.iter().find(ahead) {
            let next = tail.last.sequence + 1;
            let reason = format!("it ends before change {next}, but {name} has change {sequence}");
            return Err(missing(tail.end, reason));
        }
        let file = File::options()
            .read(true)
            .write(true)
            .open(&segment.path)
            .map_err(LogError::io("open", &segment.path))?;
        let files = LogFiles::new(folder, segment.identity, tail.last, offsets);
        let mut appender = Appender {
            folder: folder.to_owned(),
            file,
            end: tail.end,
            allocated: tail.file_bytes,
            last: tail.last,
            segment,
            syncs: true,
        };
        appender.cut_torn(&tail)?;
        Ok(Self { appender: Mutex::new(appender), files, stopped: AtomicBool::new(false) })
    }

    /// The log as the copy of one that is durable elsewhere: nothing is synced.
    pub(super) fn into_copy(mut self) -> Self {
        self.appender.get_mut().unwrap_or_else(PoisonError::into_inner).syncs = false;
        self
    }

    /// Makes a copy durable, with all of its files.
    ///
    /// # Errors
    ///
    /// [`LogError::Io`].
    pub(super) fn sync(&self) -> Result<(), LogError> {
        let appender = self.appender();
        for segment in Segment::list(&appender.folder)? {
            let path = &segment.path;
            let synced = File::open(path).and_then(|file| file.sync_all());
            synced.map_err(LogError::io("sync", path))?;
        }
        folder::sync_folder(&appender.folder)
    }

    /// Appends frames of the log that this one is a copy of, as they are there, and wakes readers. Those that are
    /// here already are passed over.
    ///
    /// # Errors
    ///
    /// [`LogError::Damaged`] if they do not follow the head; the operating system refuses.
    pub(super) fn copy(&self, frames: &[Vec<u8>]) -> Result<(), LogError> {
        let mut appender = self.appender();
        if self.is_stopped() {
            return Err(LogError::Stopped);
        }
        let (mut bytes, mut begins, mut copied) = (Vec::new(), Vec::new(), Vec::new());
        let mut last = appender.last;
        for encoded in frames {
            let damaged = |reason: &str| LogError::Damaged {
                path: appender.folder.clone(),
                offset: appender.end,
                reason: format!("the change after {} can't be copied: {reason}", last.sequence),
            };
            let (frame, size) = frame::decode(encoded).map_err(damaged)?;
            if frame.sequence <= appender.last.sequence {
                continue;
            }
            if size != encoded.len() {
                return Err(damaged("bytes follow it"));
            }
            if (frame.sequence, frame.previous) != (last.sequence + 1, last.hash) {
                return Err(damaged("it does not follow the change before it"));
            }
            begins.push((bytes.len() as u64, last));
            bytes.extend_from_slice(encoded);
            last = frame.position();
            copied.push(Arc::new(frame));
        }
        self.write(&mut appender, &bytes, &begins, &copied)
    }

    /// Writes encoded frames, of which each begins at a byte of `bytes` and follows a position.
    fn write(
        &self,
        appender: &mut Appender,
        bytes: &[u8],
        begins: &[(u64, Position)],
        frames: &[Arc<Frame>],
    ) -> Result<(), LogError> {
        let Some(last) = frames.last() else { return Ok(()) };
        let written = appender.write(bytes, last.position(), &self.files);
        let begin = written.inspect_err(|error| {
            if !error.is_momentary() {
                self.stopped.store(true, Ordering::SeqCst);
            }
        })?;
        for &(at, before) in begins {
            self.files.offsets.note(appender.segment.first, Mark { at: begin + at, before });
        }
        self.files.recent.push(frames);
        Ok(())
    }

    /// Begins a log in `folder`, which holds none, behind a change of another one.
    ///
    /// # Errors
    ///
    /// [`LogError::Io`].
    pub fn begin(folder: &Path, identity: [u8; 16], behind: Position) -> Result<(), LogError> {
        create_folder(folder)?;
        Segment::create(folder, identity, behind).map(drop)
    }

    fn appender(&self) -> MutexGuard<'_, Appender> {
        self.appender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for LocalLog {
    fn append(&self, group: Vec<LogEntry>, expected: Position) -> Result<Append, LogError> {
        let mut appender = self.appender();
        if self.is_stopped() {
            return Err(LogError::Stopped);
        }
        if appender.last != expected {
            return Ok(Append::Moved(appender.last));
        }
        let mut bytes = Vec::new();
        let mut begins = Vec::with_capacity(group.len());
        let mut last = expected;
        let mut frames = Vec::with_capacity(group.len());
        for entry in group {
            begins.push((bytes.len() as u64, last));
            let frame = frame::make(entry, last, expected.sequence + 1, &mut bytes)?;
            last = frame.position();
            frames.push(Arc::new(frame));
        }
        self.write(&mut appender, &bytes, &begins, &frames)?;
        Ok(Append::Done(frames))
    }

    fn wait_beyond(&self, sequence: u64, patience: Duration) -> Position {
        self.files.recent.wait_beyond(sequence, patience)
    }

    fn close(&self) {
        self.files.recent.close();
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    fn trim(&self, upto: u64, made_before: Timestamp) -> Result<usize, LogError> {
        self.files.trim(upto, made_before)
    }

    fn stats(&self) -> LogStats {
        self.files.stats()
    }
}

impl ReadLog for LocalLog {
    fn identity(&self) -> [u8; 16] {
        self.files.identity()
    }

    fn head(&self) -> Position {
        self.files.head()
    }

    fn start(&self) -> Result<Position, LogError> {
        self.files.start()
    }

    fn read(
        &self,
        after: u64,
        visit: &mut dyn FnMut(Arc<Frame>) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        self.files.read(after, visit)
    }

    fn before(&self, moment: Timestamp) -> Result<u64, LogError> {
        self.files.before(moment)
    }

    fn last_before(&self, moment: Timestamp) -> Result<Option<u64>, LogError> {
        self.files.last_before(moment)
    }

    fn before_part_of(&self, sequence: u64) -> Result<u64, LogError> {
        self.files.before_part_of(sequence)
    }

    fn verify(
        &self,
        anchors: &[Position],
        fault: &mut dyn FnMut(LogError),
    ) -> Result<ChainReport, LogError> {
        self.files.verify(anchors, fault)
    }
}

impl Appender {
    fn cut_torn(&mut self, tail: &Tail) -> Result<(), LogError> {
        if tail.torn_bytes == 0 {
            return Ok(());
        }
        tracing::warn!(
            file = %self.segment.path.display(), at = tail.end, bytes = tail.torn_bytes,
            "dropped an unfinished write from before an abrupt stop; it was never acknowledged"
        );
        let path = &self.segment.path;
        self.file.set_len(tail.end).map_err(LogError::io("shorten", path))?;
        self.file.sync_all().map_err(LogError::io("sync", path))?;
        self.allocated = tail.end;
        Ok(())
    }

    /// Puts a group on disk that ends with `last`; returns at which byte it begins. A failed sync is never
    /// tried again: the kernel reports it once and then forgets the data.
    fn write(&mut self, bytes: &[u8], last: Position, files: &LogFiles) -> Result<u64, LogError> {
        if self.end >= SEGMENT_BYTES {
            self.begin_segment()?;
        }
        self.preallocate(self.end + bytes.len() as u64)?;
        let path = &self.segment.path;
        self.file.write_all_at(bytes, self.end).map_err(LogError::io("write", path))?;
        if self.syncs {
            let watch = Stopwatch::start();
            self.file.sync_data().map_err(LogError::io("sync", path))?;
            files.note_sync(watch.elapsed());
        }
        let begin = self.end;
        self.end += bytes.len() as u64;
        self.last = last;
        Ok(begin)
    }

    fn begin_segment(&mut self) -> Result<(), LogError> {
        if !self.syncs {
            // A start looks for what is missing at the end of the last file alone.
            self.file.sync_data().map_err(LogError::io("sync", &self.segment.path))?;
        }
        // Only this opens files. If it fails, the file before stays in use, and it is tried again.
        let segment = Segment::create(&self.folder, self.segment.identity, self.last)?;
        let path = &segment.path;
        let file = File::options().read(true).write(true).open(path);
        self.file = file.map_err(LogError::io("open", path))?;
        self.segment = segment;
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

#[cfg(test)]
mod tests;
