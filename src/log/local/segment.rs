//! One file of the journal.
//!
//! ```text
//! header = "SCIMDJ" 0 1 | identity [16] | first sequence u64 | hash before it [32] | CRC-32C u32
//! file   = header | frame* | zeros
//! ```

use std::fs::{self, File};
use std::io::ErrorKind::NotFound;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::folder::sync_folder;
use super::offsets::{Mark, Offsets};
use super::reader::FrameReader;
use crate::log::frame::{self, Frame};
use crate::log::{Hash, LogError, MAX_SEQUENCE, Position};

const MAGIC: [u8; 8] = *b"SCIMDJ\x00\x01";
/// The format of the files.
pub const FORMAT: u8 = MAGIC[7];
/// How many bytes stand before the first frame.
pub(super) const HEADER_BYTES: u64 = 8 + 16 + 8 + 32 + 4;
/// At which size a new file is begun.
pub(super) const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
const SUFFIX: &str = "journal";

/// The name of the file whose first change has that number.
fn file_name(first: u64) -> String {
    format!("{first:020}.{SUFFIX}")
}

/// A file of the journal, by what its header says.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// Where it is.
    pub path: PathBuf,
    /// The identity of its log.
    pub identity: [u8; 16],
    /// The sequence of its first frame.
    pub first: u64,
    /// The hash of the frame before that.
    previous: Hash,
}

/// Where a segment's frames end.
pub(super) struct Tail {
    /// Where the next frame goes.
    pub end: u64,
    /// The size of the file.
    pub file_bytes: u64,
    /// How many bytes behind `end` belong to a write that was not finished.
    pub torn_bytes: u64,
    /// The last frame.
    pub last: Position,
}

impl Segment {
    /// Every segment of a folder, oldest first.
    pub(super) fn list(folder: &Path) -> Result<Vec<Self>, LogError> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(folder).map_err(LogError::io("read", folder))? {
            let entry = entry.map_err(LogError::io("read", folder))?;
            let path = entry.path();
            if path.extension().is_some_and(|suffix| suffix == SUFFIX) {
                // To open a FIFO would be to wait for somebody who writes to it.
                if !entry.file_type().map_err(LogError::io("look at", &path))?.is_file() {
                    let reason = "it is not a regular file".to_owned();
                    return Err(LogError::Damaged { path, offset: 0, reason });
                }
                match Self::open(path) {
                    // It was trimmed away meanwhile.
                    Err(LogError::Io { source, .. }) if source.kind() == NotFound => {}
                    opened => segments.push(opened?),
                }
            }
        }
        segments.sort_by_key(|segment| segment.first);
        Ok(segments)
    }

    fn open(path: PathBuf) -> Result<Self, LogError> {
        use std::io::Read as _;
        let mut header = [0; HEADER_BYTES as usize];
        let read = File::open(&path).and_then(|mut file| file.read_exact(&mut header));
        read.map_err(LogError::io("read the header of", &path))?;
        Self::decode_header(&path, &header).ok_or_else(|| LogError::Damaged {
            path,
            offset: 0,
            reason: "its header is not that of a journal of this version".to_owned(),
        })
    }

    fn decode_header(path: &Path, header: &[u8; HEADER_BYTES as usize]) -> Option<Self> {
        let (fields, checksum) = header.split_at_checked(HEADER_BYTES as usize - 4)?;
        let sound = crc32c::crc32c(fields) == u32::from_le_bytes(checksum.try_into().ok()?);
        let fields = fields.strip_prefix(&MAGIC)?;
        let (identity, fields) = fields.split_at_checked(16)?;
        let (first, previous) = fields.split_at_checked(8)?;
        let segment = Self {
            path: path.to_owned(),
            identity: identity.try_into().ok()?,
            first: u64::from_le_bytes(first.try_into().ok()?),
            previous: previous.try_into().ok()?,
        };
        (sound && (1..=MAX_SEQUENCE).contains(&segment.first)).then_some(segment)
    }

    /// Begins a segment: under its name it is either whole or absent.
    pub(super) fn create(
        folder: &Path,
        identity: [u8; 16],
        before: Position,
    ) -> Result<Self, LogError> {
        let (first, previous) = (before.sequence + 1, before.hash);
        let mut header = Vec::with_capacity(HEADER_BYTES as usize);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&identity);
        header.extend_from_slice(&first.to_le_bytes());
        header.extend_from_slice(&previous);
        header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());

        let path = folder.join(file_name(first));
        let unfinished = folder.join(format!("{first:020}.unfinished"));
        File::create(&unfinished)
            .and_then(|mut file| {
                file.write_all(&header)?;
                file.sync_all()
            })
            .map_err(LogError::io("write", &unfinished))?;
        fs::rename(&unfinished, &path).map_err(LogError::io("create", &path))?;
        sync_folder(folder)?;
        Ok(Self { path, identity, first, previous })
    }

    /// The last frame before this file's first.
    pub(super) fn before(&self) -> Position {
        Position { sequence: self.first - 1, hash: self.previous }
    }

    fn load(&self) -> Result<Vec<u8>, LogError> {
        fs::read(&self.path).map_err(LogError::io("read", &self.path))
    }

    fn damaged_change(&self, end: &End, why: &str) -> LogError {
        self.damaged(end.at, format!("change {}: {why}", end.last.sequence + 1))
    }

    fn damaged(&self, offset: usize, reason: impl Into<String>) -> LogError {
        LogError::Damaged { path: self.path.clone(), offset: offset as u64, reason: reason.into() }
    }

    /// Reads the frames after `after` up to `upto`, which must be there. The file must follow `before`.
    /// Returns the last position read; `None` if `visit` broke off. It gets each frame with its bytes.
    pub(super) fn read(
        &self,
        before: Position,
        (after, upto): (u64, u64),
        offsets: &Offsets,
        visit: &mut dyn FnMut(Frame, &[u8]) -> ControlFlow<()>,
    ) -> Result<Option<Position>, LogError> {
        if self.first != before.sequence + 1 {
            let missing = before.sequence + 1;
            return Err(self.damaged(0, format!("change {missing} is missing before it")));
        }
        if self.previous != before.hash {
            return Err(self.damaged(0, "it does not follow the file before it"));
        }
        let begin = Mark { at: HEADER_BYTES, before: self.before() };
        let mark = offsets.find(self.first, after.min(upto)).unwrap_or(begin);
        let mut frames = FrameReader::open(&self.path, mark.at)?;
        let mut last = mark.before;
        while last.sequence < upto {
            let at = frames.at();
            let decoded = frames.next()?.and_then(|frame| self.follows(&last, frame));
            let frame = decoded.map_err(|why| {
                self.damaged_change(&End { at: at as usize, last, why: Some(why) }, why)
            })?;
            offsets.note(self.first, Mark { at, before: last });
            last = frame.position();
            if frame.sequence > after && visit(frame, frames.bytes()).is_break() {
                return Ok(None);
            }
        }
        Ok(Some(last))
    }

    /// The frame, if it is the next one after a position.
    fn follows(&self, last: &Position, frame: Frame) -> Result<Frame, &'static str> {
        if frame.sequence != last.sequence + 1 || frame.previous != last.hash {
            return Err("the frame does not follow the one before it");
        }
        Ok(frame)
    }

    /// Reads the frames up to `upto`, whatever the file before this one says. If the file is `closed`,
    /// nothing may stand behind them.
    pub(super) fn check(
        &self,
        upto: u64,
        closed: bool,
        mut visit: impl FnMut(&Frame),
    ) -> Result<Position, LogError> {
        if self.path.file_name().is_none_or(|name| name != file_name(self.first).as_str()) {
            let reason = format!("its first change is {}, but its name says another", self.first);
            return Err(self.damaged(0, reason));
        }
        let bytes = self.load()?;
        let end = self.walk(&bytes, upto, |frame, _, _| visit(frame));
        if let Some(why) = end.why {
            return Err(self.damaged_change(&end, why));
        }
        let rest = bytes.get(end.at..).unwrap_or_default();
        if closed && rest.iter().any(|&byte| byte != 0) {
            let reason = format!("there is data after its last change, {}", end.last.sequence);
            return Err(self.damaged(end.at, reason));
        }
        Ok(end.last)
    }

    /// When the first change of the file was made; `None` if it can't be told, or there is none. No
    /// checksum is looked at.
    pub(super) fn first_time(&self) -> Option<Timestamp> {
        let file = File::open(&self.path).ok()?;
        frame::time(|bytes, at| file.read_exact_at(bytes, HEADER_BYTES + at).ok())
    }

    /// Visits frames until `upto`, or until one is missing or wrong, with the byte at which each begins
    /// and the position that it follows; returns where that is and what is wrong.
    fn walk(&self, bytes: &[u8], upto: u64, mut visit: impl FnMut(&Frame, usize, Position)) -> End {
        let mut end = End { at: HEADER_BYTES as usize, last: self.before(), why: None };
        while end.last.sequence < upto {
            let rest = bytes.get(end.at..).unwrap_or_default();
            let decoded = frame::decode(rest);
            let next = decoded.and_then(|(frame, length)| {
                self.follows(&end.last, frame).map(|frame| (frame, length))
            });
            let (frame, length) = match next {
                Ok(next) => next,
                Err(why) => {
                    end.why = Some(why);
                    return end;
                }
            };
            visit(&frame, end.at, end.last);
            end.at += length;
            end.last = frame.position();
        }
        end
    }

    /// Finds where the frames of the last segment end, and notes where they begin.
    ///
    /// # Errors
    ///
    /// `Damaged` if a later group follows the place where the frames end.
    pub(super) fn tail(&self, offsets: &Offsets) -> Result<Tail, LogError> {
        let bytes = self.load()?;
        let end = self.walk(&bytes, u64::MAX, |_, at, before| {
            offsets.note(self.first, Mark { at: at as u64, before });
        });
        let rest = bytes.get(end.at..).unwrap_or_default();
        let used = rest.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let next = end.last.sequence + 1;
        if let Some(later) = later_group(rest.get(..used).unwrap_or_default(), next) {
            let why = end.why.unwrap_or("a frame is missing");
            return Err(self.damaged(
                end.at,
                format!(
                    "change {next}: {why}, and acknowledged changes follow at byte {}",
                    end.at + later
                ),
            ));
        }
        Ok(Tail {
            end: end.at as u64,
            file_bytes: bytes.len() as u64,
            torn_bytes: used as u64,
            last: end.last,
        })
    }
}

struct End {
    at: usize,
    last: Position,
    why: Option<&'static str>,
}

/// Where in the bytes behind the last good frame a frame of a later group stands, if one does.
///
/// A frame of the same group may: the disk may have written the end of a group and not its middle
/// when power went.
fn later_group(rest: &[u8], next: u64) -> Option<usize> {
    // A group that begins after `next` was synced after the one that `next` belongs to.
    (1..rest.len()).find(|&at| {
        let candidate = rest.get(at..).unwrap_or_default();
        let plausible = candidate
            .get(frame::PREFIX_BYTES..frame::PREFIX_BYTES + 8)
            .and_then(|sequence| sequence.try_into().ok())
            .map(u64::from_le_bytes)
            .is_some_and(|sequence| sequence > next && sequence - next < SEGMENT_BYTES);
        plausible && frame::decode(candidate).is_ok_and(|(frame, _)| frame.group > next)
    })
}
