//! The file: opened once, copied if it can't be read twice, and read row by row within bounds.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::row::{MAX_LINE_BYTES, ReadRow, RowError, Visit};
use super::table;
use crate::cli::exit::CliError;
use crate::scim::registry::Registry;

/// The maximum number of rows.
pub(super) const MAX_ROWS: usize = 1_000_000;
/// The maximum size of what is copied because it can't be read twice, in bytes.
const MAX_COPY_BYTES: u64 = 1 << 30;
/// The byte order mark that some editors put at the beginning.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The file to import.
pub(super) struct Input {
    file: File,
    bytes: u64,
    registry: Registry,
}

impl Input {
    /// Opens a file; what is no regular file is copied to a temporary one.
    pub(super) fn open(path: &Path, registry: Registry) -> Result<Self> {
        let is_stdin = path == Path::new("-");
        let can_not = |error: io::Error| match error.kind() {
            io::ErrorKind::PermissionDenied => {
                anyhow::Error::new(error).context(format!("can't read {}", path.display()))
            }
            _ => CliError::usage(format!(
                "can't read {}: {error}; name a file, or -",
                path.display()
            )),
        };
        let file = match is_stdin {
            true => None,
            false => Some(File::open(path).map_err(can_not)?),
        };
        let is_regular = |file: &File| file.metadata().is_ok_and(|metadata| metadata.is_file());
        let file = match file {
            Some(file) if is_regular(&file) => file,
            Some(file) => copy(file).with_context(|| format!("can't read {}", path.display()))?,
            None => copy(io::stdin().lock()).context("can't read standard input")?,
        };
        let bytes = file.metadata()?.len();
        Ok(Self { file, bytes, registry })
    }

    /// The size of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Visits every row from the beginning; what can't be read as one is an error with its line, and ends nothing.
    pub(super) fn rows(&mut self, visit: &mut Visit<'_>) -> Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::with_capacity(64 * 1024, &self.file);
        if reader.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
            reader.consume(BYTE_ORDER_MARK.len());
        }
        let first = reader.fill_buf()?.iter().find(|byte| !byte.is_ascii_whitespace());
        match first {
            Some(b'{') | None => lines(reader, visit),
            Some(_) => table::rows(reader, &self.registry, visit),
        }
    }
}

fn copy(from: impl io::Read) -> Result<File> {
    let mut file = tempfile::tempfile()?;
    if io::copy(&mut from.take(MAX_COPY_BYTES + 1), &mut file)? > MAX_COPY_BYTES {
        bail!("there is more than 1 GiB; write it to a file and import that");
    }
    Ok(file)
}

/// Visits the rows of JSON Lines. Empty lines are skipped.
fn lines(mut reader: impl BufRead, visit: &mut Visit<'_>) -> Result<()> {
    let (mut number, mut end) = (0, 0);
    let mut line = Vec::new();
    loop {
        line.clear();
        number += 1;
        let read = (&mut reader).take(MAX_LINE_BYTES as u64).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        end += read as u64;
        if read == MAX_LINE_BYTES && !line.ends_with(b"\n") {
            let reason = format!("the line is longer than {} MiB", MAX_LINE_BYTES >> 20);
            visit(Err(RowError { line: number, reason }))?;
            // The rest of the line is skipped in parts.
            while read_part(&mut reader, &mut end)? {}
            continue;
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let row = ReadRow::parse(text).map(|row| ReadRow { line: number, end, ..row });
        visit(row.map_err(|reason| RowError { line: number, reason }))?;
    }
}

/// Skips a part of a line; whether the line goes on.
fn read_part(reader: &mut impl BufRead, end: &mut u64) -> io::Result<bool> {
    let part = reader.fill_buf()?;
    let newline = part.iter().position(|byte| *byte == b'\n');
    let skipped = newline.map_or(part.len(), |at| at + 1);
    let goes_on = newline.is_none() && skipped > 0;
    reader.consume(skipped);
    *end += skipped as u64;
    Ok(goes_on)
}
