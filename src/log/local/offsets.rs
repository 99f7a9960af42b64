//! Where in the files frames begin: a sparse index, so that a reader does not parse a file from its start.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::log::Position;

/// How many bytes lie between two marks of a file, at least.
const SPACING: u64 = 64 * 1024;
/// Of how many files marks are kept; with 16 MiB a file that is less than 1 MiB of memory.
const FILES: usize = 64;

/// A place in a file at which a frame begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The byte in the file.
    pub(super) at: u64,
    /// The position that the frame follows.
    pub(super) before: Position,
}

/// The marks of the newest files, by the sequence of each file's first frame.
#[derive(Default)]
pub(super) struct Offsets {
    files: Mutex<BTreeMap<u64, Vec<Mark>>>,
}

impl Offsets {
    /// Remembers a place, unless it is too close behind another one.
    pub(super) fn note(&self, file: u64, mark: Mark) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let marks = files.entry(file).or_default();
        if marks.last().is_none_or(|last| mark.at >= last.at + SPACING) {
            marks.push(mark);
        }
        if files.len() > FILES {
            files.pop_first();
        }
    }

    /// The last known place in a file behind which the frames after `sequence` stand.
    pub(super) fn find(&self, file: u64, sequence: u64) -> Option<Mark> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let marks = files.get(&file)?;
        let behind = marks.partition_point(|mark| mark.before.sequence <= sequence);
        marks.get(behind.checked_sub(1)?).copied()
    }
}
