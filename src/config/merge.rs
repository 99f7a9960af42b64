//! Merges the tables of several files as if they were written in one.
//!
//! The places of the second and later files are moved behind those of the files before, so that an offset names both a
//! file and a place in it.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problems::{Problems, join};
use super::source::Sources;

/// The table of the connections, and the only one that some files may contain.
pub(super) const CONNECTIONS: &str = "connections";

/// Reads the files of a configuration into one table. What is wrong is reported.
pub(super) fn merged<'t>(sources: &'t Sources, problems: &mut Problems) -> DeTable<'t> {
    let mut whole = DeTable::new();
    for file in &sources.0 {
        let start = problems.add_text(Arc::clone(&file.path), Arc::clone(&file.text));
        let (document, errors) = DeTable::parse_recoverable(&file.text);
        for error in errors {
            let place = error.span().unwrap_or_default();
            problems.syntax(place.start + start..place.end + start, error.message());
        }
        let mut table = document.into_inner();
        if start > 0 {
            table = moved(table, start);
        }
        if file.connections_only {
            table = keep_connections(table, problems);
        }
        merge(&mut whole, table, "", file.connections_only, problems);
    }
    whole
}

/// Moves all places in a table.
fn moved<'t>(table: DeTable<'t>, by: usize) -> DeTable<'t> {
    let entries = table.into_iter().map(|(key, value)| {
        let key_place = key.span();
        (Spanned::new(later(key_place, by), key.into_inner()), moved_value(value, by))
    });
    entries.collect()
}

fn moved_value(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let place = later(value.span(), by);
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(moved(table, by)),
        DeValue::Array(items) => {
            DeValue::Array(items.into_iter().map(|item| moved_value(item, by)).collect())
        }
        other => other,
    };
    Spanned::new(place, value)
}

fn later(place: Range<usize>, by: usize) -> Range<usize> {
    place.start + by..place.end + by
}

/// Removes and reports what a file that may only contain connections has besides.
fn keep_connections<'t>(table: DeTable<'t>, problems: &mut Problems) -> DeTable<'t> {
    let mut kept = DeTable::new();
    for (key, value) in table {
        if *key.get_ref() == CONNECTIONS {
            kept.insert(key, value);
            continue;
        }
        let name = join("", key.get_ref());
        let message = format!(
            "\"{name}\" is not allowed in this file: root does not own the file, so it may only contain \
             [connections.NAME]; move it to the configuration file"
        );
        let position = problems.position(key.span().start);
        problems.problem(position, name, message);
    }
    kept
}

/// Adds the entries of a table from another file. What both define is reported.
fn merge<'t>(
    into: &mut DeTable<'t>,
    from: DeTable<'t>,
    path: &str,
    connections_only: bool,
    problems: &mut Problems,
) {
    for (key, value) in from {
        let Some((first, mut present)) = into.remove_entry(key.get_ref().as_ref()) else {
            into.insert(key, value);
            continue;
        };
        let name = join(path, key.get_ref());
        let (is_first_written, is_written) = (
            is_written(&first, present.get_ref(), problems),
            is_written(&key, value.get_ref(), problems),
        );
        // Who writes such a file may not add to the connection of another.
        let may_add = !(connections_only && path == CONNECTIONS);
        let mut kept = None;
        match (present.get_mut(), value.into_inner()) {
            (DeValue::Table(present), DeValue::Table(table))
                if may_add && !(is_first_written && is_written) =>
            {
                merge(present, table, &name, connections_only, problems);
                kept = is_written.then(|| key.clone());
            }
            (DeValue::Array(present), DeValue::Array(items))
                if problems.follows(first.span().end) == Some(']')
                    && problems.follows(key.span().end) == Some(']') =>
            {
                items.into_iter().for_each(|item| present.push(item));
            }
            _ => {
                let other = problems.place(problems.position(first.span().start));
                let message = format!("\"{name}\" is defined twice: here and at {other}");
                let position = problems.position(key.span().start);
                problems.problem(position, name, message);
            }
        }
        into.insert(kept.unwrap_or(first), present);
    }
}

/// Whether a file defines this table, and does not only name it on the way to another one.
fn is_written(
    key: &Spanned<std::borrow::Cow<'_, str>>,
    value: &DeValue<'_>,
    problems: &Problems,
) -> bool {
    let DeValue::Table(table) = value else { return true };
    let holds_values = table
        .values()
        .any(|value| !matches!(value.get_ref(), DeValue::Table(_) | DeValue::Array(_)));
    holds_values || matches!(problems.follows(key.span().end), Some(']' | '='))
}
