//! Whether the files of a configuration, read again, were cut off while they were written.

use std::sync::Arc;

use super::place::Place;
use super::problems::Problem;
use super::reader;
use super::source::{SourceFile, Sources};

/// Why files are not a whole configuration, seen from the one in force; `None` if they may be.
///
/// A file that lost its end often is valid, and without the rest it allows more than with it. What could be an edit
/// is taken: a file whose last line has no line end, and one that lacks whole tables at its end.
pub(super) fn cut_off(sources: &Sources, in_force: &Sources) -> Option<Problem> {
    let cut = |file: &SourceFile| {
        let before = in_force.text(&file.path)?;
        Some(problem(file, cut_off_text(&file.text, before)?))
    };
    if let Some(problem) = sources.0.iter().find_map(cut) {
        return Some(problem);
    }
    let has_connections = |sources: &Sources| reader::has_key(sources, "connections");
    let main = sources.0.first()?;
    (has_connections(in_force) && !has_connections(sources))
        .then(|| problem(main, "[connections] is missing, and the current configuration has it"))
}

fn problem(file: &SourceFile, message: &str) -> Problem {
    let line = file.text.lines().count().max(1);
    let place = Place { file: Arc::clone(&file.path), line, column: 1 };
    let message = format!("{message}; if that is intended, restart scimd to apply it");
    Problem { place, key: String::new(), message }
}

/// Why a text is not the whole file, seen from the text in force.
fn cut_off_text(text: &str, in_force: &str) -> Option<&'static str> {
    if !says_anything(text) && says_anything(in_force) {
        return Some("the file is empty; it may still be being written");
    }
    let last = text.rsplit('\n').next().unwrap_or_default();
    let goes_on = |line: &str| line.len() > last.len() && line.starts_with(last);
    if !last.trim().is_empty()
        && in_force.lines().any(goes_on)
        && !in_force.lines().any(|line| line == last)
    {
        return Some(
            "the last line has no line end and is the beginning of a longer line in the current file",
        );
    }
    if let Some(rest) = in_force.strip_prefix(text)
        && rest.lines().find(|line| says_anything(line)).is_some_and(|line| !begins_table(line))
    {
        return Some("the file ends where a table of the current file continues");
    }
    None
}

/// Whether there is anything but blanks and comments.
fn says_anything(text: &str) -> bool {
    text.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#'))
}

fn begins_table(line: &str) -> bool {
    line.trim_start().starts_with('[')
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN_FORCE: &str = "data_dir = \"d\"\n\n[connections.a]\nmethod = \"okta\"\n# Only these.\n\
        ip_allowlist = \"192.0.2.0/24\"\n\n[connections.b]\nmethod = \"okta\"\n[limits]\nmax_count = 1000\n";

    fn cut_off(text: &str, in_force: &str) -> Option<Problem> {
        let sources = |text: &str| Sources::of_text(text, "config.toml".as_ref());
        super::cut_off(&sources(text), &sources(in_force))
    }

    #[test]
    fn a_file_that_lost_its_end_is_refused() {
        let before = |end: &str| IN_FORCE.split(end).next().unwrap();
        for cut in [
            "",
            "\n# Nothing.\n",
            "data_dir = \"d\"\n",
            before("ip_allowlist"),
            before("# Only"),
            before("00\n"),
            before("max_count"),
            &IN_FORCE.replace("192.0.2.0/24", "198.51.100.0/24").replace("1000\n", "10"),
        ] {
            assert!(cut_off(cut, IN_FORCE).is_some(), "{cut}");
        }
    }

    #[test]
    fn an_edit_is_not_a_cut() {
        for edited in [
            IN_FORCE,
            IN_FORCE.trim_end(),
            IN_FORCE.split("[limits]").next().unwrap(),
            &IN_FORCE.replace("\n[connections.b]\nmethod = \"okta\"", ""),
            &IN_FORCE.replace("ip_allowlist = \"192.0.2.0/24\"\n", ""),
            &IN_FORCE.replace("max_count = 1000\n", "max_count = 2000"),
            &IN_FORCE.replace("max_count = 1000\n", "max_count = 10\n"),
            &format!("{IN_FORCE}idle_timeout = \"1m\""),
        ] {
            assert_eq!(cut_off(edited, IN_FORCE).map(|problem| problem.message), None, "{edited}");
        }
        assert!(cut_off("# Nothing.\n", "").is_none());
    }
}
