//! `scimd brake`: connections that take something from, or give something to, too many accounts.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::arguments::the_connection;
use super::operator::{OperatorClient, unexpected};
use super::output;
use crate::config::Config;
use crate::operator::{BrakeInfo, OperatorReply, OperatorRequest};

#[derive(Args)]
pub(super) struct BrakeArgs {
    #[command(subcommand)]
    command: Option<BrakeCommand>,
}

#[derive(Subcommand)]
enum BrakeCommand {
    /// Show which connections are held, and what is counted (the default)
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Hold the changes of a connection: they receive 503 until it is released
    Hold {
        /// The connection to hold; required if there are several
        #[arg(long)]
        connection: Option<String>,
    },
    /// Accept the changes of a connection again, and reset its counters
    Release {
        /// The connection to release; required if several are held
        #[arg(long)]
        connection: Option<String>,
    },
}

impl BrakeArgs {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        let mut operator = OperatorClient::new(config);
        match self.command.unwrap_or(BrakeCommand::Status { json: false }) {
            BrakeCommand::Status { json } => match operator.ask(OperatorRequest::ShowBrakes)? {
                OperatorReply::Brakes(brakes) if json => output::json(&brakes),
                OperatorReply::Brakes(brakes) => print(&brakes),
                _ => unexpected(),
            },
            BrakeCommand::Hold { connection } => {
                let connection = the_connection(config, connection)?;
                match operator.ask(OperatorRequest::HoldBrake { connection })? {
                    OperatorReply::BrakeHeld { connection, hold } => output::note(&format!(
                        "Changes of connection {connection} are held since {}: {}. They are answered with 503; \
                         reading goes on. `scimd brake release --connection {connection}` ends it.",
                        output::moment(Some(hold.since), ""),
                        hold.reason
                    )),
                    _ => unexpected(),
                }
            }
            BrakeCommand::Release { connection } => {
                match operator.ask(OperatorRequest::ReleaseBrake { connection })? {
                    OperatorReply::BrakeReleased { connection, hold } => output::note(&format!(
                        "Connection {connection} is released: its changes are taken on again, and counting begins \
                         anew. It was held since {}: {}.",
                        output::moment(Some(hold.since), ""),
                        hold.reason
                    )),
                    _ => unexpected(),
                }
            }
        }
    }
}

fn print(brakes: &[BrakeInfo]) -> Result<()> {
    let rows: Vec<[String; 6]> = brakes.iter().map(row).collect();
    output::table(["CONNECTION", "ACTION", "LOST", "GAINED", "ALARMS", "STATE"], &rows)
}

fn row(brake: &BrakeInfo) -> [String; 6] {
    let state = match &brake.hold {
        Some(hold) => {
            format!("held since {}: {}", output::moment(Some(hold.since), ""), hold.reason)
        }
        None => "open".to_owned(),
    };
    [
        brake.connection.clone(),
        brake.action.clone().unwrap_or_else(|| "not configured".to_owned()),
        brake.counted.to_string(),
        brake.gained.to_string(),
        (brake.alarms + brake.gain_alarms).to_string(),
        state,
    ]
}
