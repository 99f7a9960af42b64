//! What commands print: results on standard output, everything else on standard error.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use jiff::Timestamp;
use rustix::fs::Mode;
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use super::exit::{CliError, ExitKind};
use crate::text::is_unseen;

/// Whether this process prints no notes. A process runs one command, so that this is of the command.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// Has this process print no notes and show no progress from here on; errors and questions are still printed.
pub(super) fn be_quiet() {
    IS_QUIET.store(true, Ordering::Relaxed);
}

/// Whether the command prints no notes and shows no progress.
pub(super) fn is_quiet() -> bool {
    IS_QUIET.load(Ordering::Relaxed)
}

/// Prints a line of a result on standard output.
pub(super) fn line(text: &str) -> Result<()> {
    Ok(writeln!(io::stdout(), "{}", printable(text))?)
}

/// Prints a note, which is not part of the result, on standard error, unless the command is quiet.
pub(super) fn note(text: &str) -> Result<()> {
    if is_quiet() {
        return Ok(());
    }
    Ok(writeln!(io::stderr(), "{}", printable(text))?)
}

/// Prints an error on standard error.
pub(super) fn error(text: &str) -> Result<()> {
    Ok(writeln!(io::stderr(), "{text}")?)
}

/// Prints a question on standard error, and leaves the line open for the answer.
pub(super) fn prompt(text: &str) -> Result<()> {
    write!(io::stderr(), "{}", printable(text))?;
    Ok(io::stderr().flush()?)
}

/// A number of things: `1 user`, `2 users`.
pub(super) fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// Has this process create files from here on that all users may read. A command calls it that creates nothing
/// secret.
pub(super) fn create_for_all_users() {
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
}

/// Creates a file that does not exist yet and that only its owner may read.
pub(super) fn create(path: &Path) -> Result<File> {
    File::options().read(true).write(true).create_new(true).mode(0o600).open(path).map_err(
        |error| {
            let text = format!("can't create {}: {error}; choose a new file", path.display());
            CliError::of_kind(ExitKind::Failure, text)
        },
    )
}

/// Prints a result as JSON.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    line(&visible_json(&serde_json::to_string_pretty(value)?))
}

/// Prints a result as JSON on one line.
pub(super) fn json_line(value: &(impl Serialize + ?Sized)) -> Result<()> {
    line(&visible_json(&serde_json::to_string(value)?))
}

/// Prints labels with their values, one value on a line; a label without values is left out.
pub(super) fn key_values(entries: &[(&str, Vec<String>)]) -> Result<()> {
    let told = || entries.iter().filter(|(_, values)| !values.is_empty());
    let width = told().map(|(label, _)| display_width(label)).max().unwrap_or_default();
    for (label, values) in told() {
        for (number, value) in values.iter().enumerate() {
            let label = if number == 0 { label } else { "" };
            line(&format!("{label:<width$}  {value}"))?;
        }
    }
    Ok(())
}

/// A text of one or more lines with all escaped that `sanitize` escapes, but for the ends of lines.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    match text.contains(|character| character != '\n' && is_escaped(character)) {
        true => Cow::Owned(text.split('\n').map(sanitize).collect::<Vec<_>>().join("\n")),
        false => Cow::Borrowed(text),
    }
}

/// JSON in which the characters that [`sanitize`] escapes are escaped as JSON has it. They can only be in texts.
pub(super) fn visible_json(json: &str) -> Cow<'_, str> {
    if !json.contains(|character| character != '\n' && is_escaped(character)) {
        return Cow::Borrowed(json);
    }
    let escape = |character: char| match character != '\n' && is_escaped(character) {
        true => {
            let mut units = [0; 2];
            let units = character.encode_utf16(&mut units).iter();
            units.map(|unit| format!("\\u{unit:04x}")).collect()
        }
        false => character.to_string(),
    };
    Cow::Owned(json.chars().map(escape).collect())
}

fn is_escaped(character: char) -> bool {
    character.is_control() || is_unseen(character)
}

/// A text that is not ours on one line, with everything escaped that a terminal would obey or a reader would not
/// see: control characters, those that change the direction of text, and those that have no width.
pub(super) fn sanitize(text: &str) -> String {
    let escaped = |character: char| match is_escaped(character) {
        true => character.escape_default().collect(),
        false => character.to_string(),
    };
    text.chars().map(escaped).collect()
}

/// The number of columns that a text takes in a terminal.
pub(super) fn display_width(text: &str) -> usize {
    text.width()
}

/// A text with spaces after it, so that it takes a number of columns.
pub(super) fn padded(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(display_width(text));
    format!("{text}{:missing$}", "")
}

/// A moment to the minute, or what its absence means.
pub(super) fn moment(moment: Option<Timestamp>, absent: &str) -> String {
    moment.map_or_else(
        || absent.to_owned(),
        |moment| moment.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_escaped() {
        for unseen in
            "\u{ad}\u{34f}\u{115f}\u{180e}\u{3164}\u{fe0f}\u{e0041}\u{202e}\u{1b}\n".chars()
        {
            let shown = sanitize(&format!("a{unseen}b"));
            assert_eq!(shown, format!("a{}b", unseen.escape_default()));
        }
        assert_eq!(printable("a\n\u{1b}[2Jb"), "a\n\\u{1b}[2Jb");
        let text = "\u{7f}\u{9b}\u{202e}\u{e0041}\n\"";
        let shown = visible_json(&serde_json::to_string_pretty(&[text]).unwrap()).into_owned();
        assert!(shown.is_ascii() && shown.lines().count() == 3, "{shown}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&shown).unwrap(), [text]);
        assert_eq!(sanitize("Jos\u{e9} \u{1f600}"), "Jos\u{e9} \u{1f600}");
    }

    #[test]
    fn columns_are_as_wide_as_a_terminal_shows_them() {
        for (text, width) in [
            ("ada", 3),
            ("", 0),
            ("\u{e9}", 1),
            ("e\u{301}", 1),
            ("\u{7530}\u{4e2d}", 4),
            ("\u{1f600}", 2),
        ] {
            assert_eq!(display_width(text), width, "{text}");
            assert_eq!(padded(text, 6), format!("{text}{}", " ".repeat(6 - width)));
        }
    }
}
