//! `scimd verify`: a full check of the data folder.

use anyhow::{Result, bail};
use clap::Args;

use super::operator::{OperatorClient, unexpected};
use super::progress::Progress;
use super::{output, table};
use crate::app;
use crate::config::Config;
use crate::operator::{OperatorReply, OperatorRequest};
use crate::store::check::Check;
use crate::store::local::mark_for_compaction;

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// Then compact the database (at the next start if the server is running)
    #[arg(long)]
    compact: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl VerifyArgs {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        let progress = Progress::of("Checking all data");
        let (checks, served) =
            match OperatorClient::new(config).ask_server(&OperatorRequest::Verify)? {
                Some(OperatorReply::Verified(checks)) => (checks, true),
                Some(_) => return unexpected(),
                None => (app::verify(config)?, false),
            };
        drop(progress);
        if self.json {
            output::json(&checks)?;
        } else {
            print(&checks)?;
        }
        match checks.iter().map(|check| check.faults).sum() {
            0 => {}
            1 => bail!("verification failed: 1 problem found"),
            faults => bail!("verification failed: {faults} problems found"),
        }
        if self.compact { compact(config, served) } else { Ok(()) }
    }
}

fn print(checks: &[Check]) -> Result<()> {
    let rows: Vec<[String; 4]> = checks
        .iter()
        .map(|check| {
            let (checked, faults) = (check.checked.to_string(), check.faults.to_string());
            [check.what.clone(), checked, faults, check.note.clone()]
        })
        .collect();
    table::print_texts(["CHECKED", "NUMBER", "FAULTS", "NOTE"], &rows)?;
    for check in checks {
        for fault in &check.findings {
            output::line(&format!("{}: {fault}", check.what))?;
        }
        match check.faults - check.findings.len() as u64 {
            0 => {}
            more => output::line(&format!("{}: {more} more", check.what))?,
        }
    }
    if checks.iter().all(|check| check.faults == 0) {
        output::line("No problems found.")?;
    }
    Ok(())
}

fn compact(config: &Config, served: bool) -> Result<()> {
    if served {
        return match OperatorClient::new(config).ask_server(&OperatorRequest::Compact)? {
            Some(OperatorReply::AtNextStart) => {
                output::note("The server is running: it compacts the database at its next start.")
            }
            Some(_) => unexpected(),
            None => bail!("the server stopped meanwhile; run the command again"),
        };
    }
    mark_for_compaction(&config.data_dir)?;
    drop(app::open_directory(config)?);
    output::note("Compacted the database.")
}
