//! Reads the frames of a file one after the other, without holding the whole file in memory.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::log::LogError;
use crate::log::frame::{self, Frame};

/// How many bytes are read from the file at once, at least.
const CHUNK: usize = 256 * 1024;

/// A place in a file, and the bytes that were read ahead of it.
pub(super) struct FrameReader {
    path: PathBuf,
    file: File,
    /// Where in the file the buffer begins.
    begin: u64,
    buffer: Vec<u8>,
    /// How much of the buffer is behind the place.
    used: usize,
    /// The size of the last frame.
    size: usize,
}

impl FrameReader {
    /// Begins at a byte of a file.
    pub(super) fn open(path: &Path, at: u64) -> Result<Self, LogError> {
        let file = File::open(path).map_err(LogError::io("open", path))?;
        Ok(Self { path: path.to_owned(), file, begin: at, buffer: Vec::new(), used: 0, size: 0 })
    }

    /// At which byte of the file the next frame begins.
    pub(super) fn at(&self) -> u64 {
        self.begin + self.used as u64
    }

    /// The next frame, or a clause that says why there is none.
    pub(super) fn next(&mut self) -> Result<Result<Frame, &'static str>, LogError> {
        self.fill(frame::PREFIX_BYTES)?;
        if let Some(size) = frame::size(self.rest()) {
            self.fill(size)?;
        }
        Ok(frame::decode(self.rest()).map(|(frame, size)| {
            self.used += size;
            self.size = size;
            frame
        }))
    }

    /// The bytes of the last frame.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.used - self.size..self.used).unwrap_or_default()
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.used..).unwrap_or_default()
    }

    /// Reads until `wanted` bytes are available, or the file ends.
    fn fill(&mut self, wanted: usize) -> Result<(), LogError> {
        if self.rest().len() >= wanted {
            return Ok(());
        }
        self.buffer.drain(..self.used);
        self.begin += self.used as u64;
        (self.used, self.size) = (0, 0);
        while self.buffer.len() < wanted {
            let have = self.buffer.len();
            self.buffer.resize(have + CHUNK.max(wanted - have), 0);
            let into = self.buffer.get_mut(have..).unwrap_or_default();
            let read = self.file.read_at(into, self.begin + have as u64);
            let read = read.map_err(LogError::io("read", &self.path))?;
            self.buffer.truncate(have + read);
            if read == 0 {
                break;
            }
        }
        Ok(())
    }
}
