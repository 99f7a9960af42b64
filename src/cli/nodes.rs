//! `scimd nodes`: the nodes that share a log in a database.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use super::exit::CliError;
use super::list::{ListFormat, ListOutput};
use super::operator::{OperatorClient, unexpected};
use super::output;
use super::table::Cell;
use crate::config::Config;
use crate::operator::{NodeInfo, OperatorReply, OperatorRequest};

/// The columns of the list.
const HEAD: [&str; 5] = ["NAME", "STATE", "BEHIND", "VERSION", "ID"];

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct NodesArgs {
    #[command(subcommand)]
    command: Option<NodesCommand>,
    #[command(flatten)]
    list: ListOutput,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum NodesCommand {
    /// Have all nodes write the newest format of the log, once each runs a version that knows it
    Upgrade,
}

impl NodesArgs {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        if let Some(NodesCommand::Upgrade) = self.command {
            return upgrade(config);
        }
        match OperatorClient::new(config).ask(OperatorRequest::ListNodes)? {
            OperatorReply::Nodes(nodes) => {
                let mut printer = self.list.printer(self.json.then_some(ListFormat::Json), HEAD);
                printer.print(&nodes, |node| node, row)?;
                printer.end("The log is in local files: this server is alone.")
            }
            _ => unexpected(),
        }
    }
}

fn upgrade(config: &Config) -> Result<()> {
    let reply = OperatorClient::new(config).ask_server(&OperatorRequest::RaiseFormat)?;
    match reply.ok_or_else(|| {
        CliError::not_running(
            "no server runs; start it with `systemctl start scimd` or `scimd serve`",
        )
    })? {
        OperatorReply::Format { format, raised: true } => output::note(&format!(
            "All nodes write format {format} from now on. Versions that do not know it can't join any more."
        )),
        OperatorReply::Format { format, raised: false } => output::note(&format!(
            "The log has format {format}, the newest that this version knows."
        )),
        OperatorReply::Failed(reason) => bail!("{reason}"),
        _ => unexpected(),
    }
}

fn row(node: &NodeInfo) -> [Cell; 5] {
    let state = match (node.this, node.running) {
        (true, _) => "this node".into(),
        (false, true) => "running".into(),
        (false, false) => {
            let seconds = Duration::from_millis(node.seen_ms).as_secs();
            Cell::Warning(format!("not seen for {seconds} s"))
        }
    };
    [
        output::sanitize(&node.name).into(),
        state,
        node.behind.to_string().into(),
        output::sanitize(&node.version).into(),
        node.id.clone().into(),
    ]
}
