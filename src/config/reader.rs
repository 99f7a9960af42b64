//! Reads TOML and collects every problem, each with its place and key.
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
use super::merge::merged;
use super::place::Place;
use super::problems::{Problems, TextPosition, join};
use super::source::Sources;
use crate::text::{InvalidText, duration, nearest};

/// A table that is being read.
pub(super) struct Section<'n, 't> {
    problems: &'n mut Problems,
    /// `None` where the table is not written, or is not a table.
    table: Option<&'t DeTable<'t>>,
    path: String,
    position: TextPosition,
    known: Vec<&'static str>,
}

/// Reads the files of a configuration with `build`, which gets the root table.
///
/// # Errors
///
/// Every problem, sorted by file, line and key.
pub(super) fn read<T>(
    sources: &Sources,
    build: impl FnOnce(&mut Section<'_, '_>) -> T,
) -> Result<T, Vec<Problem>> {
    let (value, problems) = read_collecting(sources, build);
    let problems = problems.into_problems();
    if problems.is_empty() { Ok(value) } else { Err(problems) }
}

/// Reads like [`read`], and returns the value together with the problems.
pub(super) fn read_collecting<T>(
    sources: &Sources,
    build: impl FnOnce(&mut Section<'_, '_>) -> T,
) -> (T, Problems) {
    let mut problems = Problems::default();
    let whole = merged(sources, &mut problems);
    let position = problems.position(0);
    let mut root = Section::new(&mut problems, Some(&whole), String::new(), position);
    let value = build(&mut root);
    root.finish();
    (value, problems)
}

/// Whether the root table of a file has a key; of a text that is not TOML, as far as can be seen.
pub(super) fn has_key(sources: &Sources, key: &str) -> bool {
    sources.0.iter().any(|file| {
        let (document, _) = DeTable::parse_recoverable(&file.text);
        document.get_ref().iter().any(|(found, _)| found.get_ref() == key)
    })
}

impl<'t> Section<'_, 't> {
    fn new<'n>(
        problems: &'n mut Problems,
        table: Option<&'t DeTable<'t>>,
        path: String,
        position: TextPosition,
    ) -> Section<'n, 't> {
        Section { problems, table, path, position, known: Vec::new() }
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
            "" => Err("\"\" is not a path; expected the path of a file or directory"),
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
        let Some((position, value)) = self.value(key) else { return default };
        let DeValue::Integer(written) = value else {
            self.mismatch(key, position, "an integer", value);
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
        let Some((position, value)) = self.value(key) else { return default };
        if let DeValue::Boolean(value) = value {
            return *value;
        }
        self.mismatch(key, position, "a boolean", value);
        default
    }

    /// Reads a text or an array of texts, each through `T::from_str`, into one `T`.
    pub(super) fn list<T>(&mut self, key: &'static str) -> Option<T>
    where
        T: FromStr<Err: fmt::Display> + FromIterator<T>,
    {
        let (position, value) = self.value(key)?;
        if let DeValue::String(text) = value {
            return self.accepted(key, position, T::from_str(text));
        }
        self.items(key, position, value, "a string or an array of strings")
    }

    /// Reads an array of texts, each through `T::from_str`.
    pub(super) fn array<T>(&mut self, key: &'static str) -> Option<Vec<T>>
    where
        T: FromStr<Err: fmt::Display>,
    {
        let (position, value) = self.value(key)?;
        self.items(key, position, value, "an array of strings")
    }

    /// Reads a table whose keys are any texts, each with a text that is read through `T::from_str`.
    pub(super) fn words<T>(&mut self, key: &'static str) -> Option<BTreeMap<String, T>>
    where
        T: FromStr<Err: fmt::Display>,
    {
        let (position, value) = self.value(key)?;
        let mut read = BTreeMap::new();
        for (name, item) in self.as_table(key, position, value)?.iter() {
            let position = self.problems.position(name.span().start);
            if let DeValue::String(text) = item.get_ref() {
                let parsed = self.accepted(key, position, T::from_str(text));
                read.extend(parsed.map(|parsed| (name.get_ref().to_string(), parsed)));
            } else {
                self.mismatch(key, position, "a string", item.get_ref());
            }
        }
        Some(read)
    }

    /// Reads the table `key` with `build`; where it is absent, `build` gets an empty one.
    pub(super) fn table<T>(
        &mut self,
        key: &'static str,
        build: impl FnOnce(&mut Section<'_, '_>) -> T,
    ) -> T {
        let (position, table) = match self.value(key) {
            Some((position, value)) => (position, self.as_table(key, position, value)),
            None => (self.position, None),
        };
        let mut section = Section::new(self.problems, table, join(&self.path, key), position);
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
        let (position, value) = self.value(key)?;
        let DeValue::Array(items) = value else {
            self.mismatch(key, position, "an array of tables", value);
            return None;
        };
        let mut built = Vec::new();
        for item in items.iter() {
            let position = self.problems.position(item.span().start);
            if let Some(table) = self.as_table(key, position, item.get_ref()) {
                let mut section =
                    Section::new(self.problems, Some(table), join(&self.path, key), position);
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
        let (position, value) = self.value(key)?;
        let mut built = BTreeMap::new();
        let table = self.as_table(key, position, value)?;
        if table.is_empty() {
            let path = join(&self.path, key);
            self.missing(key, &format!("empty; expected at least one [{path}.NAME]"));
        }
        for (name, item) in table.iter() {
            let position = self.problems.position(name.span().start);
            let path = join(&join(&self.path, key), name.get_ref());
            let DeValue::Table(table) = item.get_ref() else {
                self.problems.problem(position, path, mismatch("a table", item.get_ref()));
                continue;
            };
            let mut section = Section::new(self.problems, Some(table), path, position);
            built.insert(name.get_ref().to_string(), build(name.get_ref(), &mut section));
            section.finish();
        }
        Some(built)
    }

    /// The place at which the section begins.
    pub(super) fn place(&self) -> Place {
        self.problems.place(self.position)
    }

    /// Whether the text contains the key, with a valid value or not.
    pub(super) fn is_written(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Records a problem with the key's value.
    pub(super) fn problem(&mut self, key: &str, message: impl Into<String>) {
        let position = self.key_position(key);
        self.problems.problem(position, join(&self.path, key), message.into());
    }

    /// Records a problem with the section itself.
    pub(super) fn refuse(&mut self, message: impl Into<String>) {
        self.problems.problem(self.position, self.path.clone(), message.into());
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
                None => format!("known keys: {}", self.known.join(", ")),
            };
            let position = self.problems.position(key.span().start);
            let message = format!("unknown key \"{path}\"; {hint}");
            self.problems.problem(position, path, message);
        }
    }

    /// Looks up a key, and marks it as known.
    fn value(&mut self, key: &'static str) -> Option<(TextPosition, &'t DeValue<'t>)> {
        self.known.push(key);
        self.problems.known.insert(join(&self.path, key));
        let value = self.table?.get(key)?.get_ref();
        Some((self.key_position(key), value))
    }

    fn key_position(&self, key: &str) -> TextPosition {
        self.table
            .and_then(|table| table.get_key_value(key))
            .map_or(self.position, |(key, _)| self.problems.position(key.span().start))
    }

    fn text<T, E: fmt::Display>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl FnOnce(&'t str) -> Result<T, E>,
    ) -> Option<T> {
        let (position, value) = self.value(key)?;
        if let DeValue::String(text) = value {
            return self.accepted(key, position, parse(text));
        }
        self.mismatch(key, position, expected, value);
        None
    }

    /// Reads the texts of an array; each wrong one is noted at its own place.
    fn items<T, C>(
        &mut self,
        key: &str,
        position: TextPosition,
        value: &DeValue<'_>,
        expected: &str,
    ) -> Option<C>
    where
        T: FromStr<Err: fmt::Display>,
        C: FromIterator<T>,
    {
        let DeValue::Array(items) = value else {
            self.mismatch(key, position, expected, value);
            return None;
        };
        let mut read = Vec::new();
        for item in items.iter() {
            let position = self.problems.position(item.span().start);
            if let DeValue::String(text) = item.get_ref() {
                read.push(self.accepted(key, position, T::from_str(text)));
            } else {
                self.mismatch(key, position, expected, item.get_ref());
            }
        }
        read.into_iter().collect()
    }

    fn as_table(
        &mut self,
        key: &str,
        position: TextPosition,
        value: &'t DeValue<'t>,
    ) -> Option<&'t DeTable<'t>> {
        if let DeValue::Table(table) = value {
            return Some(table);
        }
        self.mismatch(key, position, "a table", value);
        None
    }

    fn accepted<T, E: fmt::Display>(
        &mut self,
        key: &str,
        position: TextPosition,
        result: Result<T, E>,
    ) -> Option<T> {
        result
            .map_err(|error| {
                self.problems.problem(position, join(&self.path, key), error.to_string());
            })
            .ok()
    }

    fn mismatch(&mut self, key: &str, position: TextPosition, expected: &str, found: &DeValue<'_>) {
        self.problems.problem(position, join(&self.path, key), mismatch(expected, found));
    }
}

fn mismatch(expected: &str, found: &DeValue<'_>) -> String {
    let found = found.type_str();
    let article = if found.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("expected {expected}, found {article} {found}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let read = read(&Sources::of_text(text, "f".as_ref()), |root| {
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
                "f:1:1: name: expected a string, found an integer",
                "f:2:1: size: 10 is out of range; expected 1 to 9",
                "f:3:1: wait: \"2h\" is out of range; expected 1s to 1m",
                "f:4:1: unknown key \"colour\"; known keys: name, size, wait, switch, tags",
                "f:7:3: tags: invalid IP address syntax",
                "f:8:3: tags: expected an array of strings, found an integer",
                "f:11:1: switch.on: expected a boolean, found a string",
                "f:12:1: unknown key \"switch.onn\"; did you mean \"on\"?",
                "f:13:2: unknown key \"'a.\\\"b'\"; known keys: name, size, wait, switch, tags",
            ]
        );
    }

    #[test]
    fn missing_keys_and_wrong_tables() {
        assert_eq!(
            problems("switch = 1.5\nsize = 99999999999999999999"),
            [
                "f:1:1: name: missing; expected a name",
                "f:1:1: switch: expected a table, found a float",
                "f:2:1: size: 99999999999999999999 is out of range; expected 1 to 9",
            ]
        );
    }

    #[test]
    fn syntax_errors_hide_what_follows_from_them() {
        let found = problems("name = \nsize = 10\nwait = = 3\n[switch\nonn = 1\n");
        assert!(found.iter().all(|problem| !problem.contains("unknown")), "{found:?}");
        assert!(found.iter().all(|problem| !problem.contains("missing")), "{found:?}");
        for line in [
            "f:1:8: not TOML: ",
            "f:2:1: size: 10 is out",
            "f:3:8: not TOML: ",
            "f:4:8: not TOML: ",
        ] {
            assert_eq!(found.iter().filter(|p| p.starts_with(line)).count(), 1, "{line} {found:?}");
        }
    }
}
