//! `scimd webhook`: how far deliveries are, tests, and deliveries that are repeated.

use anyhow::{Result, bail};
use clap::Subcommand;

use super::exit::CliError;
use super::list::{ListFormat, ListOutput};
use super::operator::{OperatorClient, unexpected};
use super::output;
use super::table::Cell;
use crate::config::Config;
use crate::operator::{OperatorReply, OperatorRequest, WebhookInfo};

/// The columns of the list.
const HEAD: [&str; 6] = ["NAME", "STATE", "BEHIND", "DELIVERED", "FAILED", "URL"];

#[derive(Subcommand)]
pub(super) enum WebhookCommand {
    /// List webhooks and how far their deliveries are
    List {
        #[command(flatten)]
        list: ListOutput,
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
            (Self::List { list, json }, OperatorReply::Webhooks(all)) => {
                let mut printer = list.printer(json.then_some(ListFormat::Json), HEAD);
                printer.print(&all, |webhook| webhook, row)?;
                printer.end("No webhooks. Add [webhooks.NAME] to the configuration.")
            }
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

fn row(webhook: &WebhookInfo) -> [Cell; 6] {
    let state = match (&webhook.parked, &webhook.error) {
        (Some(reason), _) => Cell::Alert(output::sanitize(&format!("parked: {reason}"))),
        (None, Some(error)) => Cell::Warning(output::sanitize(&format!("failing: {error}"))),
        (None, None) => match webhook.other_sender() {
            Some(sender) => output::sanitize(&sender).into(),
            None => "ok".into(),
        },
    };
    [
        webhook.name.clone().into(),
        state,
        webhook.behind.to_string().into(),
        webhook.delivered.to_string().into(),
        webhook.failed.to_string().into(),
        webhook.url.clone().into(),
    ]
}
