//! Where in the files events begin, shared by the writer and the readers.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::format::{file_of, last_of};
use super::recent::RecentRecords;

/// How many bytes lie between two marks of a file, at least.
const SPACING: u64 = 64 * 1024;

/// What readers know of the files.
#[derive(Default)]
pub(in crate::feed) struct RingIndex {
    known: Mutex<Files>,
    /// The last records that the files have.
    pub(in crate::feed) recent: RecentRecords,
}

#[derive(Default)]
struct Files {
    /// By number.
    files: BTreeMap<u64, FileIndex>,
    /// The last change whose events are all in the files.
    written: u64,
}

struct FileIndex {
    /// The change that the file follows.
    after: u64,
    /// Up to where it may be read.
    end: u64,
    /// Where records begin, by sequence and index.
    marks: Vec<((u64, u32), u64)>,
}

/// Where a reader begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadPlace {
    pub(super) file: u64,
    pub(super) at: u64,
    /// Up to where the file may be read.
    pub(super) end: u64,
}

impl RingIndex {
    fn files(&self) -> MutexGuard<'_, Files> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The change behind which everything can be read: also where no event was written yet behind what a log that was
    /// trimmed begins with.
    pub(in crate::feed) fn oldest(&self) -> u64 {
        let files = self.files();
        files.files.first_key_value().map_or(files.written, |(_, file)| file.after)
    }

    /// The last change whose events are all in the files.
    pub(in crate::feed) fn written(&self) -> u64 {
        self.files().written
    }

    /// How many bytes the files have.
    pub(in crate::feed) fn bytes(&self) -> u64 {
        self.files().files.values().map(|file| file.end).sum()
    }

    pub(super) fn set_written(&self, sequence: u64) {
        self.files().written = sequence;
    }

    pub(super) fn add(&self, number: u64, after: u64, end: u64) {
        self.files().files.insert(number, FileIndex { after, end, marks: Vec::new() });
    }

    pub(super) fn extend(&self, number: u64, end: u64) {
        if let Some(file) = self.files().files.get_mut(&number) {
            file.end = end;
        }
    }

    /// Notes where a record begins, unless that is near to another one.
    pub(super) fn mark(&self, number: u64, record: (u64, u32), at: u64) {
        let mut files = self.files();
        let Some(file) = files.files.get_mut(&number) else { return };
        let place = file.marks.partition_point(|(_, known)| *known <= at);
        let near = |place: Option<usize>| {
            let mark = place.and_then(|place| file.marks.get(place));
            mark.is_some_and(|(_, known)| known.abs_diff(at) < SPACING)
        };
        if !near(place.checked_sub(1)) && !near(Some(place)) {
            file.marks.insert(place, (record, at));
        }
    }

    /// Where to begin to read what comes behind a record; `begin` is where the records of a file begin.
    pub(super) fn place(&self, behind: (u64, u32), begin: u64) -> Option<ReadPlace> {
        let files = self.files();
        let (number, file) = files.files.range(file_of(behind.0)..).next()?;
        let before = file.marks.partition_point(|(record, _)| *record <= behind);
        let mark = before.checked_sub(1).and_then(|place| file.marks.get(place));
        let at = mark.map_or(begin, |(_, at)| *at);
        Some(ReadPlace { file: *number, at, end: file.end })
    }

    /// The file behind one.
    pub(super) fn next(&self, number: u64, begin: u64) -> Option<ReadPlace> {
        let files = self.files();
        let (number, file) = files.files.range(number + 1..).next()?;
        Some(ReadPlace { file: *number, at: begin, end: file.end })
    }

    /// The files that hold no change behind `upto`, but for the last file.
    pub(super) fn older(&self, upto: u64) -> Vec<u64> {
        let files = self.files();
        let last = files.files.last_key_value().map(|(number, _)| *number);
        let older = files.files.keys().copied().filter(|number| last_of(*number) <= upto);
        older.filter(|number| Some(*number) != last).collect()
    }

    pub(super) fn remove(&self, number: u64) {
        self.files().files.remove(&number);
    }

    pub(in crate::feed) fn clear(&self) {
        self.recent.clear();
        *self.files() = Files::default();
    }
}
