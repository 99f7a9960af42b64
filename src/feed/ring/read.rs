//! Reading the files of the feed, beside their writer.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bytes::Bytes;

use super::format::{END, HEADER_BYTES, Parsed, RingRecord, parse, path_of};
use super::index::RingIndex;
use super::page::{Page, PageReader};

/// How many bytes are looked at for one page: where few events are wanted, a page ends early.
const SCAN_BYTES: usize = 32 * 1024 * 1024;
/// How many bytes are read at once.
const CHUNK: usize = 256 * 1024;
/// How many bytes lie between two records whose places are noted.
const SPACING: u64 = 64 * 1024;

/// Why the files can't be read.
pub(in crate::feed) struct ReadFailure {
    /// A clause that says why.
    pub(in crate::feed) reason: String,
    /// Whether what is missing or damaged must be derived again.
    pub(in crate::feed) is_damage: bool,
}

/// Reads the events behind one that are wanted, at most `limit`.
///
/// # Errors
///
/// [`ReadFailure`].
pub(in crate::feed) fn read(
    folder: &Path,
    index: &RingIndex,
    after: (u64, u32),
    wants: &dyn Fn(&RingRecord<'_>) -> bool,
    limit: usize,
) -> Result<Page, ReadFailure> {
    let mut page = PageReader::new(after, wants, limit);
    let mut scanned = 0;
    let mut place = index.place(after, HEADER_BYTES as u64);
    while let Some(reading) = place {
        let path = path_of(folder, reading.file);
        let failed = |error: io::Error| ReadFailure {
            is_damage: [io::ErrorKind::NotFound, io::ErrorKind::UnexpectedEof]
                .contains(&error.kind()),
            reason: format!("{}: {error}", path.display()),
        };
        let file = File::open(&path).map_err(failed)?;
        let (mut at, mut marked, mut wanted) = (reading.at, reading.at, CHUNK);
        while at < reading.end {
            let length = wanted.min(usize::try_from(reading.end - at).unwrap_or(usize::MAX));
            let mut chunk = vec![0; length];
            file.read_exact_at(&mut chunk, at).map_err(failed)?;
            let chunk = Bytes::from(chunk);
            let (mut used, mut more) = (0, true);
            while more {
                match parse(chunk.get(used..).unwrap_or_default()) {
                    Parsed::Record(record, length) => {
                        let here = at + used as u64;
                        if here - marked >= SPACING && record.index != END {
                            marked = here;
                            index.mark(reading.file, (record.sequence, record.index), here);
                        }
                        if page.is_full(&record, &chunk, used) {
                            return Ok(page.finish());
                        }
                        used += length;
                        more = used < chunk.len();
                    }
                    Parsed::Short(needed) if reading.end - at >= (used + needed) as u64 => {
                        wanted = needed.max(CHUNK);
                        more = false;
                    }
                    Parsed::Short(_) | Parsed::Damaged => {
                        let at = at + used as u64;
                        let reason = format!("{} is damaged at byte {at}", path.display());
                        return Err(ReadFailure { reason, is_damage: true });
                    }
                }
            }
            at += used as u64;
            scanned += used;
            if scanned >= SCAN_BYTES {
                return Ok(page.finish());
            }
        }
        place = index.next(reading.file, HEADER_BYTES as u64);
    }
    Ok(page.finish())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::page::PAGE_BYTES;
    use super::super::{ChangeEnd, RingEvent, RingWriter};
    use super::*;
    use crate::feed::cursor::FeedId;
    use crate::feed::event::EventType;

    /// The sizes of the pages in which events of these sizes are read.
    fn pages(sizes: &[usize]) -> Vec<usize> {
        let folder = tempfile::tempdir().unwrap();
        let index = Arc::<RingIndex>::default();
        let opened = RingWriter::open(folder.path(), FeedId([1; 8]), Arc::clone(&index));
        let (mut writer, _) = opened.unwrap();
        for (sequence, size) in (1..).zip(sizes) {
            let event_type = EventType::UserCreated;
            let json = vec![b'x'; *size];
            let (connection, changed) = ("", [].as_slice());
            let event =
                RingEvent { sequence, index: 0, event_type, connection, changed, json: &json };
            writer.append(&event).unwrap();
            writer.end_change(ChangeEnd { sequence, hash: [0; 32] }).unwrap();
        }
        writer.flush().unwrap();
        let (mut after, mut pages) = ((0, END), Vec::new());
        loop {
            let page = read(folder.path(), &index, after, &|_| true, 1_000).ok().unwrap();
            if page.events.is_empty() {
                return pages;
            }
            pages.push(page.events.iter().map(|(.., bytes)| bytes.len()).sum());
            after = page.next;
        }
    }

    #[test]
    fn a_page_ends_at_8_mib_but_has_one_event_whatever_its_size() {
        const MIB: usize = 1024 * 1024;
        assert_eq!(pages(&[MIB; 8]), [PAGE_BYTES]);
        assert_eq!(pages(&[[MIB; 7].as_slice(), &[MIB + 1]].concat()), [7 * MIB, MIB + 1]);
        assert_eq!(pages(&[MIB; 20]), [PAGE_BYTES, PAGE_BYTES, 4 * MIB]);
        assert_eq!(pages(&[9 * MIB, 1, 9 * MIB]), [9 * MIB, 1, 9 * MIB]);
    }
}
