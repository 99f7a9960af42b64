//! `scimd doctor`: whether an identity provider can reach scimd, and what arrives from it.

mod checks;
mod outcome;
mod wait;

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use super::arguments::the_connection;
use super::output;
use super::table::{Cell, TextTable};
use crate::app;
use crate::config::Config;
use crate::text::duration;
use outcome::{CheckOutcome, CheckVerdict};

#[derive(Args)]
pub(super) struct DoctorArgs {
    /// The connection to check or to wait for [default: all]
    #[arg(long, value_name = "CONNECTION")]
    connection: Option<String>,
    /// Wait for the first successful request and show what arrives before it [default: 10m]
    #[arg(long, value_name = "DURATION", num_args = 0..=1, default_missing_value = "10m", value_parser = duration::parse)]
    wait: Option<Duration>,
    /// Print JSON
    #[arg(long, conflicts_with = "wait")]
    json: bool,
}

impl DoctorArgs {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        app::check_exists(config)?;
        if let Some(patience) = self.wait {
            let connection = the_connection(config, self.connection)?;
            return wait::for_success(config, &connection, patience);
        }
        let connections = match self.connection {
            Some(name) => vec![the_connection(config, Some(name))?],
            None => config.connections.keys().cloned().collect(),
        };
        let outcomes = checks::all(config, &connections);
        if self.json {
            output::json(&outcomes)?;
        } else {
            print(&outcomes)?;
        }
        match outcomes.iter().filter(|outcome| outcome.verdict == CheckVerdict::Failed).count() {
            0 => Ok(()),
            1 => bail!("1 check failed"),
            failed => bail!("{failed} checks failed"),
        }
    }
}

fn print(outcomes: &[CheckOutcome]) -> Result<()> {
    let rows: Vec<[Cell; 3]> = outcomes
        .iter()
        .map(|outcome| {
            let verdict = match outcome.verdict {
                CheckVerdict::Ok => "ok".into(),
                CheckVerdict::Note => Cell::Warning("note".to_owned()),
                CheckVerdict::Failed => Cell::Alert("FAILED".to_owned()),
            };
            let CheckOutcome { check, found, action, .. } = outcome;
            let found = match action.is_empty() {
                true => found.clone(),
                false => format!("{found}: {action}"),
            };
            [(*check).into(), verdict, output::sanitize(&found).into()]
        })
        .collect();
    TextTable::new(["CHECK", "RESULT", "FOUND"], true).print(&rows)
}
