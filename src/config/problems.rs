//! The problems of the texts of a configuration, each with its place and key.
//!
//! Consequences of a recorded problem are not recorded: there is at most one problem for each key,
//! and none on a line with a syntax error. If the text has syntax errors, no key is reported as
//! missing; if one of them is in a table's header, no key is reported as unknown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::place::Place;

/// The longest piece of a wrong text that is quoted, in bytes.
const MAX_QUOTE: usize = 40;

/// One problem in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is; at the table's header where a key is missing.
    pub place: Place,
    /// The dotted path of the key; empty where the text is not TOML.
    pub key: String,
    /// What is wrong and what is expected, in one line.
    pub message: String,
}

/// Writes `FILE:LINE:COLUMN: KEY: MESSAGE`, without the key where the message names it.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, key, message } = self;
        if key.is_empty() || message.contains(&format!("\"{key}\"")) {
            write!(f, "{place}: {message}")
        } else {
            write!(f, "{place}: {key}: {message}")
        }
    }
}

/// A place in one of the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TextPosition {
    /// The index of the text.
    file: usize,
    /// The line and the column, counted from 1.
    line: usize,
    column: usize,
}

/// A text that problems are found in.
struct ReadText {
    path: Arc<Path>,
    text: Arc<str>,
    /// The offset of its first byte, behind all earlier texts.
    start: usize,
    /// The byte offset of each line break, from the start of the text.
    breaks: Vec<usize>,
}

/// The problems found in the texts of a configuration, with the keys that are known.
#[derive(Default)]
pub(super) struct Problems {
    /// Messages by file, line and key, with the column; the key is empty for a syntax error.
    problems: BTreeMap<(usize, usize, String), (usize, String)>,
    /// The dotted path of each key that was read, without array indices.
    pub(super) known: BTreeSet<String>,
    texts: Vec<ReadText>,
    /// Whether there are syntax errors.
    pub(super) broken: bool,
    /// Whether a table's header has a syntax error, so that keys may appear under the wrong table.
    pub(super) broken_header: bool,
}

impl Problems {
    /// Adds a text, and returns the offset of its first byte.
    pub(super) fn add_text(&mut self, path: Arc<Path>, text: Arc<str>) -> usize {
        let start = self.texts.last().map_or(0, |last| last.start + last.text.len() + 1);
        let breaks = text.match_indices('\n').map(|(offset, _)| offset).collect();
        self.texts.push(ReadText { path, text, start, breaks });
        start
    }

    /// Returns every problem, sorted by file, line and key.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        let problems = std::mem::take(&mut self.problems).into_iter();
        let problems = problems.map(|((file, line, key), (column, message))| Problem {
            place: self.place(TextPosition { file, line, column }),
            key,
            message,
        });
        problems.collect()
    }

    /// The position of a byte offset.
    pub(super) fn position(&self, offset: usize) -> TextPosition {
        let file = self.texts.partition_point(|text| text.start <= offset).saturating_sub(1);
        let Some(text) = self.texts.get(file) else {
            return TextPosition { file, line: 1, column: 1 };
        };
        let offset = offset - text.start;
        let before = text.breaks.partition_point(|&line_break| line_break < offset);
        let begin =
            before.checked_sub(1).and_then(|last| text.breaks.get(last)).map_or(0, |at| at + 1);
        let line = text.text.get(begin..offset).unwrap_or_default();
        TextPosition {
            file,
            line: before + 1,
            column: line.trim_start_matches('\u{feff}').chars().count() + 1,
        }
    }

    /// A position with the name of its file.
    pub(super) fn place(&self, TextPosition { file, line, column }: TextPosition) -> Place {
        let file = self
            .texts
            .get(file)
            .map_or_else(|| Path::new("").into(), |text| Arc::clone(&text.path));
        Place { file, line, column }
    }

    /// The first character from a byte offset on that is no blank.
    pub(super) fn follows(&self, offset: usize) -> Option<char> {
        let file = self.texts.partition_point(|text| text.start <= offset).checked_sub(1)?;
        let text = self.texts.get(file)?;
        text.text.get(offset - text.start..)?.chars().find(|c| !matches!(c, ' ' | '\t'))
    }

    /// Records a syntax error, and quotes the text unless it is long.
    pub(super) fn syntax(&mut self, place: Range<usize>, message: &str) {
        let position = self.position(place.start);
        self.broken = true;
        let Some(ReadText { text, start, breaks, .. }) = self.texts.get(position.file) else {
            return;
        };
        self.broken_header |= is_header(text, breaks, position.line);
        let quote = text
            .get(place.start - start..place.end.saturating_sub(*start))
            .filter(|place| !place.trim().is_empty() && place.len() <= MAX_QUOTE)
            .map(|place| format!(" (at {place:?})"))
            .unwrap_or_default();
        let message = format!("not TOML: {}{quote}", message.replace('\n', "; "));
        self.problem(position, String::new(), message);
    }

    /// Records a problem, unless the key or the whole line already has one.
    pub(super) fn problem(&mut self, position: TextPosition, key: String, message: String) {
        let TextPosition { file, line, column } = position;
        if !self.problems.contains_key(&(file, line, String::new())) {
            self.problems.entry((file, line, key)).or_insert((column, message));
        }
    }
}

fn is_header(text: &str, breaks: &[usize], line: usize) -> bool {
    let line_break = line.checked_sub(2).and_then(|index| breaks.get(index));
    text.get(line_break.map_or(0, |offset| offset + 1)..)
        .is_some_and(|rest| rest.trim_start_matches([' ', '\t']).starts_with('['))
}

/// Joins a dotted path. A key that is not a bare key in TOML is quoted.
pub(super) fn join(path: &str, key: &str) -> String {
    let bare = !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let key = if bare { key.to_owned() } else { format!("'{}'", key.escape_debug()) };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}
