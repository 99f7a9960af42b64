//! `scimd brake`: connections that take something from, or give something to, too many accounts.

use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::arguments::the_connection;
use super::list::{ListFormat, ListOutput};
use super::operator::{OperatorClient, unexpected};
use super::output;
use super::table::{Cell, TextTable};
use crate::config::Config;
use crate::directory::{Hold, WithheldChange, WithheldChanges};
use crate::operator::words::details_in_words;
use crate::operator::{BrakeInfo, OperatorReply, OperatorRequest};
use crate::text::duration;

/// The columns of the list.
const HEAD: [&str; 8] =
    ["CONNECTION", "ACTION", "LOST", "OF", "SINCE", "GAINED", "ALARMS", "STATUS"];

#[derive(Args)]
pub(super) struct BrakeArgs {
    #[command(subcommand)]
    command: Option<BrakeCommand>,
}

#[derive(Subcommand)]
enum BrakeCommand {
    /// Show the brake status of each connection (default)
    Status {
        #[command(flatten)]
        list: ListOutput,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the users and groups that denied changes of a paused connection concern
    Show {
        /// The connection (required if more than one is configured)
        connection: Option<String>,
        /// The connection, as an option
        #[arg(
            long = "connection",
            hide = true,
            value_name = "CONNECTION",
            conflicts_with = "connection"
        )]
        named: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Allow a planned mass change of N accounts without triggering the brake
    Allow {
        /// Number of accounts, each counted once; 0 ends an earlier allowance
        #[arg(value_name = "N", value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
        accounts: u64,
        /// How long the allowance lasts, such as 2h
        #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse, default_value = "1h")]
        valid_for: Duration,
        /// The connection (required if more than one is configured)
        #[arg(long)]
        connection: Option<String>,
        /// Reason, recorded in the audit log
        #[arg(long)]
        reason: Option<String>,
    },
    /// Pause a connection: writes get 503 until it is resumed
    #[command(name = "pause", alias = "hold")]
    Hold {
        /// The connection to pause (required if more than one is configured)
        #[arg(value_name = "CONNECTION")]
        connection: Option<String>,
        /// The connection, as an option
        #[arg(
            long = "connection",
            hide = true,
            value_name = "CONNECTION",
            conflicts_with = "connection"
        )]
        named: Option<String>,
        /// Reason, recorded in the audit log and sent in the 503
        #[arg(long)]
        reason: Option<String>,
    },
    /// Resume a connection and reset its counters
    #[command(name = "resume", alias = "release")]
    Release {
        /// The connection to resume (required if more than one is paused)
        #[arg(value_name = "CONNECTION")]
        connection: Option<String>,
        /// The connection, as an option
        #[arg(
            long = "connection",
            hide = true,
            value_name = "CONNECTION",
            conflicts_with = "connection"
        )]
        named: Option<String>,
    },
}

impl BrakeArgs {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        let mut operator = OperatorClient::new(config);
        match self
            .command
            .unwrap_or_else(|| BrakeCommand::Status { list: ListOutput::default(), json: false })
        {
            BrakeCommand::Status { list, json } => {
                let OperatorReply::Brakes(brakes) = operator.ask(OperatorRequest::ShowBrakes)?
                else {
                    return unexpected();
                };
                let mut printer = list.printer(json.then_some(ListFormat::Json), HEAD);
                printer.print(&brakes, |brake| brake, row)?;
                printer.end("No connections.")?;
                for BrakeInfo { connection, undo, .. } in &brakes {
                    undo.iter().try_for_each(|undo| note_undo(connection, undo))?;
                }
                Ok(())
            }
            BrakeCommand::Show { connection, named, json } => {
                let connection = the_connection(config, connection.or(named))?;
                match operator.ask(OperatorRequest::ShowWithheld { connection })? {
                    OperatorReply::Withheld { changes, .. } if json => output::json(&changes),
                    OperatorReply::Withheld { connection, changes, .. } => {
                        print_withheld(&connection, &changes)?;
                        // Also of what raised an alarm and did not pause it.
                        let OperatorReply::Brakes(brakes) =
                            operator.ask(OperatorRequest::ShowBrakes)?
                        else {
                            return unexpected();
                        };
                        let own = brakes.iter().find(|brake| brake.connection == connection);
                        let undo = own.and_then(|brake| brake.undo.as_ref());
                        undo.map_or(Ok(()), |undo| note_undo(&connection, undo))
                    }
                    _ => unexpected(),
                }
            }
            BrakeCommand::Allow { accounts, valid_for, connection, reason } => {
                let connection = the_connection(config, connection)?;
                allow(&mut operator, connection, accounts, valid_for, reason)
            }
            BrakeCommand::Hold { connection, named, reason } => {
                let connection = the_connection(config, connection.or(named))?;
                match operator.ask(OperatorRequest::HoldBrake { connection, reason })? {
                    OperatorReply::BrakeHeld { connection, hold } => output::note(&format!(
                        "Connection \"{connection}\" is paused (since {}: {}). Writes get 503; reads still work. \
                         `scimd brake resume --connection {connection}` resumes it.",
                        output::moment(Some(hold.since), ""),
                        hold.reason
                    )),
                    _ => unexpected(),
                }
            }
            BrakeCommand::Release { connection, named } => {
                let connection = connection.or(named);
                match operator.ask(OperatorRequest::ReleaseBrake { connection })? {
                    OperatorReply::BrakeReleased { connection, hold } => {
                        output::note(&resumed(connection, hold))
                    }
                    _ => unexpected(),
                }
            }
        }
    }
}

/// What `resume` did, in words.
fn resumed(connection: Option<String>, hold: Option<Hold>) -> String {
    match (connection, hold) {
        (None, _) => "No connection is paused.".to_owned(),
        (Some(connection), None) => format!("Connection \"{connection}\" is not paused."),
        (Some(connection), Some(hold)) => format!(
            "Connection \"{connection}\" resumed; counters reset. It was paused since {}: {}.",
            output::moment(Some(hold.since), ""),
            hold.reason
        ),
    }
}

fn allow(
    operator: &mut OperatorClient<'_>,
    connection: String,
    accounts: u64,
    valid_for: Duration,
    reason: Option<String>,
) -> Result<()> {
    let request = OperatorRequest::AllowBrake { connection, accounts, valid_for, reason };
    let OperatorReply::BrakeAllowed { connection, allowance, hold } = operator.ask(request)? else {
        return unexpected();
    };
    output::note(&match allowance {
        Some(allowance) => format!(
            "Connection \"{connection}\" may change {} more accounts until {} without triggering its brake.",
            allowance.left,
            output::moment(Some(allowance.until), "")
        ),
        None => format!("The allowance of connection \"{connection}\" has ended."),
    })?;
    match hold {
        Some(_) => output::note(&format!(
            "It is paused: `scimd brake resume --connection {connection}` resumes it."
        )),
        None => Ok(()),
    }
}

/// Says how to see what can be undone of what made a connection exceed its limit.
fn note_undo(connection: &str, undo: &str) -> Result<()> {
    output::note(&format!("To see what can be undone of connection \"{connection}\": {undo}"))
}

fn row(brake: &BrakeInfo) -> [Cell; 8] {
    let mut status = match &brake.hold {
        Some(hold) => {
            format!("paused since {}: {}", output::moment(Some(hold.since), ""), hold.reason)
        }
        None => "active".to_owned(),
    };
    if let Some(allowance) = &brake.allowance {
        let until = output::moment(Some(allowance.until), "");
        let (left, accounts) = (allowance.left, allowance.accounts);
        status.push_str(&format!("; {left} of {accounts} allowed accounts left until {until}"));
    }
    [
        brake.connection.clone().into(),
        brake.action.clone().unwrap_or_else(|| "not configured".to_owned()).into(),
        brake.counted.to_string().into(),
        brake.accounts.to_string().into(),
        Cell::Time(brake.counting_since, "-"),
        brake.gained.to_string().into(),
        (brake.alarms + brake.gain_alarms).to_string().into(),
        Cell::alert_if(brake.hold.is_some(), output::sanitize(&status)),
    ]
}

fn print_withheld(connection: &str, withheld: &WithheldChanges) -> Result<()> {
    if withheld.changes == 0 {
        return output::note(&format!(
            "No changes of connection \"{connection}\" were denied since scimd started."
        ));
    }
    let rows: Vec<[Cell; 5]> = withheld.resources.iter().map(withheld_row).collect();
    TextTable::new(["NAME", "EVENT", "DETAILS", "LAST TRIED", "ID"], false).print(&rows)?;
    let changes = usize::try_from(withheld.changes).unwrap_or(usize::MAX);
    let mut counted = output::counted(changes, "change was denied", "changes were denied");
    if withheld.more > 0 {
        counted.push_str(&format!(
            "; {} of them concern users and groups that are not listed",
            withheld.more
        ));
    }
    output::note(&format!("{counted}."))
}

fn withheld_row(change: &WithheldChange) -> [Cell; 5] {
    [
        output::sanitize(change.details.name.as_deref().unwrap_or_default()).into(),
        output::sanitize(&change.event).into(),
        output::sanitize(&details_in_words(&change.details)).into(),
        Cell::Time(Some(change.time), ""),
        output::sanitize(&change.id).into(),
    ]
}
