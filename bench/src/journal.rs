//! How many syncs changes cost: read from the journal, where each change names the first one that was
//! synced with it (`docs/storage.md`). One group is one `fdatasync`.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::Instant;

const HEADER_BYTES: usize = 68;
const PREFIX_BYTES: usize = 8;

/// Changes and the groups that they were synced in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Groups {
    /// How many changes.
    pub changes: u64,
    /// In how many groups.
    pub groups: u64,
    /// How many bytes the changes have.
    pub bytes: u64,
    /// The number of the last change.
    pub last: u64,
}

/// How many groups of a size a file takes each second on the disk of a folder, each synced before the next: what a log
/// reaches that does nothing else. The room is there before, as in the log of scimd.
pub fn raw_groups_per_second(folder: &Path, bytes: usize, time: Duration) -> Result<f64> {
    const ROOM: u64 = 64 * 1024 * 1024;
    let path = folder.join("raw-log");
    let mut file = File::create(&path)?;
    for _ in 0..ROOM / 1024 / 1024 {
        file.write_all(&[0; 1024 * 1024])?;
    }
    file.sync_all()?;
    let (group, begun, mut at, mut groups) = (vec![b'x'; bytes], Instant::now(), 0, 0);
    while begun.elapsed() < time {
        if at + bytes as u64 > ROOM {
            at = 0;
        }
        file.write_all_at(&group, at)?;
        file.sync_data()?;
        (at, groups) = (at + bytes as u64, groups + 1);
    }
    let rate = f64::from(groups) / begun.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(rate)
}

/// What the journal in `folder` holds behind the change of that number.
pub fn groups_after(folder: &Path, after: u64) -> Result<Groups> {
    let mut files: Vec<(u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|suffix| suffix == "journal") {
            let first = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            files.push((first.context("a journal file is not named by a number")?, path));
        }
    }
    files.sort();
    let begins = files.partition_point(|(first, _)| *first <= after + 1).saturating_sub(1);
    let mut found = Groups { last: after, ..Groups::default() };
    let mut group = 0;
    for (_, path) in files.iter().skip(begins) {
        let bytes = fs::read(path)?;
        let mut at = HEADER_BYTES;
        while let Some(length) = number::<4>(&bytes, at).filter(|length| *length > 0) {
            let body = at + PREFIX_BYTES;
            let (change, of_group) = number::<8>(&bytes, body)
                .zip(number::<8>(&bytes, body + 8))
                .context("the journal ends within a change")?;
            if change > after {
                found.changes += 1;
                found.bytes += (PREFIX_BYTES + length as usize) as u64;
                found.groups += u64::from(of_group != group);
                found.last = change;
                group = of_group;
            }
            at = body + length as usize;
        }
    }
    Ok(found)
}

/// The little-endian number of `N` bytes at a place.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let mut wide = [0; 8];
    wide[..N].copy_from_slice(bytes.get(at..at + N)?);
    Some(u64::from_le_bytes(wide))
}
