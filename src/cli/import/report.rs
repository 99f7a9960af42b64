//! What an import says: progress, each row if asked for, problems by line, and a summary.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::row::RowError;
use crate::cli::output::{self, counted, sanitize};
use crate::cli::table::{Cell, TextTable};
use crate::operator::resource::ResourceKind;
use crate::operator::{ImportOutcome, ImportVerb, ImportedMembers};

/// The number of problems that are printed.
const MAX_PROBLEMS: usize = 100;
/// The number of names of ignored attributes that are printed.
const MAX_IGNORED: usize = 20;

/// What an import says.
pub(super) struct Report {
    json: bool,
    dry_run: bool,
    bar: ProgressBar,
    table: TextTable<4>,
    problems: usize,
    created: usize,
    updated: usize,
    kept: usize,
    groups_with_new_members: usize,
    last_group: u64,
    ignored: BTreeSet<String>,
}

impl Report {
    pub(super) fn new(json: bool, dry_run: bool, bytes: u64) -> Self {
        let bar = match std::io::stderr().is_terminal() && !output::is_quiet() {
            true => ProgressBar::new(bytes),
            false => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template("{msg:16} {bar:40} {percent:>3} %  {eta}") {
            bar.set_style(style);
        }
        Self {
            json,
            dry_run,
            bar,
            table: TextTable::new(["ACTION", "KIND", "NAME", "LINE"], true),
            problems: 0,
            created: 0,
            updated: 0,
            kept: 0,
            groups_with_new_members: 0,
            last_group: 0,
            ignored: BTreeSet::new(),
        }
    }

    /// Begins to read the file from the start.
    pub(super) fn phase(&self, name: &'static str, position: u64) {
        self.bar.set_position(position);
        self.bar.set_message(name);
    }

    /// Says how far the file is read.
    pub(super) fn progress(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// Whether a row can't be imported.
    pub(super) fn has_problems(&self) -> bool {
        self.problems > 0
    }

    /// The number of rows that were written, in words.
    pub(super) fn written(&self) -> String {
        counted(self.created + self.updated + self.kept, "row", "rows")
    }

    /// Says what is wrong with a row.
    pub(super) fn problem(&mut self, RowError { line, reason }: RowError) -> Result<()> {
        self.problems += 1;
        if self.problems > MAX_PROBLEMS {
            return Ok(());
        }
        if self.json {
            return output::json_line(&json!({"line": line, "action": "refuse", "reason": reason}));
        }
        self.bar.suspend(|| output::note(&format!("line {line}: {}", sanitize(&reason))))
    }

    /// Says what would become of a row.
    pub(super) fn checked(
        &mut self,
        line: u64,
        name: &str,
        kind: ResourceKind,
        outcome: ImportOutcome,
    ) -> Result<()> {
        match self.dry_run {
            true => self.wrote(line, name, kind, outcome),
            false => match outcome {
                ImportOutcome::Done { .. } => Ok(()),
                ImportOutcome::Conflict(reason) | ImportOutcome::Invalid(reason) => {
                    self.problem(RowError { line, reason })
                }
            },
        }
    }

    /// Says what became of a row, or would.
    pub(super) fn wrote(
        &mut self,
        line: u64,
        name: &str,
        kind: ResourceKind,
        outcome: ImportOutcome,
    ) -> Result<()> {
        let (action, id) = match outcome {
            ImportOutcome::Done { action, id, ignored } => {
                let left = MAX_IGNORED.saturating_sub(self.ignored.len());
                self.ignored.extend(ignored.into_iter().take(left));
                (action, id)
            }
            ImportOutcome::Conflict(reason) | ImportOutcome::Invalid(reason) => {
                return self.problem(RowError { line, reason });
            }
        };
        let (count, action) = match action {
            ImportVerb::Create => (&mut self.created, "create"),
            ImportVerb::Update => (&mut self.updated, "update"),
            ImportVerb::Keep => (&mut self.kept, "keep"),
        };
        *count += 1;
        let kind = kind.as_str();
        if self.json {
            // A new id may be another one when it is written.
            let id = (!(self.dry_run && action == "create")).then_some(id);
            let row = json!({"line": line, "action": action, "kind": kind, "name": name, "id": id});
            return output::json_line(&row);
        }
        match self.dry_run {
            true => self.bar.suspend(|| {
                let cells = [action.to_owned(), kind.to_owned(), sanitize(name), line.to_string()];
                self.table.print(&[cells.map(Cell::Text)])
            }),
            false => Ok(()),
        }
    }

    /// Says what became of members of the group on a line.
    pub(super) fn members(&mut self, line: u64, done: &ImportedMembers) -> Result<()> {
        if done.changed && self.last_group != line {
            self.last_group = line;
            self.groups_with_new_members += 1;
        }
        for (_, reason) in &done.unknown {
            self.problem(RowError { line, reason: format!("members: {reason}") })?;
        }
        Ok(())
    }

    /// Ends an import of which nothing was written.
    pub(super) fn refused(self) -> Result<()> {
        self.bar.finish_and_clear();
        self.say_more_problems()?;
        let problems = counted(self.problems, "problem", "problems");
        let verb = if self.dry_run { "would be" } else { "was" };
        bail!(
            "{problems} in the file; nothing {verb} imported: correct the lines and run the command again"
        )
    }

    /// Ends an import.
    pub(super) fn finish(self) -> Result<()> {
        self.bar.finish_and_clear();
        self.say_more_problems()?;
        let Self { created, updated, kept, .. } = &self;
        let groups = self.groups_with_new_members;
        output::note(&match self.dry_run {
            true => format!(
                "Would create {created}, update {updated}, keep {kept}. Nothing was changed."
            ),
            false => format!(
                "Created {created}, updated {updated}, kept {kept}; {} got members.",
                counted(groups, "group", "groups")
            ),
        })?;
        if !self.ignored.is_empty() {
            let names: Vec<String> = self.ignored.iter().map(|name| sanitize(name)).collect();
            output::note(&format!(
                "No schema knows these, so they were left out: {}",
                names.join(", ")
            ))?;
        }
        if self.problems > 0 {
            bail!(
                "{} could not be imported whole; correct them and run the same command again",
                counted(self.problems, "row", "rows")
            );
        }
        Ok(())
    }

    fn say_more_problems(&self) -> Result<()> {
        match self.problems.saturating_sub(MAX_PROBLEMS) {
            0 => Ok(()),
            more => output::note(&format!("and {more} more")),
        }
    }
}
