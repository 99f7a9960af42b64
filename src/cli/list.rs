//! Lists: every list of every command is printed here, as a table, JSON, JSON Lines or CSV.

use std::io::{self, Write as _};

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::csv;
use super::output::{self, visible_json};
use super::table::{Cell, TextTable};

/// How to print a list. A command that has it also has `--json`.
#[derive(Args, Default)]
pub(super) struct ListOutput {
    /// The output format [default: table]
    #[arg(long, short, value_enum, value_name = "FORMAT", conflicts_with = "json")]
    output: Option<ListFormat>,
    /// Print times as 2026-03-01T08:15:00Z also on a terminal
    #[arg(long)]
    utc: bool,
}

/// The form of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ListFormat {
    /// Columns for people
    Table,
    /// One JSON array
    Json,
    /// One JSON object on each line
    Jsonl,
    /// Comma-separated values with a header line
    Csv,
}

impl ListOutput {
    /// A printer of a list with these columns; `json` is the form that `--json` asks for, if it is given.
    pub(super) fn printer<const N: usize>(
        &self,
        json: Option<ListFormat>,
        head: [&'static str; N],
    ) -> ListPrinter<N> {
        let format = self.output.or(json).unwrap_or(ListFormat::Table);
        ListPrinter { format, head, table: TextTable::new(head, self.utc), is_begun: false }
    }
}

/// Prints a list as it comes.
pub(super) struct ListPrinter<const N: usize> {
    format: ListFormat,
    head: [&'static str; N],
    table: TextTable<N>,
    /// Whether an element has been printed.
    is_begun: bool,
}

impl<const N: usize> ListPrinter<N> {
    /// Whether nothing has been printed yet.
    pub(super) fn is_empty(&self) -> bool {
        !self.is_begun
    }

    /// Prints more elements: `json` of each, or its `row`.
    pub(super) fn print<T, J: Serialize + ?Sized>(
        &mut self,
        elements: &[T],
        json: impl Fn(&T) -> &J,
        row: impl Fn(&T) -> [Cell; N],
    ) -> Result<()> {
        if elements.is_empty() {
            return Ok(());
        }
        match self.format {
            ListFormat::Table => {
                self.table.print(&elements.iter().map(row).collect::<Vec<_>>())?;
            }
            ListFormat::Csv => {
                if self.is_empty() {
                    self.print_header()?;
                }
                for element in elements {
                    output::line(&csv::row(&row(element).map(|cell| cell.text(None))))?;
                }
            }
            ListFormat::Jsonl => {
                elements.iter().try_for_each(|element| output::json_line(json(element)))?;
            }
            ListFormat::Json => {
                for (number, element) in elements.iter().enumerate() {
                    let before = if self.is_begun || number > 0 { ",\n" } else { "[\n" };
                    let element = serde_json::to_string(json(element))?;
                    write!(io::stdout(), "{before}{}", visible_json(&element))?;
                }
            }
        }
        self.is_begun = true;
        Ok(())
    }

    /// Ends the list. An empty table is a note, such as `No users.`.
    pub(super) fn end(self, none: &str) -> Result<()> {
        match (self.format, self.is_begun) {
            (ListFormat::Table, false) => output::note(none),
            (ListFormat::Csv, false) => self.print_header(),
            (ListFormat::Json, is_begun) => output::line(if is_begun { "\n]" } else { "[]" }),
            _ => Ok(()),
        }
    }

    fn print_header(&self) -> Result<()> {
        output::line(&csv::row(&self.head.map(key)))
    }
}

/// The name of a column for programs: `LAST USED` is `last_used`.
fn key(head: &str) -> String {
    let words = head.split(|character: char| !character.is_ascii_alphanumeric());
    let words: Vec<String> =
        words.filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect();
    words.join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_names_for_programs() {
        for (head, name) in [("ID", "id"), ("LAST USED", "last_used"), ("ERRORS (1h)", "errors_1h")]
        {
            assert_eq!(key(head), name);
        }
    }
}
