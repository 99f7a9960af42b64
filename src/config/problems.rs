//! The problems of a configuration text, each with its line and key.
//!
//! Consequences of a recorded problem are not recorded: there is at most one problem for each key,
//! and none on a line with a syntax error. If the text has syntax errors, no key is reported as
//! missing; if one of them is in a table's header, no key is reported as unknown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

/// The longest piece of a wrong text that is quoted, in bytes.
const MAX_QUOTE: usize = 40;

/// One problem in a configuration text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, counted from 1; of the table's header where a key is missing.
    pub line: usize,
    /// The dotted path of the key; empty where the text is not TOML.
    pub key: String,
    /// What is wrong and what is expected, in one line.
    pub message: String,
}

/// Writes `LINE: KEY: MESSAGE`, without the key where the message names it.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, key, message } = self;
        if key.is_empty() || message.contains(&format!("\"{key}\"")) {
            write!(f, "{line}: {message}")
        } else {
            write!(f, "{line}: {key}: {message}")
        }
    }
}

/// The problems found in one text, with the keys that are known.
#[derive(Default)]
pub(super) struct Problems {
    /// Messages by line and key; the key is empty for a syntax error.
    problems: BTreeMap<(usize, String), String>,
    /// The dotted path of each key that was read, without array indices.
    pub(super) known: BTreeSet<String>,
    /// The byte offset of each line break.
    breaks: Vec<usize>,
    /// Whether there are syntax errors.
    pub(super) broken: bool,
    /// Whether a table's header has a syntax error, so that keys may appear under the wrong table.
    pub(super) broken_header: bool,
}

impl Problems {
    /// Returns an empty list of problems for `text`.
    pub(super) fn new(text: &str) -> Self {
        let breaks = text.match_indices('\n').map(|(offset, _)| offset).collect();
        Self { breaks, ..Self::default() }
    }

    /// Returns every problem, sorted by line and key.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let problems = self.problems.into_iter();
        problems.map(|((line, key), message)| Problem { line, key, message }).collect()
    }

    /// Returns the line of a byte offset, counted from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.breaks.partition_point(|&line_break| line_break < offset) + 1
    }

    /// Records a syntax error, and quotes the text unless it is long.
    pub(super) fn syntax(&mut self, text: &str, place: Range<usize>, message: &str) {
        let line = self.line(place.start);
        self.broken = true;
        self.broken_header |= self.is_header(text, line);
        let quote = text
            .get(place)
            .filter(|place| !place.trim().is_empty() && place.len() <= MAX_QUOTE)
            .map(|place| format!(" (at {place:?})"))
            .unwrap_or_default();
        let message = format!("not TOML: {}{quote}", message.replace('\n', "; "));
        self.problem(line, String::new(), message);
    }

    /// Records a problem, unless the key or the whole line already has one.
    pub(super) fn problem(&mut self, line: usize, key: String, message: String) {
        if !self.problems.contains_key(&(line, String::new())) {
            self.problems.entry((line, key)).or_insert(message);
        }
    }

    fn is_header(&self, text: &str, line: usize) -> bool {
        let line_break = line.checked_sub(2).and_then(|index| self.breaks.get(index));
        text.get(line_break.map_or(0, |offset| offset + 1)..)
            .is_some_and(|rest| rest.trim_start_matches([' ', '\t']).starts_with('['))
    }
}
