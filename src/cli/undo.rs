//! `scimd undo`: users, groups and memberships as they were at a moment.

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;

use super::confirm::confirm;
use super::exit::CliError;
use super::operator::{OperatorClient, unexpected};
use super::progress::Progress;
use super::table::{Cell, TextTable};
use super::{output, time_arg};
use crate::config::Config;
use crate::directory::{Undo, UndoAction, UndoKind, UndoReport, UndoRow};
use crate::operator::{OperatorReply, OperatorRequest};
use crate::text::InvalidText;

#[derive(Args)]
pub(super) struct UndoArgs {
    /// Revert changes made since this time (RFC 3339, UTC if without a zone) or for a duration such as 2h
    #[arg(long, value_parser = time_arg::parse, value_name = "TIME|DURATION")]
    since: Timestamp,
    /// Keep changes made at this time or later
    #[arg(long, value_parser = time_arg::parse, value_name = "TIME|DURATION")]
    until: Option<Timestamp>,
    /// Revert only what this connection alone has changed
    #[arg(long)]
    connection: Option<String>,
    /// Revert only this user and its memberships (id, or current or former userName)
    #[arg(long)]
    user: Option<String>,
    /// Revert only these kinds of changes: deactivated, deleted, memberships, attributes (comma-separated)
    #[arg(long, value_delimiter = ',', value_parser = kind, value_name = "KIND,...")]
    only: Vec<UndoKind>,
    /// Also delete users and groups that were created since; otherwise they are kept
    #[arg(long)]
    delete_created: bool,
    /// Show the changes without making them
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long, short, conflicts_with = "dry_run")]
    yes: bool,
    /// Leave out access that is no longer configured, instead of failing
    #[arg(long)]
    drop_unknown_access: bool,
    /// Print JSON; needs --dry-run or --yes
    #[arg(long)]
    json: bool,
}

fn kind(text: &str) -> Result<UndoKind, InvalidText> {
    text.parse()
}

impl UndoArgs {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        if self.json && !self.dry_run && !self.yes {
            return usage("--json prints no plan to confirm; add --dry-run or --yes");
        }
        if self.until.is_some_and(|until| until <= self.since) {
            return usage("--until must be later than --since");
        }
        let mut undo = Undo {
            since: self.since,
            until: self.until,
            connection: self.connection,
            user: self.user,
            only: self.only.into_iter().collect(),
            delete_created: self.delete_created,
            drop_unknown_access: self.drop_unknown_access,
            dry_run: !self.yes,
            confirmed: None,
        };
        let mut report = ask(config, &undo)?;
        if self.json {
            return output::json(&report);
        }
        print_rows(&report)?;
        if self.dry_run || self.yes || report.changed() == 0 {
            return summarize(&report, &undo, self.dry_run);
        }
        summarize(&report, &undo, false)?;
        confirm("Make these changes?")?;
        (undo.dry_run, undo.confirmed) = (false, Some(report.plan));
        report = ask(config, &undo)?;
        summarize(&report, &undo, false)
    }
}

fn usage<T>(reason: &str) -> Result<T> {
    Err(CliError::usage(reason))
}

/// Has the undo planned or done. A client of its own: the data folder is opened for reading, or for a change.
fn ask(config: &Config, undo: &Undo) -> Result<UndoReport> {
    let _progress =
        Progress::of(if undo.dry_run { "Planning the undo" } else { "Undoing changes" });
    match OperatorClient::new(config).ask(OperatorRequest::Undo(undo.clone()))? {
        OperatorReply::Undone(report) => Ok(report),
        _ => unexpected(),
    }
}

fn print_rows(report: &UndoReport) -> Result<()> {
    let rows: Vec<[Cell; 5]> = report.resources.iter().map(row).collect();
    match rows.is_empty() {
        true => Ok(()),
        false => TextTable::new(["ACTION", "KIND", "NAME", "DETAILS", "ID"], true).print(&rows),
    }
}

fn summarize(report: &UndoReport, undo: &Undo, dry_run: bool) -> Result<()> {
    let count = |action| report.count(action);
    let things = |count| output::counted(count, "user or group", "users or groups");
    if report.changed() == 0 {
        output::note(&format!("There is nothing to undo since {}.", report.since))?;
    } else {
        let (first, last) = (report.before + 1, report.upto);
        let [restored, reverted, deleted] =
            [UndoAction::Restore, UndoAction::Revert, UndoAction::Remove].map(count);
        let (back, out) = (report.members_back, report.members_out);
        output::note(&match (report.done, dry_run) {
            (true, _) => format!(
                "Reverted changes {first} to {last}: restored {restored}, reverted {reverted} and deleted \
                 {deleted} users or groups; memberships: {back} restored, {out} removed."
            ),
            (false, dry_run) => format!(
                "{}everting changes {first} to {last} would restore {restored}, revert {reverted} and \
                 {} {deleted} users or groups; memberships: {back} restored, {out} removed.",
                if dry_run { "Dry run, nothing changed. R" } else { "R" },
                if deleted > 0 { "DELETE" } else { "delete" },
            ),
        })?;
        if deleted > 0 && !report.done {
            output::note(&format!(
                "Warning: {} created since {} will be DELETED.",
                things(deleted),
                report.since
            ))?;
        }
    }
    let kept = count(UndoAction::Keep);
    if kept > 0 {
        let (things, verb) = (things(kept), if kept == 1 { "is" } else { "are" });
        output::note(&format!(
            "{things} created since {verb} kept; --delete-created deletes them."
        ))?;
    }
    let skipped = report.resources.iter().filter(|row| row.action == UndoAction::Skip);
    let (later, others): (Vec<_>, Vec<_>) = skipped.partition(|row| row.changed_later);
    if let (Some(connection), false) = (&undo.connection, others.is_empty()) {
        output::note(&format!(
            "Skipped {} that others than {connection} changed as well; without --connection they are reverted too.",
            things(others.len())
        ))?;
    }
    if !later.is_empty() {
        output::note(&format!(
            "Skipped {} changed again later; without --until they are reverted too.",
            things(later.len())
        ))?;
    }
    if report.members_without_end > 0 {
        let count = usize::try_from(report.members_without_end).unwrap_or(usize::MAX);
        output::note(&format!(
            "Not restored: {} whose user or group does not exist.",
            output::counted(count, "membership", "memberships")
        ))?;
    }
    Ok(())
}

fn row(row: &UndoRow) -> [Cell; 5] {
    let action = match row.action {
        UndoAction::Restore => "restore",
        UndoAction::Revert => "revert",
        UndoAction::Remove => "DELETE",
        UndoAction::Keep => "keep",
        UndoAction::Skip => "skip",
    };
    let mut details = row.changes.clone();
    let members = [(row.members_back, "restored"), (row.members_out, "removed")];
    let members = members.iter().filter(|(count, _)| *count > 0);
    details.extend(members.map(|(count, what)| match count {
        1 => format!("1 member {what}"),
        count => format!("{count} members {what}"),
    }));
    if row.action == UndoAction::Keep {
        details.push("created since".to_owned());
    }
    if !row.also_changed_by.is_empty() {
        details.push(format!("also changed by {}", row.also_changed_by.join(", ")));
    }
    if row.changed_later {
        details.push("changed again later".to_owned());
    }
    let [kind, name, details, id] =
        [&row.kind, &row.name, &details.join("; "), &row.id].map(|text| output::sanitize(text));
    let action = Cell::alert_if(row.action == UndoAction::Remove, action);
    [action, kind.into(), name.into(), details.into(), id.into()]
}
