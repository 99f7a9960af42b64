//! Writing the files of the feed, and opening them again.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{
    ChangeEnd, END, HEADER_BYTES, PREFIX_BYTES, Parsed, file_of, header, number_of, parse, path_of,
    read_header,
};
use super::index::RingIndex;
use crate::feed::cursor::FeedId;
use crate::feed::event::EventType;

/// How many bytes are written at once, at least, while a change goes on.
const BUFFER: usize = 256 * 1024;
/// How many bytes lie between two records whose places are noted.
const SPACING: u64 = 64 * 1024;

/// An event as it is put into the files.
pub(in crate::feed) struct RingEvent<'a> {
    pub(in crate::feed) sequence: u64,
    pub(in crate::feed) index: u32,
    pub(in crate::feed) event_type: EventType,
    /// The connection whose change it was; empty if it was no connection's.
    pub(in crate::feed) connection: &'a str,
    /// The paths of attributes that have changed.
    pub(in crate::feed) changed: &'a [String],
    pub(in crate::feed) json: &'a [u8],
}

/// The files of the feed, as their only writer sees them.
pub(in crate::feed) struct RingWriter {
    folder: PathBuf,
    feed: FeedId,
    index: Arc<RingIndex>,
    /// The last file, and its number.
    file: Option<(u64, File)>,
    /// Up to where the file is written.
    end: u64,
    /// What comes next in the file.
    buffer: Vec<u8>,
    /// Where the last noted record begins.
    marked: Option<u64>,
    /// The last change whose events are in the files or in the buffer.
    after: u64,
    /// The last record there.
    appended: (u64, u32),
}

impl RingWriter {
    /// Opens the files in a folder, which need not exist. Events of a change that is not complete are cut off. Answers
    /// the last complete change; `None` if there is none, or if the files are not those of this feed: then they go
    /// with [`RingWriter::restart`].
    ///
    /// # Errors
    ///
    /// The operating system refuses.
    pub(in crate::feed) fn open(
        folder: &Path,
        feed: FeedId,
        index: Arc<RingIndex>,
    ) -> io::Result<(Self, Option<ChangeEnd>)> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let (folder, buffer, appended) = (folder.to_owned(), Vec::new(), (0, END));
        let (file, end, marked, after) = (None, 0, None, 0);
        let mut writer = Self { folder, feed, index, file, end, buffer, marked, after, appended };
        let last = open_files(&writer.folder, feed, &writer.index, true)?;
        if let Some(last) = last {
            let number = file_of(last.sequence);
            let file = File::options().write(true).open(path_of(&writer.folder, number))?;
            writer.end = file.metadata()?.len();
            writer.file = Some((number, file));
            writer.after = last.sequence;
            writer.appended = (last.sequence, END);
            writer.index.recent.begin(last.sequence);
        }
        Ok((writer, last))
    }

    /// Removes all files; the next event follows a change.
    ///
    /// # Errors
    ///
    /// A file can't be removed.
    pub(in crate::feed) fn restart(&mut self, after: u64) -> io::Result<()> {
        self.file = None;
        self.buffer.clear();
        self.index.clear();
        for (_, path) in files(&self.folder)? {
            fs::remove_file(path)?;
        }
        self.after = after;
        self.appended = (after, END);
        self.index.set_written(after);
        self.index.recent.begin(after);
        Ok(())
    }

    /// Appends an event.
    ///
    /// # Errors
    ///
    /// The file can't be written; what was appended before is written with the next call.
    pub(in crate::feed) fn append(&mut self, event: &RingEvent<'_>) -> io::Result<()> {
        let connection = event.connection.as_bytes();
        let length = u8::try_from(connection.len()).unwrap_or_default();
        let paths: usize = event.changed.iter().map(|path| path.len() + 1).sum();
        self.begin_record(event.sequence)?;
        let begin = self.buffer.len();
        let room = PREFIX_BYTES + 32 + connection.len() + paths + event.json.len();
        self.buffer.reserve(room);
        self.buffer.extend_from_slice(&[0; PREFIX_BYTES]);
        self.buffer.extend_from_slice(&event.sequence.to_le_bytes());
        self.buffer.extend_from_slice(&event.index.to_le_bytes());
        self.buffer.push(event.event_type.code());
        self.buffer.push(length);
        self.buffer.extend_from_slice(connection.get(..usize::from(length)).unwrap_or_default());
        self.buffer.extend_from_slice(&u32::try_from(paths).unwrap_or_default().to_le_bytes());
        for path in event.changed {
            self.buffer.extend_from_slice(path.as_bytes());
            self.buffer.push(b'\n');
        }
        self.buffer.extend_from_slice(event.json);
        self.finish_record(begin);
        self.appended = (event.sequence, event.index);
        let at = self.end + begin as u64;
        if self.marked.is_none_or(|marked| at - marked >= SPACING) {
            self.marked = Some(at);
            self.index.mark(file_of(event.sequence), (event.sequence, event.index), at);
        }
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    /// Ends the events of a change.
    ///
    /// # Errors
    ///
    /// As [`RingWriter::append`].
    pub(in crate::feed) fn end_change(&mut self, end: ChangeEnd) -> io::Result<()> {
        self.begin_record(end.sequence)?;
        let begin = self.buffer.len();
        self.buffer.extend_from_slice(&[0; PREFIX_BYTES]);
        self.buffer.extend_from_slice(&end.sequence.to_le_bytes());
        self.buffer.extend_from_slice(&END.to_le_bytes());
        self.buffer.push(0);
        self.buffer.extend_from_slice(&end.hash);
        self.finish_record(begin);
        self.after = end.sequence;
        self.appended = (end.sequence, END);
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    /// Writes what was appended, and shows it to readers.
    ///
    /// # Errors
    ///
    /// The file can't be written; it is tried again with the next call.
    pub(in crate::feed) fn flush(&mut self) -> io::Result<()> {
        if let Some((number, file)) = &self.file {
            file.write_all_at(&self.buffer, self.end)?;
            self.end += self.buffer.len() as u64;
            self.index.extend(*number, self.end);
            if !self.buffer.is_empty() {
                self.index.recent.push(self.appended, &self.buffer);
            }
            self.buffer.clear();
        }
        self.index.set_written(self.after);
        Ok(())
    }

    /// Removes the files that hold no change behind `upto`; the last file stays. Answers how many were removed.
    ///
    /// # Errors
    ///
    /// A file can't be removed.
    pub(in crate::feed) fn trim(&self, upto: u64) -> io::Result<usize> {
        let older = self.index.older(upto);
        for number in &older {
            self.index.remove(*number);
            fs::remove_file(path_of(&self.folder, *number))?;
        }
        Ok(older.len())
    }

    /// Begins the file that holds a change, if it is not there.
    fn begin_record(&mut self, sequence: u64) -> io::Result<()> {
        let number = file_of(sequence);
        if self.file.as_ref().is_some_and(|(open, _)| *open == number) {
            return Ok(());
        }
        self.flush()?;
        if let Some((_, full)) = &self.file {
            full.sync_data()?;
        }
        let path = path_of(&self.folder, number);
        let options = &mut File::options();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let header = header(self.feed, self.after);
        file.write_all_at(&header, 0)?;
        self.end = header.len() as u64;
        self.index.add(number, self.after, self.end);
        self.file = Some((number, file));
        self.marked = None;
        Ok(())
    }

    /// Puts length and checksum before a body.
    fn finish_record(&mut self, begin: usize) {
        let Some(record) = self.buffer.get_mut(begin..) else { return };
        let Some((prefix, body)) = record.split_at_mut_checked(PREFIX_BYTES) else { return };
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
        let (first, second) = prefix.split_at_mut(4);
        first.copy_from_slice(&length);
        second.copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
    }
}

/// Makes the files of a feed known to readers, as they are.
///
/// # Errors
///
/// The operating system refuses.
pub(in crate::feed) fn open_read_only(
    folder: &Path,
    feed: FeedId,
    index: &RingIndex,
) -> io::Result<()> {
    open_files(folder, feed, index, false).map(drop)
}

/// Makes the files of a feed known; answers the last complete change. `cut` removes what comes behind it.
///
/// # Errors
///
/// The operating system refuses.
fn open_files(
    folder: &Path,
    feed: FeedId,
    index: &RingIndex,
    cut: bool,
) -> io::Result<Option<ChangeEnd>> {
    let mut files = files(folder)?;
    let mut last = None;
    while let Some((number, path)) = files.pop() {
        let bytes = fs::read(&path)?;
        let found = read_header(&bytes, feed).and_then(|after| {
            let (end, upto) = last_change(&bytes)?;
            Some((after, end, upto))
        });
        if let Some((after, end, upto)) = found {
            if cut && upto < bytes.len() {
                File::options().write(true).open(&path)?.set_len(upto as u64)?;
            }
            index.add(number, after, upto as u64);
            last = Some(end);
            break;
        }
        if cut {
            fs::remove_file(&path)?;
        }
    }
    let Some(last) = last else { return Ok(None) };
    let mut behind = file_of(last.sequence);
    for (number, path) in files.into_iter().rev() {
        let mut begin = [0; HEADER_BYTES];
        let file = File::open(&path)?;
        let read = file.read_exact_at(&mut begin, 0).is_ok();
        match read_header(&begin, feed).filter(|_| read && number + 1 == behind) {
            Some(after) => index.add(number, after, file.metadata()?.len()),
            None => {
                index.clear();
                return Ok(None);
            }
        }
        behind = number;
    }
    index.set_written(last.sequence);
    Ok(Some(last))
}

/// The last complete change in the bytes of a file, and where its records end.
fn last_change(bytes: &[u8]) -> Option<(ChangeEnd, usize)> {
    let mut last = None;
    let mut at = HEADER_BYTES;
    while let Parsed::Record(record, length) = parse(bytes.get(at..)?) {
        if record.event_type.is_none() {
            let hash = bytes.get(at..)?.get(record.payload.clone())?.try_into().ok()?;
            last = Some((ChangeEnd { sequence: record.sequence, hash }, at + length));
        }
        at += length;
    }
    last
}

/// The files in a folder, by number; none if there is no such folder.
fn files(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(number_of);
        found.extend(number.map(|number| (number, entry.path())));
    }
    found.sort_unstable();
    Ok(found)
}
