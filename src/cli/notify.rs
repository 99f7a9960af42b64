//! `scimd notify`: whether notifications are delivered.

use anyhow::{Result, bail};
use clap::Subcommand;

use super::exit::CliError;
use super::operator::{OperatorClient, unexpected};
use super::output;
use crate::config::Config;
use crate::operator::{NotificationTest, OperatorReply, OperatorRequest};

#[derive(Subcommand)]
pub(super) enum NotifyCommand {
    /// Have the running server deliver a test by every configured way, and show what came of it
    Test {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl NotifyCommand {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        let Self::Test { json } = self;
        match OperatorClient::new(config).ask_server(&OperatorRequest::TestNotifications)? {
            None => Err(CliError::not_running(format!(
                "no server runs on the data directory {}, and only a running one shows what its sandbox and its user \
                 allow; start it with `scimd serve` or `systemctl start scimd`",
                config.data_dir.display()
            ))),
            Some(OperatorReply::NotificationsTested(tests)) => report(&tests, json),
            Some(OperatorReply::Failed(reason)) => bail!("{reason}"),
            Some(_) => unexpected(),
        }
    }
}

fn report(tests: &[NotificationTest], json: bool) -> Result<()> {
    if tests.is_empty() {
        let reason =
            "no notifications are configured; add command or mail to [notify] and restart scimd";
        return Err(CliError::usage(reason));
    }
    if json {
        output::json(&tests)?;
    } else {
        for NotificationTest { way, error } in tests {
            let outcome = match error {
                None => "delivered".to_owned(),
                Some(error) => format!("failed: {error}"),
            };
            output::line(&output::sanitize(&format!("{way}: {outcome}")))?;
        }
    }
    match tests.iter().filter(|test| test.error.is_some()).count() {
        0 => Ok(()),
        failed => bail!("{failed} of {} ways failed", tests.len()),
    }
}
