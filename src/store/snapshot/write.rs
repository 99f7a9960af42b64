//! Taking a snapshot while changes go on.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use zstd::bulk::Compressor;

use super::{BEGIN, COMPRESSED_WRITES, END, FORMAT, MAGIC};
use crate::log::{Position, ReadLog, encode_write, try_read};
use crate::store::{Read, StoreError, keys, record};

/// How many bytes of keys and values a block has at most before compression, unless one of them alone has more.
pub(super) const BLOCK_BYTES: usize = 256 * 1024;
/// The level of compression: the fastest.
const LEVEL: i32 = 1;
/// After how many writes the log says how far it is.
const TELL: u64 = 1_000_000;

/// Writes all state to `path`, durably, and answers up to which change. A file that is there is replaced.
///
/// `state` has followed the journal up to `applied`, or further.
///
/// # Errors
///
/// [`StoreError`], also for a damaged record; what was written so far is removed.
pub(in crate::store) fn take(
    state: &dyn Read,
    log: &dyn ReadLog,
    applied: u64,
    taken: Timestamp,
    path: &Path,
) -> Result<Position, StoreError> {
    let outcome = Writer::create(path).map_err(StoreError::file("create", path));
    let outcome = outcome.and_then(|writer| fill(writer, state, log, applied, taken, path));
    if outcome.is_err() {
        // The error says more than a failure to tidy up would.
        let _ = fs::remove_file(path);
    }
    outcome
}

fn fill(
    mut writer: Writer,
    state: &dyn Read,
    log: &dyn ReadLog,
    applied: u64,
    taken: Timestamp,
    path: &Path,
) -> Result<Position, StoreError> {
    let failed = || StoreError::file("write", path);
    let identity = log.identity();
    let taken = taken.as_millisecond().to_le_bytes();
    writer.block(&[&[BEGIN], &identity[..], &taken].concat()).map_err(failed())?;
    let mut outcome = Ok(());
    state.scan(&[], None, &mut |key, value| {
        if !keys::is_position(key) {
            outcome = check(state, key, &value)
                .and_then(|()| writer.write(key, Some(&value)).map_err(failed()));
        }
        if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    outcome?;
    // Everything that was met above is on disk in the journal by now.
    let mut reached = log.head();
    try_read::<StoreError>(log, applied, |frame| {
        reached = frame.position();
        let mut writes = frame.writes.iter();
        writes
            .try_for_each(|write| writer.write(&write.key, write.value.as_deref()))
            .map_err(failed())?;
        Ok(ControlFlow::Continue(()))
    })?;
    writer.finish(reached).map_err(failed())?;
    Ok(reached)
}

/// Refuses a record that is damaged, unless it has been changed since the scan came upon it.
fn check(state: &dyn Read, key: &[u8], value: &Bytes) -> Result<(), StoreError> {
    let damaged = |value: &Bytes| keys::is_record(key) && record::decode(value).is_none();
    if damaged(value) && state.get(key)?.as_ref().is_some_and(damaged) {
        return Err(StoreError::damaged(key));
    }
    Ok(())
}

/// A snapshot that is being written.
struct Writer {
    file: BufWriter<File>,
    hash: Sha256,
    compressor: Compressor<'static>,
    /// The writes of the block that is being filled.
    pending: Vec<u8>,
    /// How many writes there are so far.
    writes: u64,
}

impl Writer {
    fn create(path: &Path) -> io::Result<Self> {
        let mut options = File::options();
        let file = options.create(true).truncate(true).write(true).mode(0o600).open(path)?;
        let (file, hash) = (BufWriter::new(file), Sha256::new());
        let compressor = Compressor::new(LEVEL)?;
        let mut writer = Self { file, hash, compressor, pending: Vec::new(), writes: 0 };
        writer.put(&MAGIC)?;
        writer.put(&[FORMAT])?;
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.file.write_all(bytes)
    }

    fn block(&mut self, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        self.put(&length.to_le_bytes())?;
        self.put(&crc32c::crc32c(body).to_le_bytes())?;
        self.put(body)
    }

    fn write(&mut self, key: &[u8], value: Option<&[u8]>) -> io::Result<()> {
        let before = self.pending.len();
        encode_write(key, value, &mut self.pending);
        if self.pending.len() > BLOCK_BYTES {
            let next = self.pending.split_off(before);
            self.end_block()?;
            self.pending.extend_from_slice(&next);
        }
        self.writes += 1;
        if self.writes.is_multiple_of(TELL) {
            tracing::info!(done = self.writes, "taking a snapshot");
        }
        Ok(())
    }

    fn end_block(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let length = u32::try_from(self.pending.len()).map_err(io::Error::other)?;
        let frame = self.compressor.compress(&self.pending)?;
        self.block(&[&[COMPRESSED_WRITES], &length.to_le_bytes()[..], &frame].concat())?;
        self.pending.clear();
        Ok(())
    }

    fn finish(mut self, reached: Position) -> io::Result<()> {
        self.end_block()?;
        let (sequence, writes) = (reached.sequence.to_le_bytes(), self.writes.to_le_bytes());
        self.block(&[&[END], &sequence[..], &reached.hash, &writes].concat())?;
        let hash = self.hash.finalize();
        self.file.write_all(&hash)?;
        self.file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}
