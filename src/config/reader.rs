//! Reads TOML and collects every problem, each with its line and key.
//!
//! A section reads its keys one by one and gets a usable value each time: for a wrong text it is
//! the default, the problem is recorded, and reading continues. Keys that were not read are
//! reported as unknown at the end of the section.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::Problem;
use super::problems::Problems;
use crate::text::{InvalidText, duration, nearest};

/// A table that is being read.
pub(super) struct Section<'n, 't> {
    problems: &'n mut Problems,
    /// `None` where the table is not written, or is not a table.
    table: Option<&'t DeTable<'t>>,
    path: String,
    line: usize,
    known: Vec<&'static str>,
}

/// Reads `text` with `build`, which gets the root table.
///
/// # Errors
///
/// Every problem, sorted by line and key.
pub(super) fn read<T>(
    text: &str,
    build: impl FnOnce(&mut Section<'_, '_>) -> T,
) -> Result<T, Vec<Problem>> {
    let (value, problems) = read_collecting(text, build);
    let problems = problems.into_problems();
    if problems.is_empty() { Ok(value) } else { Err(problems) }
}

/// Reads like [`read`], and returns the value together with the problems.
pub(super) fn read_collecting<T>(
    text: &str,
    build: impl FnOnce(&mut Section<'_, '_>) -> T,
) -> (T, Problems) {
    let mut problems = Problems::new(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        problems.syntax(text, error.span().unwrap_or_default(), error.message());
    }
    let mut root = Section::new(&mut problems, Some(document.get_ref()), String::new(), 1);
    let value = build(&mut root);
    root.finish();
    (value, problems)
}

/// Whether the root table of a text has a key; of a text that is not TOML, as far as can be seen.
pub(super) fn has_key(text: &str, key: &str) -> bool {
    let (document, _) = DeTable::parse_recoverable(text);
    document.get_ref().iter().any(|(found, _)| found.get_ref() == key)
}

impl<'t> Section<'_, 't> {
    fn new<'n>(
        problems: &'n mut Problems,
        table: Option<&'t DeTable<'t>>,
        path: String,
        line: usize,
    ) -> Section<'n, 't> {
        Section { problems, table, path, line, known: Vec::new() }
    }

    /// Reads a text through `T::from_str`.
    pub(super) fn parsed<T>(&mut self, key: &'static str, default: T) -> T
    where
        T: FromStr<Err: fmt::Display>,
    {
        self.optional(key).unwrap_or(default)
    }

    /// Reads a text through `T::from_str`; `None` where it is absent or refused.
    pub(super) fn optional<T>(&mut self, key: &'static str) -> Option<T>
    where
        T: FromStr<Err: fmt::Display>,
    {
        self.text(key, "a string", T::from_str)
    }

    /// Reads like [`Self::optional`], and records an absent key as missing.
    pub(super) fn required<T>(&mut self, key: &'static str, expected: &str) -> Option<T>
    where
        T: FromStr<Err: fmt::Display>,
    {
        let value = self.optional(key);
        if !self.is_written(key) {
            self.missing(key, &format!("missing; expected {expected}"));
        }
        value
    }

    /// Reads the path of a file or folder.
    pub(super) fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.text(key, "a path", |text| match text {
            "" => Err("\"\" is not a path; expected the path of a file or folder"),
            text => Ok(PathBuf::from(text)),
        })
    }

    /// Reads a duration within `range`.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        self.text(key, "a duration such as \"30s\"", |text| {
            let value = duration::parse(text)?;
            if range.contains(&value) {
                return Ok(value);
            }
            let (least, most) =
                (duration::display(*range.start()), duration::display(*range.end()));
            Err(InvalidText::new(format!("{text:?} is out of range; expected {least} to {most}")))
        })
        .unwrap_or(default)
    }

    /// Reads a whole number within `range`.
    pub(super) fn integer<T>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<T>,
        default: T,
    ) -> T
    where
        T: TryFrom<i64> + PartialOrd + fmt::Display,
    {
        let Some((line, value)) = self.value(key) else { return default };
        let DeValue::Integer(written) = value else {
            self.mismatch(key, line, "an integer", value);
            return default;
        };
        let number = i64::from_str_radix(written.as_str(), written.radix()).ok();
        match number.and_then(|number| T::try_from(number).ok()).filter(|n| range.contains(n)) {
            Some(number) => number,
            None => {
                let (least, most) = range.into_inner();
                let message = format!("{written} is out of range; expected {least} to {most}");
                self.problem(key, message);
                default
            }
        }
    }

    /// Reads `true` or `false`.
    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        let Some((line, value)) = self.value(key) else { return default };
        if let DeValue::Boolean(value) = value {
            return *value;
        }
        self.mismatch(key, line, "a boolean", value);
        default
    }

    /// Reads a text or an array of texts, each through `T::from_str`, into one `T`.
    pub(super) fn list<T>(&mut self, key: &'static str) -> Option<T>
    where
        T: FromStr<Err: fmt::Display> + FromIterator<T>,
    {
        let (line, value) = self.value(key)?;
        if let DeValue::String(text) = value {
            return self.accepted(key, line, T::from_str(text));
        }
        self.items(key, line, value, "a string or an array of strings")
    }

    /// Reads an array of texts, each through `T::from_str`.
    pub(super) fn array<T>(&mut self, key: &'static str) -> Option<Vec<T>>
    where
        T: FromStr<Err: fmt::Display>,
    {
        let (line, value) = self.value(key)?;
        self.items(key, line, value, "an array of strings")
    }

    /// Reads the table `key` with `build`; where it is absent, `build` gets an empty one.
    pub(super) fn table<T>(
        &mut self,
        key: &'static str,
        build: impl FnOnce(&mut Section<'_, '_>) -> T,
    ) -> T {
        let (line, table) = match self.value(key) {
            Some((line, value)) => (line, self.as_table(key, line, value)),
            None => (self.line, None),
        };
        let mut section = Section::new(self.problems, table, join(&self.path, key), line);
        let value = build(&mut section);
        section.finish();
        value
    }

    /// Reads an array of tables, each with `build`; `None` where it is absent or no such array.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        mut build: impl FnMut(&mut Section<'_, '_>) -> T,
    ) -> Option<Vec<T>> {
        let (line, value) = self.value(key)?;
        let DeValue::Array(items) = value else {
            self.mismatch(key, line, "an array of tables", value);
            return None;
        };
        let mut built = Vec::new();
        for item in items.iter() {
            let line = self.problems.line(item.span().start);
            if let Some(table) = self.as_table(key, line, item.get_ref()) {
                let mut section =
                    Section::new(self.problems, Some(table), join(&self.path, key), line);
                built.push(build(&mut section));
                section.finish();
            }
        }
        Some(built)
    }

    /// Reads a table whose keys are names, each a table read with `build`; it may not be empty.
    pub(super) fn named_tables<T>(
        &mut self,
        key: &'static str,
        mut build: impl FnMut(&str, &mut Section<'_, '_>) -> T,
    ) -> Option<BTreeMap<String, T>> {
        let (line, value) = self.value(key)?;
        let mut built = BTreeMap::new();
        let table = self.as_table(key, line, value)?;
        if table.is_empty() {
            let path = join(&self.path, key);
            self.missing(key, &format!("empty; expected at least one [{path}.NAME]"));
        }
        for (name, item) in table.iter() {
            let line = self.problems.line(name.span().start);
            let path = join(&join(&self.path, key), name.get_ref());
            let DeValue::Table(table) = item.get_ref() else {
                self.problems.problem(line, path, mismatch("a table", item.get_ref()));
                continue;
            };
            let mut section = Section::new(self.problems, Some(table), path, line);
            built.insert(name.get_ref().to_string(), build(name.get_ref(), &mut section));
            section.finish();
        }
        Some(built)
    }

    /// The line at which the section begins.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// Whether the text contains the key, with a valid value or not.
    pub(super) fn is_written(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Records a problem with the key's value.
    pub(super) fn problem(&mut self, key: &str, message: impl Into<String>) {
        let line = self.key_line(key);
        self.problems.problem(line, join(&self.path, key), message.into());
    }

    /// Records a problem with the section itself.
    pub(super) fn refuse(&mut self, message: impl Into<String>) {
        self.problems.problem(self.line, self.path.clone(), message.into());
    }

    /// Records that a key is missing, unless a syntax error may be hiding it.
    pub(super) fn missing(&mut self, key: &str, message: &str) {
        if !self.problems.broken {
            self.problem(key, message);
        }
    }

    /// Records each key that was not read as unknown.
    fn finish(self) {
        let Some(table) = self.table.filter(|_| !self.problems.broken_header) else { return };
        let unknown = table.keys().filter(|key| !self.known.contains(&key.get_ref().as_ref()));
        for key in unknown {
            let path = join(&self.path, key.get_ref());
            let hint = match nearest(key.get_ref(), self.known.iter().copied()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("known keys are {}", self.known.join(", ")),
            };
            let line = self.problems.line(key.span().start);
            let message = format!("unknown key \"{path}\"; {hint}");
            self.problems.problem(line, path, message);
        }
    }

    /// Looks up a key, and marks it as known.
    fn value(&mut self, key: &'static str) -> Option<(usize, &'t DeValue<'t>)> {
        self.known.push(key);
        self.problems.known.insert(join(&self.path, key));
        let value = self.table?.get(key)?.get_ref();
        Some((self.key_line(key), value))
    }

    fn key_line(&self, key: &str) -> usize {
        self.table
            .and_then(|table| table.get_key_value(key))
            .map_or(self.line, |(key, _)| self.problems.line(key.span().start))
    }

    fn text<T, E: fmt::Display>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl FnOnce(&'t str) -> Result<T, E>,
    ) -> Option<T> {
        let (line, value) = self.value(key)?;
        if let DeValue::String(text) = value {
            return self.accepted(key, line, parse(text));
        }
        self.mismatch(key, line, expected, value);
        None
    }

    /// Reads the texts of an array; each wrong one is noted at its own line.
    fn items<T, C>(
        &mut self,
        key: &str,
        line: usize,
        value: &DeValue<'_>,
        expected: &str,
    ) -> Option<C>
    where
        T: FromStr<Err: fmt::Display>,
        C: FromIterator<T>,
    {
        let DeValue::Array(items) = value else {
            self.mismatch(key, line, expected, value);
            return None;
        };
        let mut read = Vec::new();
        for item in items.iter() {
            let line = self.problems.line(item.span().start);
            if let DeValue::String(text) = item.get_ref() {
                read.push(self.accepted(key, line, T::from_str(text)));
            } else {
                self.mismatch(key, line, expected, item.get_ref());
            }
        }
        read.into_iter().collect()
    }

    fn as_table(
        &mut self,
        key: &str,
        line: usize,
        value: &'t DeValue<'t>,
    ) -> Option<&'t DeTable<'t>> {
        if let DeValue::Table(table) = value {
            return Some(table);
        }
        self.mismatch(key, line, "a table", value);
        None
    }

    fn accepted<T, E: fmt::Display>(
        &mut self,
        key: &str,
        line: usize,
        result: Result<T, E>,
    ) -> Option<T> {
        result
            .map_err(|error| {
                self.problems.problem(line, join(&self.path, key), error.to_string());
            })
            .ok()
    }

    fn mismatch(&mut self, key: &str, line: usize, expected: &str, found: &DeValue<'_>) {
        self.problems.problem(line, join(&self.path, key), mismatch(expected, found));
    }
}

fn mismatch(expected: &str, found: &DeValue<'_>) -> String {
    let found = found.type_str();
    let article = if found.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("expected {expected}, found {article} {found}")
}

/// Joins a dotted path. A key that is not a bare key in TOML is quoted.
fn join(path: &str, key: &str) -> String {
    let bare = !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let key = if bare { key.to_owned() } else { format!("'{}'", key.escape_debug()) };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let read = read(text, |root| {
            let name: Option<String> = root.required("name", "a name");
            let size = root.integer("size", 1_u8..=9, 5);
            let wait = root.duration(
                "wait",
                Duration::from_secs(1)..=Duration::from_secs(60),
                Duration::from_secs(2),
            );
            let on = root.table("switch", |switch| switch.boolean("on", true));
            let tags: Option<Vec<std::net::IpAddr>> = root.array("tags");
            (name, size, wait, on, tags)
        });
        read.err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_good_text_has_no_problems() {
        assert!(
            problems("\u{feff}name = 'x'\r\nsize = 0x9\r\ntags = ['::1']\r\nswitch.on = false")
                .is_empty()
        );
    }

    #[test]
    fn every_problem_is_reported_with_its_line() {
        let text = "name = 1\nsize = 10\nwait = '2h'\ncolour = 1\n\
                    tags = [\n  '::1',\n  'x',\n  7,\n]\n[switch]\non = 'yes'\nonn = true\n['a.\"b']";
        assert_eq!(
            problems(text),
            [
                "1: name: expected a string, found an integer",
                "2: size: 10 is out of range; expected 1 to 9",
                "3: wait: \"2h\" is out of range; expected 1s to 1m",
                "4: unknown key \"colour\"; known keys are name, size, wait, switch, tags",
                "7: tags: invalid IP address syntax",
                "8: tags: expected an array of strings, found an integer",
                "11: switch.on: expected a boolean, found a string",
                "12: unknown key \"switch.onn\"; did you mean \"on\"?",
                "13: unknown key \"'a.\\\"b'\"; known keys are name, size, wait, switch, tags",
            ]
        );
    }

    #[test]
    fn missing_keys_and_wrong_tables() {
        assert_eq!(
            problems("switch = 1.5\nsize = 99999999999999999999"),
            [
                "1: name: missing; expected a name",
                "1: switch: expected a table, found a float",
                "2: size: 99999999999999999999 is out of range; expected 1 to 9",
            ]
        );
    }

    #[test]
    fn syntax_errors_hide_what_follows_from_them() {
        let found = problems("name = \nsize = 10\nwait = = 3\n[switch\nonn = 1\n");
        assert!(found.iter().all(|problem| !problem.contains("unknown")), "{found:?}");
        assert!(found.iter().all(|problem| !problem.contains("missing")), "{found:?}");
        for line in ["1: not TOML: ", "2: size: 10 is out", "3: not TOML: ", "4: not TOML: "] {
            assert_eq!(found.iter().filter(|p| p.starts_with(line)).count(), 1, "{line} {found:?}");
        }
    }
}
