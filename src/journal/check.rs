//! Whether the chain is whole: every frame, every file, and the places that somebody took down.
//!
//! Each frame holds the hash of the one before it, so that a change which was altered, removed or
//! inserted breaks the chain, unless everything behind it was written anew as well. That, and a tail
//! that was cut off, only shows to those who took down a place behind it: an anchor.

use std::cell::Cell;
use std::path::Path;

use super::history::{History, Position};
use super::segment::Segment;
use super::JournalError;

/// What a check of the chain read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// What the first file follows.
    pub begin: Position,
    /// The last change.
    pub end: Position,
    /// How many files there are.
    pub files: u64,
    /// How many changes were read.
    pub changes: u64,
    /// How many bytes behind the last change belong to a write that was not finished.
    pub torn_bytes: u64,
}

impl History {
    /// Checks every file, also behind one that is damaged, that each follows the one before it, and
    /// that the chain passes through the anchors. Faults are told in the order of the journal, those of
    /// anchors last.
    ///
    /// # Errors
    ///
    /// [`JournalError`] if the files can't be listed.
    pub fn check(
        &self,
        anchors: &[Position],
        fault: &mut dyn FnMut(JournalError),
    ) -> Result<Checked, JournalError> {
        self.check_with(anchors, None, fault)
    }

    /// Checks the journal in `folder`, which nobody writes to, without opening it for writing.
    ///
    /// # Errors
    ///
    /// [`JournalError`] if the files can't be listed, or if there is none.
    pub fn check_folder(
        folder: &Path,
        anchors: &[Position],
        fault: &mut dyn FnMut(JournalError),
    ) -> Result<Checked, JournalError> {
        let last = Self::last_segment(folder)?;
        let (end, torn_bytes, broken) = match last.tail() {
            Ok(tail) => (tail.last, tail.torn_bytes, None),
            // Where it ends can't be told: it ends for us where its last file begins.
            Err(error) => (last.before(), 0, Some(error)),
        };
        let history = Self::new(folder, last.identity, end);
        let checked = history.check_with(anchors, broken, fault)?;
        Ok(Checked { torn_bytes, ..checked })
    }

    fn check_with(
        &self,
        anchors: &[Position],
        broken: Option<JournalError>,
        fault: &mut dyn FnMut(JournalError),
    ) -> Result<Checked, JournalError> {
        let end = self.end();
        let mut segments = Segment::list(&self.folder)?;
        segments.retain(|segment| segment.first <= end.sequence.max(1));
        let begin = segments.first().map_or(end, Segment::before);
        let mut checked = Checked { begin, end, ..Checked::default() };
        let mut passed = vec![begin];
        let whole = Cell::new(broken.is_none());
        let mut fault = |error| {
            whole.set(false);
            fault(error);
        };
        for (place, segment) in segments.iter().enumerate() {
            let next = segments.get(place + 1).map(Segment::before);
            let upto = next.unwrap_or(end);
            let read = segment.check(upto.sequence, next.is_some(), |frame| {
                checked.changes += 1;
                let position = Position { sequence: frame.sequence, hash: frame.hash };
                if anchors.iter().any(|anchor| anchor.sequence == frame.sequence) {
                    passed.push(position);
                }
            });
            checked.files += 1;
            match read {
                Ok(reached) if reached != upto => fault(JournalError::Damaged {
                    path: segment.path.clone(),
                    offset: 0,
                    reason: format!(
                        "the next file does not follow it: between them is neither change {} nor the end",
                        reached.sequence + 1
                    ),
                }),
                Ok(_) => {}
                Err(error) => fault(error),
            }
            if segment.identity != self.identity() {
                fault(self.damaged(format!("{} is of another journal", segment.path.display())));
            }
        }
        if let Some(error) = broken {
            fault(error);
        }
        for anchor in anchors.iter().filter(|anchor| !passed.contains(anchor)) {
            let other = passed.iter().any(|passed| passed.sequence == anchor.sequence);
            fault(self.damaged(missing(*anchor, begin, end, other, whole.get())));
        }
        Ok(checked)
    }
}

/// Why the chain does not pass through an anchor.
fn missing(anchor: Position, begin: Position, end: Position, other: bool, whole: bool) -> String {
    let wanted = anchor.sequence;
    if other {
        format!("change {wanted} is not the one of the anchor: it, or one before it, was written anew")
    } else if wanted < begin.sequence {
        format!("it begins with change {}, behind the anchor {wanted}", begin.sequence + 1)
    } else if whole && wanted > end.sequence {
        format!("it ends with change {}, before the anchor {wanted}: its tail was cut off", end.sequence)
    } else {
        format!("the anchor {wanted} was not reached")
    }
}
