//! `scimd reload`: has the running server read its configuration again, and waits for the outcome.

use anyhow::Result;
use clap::Args;

use super::exit::CliError;
use super::operator::{OperatorClient, unexpected};
use super::output;
use crate::config::Config;
use crate::operator::{OperatorReply, OperatorRequest};

#[derive(Args)]
pub(super) struct ReloadArgs {
    /// Put the file in force on all nodes, although the file of another running node differs
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl ReloadArgs {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        match OperatorClient::new(config)
            .ask_server(&OperatorRequest::Reload { force: self.force })?
        {
            None => Err(CliError::not_running(format!(
                "scimd is not running on data directory {}; start it with `systemctl start scimd` or `scimd serve`",
                config.data_dir.display()
            ))),
            Some(OperatorReply::Reloaded(report)) if self.json => output::json(&report),
            Some(OperatorReply::Reloaded(report)) => {
                for widening in &report.wider {
                    output::note(&format!(
                        "warning: {} changed from {} to {}",
                        widening.key, widening.before, widening.now
                    ))?;
                }
                for key in &report.restart {
                    output::note(&format!(
                        "warning: {key} has changed; restart scimd to apply it"
                    ))?;
                }
                output::note("Configuration reloaded.")
            }
            Some(_) => unexpected(),
        }
    }
}
