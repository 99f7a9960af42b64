//! `scimd undo`: users, groups and memberships as they were at a moment.

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;

use super::operator::{OperatorClient, unexpected};
use super::{output, time_arg};
use crate::config::Config;
use crate::directory::{UndoAction, UndoReport, UndoRow};
use crate::operator::{OperatorReply, OperatorRequest};

#[derive(Args)]
pub(super) struct UndoArgs {
    /// The time to go back to: 2026-03-01T08:15:00Z (UTC if without a zone), or a duration ago as in 2h
    #[arg(long, value_parser = time_arg::parse, value_name = "MOMENT|DURATION")]
    since: Timestamp,
    /// Undo only what this connection, and no other actor, has changed
    #[arg(long)]
    connection: Option<String>,
    /// Print what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Leave out access that accounts had and the configuration no longer has
    #[arg(long)]
    drop_unknown_access: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl UndoArgs {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        let request = OperatorRequest::Undo {
            since: self.since,
            connection: self.connection,
            drop_unknown_access: self.drop_unknown_access,
            dry_run: self.dry_run,
        };
        let OperatorReply::Undone(report) = OperatorClient::new(config).ask(request)? else {
            return unexpected();
        };
        if self.json { output::json(&report) } else { print(&report, self.dry_run) }
    }
}

fn print(report: &UndoReport, dry_run: bool) -> Result<()> {
    let rows: Vec<[String; 5]> = report.resources.iter().map(row).collect();
    if !rows.is_empty() {
        output::table(["WHAT", "KIND", "NAME", "ID", "DETAILS"], &rows)?;
    }
    let count = |action| report.count(action);
    if report.changed() == 0 {
        let told = format!("There is nothing to undo since {}.", report.since);
        return output::note(&told);
    }
    let verb = if dry_run { "Nothing was changed. It would be undone" } else { "Undone" };
    output::note(&format!(
        "{verb} what was done after change {}, up to change {}: {} come back, {} change back, {} are removed; {} \
         memberships come back, {} end.",
        report.before,
        report.upto,
        count(UndoAction::Restore),
        count(UndoAction::Revert),
        count(UndoAction::Remove),
        report.members_back,
        report.members_out,
    ))?;
    if count(UndoAction::Remove) > 0 {
        output::note(&format!(
            "CAREFUL: {} users and groups were created since {}; undoing that {} them.",
            count(UndoAction::Remove),
            report.since,
            if dry_run { "DELETES" } else { "has DELETED" },
        ))?;
    }
    if count(UndoAction::Skip) > 0 {
        output::note(&format!(
            "{} were also changed by others and stay as they are; without --connection they go back, too.",
            count(UndoAction::Skip)
        ))?;
    }
    if report.members_without_end > 0 {
        output::note(&format!(
            "{} memberships don't come back: their user or group is not there.",
            report.members_without_end
        ))?;
    }
    Ok(())
}

fn row(row: &UndoRow) -> [String; 5] {
    let what = match row.action {
        UndoAction::Restore => "comes back",
        UndoAction::Revert => "changes back",
        UndoAction::Remove => "IS REMOVED",
        UndoAction::Skip => "stays",
    };
    let mut details = row.changes.clone();
    let members = [(row.members_back, "come back"), (row.members_out, "leave")];
    let members = members.iter().filter(|(count, _)| *count > 0);
    details.extend(members.map(|(count, what)| format!("{count} members {what}")));
    if !row.also_changed_by.is_empty() {
        details.push(format!("also changed by {}", row.also_changed_by.join(", ")));
    }
    let cells = [what, &row.kind, &row.name, &row.id, &details.join("; ")];
    cells.map(output::sanitize)
}
