//! Reading a snapshot: all of it, or what it says of itself.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use zstd::bulk::Decompressor;
use zstd::zstd_safe::find_frame_compressed_size;

use super::{
    BEGIN, BEGIN_BYTES, BackupSignature, COMPRESSED_WRITES, END, END_BYTES, FORMAT,
    FORMAT_UNCOMPRESSED, MAGIC, MAX_BODY_BYTES, PREFIX_BYTES, SIGNATURE_BLOCK_BYTES,
    SIGNATURE_MAGIC, Snapshot, VerifiedSnapshot, WRITES,
};
use crate::log::{MAX_SEQUENCE, Position, Write, decode_writes};
use crate::store::StoreError;

const HASH_BYTES: usize = 32;

/// Reads a snapshot to its end, block by block, and passes its writes to `visit`. The snapshot is verified
/// only when this has returned.
///
/// # Errors
///
/// [`StoreError::Snapshot`] if one bit is not what was written; else the error of `visit`.
pub(in crate::store) fn load(
    path: &Path,
    visit: impl FnMut(Vec<Write>) -> Result<(), StoreError>,
) -> Result<VerifiedSnapshot, StoreError> {
    let file = File::open(path).map_err(StoreError::file("open", path))?;
    load_from(file, path, visit)
}

/// Like [`load`], from an open file; `path` names it in errors.
///
/// # Errors
///
/// Those of [`load`].
pub(in crate::store) fn load_from(
    file: File,
    path: &Path,
    mut visit: impl FnMut(Vec<Write>) -> Result<(), StoreError>,
) -> Result<VerifiedSnapshot, StoreError> {
    let mut reader = Reader::new(file, path)?;
    let mut decompressor = Decompressor::new().map_err(StoreError::file("read", path))?;
    let begin = reader.body(path)?;
    let mut writes = 0;
    let snapshot = loop {
        let body = reader.body(path)?;
        let block = match (body.split_first(), reader.format) {
            (Some((&WRITES, rest)), FORMAT_UNCOMPRESSED) => decode_writes(rest),
            (Some((&COMPRESSED_WRITES, rest)), FORMAT) => {
                decompress(&mut decompressor, rest).and_then(|plain| decode_writes(&plain))
            }
            _ => break describe(path, &begin, &body)?,
        };
        let block = block.ok_or_else(|| damaged(path, "it is malformed"))?;
        writes += block.len() as u64;
        visit(block)?;
    };
    if snapshot.writes != writes {
        return Err(damaged(path, "its size does not match its contents"));
    }
    reader.end(path, snapshot)
}

/// What a snapshot says of itself in its first and its last block; the rest is not looked at.
///
/// # Errors
///
/// [`StoreError::Snapshot`] if that is not what was written.
pub(in crate::store) fn outline(path: &Path) -> Result<Snapshot, StoreError> {
    let file = File::open(path).map_err(StoreError::file("open", path))?;
    let mut reader = Reader::new(file, path)?;
    let begin = reader.body(path)?;
    let from_end = (PREFIX_BYTES + END_BYTES + HASH_BYTES) as i64;
    reader.file.seek(SeekFrom::End(-from_end)).map_err(|error| cut(path, error))?;
    let end = reader.body(path)?;
    describe(path, &begin, &end)
}

fn damaged(path: &Path, reason: &str) -> StoreError {
    StoreError::Snapshot { path: path.to_owned(), reason: reason.to_owned() }
}

/// The error for a file that could not be read on.
fn cut(path: &Path, error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput => {
            damaged(path, "it is truncated")
        }
        _ => StoreError::file("read", path)(error),
    }
}

fn describe(path: &Path, begin: &[u8], end: &[u8]) -> Result<Snapshot, StoreError> {
    let malformed = || damaged(path, "it is malformed");
    let (taken, identity) = decode_begin(begin).ok_or_else(malformed)?;
    let (position, writes) = decode_end(end).ok_or_else(malformed)?;
    Ok(Snapshot { path: path.to_owned(), identity, taken, position, writes })
}

fn decode_begin(body: &[u8]) -> Option<(Timestamp, [u8; 16])> {
    let body: [u8; BEGIN_BYTES] = body.try_into().ok()?;
    let (identity, taken) = body.strip_prefix(&[BEGIN])?.split_at_checked(16)?;
    let taken = Timestamp::from_millisecond(i64::from_le_bytes(taken.try_into().ok()?)).ok()?;
    Some((taken, identity.try_into().ok()?))
}

fn decode_end(body: &[u8]) -> Option<(Position, u64)> {
    let body: [u8; END_BYTES] = body.try_into().ok()?;
    let (sequence, rest) = body.strip_prefix(&[END])?.split_at_checked(8)?;
    let (hash, writes) = rest.split_at_checked(32)?;
    let sequence = u64::from_le_bytes(sequence.try_into().ok()?);
    if sequence > MAX_SEQUENCE {
        return None;
    }
    let position = Position { sequence, hash: hash.try_into().ok()? };
    Some((position, u64::from_le_bytes(writes.try_into().ok()?)))
}

/// Decompresses the writes of a block; `None` unless they are one zstd frame and as many bytes as the block says.
fn decompress(decompressor: &mut Decompressor<'_>, block: &[u8]) -> Option<Vec<u8>> {
    let (length, frame) = block.split_first_chunk()?;
    let length = u32::from_le_bytes(*length) as usize;
    // Checked before there is memory for them.
    let is_valid = (1..=MAX_BODY_BYTES).contains(&length);
    if !is_valid || find_frame_compressed_size(frame) != Ok(frame.len()) {
        return None;
    }
    let plain = decompressor.decompress(frame, length).ok()?;
    (plain.len() == length).then_some(plain)
}

struct Reader {
    file: BufReader<File>,
    format: u8,
    hash: Sha256,
    bytes: u64,
}

impl Reader {
    fn new(file: File, path: &Path) -> Result<Self, StoreError> {
        let (file, hash) = (BufReader::new(file), Sha256::new());
        let mut reader = Self { file, format: 0, hash, bytes: 0 };
        let mut header = [0; MAGIC.len() + 1];
        reader.fill(path, &mut header)?;
        let [magic @ .., format] = header;
        if magic != MAGIC || !(FORMAT_UNCOMPRESSED..=FORMAT).contains(&format) {
            return Err(damaged(path, "its header is not that of this version"));
        }
        Ok(Self { format, ..reader })
    }

    fn fill(&mut self, path: &Path, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.file.read_exact(bytes).map_err(|error| cut(path, error))?;
        self.hash.update(&*bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// The body of the next block.
    fn body(&mut self, path: &Path) -> Result<Vec<u8>, StoreError> {
        let (mut length, mut checksum) = ([0; 4], [0; 4]);
        self.fill(path, &mut length)?;
        self.fill(path, &mut checksum)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_BODY_BYTES {
            return Err(damaged(path, "invalid block length"));
        }
        let mut body = vec![0; length];
        self.fill(path, &mut body)?;
        if crc32c::crc32c(&body) == u32::from_le_bytes(checksum) {
            Ok(body)
        } else {
            let at = self.bytes - length as u64;
            Err(damaged(path, &format!("the checksum at byte {at} does not match")))
        }
    }

    /// Checks the hash over all, and that nothing follows it but the signature of a backup.
    fn end(mut self, path: &Path, snapshot: Snapshot) -> Result<VerifiedSnapshot, StoreError> {
        let expected = self.hash.clone().finalize();
        let mut hash = [0; HASH_BYTES];
        self.fill(path, &mut hash)?;
        if hash[..] != expected[..] {
            return Err(damaged(path, "its SHA-256 does not match"));
        }
        let sha256 = HEXLOWER.encode(&self.hash.clone().finalize());
        let mut rest = Vec::new();
        let mut file = self.file.take(SIGNATURE_BLOCK_BYTES as u64 + 1);
        file.read_to_end(&mut rest).map_err(StoreError::file("read", path))?;
        self.hash.update(&rest);
        let signature = match rest.len() {
            0 => None,
            length if length < SIGNATURE_BLOCK_BYTES && rest.starts_with(&SIGNATURE_MAGIC) => {
                return Err(damaged(path, "it is truncated"));
            }
            _ => match BackupSignature::decode(&rest) {
                None => return Err(damaged(path, "there is data after its end")),
                signature => signature,
            },
        };
        let file_sha256 = HEXLOWER.encode(&self.hash.finalize());
        Ok(VerifiedSnapshot { snapshot, bytes: self.bytes, sha256, signature, file_sha256 })
    }
}
