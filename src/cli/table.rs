//! Tables for people: cells with times and colours, as wide as their content, cut to the width of a terminal.

use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use jiff::Timestamp;

use super::output::{display_width, padded, printable};
use crate::clock::Clock;

/// The least width that a column is cut to.
const LEAST_WIDTH: usize = 8;
/// The head of the column that is never cut: half an id is of no use.
const UNCUT: &str = "ID";

/// A cell of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    /// A text.
    Text(String),
    /// A time; or what stands for its absence.
    Time(Option<Timestamp>, &'static str),
    /// A text that is a warning: yellow.
    Warning(String),
    /// A text that needs attention: red.
    Alert(String),
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Cell {
    /// The text, a warning if `is_warning` holds.
    pub(super) fn warning_if(is_warning: bool, text: impl Into<String>) -> Self {
        if is_warning { Self::Warning(text.into()) } else { Self::Text(text.into()) }
    }

    /// The text, in need of attention if `is_alert` holds.
    pub(super) fn alert_if(is_alert: bool, text: impl Into<String>) -> Self {
        if is_alert { Self::Alert(text.into()) } else { Self::Text(text.into()) }
    }

    /// The text of the cell; times are in UTC (RFC 3339) without `now`, else relative to it.
    pub(super) fn text(&self, now: Option<Timestamp>) -> String {
        match (self, now) {
            (Self::Text(text) | Self::Warning(text) | Self::Alert(text), _) => text.clone(),
            (Self::Time(None, absent), _) => (*absent).to_owned(),
            (Self::Time(Some(time), _), None) => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            (Self::Time(Some(time), _), Some(now)) => relative(*time, now),
        }
    }

    fn style(&self) -> Style {
        match self {
            Self::Text(_) | Self::Time(..) => Style::new(),
            Self::Warning(_) => AnsiColor::Yellow.on_default(),
            Self::Alert(_) => AnsiColor::Red.on_default(),
        }
    }
}

/// How far a time is from now, in words: `3 minutes ago`, `in 89 days`.
fn relative(time: Timestamp, now: Timestamp) -> String {
    let seconds = time.as_second().abs_diff(now.as_second());
    let units = [("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)];
    let Some((unit, size)) = units.into_iter().find(|(_, size)| seconds >= *size) else {
        return "now".to_owned();
    };
    let count = seconds / size;
    let s = if count == 1 { "" } else { "s" };
    match time > now {
        true => format!("in {count} {unit}{s}"),
        false => format!("{count} {unit}{s} ago"),
    }
}

/// What standard output is, as far as tables care.
struct Screen {
    /// The width of the terminal; `None` for a file or pipe.
    columns: Option<usize>,
    is_colored: bool,
}

impl Screen {
    fn of_stdout() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_terminal = io::stdout().is_terminal();
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let size = terminal_size::terminal_size_of(io::stdout());
        Self {
            columns: size.filter(|_| is_terminal).map(|(width, _)| usize::from(width.0)),
            is_colored: is_terminal && !is_dumb && !set("NO_COLOR"),
        }
    }
}

/// A table that is printed as its rows come; a column is as wide as the widest cell so far.
pub(super) struct TextTable<const N: usize> {
    head: [&'static str; N],
    is_begun: bool,
    widths: [usize; N],
    screen: Screen,
    /// The time that times are relative to; `None` to print them in UTC.
    now: Option<Timestamp>,
}

impl<const N: usize> TextTable<N> {
    /// A table with a header. Times are relative on a terminal, unless `utc` is set.
    pub(super) fn new(head: [&'static str; N], utc: bool) -> Self {
        let is_relative = !utc && io::stdout().is_terminal();
        Self {
            head,
            is_begun: false,
            widths: head.map(str::len),
            screen: Screen::of_stdout(),
            now: is_relative.then(|| Clock::System.now()),
        }
    }

    /// Prints more rows, and before the first ones the header.
    pub(super) fn print(&mut self, rows: &[[Cell; N]]) -> Result<()> {
        let texts: Vec<[String; N]> = rows
            .iter()
            .map(|row| row.each_ref().map(|cell| printable(&cell.text(self.now)).into_owned()))
            .collect();
        for row in &texts {
            for (width, text) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(display_width(text));
            }
        }
        let widths = fitted(self.head, self.widths, self.screen.columns);
        let mut out = String::new();
        if !self.is_begun {
            self.is_begun = true;
            let heads = self.head.iter().zip(widths);
            push_row(&mut out, heads.map(|(head, width)| (*head, width, Style::new())));
        }
        for (row, texts) in rows.iter().zip(&texts) {
            let cells = row.iter().zip(texts).zip(widths);
            push_row(
                &mut out,
                cells.map(|((cell, text), width)| {
                    let style = if self.screen.is_colored { cell.style() } else { Style::new() };
                    (text.as_str(), width, style)
                }),
            );
        }
        Ok(io::stdout().write_all(out.as_bytes())?)
    }
}

/// Prints a table of texts.
pub(super) fn print_texts<const N: usize>(
    head: [&'static str; N],
    rows: &[[String; N]],
) -> Result<()> {
    let cells = |row: &[String; N]| row.each_ref().map(|text| Cell::Text(text.clone()));
    TextTable::new(head, true).print(&rows.iter().map(cells).collect::<Vec<_>>())
}

/// The widths of columns that fit into a number of columns of a terminal, as far as cutting cells makes them.
fn fitted<const N: usize>(
    head: [&'static str; N],
    mut widths: [usize; N],
    columns: Option<usize>,
) -> [usize; N] {
    let Some(columns) = columns else { return widths };
    let gaps = 2 * N.saturating_sub(1);
    loop {
        let excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(columns);
        let wide = widths
            .iter_mut()
            .zip(head)
            .filter(|(width, head)| *head != UNCUT && **width > LEAST_WIDTH);
        let widest = wide.map(|(width, _)| width).max();
        match widest {
            Some(width) if excess > 0 => *width = width.saturating_sub(excess).max(LEAST_WIDTH),
            _ => return widths,
        }
    }
}

fn push_row<'a>(out: &mut String, cells: impl Iterator<Item = (&'a str, usize, Style)>) {
    let mut row = String::new();
    for (number, (text, width, style)) in cells.enumerate() {
        let gap = if number == 0 { "" } else { "  " };
        let text = padded(&cut(text, width), width);
        let shown = text.trim_end();
        let rest = text.len() - shown.len();
        row.push_str(&format!("{gap}{style}{shown}{style:#}{:rest$}", ""));
    }
    out.push_str(row.trim_end());
    out.push('\n');
}

/// A text of at most a number of columns: what is longer ends with `…`.
fn cut(text: &str, width: usize) -> String {
    if display_width(text) <= width {
        return text.to_owned();
    }
    let mut shown = String::new();
    for character in text.chars() {
        shown.push(character);
        if display_width(&shown) >= width {
            shown.pop();
            break;
        }
    }
    shown.push('…');
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_relative_to_now_or_in_utc() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        for (time, words) in [
            ("2026-03-01T12:00:00Z", "now"),
            ("2026-03-01T11:59:59Z", "1 second ago"),
            ("2026-03-01T11:56:10Z", "3 minutes ago"),
            ("2026-03-01T10:00:00Z", "2 hours ago"),
            ("2026-02-27T12:00:00Z", "2 days ago"),
            ("2026-03-02T12:00:00Z", "in 1 day"),
        ] {
            let cell = Cell::Time(Some(time.parse().unwrap()), "never");
            assert_eq!(cell.text(Some(now)), words);
            assert_eq!(cell.text(None), time);
        }
        assert_eq!(Cell::Time(None, "never").text(None), "never");
    }

    #[test]
    fn rows_are_cut_to_the_terminal_and_ids_are_not() {
        let head = ["NAME", "DETAILS", "ID"];
        assert_eq!(fitted(head, [10, 40, 36], None), [10, 40, 36]);
        assert_eq!(fitted(head, [10, 40, 36], Some(80)), [10, 30, 36]);
        assert_eq!(fitted(head, [10, 40, 36], Some(20)), [8, 8, 36]);
        for (text, shown) in [
            ("ada", "ada"),
            ("ada lovelace", "ada lov…"),
            ("\u{7530}\u{4e2d}\u{7530}\u{4e2d}\u{7530}", "\u{7530}\u{4e2d}\u{7530}…"),
        ] {
            assert_eq!(cut(text, 8), shown);
            assert!(display_width(&cut(text, 8)) <= 8);
        }
    }

    #[test]
    fn columns_are_as_wide_as_a_terminal_shows_them() {
        let mut out = String::new();
        for name in ["Jose\u{301}", "\u{7530}\u{4e2d}", "ada"] {
            push_row(&mut out, [(name, 5, Style::new()), ("|", 1, Style::new())].into_iter());
        }
        let bars = out.lines().map(|row| display_width(row.trim_end_matches('|')));
        assert_eq!(bars.collect::<Vec<_>>(), [7, 7, 7]);
    }
}
