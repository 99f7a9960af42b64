//! The last records of the files, in memory: consumers that keep up read no file.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::format::{END, RingRecord, known_record};
use super::page::{Page, PageReader};

/// How many bytes of records are kept; in tests so few that files are read as well.
const RECENT_BYTES: usize = if cfg!(test) { 16 * 1024 } else { 2 * 1024 * 1024 };

/// The last records that were written, as they stand in the files.
#[derive(Default)]
pub(in crate::feed) struct RecentRecords(Mutex<Option<Tail>>);

/// Everything behind one record.
struct Tail {
    /// The record behind which all are here.
    after: (u64, u32),
    parts: VecDeque<Arc<TailPart>>,
    bytes: usize,
}

/// Whole records that were written at once.
struct TailPart {
    /// The last of them.
    last: (u64, u32),
    bytes: Bytes,
}

impl RecentRecords {
    fn tail(&self) -> MutexGuard<'_, Option<Tail>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what is written from now on: behind all records of a change.
    pub(super) fn begin(&self, sequence: u64) {
        *self.tail() = Some(Tail { after: (sequence, END), parts: VecDeque::new(), bytes: 0 });
    }

    /// Keeps nothing.
    pub(super) fn clear(&self) {
        *self.tail() = None;
    }

    /// Keeps whole records, which are in the files by now, up to `last`.
    pub(super) fn push(&self, last: (u64, u32), records: &[u8]) {
        let bytes = Bytes::copy_from_slice(records);
        let mut guard = self.tail();
        let Some(tail) = guard.as_mut() else { return };
        tail.bytes += bytes.len();
        tail.parts.push_back(Arc::new(TailPart { last, bytes }));
        while tail.bytes > RECENT_BYTES {
            let Some(oldest) = tail.parts.pop_front() else { return };
            tail.after = oldest.last;
            tail.bytes -= oldest.bytes.len();
        }
    }

    /// Reads the events behind one that are wanted, at most `limit`; `None` if not all of them are here.
    pub(in crate::feed) fn read(
        &self,
        after: (u64, u32),
        wants: &dyn Fn(&RingRecord<'_>) -> bool,
        limit: usize,
    ) -> Option<Page> {
        // The writer waits no longer than it takes to count references.
        let parts: Vec<Arc<TailPart>> = {
            let guard = self.tail();
            let tail = guard.as_ref().filter(|tail| after >= tail.after)?;
            let first = tail.parts.partition_point(|part| part.last <= after);
            tail.parts.range(first..).cloned().collect()
        };
        let mut page = PageReader::new(after, wants, limit);
        for part in parts {
            let mut used = 0;
            while let Some((record, length)) = known_record(&part.bytes, used) {
                if page.is_full(&record, &part.bytes, used) {
                    return Some(page.finish());
                }
                used += length;
            }
        }
        Some(page.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::PREFIX_BYTES;
    use super::*;

    /// An event of that size as it stands in the files.
    fn record(sequence: u64, size: usize) -> Vec<u8> {
        let head =
            [&sequence.to_le_bytes()[..], &0_u32.to_le_bytes(), &[1, 0, 0, 0, 0, 0]].concat();
        let length = u32::try_from(head.len() + size).unwrap();
        [&length.to_le_bytes()[..], &[0; PREFIX_BYTES - 4], &head, &vec![b'x'; size]].concat()
    }

    #[test]
    fn records_are_kept_up_to_a_size_and_what_is_older_is_in_the_files_alone() {
        let recent = RecentRecords::default();
        let read = |after| recent.read(after, &|_| true, 1_000);
        recent.push((1, 0), &record(1, 10));
        assert!(read((0, END)).is_none(), "nothing is kept before it begins");
        recent.begin(1);
        assert!(read((0, END)).is_none());
        assert_eq!(read((1, END)).unwrap().next, (1, END));
        let size = RECENT_BYTES / 8;
        let whole = record(2, 0).len();
        for sequence in 2..10 {
            recent.push((sequence, 0), &record(sequence, size - whole));
        }
        assert_eq!(read((1, END)).unwrap().events.len(), 8, "as many as fit are kept");
        recent.push((10, 0), &record(10, 0));
        assert!(read((1, END)).is_none(), "and one byte more is not");
        let page = read((2, 0)).unwrap();
        assert_eq!((page.events.len(), page.next), (8, (10, 0)));
        assert_eq!(read((2, END)).unwrap().events.len(), 8);
        let page = recent.read((3, 0), &|record| record.sequence != 5, 3).unwrap();
        let sequences: Vec<u64> = page.events.iter().map(|((sequence, _), ..)| *sequence).collect();
        assert_eq!((sequences.as_slice(), page.next), ([4, 6, 7].as_slice(), (7, 0)));
        recent.push((11, 0), &record(11, RECENT_BYTES));
        assert!(read((10, 0)).is_none(), "one that is larger is in the files alone");
        assert!(read((11, 0)).unwrap().events.is_empty());
        recent.clear();
        assert!(read((11, 0)).is_none());
    }
}
