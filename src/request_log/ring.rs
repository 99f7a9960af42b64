//! Files of a bounded size: lines are appended to the newest file, and the oldest file gives way.
//!
//! The files are named by increasing numbers. Each start of a process begins a new file, so that a line that a
//! crash has cut is the last one of its file.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use memchr::{memchr, memrchr};

use super::entry::RequestEntry;

/// The number of files that a full ring has, about.
const FILES: u64 = 16;
/// The time that one file covers at most, so that records can be removed by age.
const FILE_TIME: Duration = Duration::from_secs(24 * 60 * 60);
/// What the name of each file ends with.
const SUFFIX: &str = ".jsonl";

/// How much a ring keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RingLimits {
    pub(super) max_bytes: u64,
    pub(super) max_age: Duration,
    /// The bytes that must stay free on the disk: what is less is kept for changes.
    pub(super) min_free: u64,
}

/// The files of one kind of records, as their only writer sees them.
pub(super) struct Ring {
    folder: PathBuf,
    limits: RingLimits,
    /// Oldest first; the last one is appended to if `open` is set.
    files: Vec<RingFile>,
    open: Option<File>,
}

struct RingFile {
    number: u64,
    bytes: u64,
    /// The time of its first record.
    since: Timestamp,
}

impl Ring {
    /// Takes over the files in a folder, which may not exist yet.
    ///
    /// # Errors
    ///
    /// The folder can't be read.
    pub(super) fn open(folder: PathBuf, limits: RingLimits) -> io::Result<Self> {
        let mut files = Vec::new();
        for number in numbers(&folder)? {
            let path = path(&folder, number);
            let bytes = path.metadata()?.len();
            let since = first_time(&path).unwrap_or(Timestamp::UNIX_EPOCH);
            files.push(RingFile { number, bytes, since });
        }
        Ok(Self { folder, limits, files, open: None })
    }

    pub(super) fn set_limits(&mut self, limits: RingLimits) {
        self.limits = limits;
    }

    /// Appends lines, and removes as many old files as it takes to stay within the limit. A line that is
    /// larger than the limit is left out. `lines` becomes what was not written: nothing, if all went well.
    ///
    /// # Errors
    ///
    /// The file can't be written to, and the first line of the rest may be there in part; or the disk has too
    /// little space left.
    pub(super) fn append(&mut self, lines: &mut &[u8], now: Timestamp) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let wanted = self.limits.min_free.saturating_add(lines.len() as u64);
        if free_bytes(&self.folder).is_some_and(|free| free < wanted) {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                "the remaining disk space is reserved for changes",
            ));
        }
        while !lines.is_empty() {
            let room = self.room(now);
            let bytes = match whole_lines(lines, room.bytes) {
                0 if room.is_in_open_file => {
                    self.open = None;
                    continue;
                }
                0 => first_line(lines),
                bytes => bytes,
            };
            let (piece, rest) = lines.split_at(bytes);
            if bytes as u64 <= self.limits.max_bytes {
                self.write(piece, now)?;
            }
            *lines = rest;
        }
        Ok(())
    }

    /// How much the next file to be written to may still take.
    fn room(&self, now: Timestamp) -> Room {
        let bytes = self.limits.max_bytes / FILES;
        match self.files.last().filter(|_| self.open.is_some()) {
            Some(file) if now.duration_since(file.since).unsigned_abs() < FILE_TIME => {
                Room { bytes: bytes.saturating_sub(file.bytes), is_in_open_file: true }
            }
            Some(_) => Room { bytes: 0, is_in_open_file: true },
            None => Room { bytes, is_in_open_file: false },
        }
    }

    fn write(&mut self, piece: &[u8], now: Timestamp) -> io::Result<()> {
        let bytes = piece.len() as u64;
        self.shrink_to(self.limits.max_bytes - bytes);
        if self.open.is_none() {
            self.begin(now)?;
        }
        let (Some(open), Some(file)) = (&mut self.open, self.files.last_mut()) else {
            return Ok(());
        };
        file.bytes += bytes;
        let written = open.write_all(piece);
        if written.is_err() {
            // A line may be cut: nothing may follow it.
            self.open = None;
        }
        written
    }

    /// Removes files with records that are too old, and those beyond the limit.
    pub(super) fn prune(&mut self, now: Timestamp) {
        let max_age = self.limits.max_age;
        while self.files.first().is_some_and(|file| {
            now.duration_since(file.since)
                > jiff::SignedDuration::try_from(max_age).unwrap_or(jiff::SignedDuration::MAX)
        }) {
            self.remove_oldest();
        }
        self.shrink_to(self.limits.max_bytes);
    }

    fn shrink_to(&mut self, max_bytes: u64) {
        while self.files.iter().map(|file| file.bytes).sum::<u64>() > max_bytes {
            self.remove_oldest();
        }
    }

    fn remove_oldest(&mut self) {
        if self.files.is_empty() {
            return;
        }
        let file = self.files.remove(0);
        if self.files.is_empty() {
            self.open = None;
        }
        // One that is gone already is as good.
        let _ = fs::remove_file(path(&self.folder, file.number));
    }

    fn begin(&mut self, since: Timestamp) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let number = self.files.last().map_or(1, |file| file.number + 1);
        let path = path(&self.folder, number);
        let options = File::options().append(true).create_new(true).mode(0o600).open(&path);
        self.open = Some(options?);
        self.files.push(RingFile { number, bytes: 0, since });
        Ok(())
    }
}

/// How much a file may still take.
struct Room {
    bytes: u64,
    is_in_open_file: bool,
}

/// The bytes of the whole lines that have room.
fn whole_lines(lines: &[u8], room: u64) -> usize {
    let room = usize::try_from(room).unwrap_or(usize::MAX).min(lines.len());
    let fitting = lines.get(..room).unwrap_or_default();
    memrchr(b'\n', fitting).map_or(0, |end| end + 1)
}

/// The bytes of the first line.
fn first_line(lines: &[u8]) -> usize {
    memchr(b'\n', lines).map_or(lines.len(), |end| end + 1)
}

/// The free bytes of the disk that a folder is on, or will be on; `None` if it can't be asked.
fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = folder.ancestors().find_map(|folder| rustix::fs::statvfs(folder).ok())?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The numbers of the files in the folder of a ring, in order; none if there is no such folder.
pub(super) fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let number: Option<u64> =
            name.to_str().and_then(|name| name.strip_suffix(SUFFIX)?.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The path of a file of a ring.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}{SUFFIX}"))
}

/// The time of the first record of a file.
pub(super) fn first_time(path: &Path) -> Option<Timestamp> {
    let mut line = Vec::new();
    BufReader::new(File::open(path).ok()?).read_until(b'\n', &mut line).ok()?;
    RequestEntry::decode(&line).map(|entry| entry.time)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::entry::sample;
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn ring(folder: &Path, max_bytes: u64) -> Ring {
        Ring::open(folder.join("ring"), RingLimits { max_bytes, max_age: 30 * DAY, min_free: 0 })
            .unwrap()
    }

    #[test]
    fn nothing_is_written_to_a_disk_whose_rest_is_kept_for_changes() {
        let folder = tempfile::tempdir().unwrap();
        let mut ring = ring(folder.path(), 1 << 20);
        append(&mut ring, "a", Timestamp::UNIX_EPOCH);
        ring.limits.min_free = u64::MAX / 2;
        let mut lines: &[u8] = b"{}\n";
        let error = ring.append(&mut lines, sample("").time).unwrap_err();
        assert_eq!((error.kind(), lines.len()), (io::ErrorKind::StorageFull, 3));
        ring.limits.min_free = 0;
        append(&mut ring, "c", Timestamp::UNIX_EPOCH);
    }

    fn append(ring: &mut Ring, id: &str, time: Timestamp) {
        let entry = RequestEntry { time, ..sample(id) };
        let mut line = Vec::new();
        entry.encode(&mut line);
        ring.append(&mut line.as_slice(), time).unwrap();
    }

    fn bytes(folder: &Path) -> u64 {
        let numbers = numbers(&folder.join("ring")).unwrap();
        let size = |number| path(&folder.join("ring"), number).metadata().unwrap().len();
        numbers.into_iter().map(size).sum()
    }

    #[test]
    fn a_ring_never_grows_beyond_its_limit_and_keeps_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let mut line = Vec::new();
        sample("1000").encode(&mut line);
        let line = line.len() as u64;
        // Room for exactly 64 records.
        let mut ring = ring(folder.path(), 64 * line);
        for number in 1_000..1_064 {
            append(&mut ring, &number.to_string(), sample("").time);
        }
        assert_eq!(bytes(folder.path()), 64 * line, "all fit");
        append(&mut ring, "2000", sample("").time);
        assert!(bytes(folder.path()) <= 64 * line);
        assert!(bytes(folder.path()) >= 56 * line, "a file alone gave way");
        let newest = *numbers(&folder.path().join("ring")).unwrap().last().unwrap();
        let newest = path(&folder.path().join("ring"), newest);
        assert!(fs::read_to_string(&newest).unwrap().contains("2000"));
        assert_eq!(newest.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn lines_that_come_together_are_spread_over_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut ring = ring(folder.path(), 16 * 100);
        let line = [&[b'x'; 39][..], b"\n"].concat();
        let too_long = [&[b'y'; 1_600][..], b"\n"].concat();
        let long = [&[b'z'; 149][..], b"\n"].concat();
        let lines = [line.repeat(5), too_long, long, line.repeat(1)].concat();
        ring.append(&mut lines.as_slice(), sample("").time).unwrap();
        let sizes: Vec<u64> = ring.files.iter().map(|file| file.bytes).collect();
        assert_eq!(sizes, [80, 80, 40, 150, 40], "two lines fit into one file");
        assert_eq!(bytes(folder.path()), 390);
    }

    #[test]
    fn records_are_removed_once_they_are_too_old() {
        let folder = tempfile::tempdir().unwrap();
        let mut ring = ring(folder.path(), 1 << 20);
        let start = sample("").time;
        let day = |number: u32| start + number * DAY;
        for number in 0..=30 {
            append(&mut ring, &number.to_string(), day(number));
        }
        ring.prune(day(30));
        assert_eq!(ring.files.len(), 31);
        ring.prune(day(31));
        assert_eq!(ring.files.len(), 30);
        ring.prune(day(100));
        assert_eq!(bytes(folder.path()), 0);
        append(&mut ring, "again", day(100));
        assert!(bytes(folder.path()) > 0);
    }

    #[test]
    fn another_start_goes_on_in_another_file() {
        let folder = tempfile::tempdir().unwrap();
        for start in ["1", "2"] {
            append(&mut ring(folder.path(), 1 << 20), start, sample("").time);
        }
        assert_eq!(numbers(&folder.path().join("ring")).unwrap(), [1, 2]);
    }
}
