//! Snapshots against changes that go on, and against damage.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::sync::Mutex;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::write::BLOCK_BYTES;
use super::*;
use crate::event::{Actor, Details, Event, Head, Verb};
use crate::log::local::LocalLog;
use crate::log::{Append, Log as _, LogEntry, ReadLog as _, Write, decode_writes, encode_write};
use crate::store::{Read, StoreError};

type Keys = BTreeMap<Vec<u8>, Bytes>;

/// State in memory, with a journal, that changes while it is scanned.
struct Moving {
    keys: Mutex<Keys>,
    log: LocalLog,
    /// What is changed before the scan comes to a key.
    script: Vec<(&'static str, Vec<Write>)>,
}

fn put(key: &str, value: &str) -> Write {
    Write { key: key.into(), value: Some(Bytes::copy_from_slice(value.as_bytes())) }
}

fn remove(key: &str) -> Write {
    Write { key: key.into(), value: None }
}

impl Moving {
    fn change(&self, writes: &[Write]) {
        let event = Event { kind: "user".to_owned(), verb: Verb::Created, subject: String::new() };
        let (time, details) = (Timestamp::UNIX_EPOCH, Details::default());
        let head = Head { time, actor: Actor::System, event, details };
        let entry = LogEntry { head, writes: writes.to_vec() };
        let appended = self.log.append(vec![entry], self.log.head()).unwrap();
        assert!(matches!(appended, Append::Done(_)));
        carry_out(&mut self.keys.lock().unwrap(), writes.to_vec());
    }
}

fn carry_out(keys: &mut Keys, writes: Vec<Write>) {
    for Write { key, value } in writes {
        match value {
            Some(value) => drop(keys.insert(key, value)),
            None => drop(keys.remove(&key)),
        }
    }
}

impl Read for Moving {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.keys.lock().unwrap().get(key).cloned())
    }

    fn scan(
        &self,
        _: &[u8],
        _: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut at = Vec::new();
        loop {
            let next =
                self.keys.lock().unwrap().range(at.clone()..).next().map(|(key, _)| key.clone());
            let Some(key) = next else { return Ok(()) };
            for (_, writes) in self.script.iter().filter(|(before, _)| before.as_bytes() == key) {
                self.change(writes);
            }
            if let Some(value) = self.get(&key)?
                && visit(&key, value).is_break()
            {
                return Ok(());
            }
            at = [&key, &[0][..]].concat();
        }
    }
}

fn state(folder: &tempfile::TempDir, script: Vec<(&'static str, Vec<Write>)>) -> Moving {
    let journal = LocalLog::open(&folder.path().join("journal"), [7; 16], &[]).unwrap();
    let state = Moving { keys: Mutex::default(), log: journal, script };
    for key in ["a", "b", "c", "d", "e"] {
        state.change(&[put(key, "old")]);
    }
    state
}

fn taken(state: &Moving, folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("s.snapshot");
    let now = Timestamp::UNIX_EPOCH;
    take(state, &state.log, state.log.head().sequence, now, &path).unwrap();
    path
}

fn keys(path: &std::path::Path) -> Keys {
    let mut keys = Keys::new();
    load(path, |writes| {
        carry_out(&mut keys, writes);
        Ok(())
    })
    .unwrap();
    keys
}

#[test]
fn a_snapshot_holds_the_state_of_one_change_whatever_happens_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let script = vec![
        ("b", vec![put("a", "new"), put("d", "new"), put("aa", "new")]),
        ("c", vec![remove("b"), remove("e"), put("d", "newer"), put("f", "new")]),
        ("d", vec![put("b", "again"), remove("aa"), put("bb", "new")]),
    ];
    let state = state(&folder, script);
    let path = taken(&state, &folder);
    assert_eq!(keys(&path), *state.keys.lock().unwrap());
    let snapshot = outline(&path).unwrap();
    assert_eq!(snapshot.position, state.log.head());
    assert_eq!(snapshot.position.sequence, 8);
    assert_eq!((snapshot.identity, snapshot.taken), ([7; 16], Timestamp::UNIX_EPOCH));
    let whole = load(&path, |_| Ok(())).unwrap();
    assert_eq!((whole.snapshot, whole.bytes), (snapshot, fs::metadata(&path).unwrap().len()));
}

/// A snapshot of format 1, as version 0.1.0 wrote it.
fn uncompressed() -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read(folder.join("tests/data/v0.1.0/data/snapshots/00000000000000000009.snapshot")).unwrap()
}

/// Reads a file of these bytes, which must be refused; the reason.
#[track_caller]
fn refused(bytes: &[u8], what: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    match load(file.path(), |_| Ok(())).expect_err(what) {
        StoreError::Snapshot { reason, .. } => reason,
        error => panic!("{what}: {error}"),
    }
}

/// The bodies of the blocks of a snapshot.
fn bodies(file: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &file[MAGIC.len() + 1..file.len() - 32];
    let mut bodies = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
        bodies.push(rest[PREFIX_BYTES..][..length].to_vec());
        rest = &rest[PREFIX_BYTES + length..];
    }
    bodies
}

/// A file of these blocks, whose checksums and hash are right.
fn sealed(format: u8, bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut file = [&MAGIC[..], &[format]].concat();
    for body in bodies {
        file.extend_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
        file.extend_from_slice(&crc32c::crc32c(body).to_le_bytes());
        file.extend_from_slice(body);
    }
    let hash = Sha256::digest(&file);
    [&file[..], &hash].concat()
}

/// The length that a compressed block states, and its writes.
fn decompressed(body: &[u8]) -> (usize, Vec<u8>) {
    assert_eq!(body[0], COMPRESSED_WRITES);
    let length = u32::from_le_bytes(body[1..5].try_into().unwrap()) as usize;
    (length, zstd::bulk::decompress(&body[5..], MAX_BODY_BYTES).unwrap())
}

fn compressed(length: usize, frame: &[u8]) -> Vec<u8> {
    let length = u32::try_from(length).unwrap().to_le_bytes();
    [&[COMPRESSED_WRITES], &length[..], frame].concat()
}

#[test]
fn every_flipped_bit_every_cut_and_every_byte_more_is_found_in_both_formats() {
    let folder = tempfile::tempdir().unwrap();
    let path = taken(&state(&folder, Vec::new()), &folder);
    let now = fs::read(&path).unwrap();
    assert_eq!((now[7], uncompressed()[7]), (FORMAT, FORMAT_UNCOMPRESSED));
    for whole in [now, uncompressed()] {
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            refused(&bytes, &format!("bit {bit}"));
        }
        for length in 0..whole.len() {
            refused(&whole[..length], &format!("length {length}"));
        }
        refused(&[&whole[..], &[0]].concat(), "a byte more");
        refused(&[&whole[..], &whole].concat(), "twice");
        fs::write(&path, &whole).unwrap();
        load(&path, |_| Ok(())).unwrap();
    }
}

#[test]
fn a_snapshot_of_format_1_has_the_same_state_in_plain_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let path = taken(&state(&folder, Vec::new()), &folder);
    let (expected, mut blocks) = (keys(&path), bodies(&fs::read(&path).unwrap()));
    assert_eq!(blocks.len(), 3);
    let plain = [&[WRITES], &decompressed(&blocks[1]).1[..]].concat();
    let compressed = std::mem::replace(&mut blocks[1], plain);
    fs::write(&path, sealed(FORMAT_UNCOMPRESSED, &blocks)).unwrap();
    assert_eq!(keys(&path), expected);
    // Each format has blocks of its own.
    assert_eq!(refused(&sealed(FORMAT, &blocks), "plain"), "it is malformed");
    blocks[1] = compressed;
    let mixed = sealed(FORMAT_UNCOMPRESSED, &blocks);
    assert_eq!(refused(&mixed, "compressed"), "it is malformed");
    for format in [0, FORMAT + 1, u8::MAX] {
        let reason = refused(&sealed(format, &blocks), "another format");
        assert_eq!(reason, "its header is not that of this version");
    }
}

#[test]
fn a_compressed_block_is_one_frame_of_as_many_bytes_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = taken(&state(&folder, Vec::new()), &folder);
    let whole = fs::read(&path).unwrap();
    let mut blocks = bodies(&whole);
    let (length, plain) = decompressed(&blocks[1]);
    let frame = blocks[1][5..].to_vec();
    assert_eq!(length, plain.len());
    let frame_of = |bytes: &[u8]| zstd::bulk::compress(bytes, 1).unwrap();
    // A frame without content, which readers of zstd pass over.
    let skipped = [&0x184d_2a50_u32.to_le_bytes()[..], &1_u32.to_le_bytes(), b"x"].concat();
    let mut wrong = vec![
        compressed(length + 1, &frame),
        compressed(length - 1, &frame),
        compressed(0, &frame),
        compressed(MAX_BODY_BYTES, &frame),
        compressed(u32::MAX as usize, &frame),
        compressed(0, &frame_of(&[])),
        compressed(length, &[]),
        compressed(length, &Sha256::digest(b"noise")),
        compressed(length, &plain),
        compressed(length, &[&frame[..], b"x"].concat()),
        compressed(length, &[&frame[..], &skipped].concat()),
        compressed(length, &[&skipped[..], &frame].concat()),
        compressed(length * 2, &frame.repeat(2)),
        compressed(length, &frame_of(&plain.iter().map(|byte| !byte).collect::<Vec<_>>())),
        compressed(length - 1, &frame_of(&plain[..length - 1])),
        blocks[1][..4].to_vec(),
    ];
    wrong.extend((0..frame.len()).map(|cut| compressed(length, &frame[..cut])));
    for (number, body) in wrong.into_iter().enumerate() {
        blocks[1] = body;
        let reason = refused(&sealed(FORMAT, &blocks), &format!("number {number}"));
        assert_eq!(reason, "it is malformed", "number {number}");
    }
    blocks[1] = compressed(length, &frame);
    assert!(sealed(FORMAT, &blocks) == whole);
}

#[test]
fn a_block_beyond_the_limit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = taken(&state(&folder, Vec::new()), &folder);
    let mut blocks = bodies(&fs::read(&path).unwrap());
    // The file has one write, which has that length.
    let mut of_length = |length: usize| {
        let mut writes = Vec::new();
        encode_write(b"k", Some(&vec![b'v'; length - 10]), &mut writes);
        assert_eq!(writes.len(), length);
        blocks[1] = compressed(length, &zstd::bulk::compress(&writes, 1).unwrap());
        blocks[2][END_BYTES - 8..].copy_from_slice(&1_u64.to_le_bytes());
        sealed(FORMAT, &blocks)
    };
    assert_eq!(refused(&of_length(MAX_BODY_BYTES + 1), "too long"), "it is malformed");
    fs::write(&path, of_length(MAX_BODY_BYTES)).unwrap();
    load(&path, |_| Ok(())).unwrap();
    let mut whole = fs::read(&path).unwrap();
    let too_long = u32::try_from(MAX_BODY_BYTES + 1).unwrap();
    whole[8..12].copy_from_slice(&too_long.to_le_bytes());
    assert_eq!(refused(&whole, "a long body"), "invalid block length");
}

#[test]
fn a_snapshot_of_no_state_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(&folder, Vec::new());
    state.keys.lock().unwrap().clear();
    let path = taken(&state, &folder);
    assert_eq!(load(&path, |_| Ok(())).unwrap().snapshot.writes, 0);
}

/// Bytes that do not become fewer by compression.
fn noise(length: usize) -> Vec<u8> {
    let block = |number: u64| Sha256::digest(number.to_le_bytes());
    (0..).flat_map(block).take(length).collect()
}

#[test]
fn values_of_every_size_are_read_back_and_a_block_is_large_only_for_a_large_one() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(&folder, Vec::new());
    let sizes = [0, 1, BLOCK_BYTES / 2, BLOCK_BYTES - 16, BLOCK_BYTES, 3 * BLOCK_BYTES, 1, 1];
    for (number, size) in sizes.into_iter().enumerate() {
        let value = Bytes::from(noise(size));
        state.keys.lock().unwrap().insert(format!("value{number}").into(), value);
    }
    let largest = Bytes::from(vec![0; MAX_BODY_BYTES - 16]);
    state.keys.lock().unwrap().insert(b"value6z".to_vec(), largest);
    let path = taken(&state, &folder);
    assert!(keys(&path) == *state.keys.lock().unwrap());
    let blocks = bodies(&fs::read(&path).unwrap());
    for body in &blocks[1..blocks.len() - 1] {
        let (length, plain) = decompressed(body);
        assert_eq!(length, plain.len());
        let writes = decode_writes(&plain).unwrap().len();
        assert!(writes == 1 || length <= BLOCK_BYTES, "{writes} writes in {length} bytes");
    }
    assert!(blocks.len() < sizes.len() + 3, "{} blocks", blocks.len());
}

/// A user as it is stored, with its entry in the index of names.
fn stored_user(number: u64) -> [(Vec<u8>, Vec<u8>); 2] {
    let id = &Sha256::digest(number.to_le_bytes())[..16];
    let (given, family) = (["Ada", "Grace", "Alan"][number as usize % 3], format!("User{number}"));
    let name = format!("{given}.{family}@example.com").to_lowercase();
    let json = format!(
        r#"{{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"id":"{}","externalId":"{}","userName":"{name}","name":{{"givenName":"{given}","familyName":"{family}"}},"displayName":"{given} {family}","active":true,"emails":[{{"value":"{name}","type":"work","primary":true}}],"meta":{{"resourceType":"User","created":"2026-01-01T00:{:02}:{:02}Z"}}}}"#,
        HEXLOWER.encode(id),
        HEXLOWER.encode(&Sha256::digest(id)[..12]),
        number / 60 % 60,
        number % 60,
    );
    let key = |kind: &str| [kind.as_bytes(), id].concat();
    [(key("x"), json.into()), ([b"u\x01userName.\0", name.as_bytes()].concat(), id.to_vec())]
}

#[test]
fn a_snapshot_of_users_takes_a_quarter_of_their_bytes_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(&folder, Vec::new());
    let mut bytes = 0;
    for (key, value) in (0..2_000).flat_map(stored_user) {
        bytes += (key.len() + value.len()) as u64;
        state.keys.lock().unwrap().insert(key, value.into());
    }
    let file = fs::metadata(taken(&state, &folder)).unwrap().len();
    assert!(file < bytes / 4, "{file} of {bytes} bytes");
}

#[test]
fn a_damaged_record_is_not_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(&folder, Vec::new());
    state.change(&[put("r\u{1}0123456789abcdef", "no record")]);
    let path = folder.path().join("s.snapshot");
    let error = take(&state, &state.log, 0, Timestamp::UNIX_EPOCH, &path).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(!path.exists());
}
