//! The search in the files of the request log.
//!
//! Reading needs no lock and no server: a line that is being written, or that a crash has cut, is left out.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use jiff::Timestamp;

use super::entry::RequestEntry;
use super::query::{FilePlace, RequestCursor, RequestPage, RequestQuery};
use super::{DENIED, SERVED, ring};

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
    let (mut entries, served) = newest(served, query)?;
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
        let Some(bytes) = content(folder, FilePlace { file: number, offset: 0 })? else { continue };
        end.get_or_insert(FilePlace { file: number, offset: bytes.len() as u64 });
        let mut next = Next::GoOn;
        for line in bytes.rsplit(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            next = visit(line);
            if matches!(next, Next::Stop) {
                return Ok(end.unwrap_or_default());
            }
        }
        if let Next::StopIfBefore(since) = next
            && ring::first_time(&ring::path(folder, number)).is_some_and(|time| time < since)
        {
            break;
        }
    }
    Ok(end.unwrap_or_default())
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
