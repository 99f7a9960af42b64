//! `scimd nodes`: the nodes that share a log in a database.

use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::list::{ListFormat, ListOutput};
use super::operator::{OperatorClient, unexpected};
use super::output;
use super::table::Cell;
use crate::config::Config;
use crate::operator::{NodeInfo, OperatorReply, OperatorRequest};

/// The columns of the list.
const HEAD: [&str; 5] = ["NAME", "STATE", "BEHIND", "VERSION", "ID"];

#[derive(Args)]
pub(super) struct NodesArgs {
    #[command(flatten)]
    list: ListOutput,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl NodesArgs {
    pub(super) fn run(self, config: &Config) -> Result<()> {
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
