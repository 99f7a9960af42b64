//! `scimd recover`: a backup from the database, where the journal is damaged.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use super::progress::Progress;
use super::{backup, output};
use crate::app;
use crate::clock::Clock;
use crate::config::Config;
use crate::store::backup::VerifiedBackup;
use crate::store::check::Check;

#[derive(Args)]
pub(super) struct RecoverArgs {
    /// Take the state from the database; the only source that there is
    #[arg(long, required = true)]
    from_database: bool,
    /// The backup to create (mode 0600)
    file: PathBuf,
}

impl RecoverArgs {
    pub(super) fn run(&self, config: &Config) -> Result<()> {
        app::check_exists(config)?;
        let progress = Progress::of("Checking the database and writing the backup");
        let recovered = self.recover(config)?;
        drop(progress);
        backup::describe("Recovered", &recovered)?;
        let change = recovered.whole.snapshot.position.sequence;
        output::note(&format!(
            "Recovered the state with change {change}. Later changes, if there were any, are not in it: after a crash up to \
             the last second. The audit log stays in the damaged journal."
        ))?;
        output::note(&format!(
            "Next: move {} away and keep it, then run `scimd restore {}` and start scimd.",
            config.data_dir.display(),
            self.file.display()
        ))
    }

    fn recover(&self, config: &Config) -> Result<VerifiedBackup> {
        let (database, checks) = app::open_damaged(config)?;
        if let Some(Check { what, findings, .. }) = checks.iter().find(|check| check.faults > 0) {
            bail!(
                "the database is damaged as well: {what}: {}; restore the newest backup",
                findings.join("; ")
            );
        }
        let file = output::create(&self.file)?;
        let saved = database.save((file, &self.file), Clock::System.now());
        if saved.is_err() {
            // It was made a moment ago.
            let _ = std::fs::remove_file(&self.file);
        }
        Ok(saved?)
    }
}
