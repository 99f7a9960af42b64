//! `scimd import`: users and groups that exist elsewhere already, from JSON Lines or CSV.
//!
//! The file is read three times: to check every row, to write the rows, and to add members, which may come later in
//! the file than their group. Nothing is written if a row is wrong.

mod input;
mod names;
mod report;
mod row;
mod table;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use super::arguments::the_connection;
use super::operator::{OperatorClient, unexpected};
use crate::app;
use crate::config::Config;
use crate::operator::resource::ResourceKind;
use crate::operator::{
    ImportBatch, ImportMembers, ImportOutcome, ImportRow, OperatorReply, OperatorRequest,
};
use input::{Input, MAX_ROWS};
use names::Names;
use report::Report;
use row::{ReadRow, RowError};

/// The number of rows in one request.
const BATCH_ROWS: usize = 256;
/// The size of the rows in one request, in bytes of the file.
const BATCH_BYTES: usize = 1024 * 1024;
/// The number of members in one request.
const BATCH_MEMBERS: usize = 1_000;

#[derive(Args)]
pub(super) struct ImportArgs {
    /// JSON Lines as `scimd export` writes it, or CSV with a header of SCIM paths; - is standard input
    file: PathBuf,
    /// The connection that manages the users and groups [default: the one that each line names, or none]
    #[arg(long)]
    connection: Option<String>,
    /// Show what would be created and updated, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object for each row
    #[arg(long)]
    json: bool,
}

impl ImportArgs {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        let connection = self.connection.clone();
        let connection = connection.map(|name| the_connection(config, Some(name))).transpose()?;
        let (_, registry) = app::vocabulary(config)?;
        let input = Input::open(&self.file, registry)?;
        let mut import = ImportRun {
            operator: OperatorClient::new(config),
            report: Report::new(self.json, self.dry_run, input.bytes()),
            input,
            connection,
            names: Names::default(),
        };
        import.check()?;
        if import.report.has_problems() {
            return import.report.refused();
        }
        if !self.dry_run {
            import.write()?;
            import.add_members()?;
        }
        import.report.finish()
    }
}

/// An import on its way.
struct ImportRun<'a> {
    input: Input,
    operator: OperatorClient<'a>,
    /// The connection of all rows.
    connection: Option<String>,
    names: Names,
    report: Report,
}

/// Rows on their way to the server.
#[derive(Default)]
struct Batch {
    rows: Vec<ImportRow>,
    /// The line and name of each.
    labels: Vec<(u64, String)>,
    bytes: usize,
}

impl ImportRun<'_> {
    /// Checks every row, and that every member exists, in the file or in the directory.
    fn check(&mut self) -> Result<()> {
        let Self { input, operator, connection, names, report } = self;
        report.phase("Checking", 0);
        let mut batch = Batch::default();
        input.rows(&mut |row| {
            let row = match row {
                Ok(row) => row,
                Err(error) => return report.problem(error),
            };
            report.progress(row.end);
            if names.count() >= MAX_ROWS {
                bail!("the file has more than {MAX_ROWS} rows; split it, accounts before groups");
            }
            let own = connection.clone().or_else(|| row.connection.clone());
            if let Some(reason) = names.add(&row, own.as_deref()) {
                return report.problem(RowError { line: row.line, reason });
            }
            batch.push(row, own);
            match batch.is_full() {
                true => check_batch(operator, report, connection.is_some(), &mut batch),
                false => Ok(()),
            }
        })?;
        check_batch(operator, report, connection.is_some(), &mut batch)?;
        report.phase("Checking members", 0);
        let mut unknown: Vec<(u64, String)> = Vec::new();
        input.rows(&mut |row| {
            let Ok(row) = row else { return Ok(()) };
            report.progress(row.end);
            for member in row.members {
                if names.find(&member).is_none() {
                    unknown.push((row.line, member));
                }
                if unknown.len() >= BATCH_MEMBERS {
                    check_members(operator, report, &mut unknown)?;
                }
            }
            Ok(())
        })?;
        check_members(operator, report, &mut unknown)
    }

    /// Creates and updates users and groups.
    fn write(&mut self) -> Result<()> {
        let Self { input, operator, connection, names, report } = self;
        report.phase("Importing", 0);
        let mut batch = Batch::default();
        let has_default = connection.is_some();
        input.rows(&mut |row| {
            let row = row.or_else(changed)?;
            report.progress(row.end);
            let own = connection.clone().or_else(|| row.connection.clone());
            batch.push(row, own);
            match batch.is_full() {
                true => write_batch(operator, report, names, has_default, &mut batch),
                false => Ok(()),
            }
        })?;
        write_batch(operator, report, names, has_default, &mut batch)
    }

    /// Adds the members of groups.
    fn add_members(&mut self) -> Result<()> {
        let Self { input, operator, names, report, .. } = self;
        report.phase("Adding members", 0);
        let mut number = 0;
        input.rows(&mut |row| {
            let row = row.or_else(changed)?;
            report.progress(row.end);
            let group = names.id_of_row(number);
            number += 1;
            // A row that was refused meanwhile has no id.
            let Some(group) = group.filter(|_| !row.members.is_empty()) else { return Ok(()) };
            let is_group = row.kind == ResourceKind::Group;
            let members = row.members.iter().map(|member| {
                let known = names.find(member).and_then(|row| names.id_of_row(row));
                known.unwrap_or_else(|| member.clone())
            });
            let members: Vec<String> = members.collect();
            for part in members.chunks(BATCH_MEMBERS).filter(|_| is_group) {
                let request = ImportMembers { group: Some(group.clone()), members: part.to_vec() };
                match operator.ask(OperatorRequest::ImportMembers(request)) {
                    Ok(OperatorReply::ImportedMembers(done)) => {
                        report.members(row.line, &done)?;
                    }
                    Ok(_) => return unexpected(),
                    Err(error) => {
                        let reason = error.to_string();
                        report.problem(RowError { line: row.line, reason })?;
                    }
                }
            }
            Ok(())
        })
    }
}

impl Batch {
    fn push(&mut self, row: ReadRow, connection: Option<String>) {
        self.bytes += row.bytes;
        self.labels.push((row.line, row.name));
        let ReadRow { kind, id, resource, .. } = row;
        self.rows.push(ImportRow { kind, id, resource, connection });
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }
}

fn changed<T>(RowError { line, reason }: RowError) -> Result<T> {
    bail!("line {line}: {reason}; the file has changed since it was checked: run the command again")
}

/// Has the rows of a batch imported, or checked; the outcome of each, and what the row is.
fn send(
    operator: &mut OperatorClient<'_>,
    default_access: bool,
    dry_run: bool,
    batch: &mut Batch,
) -> Result<Vec<(u64, String, ResourceKind, ImportOutcome)>> {
    let Batch { rows, labels, .. } = std::mem::take(batch);
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let kinds: Vec<ResourceKind> = rows.iter().map(|row| row.kind).collect();
    let request = ImportBatch { rows, default_access, dry_run };
    match operator.ask(OperatorRequest::Import(request))? {
        OperatorReply::Imported(outcomes) if outcomes.len() == kinds.len() => {
            let all = labels.into_iter().zip(kinds).zip(outcomes);
            Ok(all.map(|(((line, name), kind), outcome)| (line, name, kind, outcome)).collect())
        }
        _ => unexpected(),
    }
}

fn check_batch(
    operator: &mut OperatorClient<'_>,
    report: &mut Report,
    default_access: bool,
    batch: &mut Batch,
) -> Result<()> {
    for (line, name, kind, outcome) in send(operator, default_access, true, batch)? {
        report.checked(line, &name, kind, outcome)?;
    }
    Ok(())
}

fn write_batch(
    operator: &mut OperatorClient<'_>,
    report: &mut Report,
    names: &mut Names,
    default_access: bool,
    batch: &mut Batch,
) -> Result<()> {
    let done = send(operator, default_access, false, batch).map_err(|error| {
        error.context(format!(
            "{} are imported, the rest is not; run the same command again once the cause is gone",
            report.written()
        ))
    })?;
    for (line, name, kind, outcome) in done {
        if let ImportOutcome::Done { id, .. } = &outcome {
            names.set_id(id);
        } else {
            names.set_id("");
        }
        report.wrote(line, &name, kind, outcome)?;
    }
    Ok(())
}

fn check_members(
    operator: &mut OperatorClient<'_>,
    report: &mut Report,
    unknown: &mut Vec<(u64, String)>,
) -> Result<()> {
    if unknown.is_empty() {
        return Ok(());
    }
    let members = unknown.iter().map(|(_, member)| member.clone()).collect();
    let asked = OperatorRequest::ImportMembers(ImportMembers { group: None, members });
    let OperatorReply::ImportedMembers(found) = operator.ask(asked)? else { return unexpected() };
    for (number, reason) in found.unknown {
        if let Some((line, _)) = unknown.get(number) {
            report.problem(RowError { line: *line, reason: format!("members: {reason}") })?;
        }
    }
    unknown.clear();
    Ok(())
}
