//! `scimd console`: signing in to the web console.

use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;

use super::exit::CliError;
use super::operator::{OperatorClient, unexpected};
use super::output;
use crate::config::Config;
use crate::operator::{OperatorReply, OperatorRequest};
use crate::text::duration;

#[derive(Subcommand)]
pub(super) enum ConsoleCommand {
    /// Print a one-time link that signs you in to the console
    Link {
        /// Sign in as this operator [default: the user who runs the command, with the role admin]
        #[arg(long, value_name = "NAME")]
        operator: Option<String>,
        /// How long the link is valid, 24h at most
        #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "10m")]
        expires: Duration,
    },
}

impl ConsoleCommand {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        let Self::Link { operator, expires } = self;
        let request = OperatorRequest::CreateConsoleLink { operator, valid_for: expires };
        match OperatorClient::new(config).ask_server(&request)? {
            Some(OperatorReply::ConsoleLink { url, identity, expires }) => {
                output::note(&format!(
                    "Open this link in a browser. It signs in {} with the role {}, works once, and is valid until {}.",
                    output::sanitize(&identity.name),
                    identity.role.as_str(),
                    output::moment(Some(expires), "")
                ))?;
                output::line(&url)
            }
            Some(_) => unexpected(),
            None => Err(CliError::not_running(
                "scimd is not running, and the console is part of the running server; start it with `systemctl start \
                 scimd` or `scimd serve`",
            )),
        }
    }
}
