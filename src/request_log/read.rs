//! The search in the files of the request log.
//!
//! Reading needs no lock and no server: a line that is being written, or that a crash has cut, is left out.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use jiff::Timestamp;
use memchr::{memchr, memrchr};

use super::entry::RequestEntry;
use super::query::{FilePlace, RequestCursor, RequestPage, RequestQuery};
use super::{DENIED, SERVED, ring};

/// The bytes of the end of a file that are read at first; each block before it is twice as large, up to a limit.
const FIRST_BLOCK: u64 = 64 << 10;
const LARGEST_BLOCK: u64 = 1 << 20;

/// The records in the request log of a data directory that a query asks for.
///
/// # Errors
///
/// A file or folder can't be read.
pub fn read(folder: &Path, query: &RequestQuery) -> io::Result<RequestPage> {
    let (served, denied) = (folder.join(SERVED), folder.join(DENIED));
    match query.after {
        Some(after) => read_after(&served, &denied, after, query),
        None => read_newest(&served, &denied, query),
    }
}

fn read_newest(served: &Path, denied: &Path, query: &RequestQuery) -> io::Result<RequestPage> {
    let (mut entries, served) = match query.without_credential {
        true => Default::default(),
        false => newest(served, query)?,
    };
    let (others, denied) = newest(denied, query)?;
    entries.extend(others);
    entries.sort_by_key(|entry| entry.time);
    let surplus = entries.len().saturating_sub(query.limit);
    entries.drain(..surplus);
    Ok(RequestPage { entries, reached: RequestCursor { served, denied } })
}

/// The newest matching records of a ring, oldest first, and its end.
fn newest(folder: &Path, query: &RequestQuery) -> io::Result<(Vec<RequestEntry>, FilePlace)> {
    let mut found = Vec::new();
    let end = lines_newest_first(folder, &mut |line| {
        let entry = Some(line).filter(|line| query.may_match(line));
        found.extend(entry.and_then(RequestEntry::decode).filter(|entry| query.matches(entry)));
        match query.since {
            _ if found.len() >= query.limit => Next::Stop,
            Some(since) => Next::StopIfBefore(since),
            None => Next::GoOn,
        }
    })?;
    found.reverse();
    Ok((found, end))
}

/// Visits the records of a ring, newest first, until the visitor returns `false`.
pub(super) fn newest_first(
    folder: &Path,
    visit: &mut dyn FnMut(RequestEntry) -> bool,
) -> io::Result<()> {
    lines_newest_first(folder, &mut |line| match RequestEntry::decode(line).is_none_or(&mut *visit)
    {
        true => Next::GoOn,
        false => Next::Stop,
    })
    .map(drop)
}

/// What a visitor of lines wants next.
enum Next {
    GoOn,
    /// No file whose records are all before a time.
    StopIfBefore(Timestamp),
    Stop,
}

/// Visits the lines of a ring, newest first; returns the end of the ring.
fn lines_newest_first(
    folder: &Path,
    visit: &mut dyn FnMut(&[u8]) -> Next,
) -> io::Result<FilePlace> {
    let mut end = None;
    for number in ring::numbers(folder)?.into_iter().rev() {
        let path = ring::path(folder, number);
        let file = match File::open(&path) {
            Ok(file) => file,
            // It has given way.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let (offset, next) = backwards(&file, visit)?;
        end.get_or_insert(FilePlace { file: number, offset });
        let is_before = |since| ring::first_time(&path).is_some_and(|time| time < since);
        match next {
            Next::Stop => break,
            Next::StopIfBefore(since) if is_before(since) => break,
            Next::StopIfBefore(_) | Next::GoOn => {}
        }
    }
    Ok(end.unwrap_or_default())
}

/// Visits the whole lines of a file, last one first, in blocks: most searches need only the end of it. Returns the end of
/// the last whole line, and what the visitor wanted at last.
fn backwards(file: &File, visit: &mut dyn FnMut(&[u8]) -> Next) -> io::Result<(u64, Next)> {
    let (mut start, mut size) = (file.metadata()?.len(), FIRST_BLOCK);
    let (mut rest, mut end, mut next) = (Vec::new(), None, Next::GoOn);
    while start > 0 {
        let from = start.saturating_sub(size);
        let mut bytes = vec![0; usize::try_from(start - from).unwrap_or_default()];
        file.read_exact_at(&mut bytes, from)?;
        bytes.append(&mut rest);
        if end.is_none() {
            let whole = memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
            end = (whole > 0).then_some(from + whole as u64);
            bytes.truncate(if whole > 0 { whole } else { bytes.len() });
        }
        // What comes before the first line break may be the end of a line that begins in the block before.
        let first = match (end, from) {
            (None, _) => bytes.len(),
            (_, 0) => 0,
            _ => memchr(b'\n', &bytes).map_or(bytes.len(), |at| at + 1),
        };
        rest = bytes;
        let lines = rest.get(first..).unwrap_or_default();
        for line in lines.rsplit(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            next = visit(line);
            if matches!(next, Next::Stop) {
                return Ok((end.unwrap_or_default(), next));
            }
        }
        rest.truncate(first);
        start = from;
        size = (size * 2).min(LARGEST_BLOCK);
    }
    Ok((end.unwrap_or_default(), next))
}

fn read_after(
    served: &Path,
    denied: &Path,
    after: RequestCursor,
    query: &RequestQuery,
) -> io::Result<RequestPage> {
    let mut entries = Vec::new();
    let served = following(served, after.served, query, &mut entries)?;
    let denied = following(denied, after.denied, query, &mut entries)?;
    entries.sort_by_key(|entry| entry.time);
    Ok(RequestPage { entries, reached: RequestCursor { served, denied } })
}

/// Adds the matching records of a ring after a place, as many as the query wants; returns the place that was
/// reached.
fn following(
    folder: &Path,
    after: FilePlace,
    query: &RequestQuery,
    entries: &mut Vec<RequestEntry>,
) -> io::Result<FilePlace> {
    let (mut place, limit) = (after, entries.len() + query.limit);
    for number in ring::numbers(folder)?.into_iter().filter(|number| *number >= after.file) {
        if number != place.file {
            place = FilePlace { file: number, offset: 0 };
        }
        let Some(bytes) = content(folder, place)? else { continue };
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if entries.len() >= limit {
                return Ok(place);
            }
            place.offset += line.len() as u64;
            let entry = RequestEntry::decode(line);
            entries.extend(entry.filter(|entry| query.matches(entry)));
        }
    }
    Ok(place)
}

/// The whole lines of a file from a place on; `None` if the file has given way.
fn content(folder: &Path, place: FilePlace) -> io::Result<Option<Vec<u8>>> {
    let mut file = match File::open(ring::path(folder, place.file)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(place.offset))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    bytes.truncate(whole);
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::entry::sample;
    use super::*;

    fn write(folder: &Path, ring: &str, file: u64, ids: &[&str], tail: &str) {
        let folder = folder.join(ring);
        fs::create_dir_all(&folder).unwrap();
        let mut bytes = Vec::new();
        for id in ids {
            let mut entry = sample(id);
            entry.time += std::time::Duration::from_secs(id.parse().unwrap());
            entry.encode(&mut bytes);
        }
        bytes.extend_from_slice(tail.as_bytes());
        fs::write(ring::path(&folder, file), bytes).unwrap();
    }

    fn ids(page: &RequestPage) -> Vec<&str> {
        page.entries.iter().map(|entry| entry.id.as_str()).collect()
    }

    #[test]
    fn the_newest_records_of_both_rings_come_in_the_order_of_their_time() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), SERVED, 1, &["1", "2"], "");
        write(folder.path(), SERVED, 2, &["4", "6"], "{\"time\":\"2027");
        write(folder.path(), DENIED, 1, &["3", "5"], "");
        let newest = |limit| RequestQuery { limit, ..RequestQuery::default() };
        let page = read(folder.path(), &newest(4)).unwrap();
        assert_eq!(ids(&page), ["3", "4", "5", "6"], "a cut line is no record");
        let page = read(folder.path(), &newest(100)).unwrap();
        assert_eq!(ids(&page), ["1", "2", "3", "4", "5", "6"]);
        let nothing = read(&folder.path().join("none"), &newest(4)).unwrap();
        assert!(nothing.entries.is_empty());
        assert_eq!(nothing.reached, RequestCursor::default());
    }

    #[test]
    fn lines_are_found_whole_wherever_blocks_begin() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        let blocks = usize::try_from(FIRST_BLOCK).unwrap();
        for lengths in [
            vec![],
            vec![1],
            vec![blocks - 1],
            vec![blocks],
            vec![3, blocks, 2],
            vec![5 * blocks, 1, 40 * blocks],
            vec![99; 10_000],
        ] {
            for tail in ["", "cut", &"cut".repeat(blocks)] {
                let line = |(at, length): (usize, &usize)| {
                    let letter = char::from(b'a' + u8::try_from(at % 26).unwrap());
                    letter.to_string().repeat(*length)
                };
                let mut lines: Vec<String> = lengths.iter().enumerate().map(line).collect();
                let whole: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
                fs::write(&path, format!("{whole}{tail}")).unwrap();
                let mut found = Vec::new();
                let visit = &mut |line: &[u8]| {
                    found.push(String::from_utf8(line.to_vec()).unwrap());
                    Next::GoOn
                };
                let (end, _) = backwards(&File::open(&path).unwrap(), visit).unwrap();
                lines.reverse();
                assert!(found == lines, "{lengths:?} and {} bytes", tail.len());
                assert_eq!(end, whole.len() as u64);
            }
        }
    }

    #[test]
    fn a_search_goes_on_where_the_last_one_ended() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), SERVED, 1, &["1", "2"], "");
        let query = RequestQuery { limit: 2, ..RequestQuery::default() };
        let reached = read(folder.path(), &query).unwrap().reached;
        let after = |reached| RequestQuery { after: Some(reached), ..query.clone() };
        assert!(read(folder.path(), &after(reached)).unwrap().entries.is_empty());
        write(folder.path(), SERVED, 1, &["1", "2", "3"], "{");
        write(folder.path(), SERVED, 2, &["4", "5"], "");
        write(folder.path(), DENIED, 1, &["6"], "");
        let page = read(folder.path(), &after(reached)).unwrap();
        assert_eq!(ids(&page), ["3", "4", "6"]);
        let page = read(folder.path(), &after(page.reached)).unwrap();
        assert_eq!(ids(&page), ["5"]);
    }
}
