//! `scimd clock`: whether the clock is trusted, and accepting it.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::operator::{OperatorClient, unexpected};
use super::output;
use crate::config::Config;
use crate::operator::{ClockInfo, OperatorReply, OperatorRequest};

#[derive(Args)]
pub(super) struct ClockArgs {
    #[command(subcommand)]
    command: Option<ClockCommand>,
}

#[derive(Subcommand)]
enum ClockCommand {
    /// Show the clock, the expected time, and whether the clock is trusted (default)
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Accept the current clock after an alarm; records and expiry use it from then on
    Accept,
}

impl ClockArgs {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        let mut operator = OperatorClient::new(config);
        match self.command.unwrap_or(ClockCommand::Status { json: false }) {
            ClockCommand::Status { json } => match operator.ask(OperatorRequest::ShowClock)? {
                OperatorReply::Clock(clock) if json => output::json(&clock),
                OperatorReply::Clock(clock) => print(&clock),
                _ => unexpected(),
            },
            ClockCommand::Accept => match operator.ask(OperatorRequest::AcceptClock)? {
                OperatorReply::ClockAccepted { before } => output::note(&format!(
                    "Accepted the clock: {}. Records had {}.",
                    output::moment(Some(before.clock), ""),
                    output::moment(Some(before.records), "")
                )),
                _ => unexpected(),
            },
        }
    }
}

fn print(clock: &ClockInfo) -> Result<()> {
    let state = match clock.trusted {
        true => "trusted",
        false => "not trusted: correct the clock; if it is correct, run `scimd clock accept`",
    };
    output::key_values(&[
        ("Clock", vec![output::moment(Some(clock.clock), "")]),
        ("Expected", vec![output::moment(Some(clock.expected), "")]),
        ("Records", vec![output::moment(Some(clock.records), "")]),
        ("State", vec![state.to_owned()]),
    ])
}
