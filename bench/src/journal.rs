//! How many syncs changes cost: read from the journal, where each change names the first one that was
//! synced with it (`docs/storage.md`). One group is one `fdatasync`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

const HEADER_BYTES: usize = 68;
const PREFIX_BYTES: usize = 8;

/// Changes and the groups that they were synced in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Groups {
    /// How many changes.
    pub changes: u64,
    /// In how many groups.
    pub groups: u64,
    /// The number of the last change.
    pub last: u64,
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
