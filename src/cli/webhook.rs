//! `scimd webhook`: how far deliveries are, tests, and deliveries that are repeated.

use anyhow::{Result, bail};
use clap::Subcommand;

use super::exit::CliError;
use super::operator::{OperatorClient, unexpected};
use super::output;
use crate::config::Config;
use crate::operator::{OperatorReply, OperatorRequest, WebhookInfo};

#[derive(Subcommand)]
pub(super) enum WebhookCommand {
    /// List webhooks and how far their deliveries are
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Send a test event; a parked webhook goes on if it is taken
    Test {
        /// The webhook
        name: String,
    },
    /// Deliver everything after a cursor, also what was delivered before
    Resend {
        /// The webhook
        name: String,
        /// The cursor: the id of an event, oldest for everything that is kept, or head for new events alone
        #[arg(long, value_name = "CURSOR")]
        after: String,
    },
}

impl WebhookCommand {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        let request = match &self {
            Self::List { .. } => OperatorRequest::ListWebhooks,
            Self::Test { name } => OperatorRequest::TestWebhook { name: name.clone() },
            Self::Resend { name, after } => {
                OperatorRequest::ResendWebhook { name: name.clone(), after: after.clone() }
            }
        };
        let reply = OperatorClient::new(config).ask_server(&request)?.ok_or_else(|| {
            CliError::not_running(
                "no server runs, and only a running one delivers; start it with `scimd serve` or `systemctl start scimd`",
            )
        })?;
        match (self, reply) {
            (_, OperatorReply::Failed(reason)) => bail!("{reason}"),
            (Self::List { json: true }, OperatorReply::Webhooks(all)) => output::json(&all),
            (Self::List { .. }, OperatorReply::Webhooks(all)) => list(&all),
            (Self::Test { name }, OperatorReply::WebhookDone) => {
                output::note(&format!("{name} took the test."))
            }
            (Self::Resend { name, after }, OperatorReply::WebhookDone) => {
                output::note(&format!("{name} gets everything after {after}."))
            }
            _ => unexpected(),
        }
    }
}

fn list(all: &[WebhookInfo]) -> Result<()> {
    if all.is_empty() {
        return output::note("No webhooks. Add [webhooks.NAME] to the configuration.");
    }
    let row = |one: &WebhookInfo| {
        let state = match (&one.parked, &one.error) {
            (Some(reason), _) => format!("parked: {reason}"),
            (None, Some(error)) => format!("failing: {error}"),
            (None, None) => "ok".to_owned(),
        };
        [
            one.name.clone(),
            output::sanitize(&state),
            one.behind.to_string(),
            one.delivered.to_string(),
            one.failed.to_string(),
            one.url.clone(),
        ]
    };
    let rows: Vec<[String; 6]> = all.iter().map(row).collect();
    output::table(["NAME", "STATE", "BEHIND", "DELIVERED", "FAILED", "URL"], &rows)
}
