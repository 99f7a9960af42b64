//! `/brake`: connections that take access from many users; pausing, resuming and allowances.

use std::time::Duration;

use askama::Template;

use super::call::{ConsoleCall, unexpected};
use super::page::Layout;
use super::reply::{ConsoleFailure, ConsoleReply, query_value};
use crate::directory::{Hold, WithheldChange, WithheldChanges};
use crate::operator::words::details_in_words;
use crate::operator::{BrakeInfo, OperatorReply, OperatorRequest};
use crate::text::duration;

/// The most denied changes on one page.
const MAX_WITHHELD: usize = 100;
/// The most accounts of an allowance.
const MAX_ALLOWED: u64 = 1_000_000;

#[derive(Template)]
#[template(path = "brake.html")]
struct BrakePage {
    layout: Layout,
    brakes: Vec<BrakeInfo>,
    shown: Option<ShownConnection>,
}

/// The connection that the page is about.
struct ShownConnection {
    brake: BrakeInfo,
    changes: WithheldChanges,
}

pub(super) fn show(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let OperatorReply::Brakes(brakes) = call.execute(OperatorRequest::ShowBrakes)? else {
        return Err(unexpected());
    };
    let wanted = call.query.get("connection");
    let named = brakes.iter().find(|brake| brake.connection == wanted);
    let shown = match (named, wanted, brakes.as_slice()) {
        (Some(brake), ..) | (None, "", [brake]) => Some(withheld(call, brake)?),
        (None, "", _) => None,
        (None, ..) => {
            return Err(ConsoleFailure::not_found(format!("connection \"{wanted}\" not found")));
        }
    };
    call.page(&BrakePage { layout: Layout::new(call, "Brake", "/brake"), brakes, shown })
}

fn withheld(call: &ConsoleCall, brake: &BrakeInfo) -> Result<ShownConnection, ConsoleFailure> {
    // One that is no longer configured may still be held.
    if brake.action.is_none() {
        let changes = WithheldChanges::default();
        return Ok(ShownConnection { brake: brake.clone(), changes });
    }
    let connection = brake.connection.clone();
    match call.execute(OperatorRequest::ShowWithheld { connection })? {
        OperatorReply::Withheld { changes, .. } => {
            Ok(ShownConnection { brake: brake.clone(), changes })
        }
        _ => Err(unexpected()),
    }
}

pub(super) fn pause(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let (connection, reason) = (call.form.get("connection").to_owned(), reason(call));
    match call.execute(OperatorRequest::HoldBrake { connection, reason })? {
        OperatorReply::BrakeHeld { connection, .. } => {
            let notice = format!(
                "{connection} is paused. Its changes get 503 until it is resumed; reads still work."
            );
            Ok(call.done(page_of(&connection), notice))
        }
        _ => Err(unexpected()),
    }
}

pub(super) fn resume(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let connection = call.form.get("connection").to_owned();
    let page = page_of(&connection);
    match call.execute(OperatorRequest::ReleaseBrake { connection: Some(connection) })? {
        OperatorReply::BrakeReleased { connection, hold } => {
            let connection = connection.unwrap_or_default();
            let notice = match hold {
                Some(Hold { reason, .. }) => {
                    format!(
                        "{connection} is resumed and its counters are reset. It was paused: {reason}."
                    )
                }
                None => format!("{connection} is not paused."),
            };
            Ok(call.done(page, notice))
        }
        _ => Err(unexpected()),
    }
}

pub(super) fn allow(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let accounts = call.form.get("accounts").parse().ok().filter(|count| *count <= MAX_ALLOWED);
    let accounts = accounts.ok_or_else(|| {
        ConsoleFailure::bad(format!(
            "the number of accounts must be 0 to {MAX_ALLOWED}; 0 ends an allowance"
        ))
    })?;
    let valid_for: Duration = duration::parse(call.form.get("for"))
        .map_err(|error| ConsoleFailure::bad(format!("the duration is wrong: {error}")))?;
    let (connection, reason) = (call.form.get("connection").to_owned(), reason(call));
    let request = OperatorRequest::AllowBrake { connection, accounts, valid_for, reason };
    match call.execute(request)? {
        OperatorReply::BrakeAllowed { connection, allowance, .. } => {
            let notice = match allowance {
                Some(allowance) => format!(
                    "{connection} may change {} more accounts until {} without triggering its brake.",
                    allowance.left,
                    allowance.until.strftime("%Y-%m-%d %H:%M UTC")
                ),
                None => format!("The allowance of {connection} has ended."),
            };
            Ok(call.done(page_of(&connection), notice))
        }
        _ => Err(unexpected()),
    }
}

fn reason(call: &ConsoleCall) -> Option<String> {
    Some(call.form.get("reason")).filter(|reason| !reason.is_empty()).map(ToOwned::to_owned)
}

fn page_of(connection: &str) -> String {
    format!("/brake?connection={}", query_value(connection))
}

impl BrakePage {
    /// The page that shows what can be undone of what raised the last alarm, or paused the connection.
    fn undo(brake: &BrakeInfo) -> Option<String> {
        let began = match &brake.hold {
            Some(hold) => hold.began,
            None => brake.last_alarm.as_ref().map(|alarm| alarm.began),
        };
        let (connection, began) =
            (query_value(&brake.connection), query_value(&began?.to_string()));
        Some(format!("/undo?connection={connection}&since={began}"))
    }

    fn first_withheld(changes: &WithheldChanges) -> &[WithheldChange] {
        changes.resources.get(..MAX_WITHHELD).unwrap_or(&changes.resources)
    }

    fn more_withheld(changes: &WithheldChanges) -> usize {
        changes.resources.len().saturating_sub(MAX_WITHHELD)
    }

    fn details(change: &WithheldChange) -> String {
        details_in_words(&change.details)
    }
}
