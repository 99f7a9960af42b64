//! What commands print: results on standard output, everything else on standard error.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;

use super::UsageError;

/// Prints a line of a result.
pub(super) fn line(text: &str) -> Result<()> {
    Ok(writeln!(io::stdout(), "{text}")?)
}

/// Tells the operator something that is not part of the result.
pub(super) fn tell(text: &str) -> Result<()> {
    Ok(writeln!(io::stderr(), "{text}")?)
}

/// Makes a file that was not there and that only its owner may read.
pub(super) fn create(path: &Path) -> Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
        UsageError(format!("can't create {}: {error}; name a new file", path.display())).into()
    })
}

/// Prints a result for programs.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

/// Prints a result for people: columns as wide as their widest cell.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> Result<()> {
    let mut widths = head.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    line(&format_row(head, widths))?;
    for row in rows {
        line(&format_row(row.each_ref().map(String::as_str), widths))?;
    }
    Ok(())
}

fn format_row<const N: usize>(cells: [&str; N], widths: [usize; N]) -> String {
    let padded: Vec<String> =
        cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    padded.join("  ").trim_end().to_owned()
}

/// A moment to the minute, or what its absence means.
pub(super) fn moment(moment: Option<Timestamp>, absent: &str) -> String {
    moment.map_or_else(
        || absent.to_owned(),
        |moment| moment.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}
