//! `/undo`: users, groups and memberships as they were at a moment; first the plan, then a typed confirmation.

use std::sync::Mutex;

use askama::Template;
use hyper::StatusCode;
use jiff::Timestamp;

use super::call::{ConsoleCall, unexpected};
use super::form::Fields;
use super::page::Layout;
use super::reply::{ConsoleFailure, ConsoleReply, query_value};
use crate::clock::Clock;
use crate::directory::{Undo, UndoAction, UndoKind, UndoReport, UndoRow};
use crate::operator::{OperatorReply, OperatorRequest};
use crate::text::duration;

/// What an operator types to confirm.
const CONFIRMATION: &str = "undo";
/// The most users and groups of a plan that are listed.
const MAX_ROWS: usize = 200;

/// Held while a plan is made, which reads the log: one at a time.
static PLANNING: Mutex<()> = Mutex::new(());

#[derive(Template)]
#[template(path = "undo.html")]
struct UndoPage {
    layout: Layout,
    since: String,
    until: String,
    connection: String,
    user: String,
    kinds: Vec<(&'static str, bool)>,
    delete_created: bool,
    plan: Option<UndoPlan>,
    problem: Option<String>,
    again: String,
}

struct UndoPlan {
    report: UndoReport,
    /// Those that stay as they are because of a conflict first.
    rows: Vec<UndoRow>,
    more: usize,
}

pub(super) fn show(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let (mut plan, mut problem) = (None, None);
    if !call.query.get("since").is_empty() {
        match undo_of(&call.query, true) {
            Ok(undo) => match planned(call, undo) {
                Ok(report) => plan = Some(UndoPlan::new(report)),
                Err(ConsoleFailure::Status(
                    StatusCode::CONFLICT | StatusCode::NOT_FOUND,
                    reason,
                )) => {
                    problem = Some(reason);
                }
                Err(failure) => return Err(failure),
            },
            Err(reason) => problem = Some(reason),
        }
    }
    let field = |name: &str| call.query.get(name).to_owned();
    let kinds = UndoKind::ALL.iter().map(|kind| (kind.as_str(), call.query.has(kind.as_str())));
    call.page(&UndoPage {
        layout: Layout::new(call, "Undo", "/undo"),
        since: field("since"),
        until: field("until"),
        connection: field("connection"),
        user: field("user"),
        kinds: kinds.collect(),
        delete_created: call.query.has("delete_created"),
        plan,
        problem,
        again: again(&call.query),
    })
}

/// The address that asks for a sign-in and then shows the same plan.
fn again(fields: &Fields) -> String {
    let mut plan = format!("/undo?since={}", query_value(fields.get("since")));
    for name in ["until", "connection", "user"] {
        plan.push_str(&format!("&{name}={}", query_value(fields.get(name))));
    }
    let boxes = UndoKind::ALL.iter().map(|kind| kind.as_str()).chain(["delete_created"]);
    for name in boxes.filter(|name| fields.has(name)) {
        plan.push_str(&format!("&{name}=on"));
    }
    format!("/sign-in/again?next={}", query_value(&plan))
}

pub(super) fn run(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    if call.form.get("confirmation") != CONFIRMATION {
        return Err(ConsoleFailure::bad(format!(
            "nothing was undone: go back and type {CONFIRMATION} to confirm the plan"
        )));
    }
    let undo = undo_of(&call.form, false).map_err(ConsoleFailure::bad)?;
    if undo.confirmed.is_none() {
        return Err(ConsoleFailure::bad(
            "nothing was undone: the form names no plan; show the plan first",
        ));
    }
    let report = planned(call, undo)?;
    let [restored, reverted, deleted] =
        [UndoAction::Restore, UndoAction::Revert, UndoAction::Remove]
            .map(|action| report.count(action));
    let notice = format!(
        "Undone: {restored} users or groups restored, {reverted} reverted, {deleted} deleted; {} memberships \
         restored, {} removed.",
        report.members_back, report.members_out
    );
    Ok(call.done("/undo", notice))
}

/// Has an undo planned or done.
fn planned(call: &ConsoleCall, undo: Undo) -> Result<UndoReport, ConsoleFailure> {
    let Ok(_turn) = PLANNING.try_lock() else {
        return Err(ConsoleFailure::status(
            StatusCode::SERVICE_UNAVAILABLE,
            "another undo is being planned; load the page again in a moment",
        ));
    };
    match call.execute(OperatorRequest::Undo(undo))? {
        OperatorReply::Undone(report) => Ok(report),
        _ => Err(unexpected()),
    }
}

/// The undo that the fields of a form ask for.
fn undo_of(fields: &Fields, dry_run: bool) -> Result<Undo, String> {
    let text =
        |name: &str| Some(fields.get(name)).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
    let since = moment(fields.get("since"))?;
    let until = text("until").map(|until| moment(&until)).transpose()?;
    if until.is_some_and(|until| until <= since) {
        return Err("the end of the changes must be later than their beginning".to_owned());
    }
    Ok(Undo {
        since,
        until,
        connection: text("connection"),
        user: text("user"),
        only: UndoKind::ALL.iter().filter(|kind| fields.has(kind.as_str())).copied().collect(),
        delete_created: fields.has("delete_created"),
        drop_unknown_access: false,
        dry_run,
        confirmed: text("plan").filter(|_| !dry_run),
    })
}

/// A moment (RFC 3339, in UTC if without a zone), or how long ago it was.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    if let Ok(moment) = format!("{text}Z").parse() {
        return Ok(moment);
    }
    let ago = duration::parse(text).ok();
    ago.and_then(|ago| Clock::System.now().checked_sub(ago).ok()).ok_or_else(|| {
        format!(
            "\"{text}\" is no time; expected such as 2026-03-01T08:15:00Z, or a duration such as 2h"
        )
    })
}

impl UndoPlan {
    fn new(mut report: UndoReport) -> Self {
        let mut rows = std::mem::take(&mut report.resources);
        rows.sort_by_key(|row| (row.action != UndoAction::Skip, row.action == UndoAction::Keep));
        report.resources.clone_from(&rows);
        let more = rows.len().saturating_sub(MAX_ROWS);
        rows.truncate(MAX_ROWS);
        Self { report, rows, more }
    }

    fn count(&self, action: &str) -> usize {
        let found = self.report.resources.iter().filter(|row| action_word(row) == action);
        found.count()
    }
}

/// What is done with a user or group, in a word.
fn action_word(row: &UndoRow) -> &'static str {
    match row.action {
        UndoAction::Restore => "restore",
        UndoAction::Revert => "revert",
        UndoAction::Remove => "delete",
        UndoAction::Keep => "keep",
        UndoAction::Skip => "skip",
    }
}

impl UndoPage {
    fn action(row: &UndoRow) -> &'static str {
        action_word(row)
    }

    /// Why a user or group stays as it is; empty for one that changes.
    fn conflict(row: &UndoRow) -> String {
        match row.action {
            UndoAction::Keep => "created since, and kept".to_owned(),
            UndoAction::Skip if row.changed_later => "changed again later".to_owned(),
            UndoAction::Skip => format!("also changed by {}", row.also_changed_by.join(", ")),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_times_or_durations() {
        let at = moment("2026-03-01T08:15:00Z").unwrap();
        assert_eq!(moment("2026-03-01T08:15"), Ok(at));
        assert_eq!(moment("2026-03-01T09:15:00+01:00"), Ok(at));
        assert!(moment("2h").unwrap() < Clock::System.now());
        for wrong in ["", "yesterday", "-1h", "99999999999999d"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_fields_of_a_form_make_an_undo() {
        let fields = |text: &str| Fields::parse(text.as_bytes()).unwrap();
        let form = fields("since=1h&connection=okta&deleted=on&delete_created=on&plan=abc");
        let undo = undo_of(&form, false).unwrap();
        assert_eq!(
            (undo.connection.as_deref(), undo.confirmed.as_deref()),
            (Some("okta"), Some("abc"))
        );
        assert_eq!((undo.only.len(), undo.delete_created, undo.user), (1, true, None));
        assert_eq!(undo_of(&form, true).unwrap().confirmed, None);
        assert!(undo_of(&fields("since=1h&until=2h"), true).is_err());
        assert!(undo_of(&fields("until=2h"), true).is_err());
    }
}
