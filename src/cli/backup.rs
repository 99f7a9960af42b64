//! `scimd backup`: everything in one file.

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use super::operator::{OperatorClient, unexpected};
use super::output;
use super::progress::Progress;
use crate::app;
use crate::clock::Clock;
use crate::config::Config;
use crate::operator::{OperatorReply, OperatorRequest};
use crate::scim::registry::Registry;
use crate::store::backup::{self, VerifiedBackup as Saved};
use crate::store::last_backup::LastBackup;

#[derive(Args)]
pub(super) struct BackupArgs {
    /// The file to create (mode 0600)
    file: PathBuf,
}

impl BackupArgs {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        app::check_exists(config)?;
        // The file comes first: a place that can't be written to costs no snapshot.
        let file = output::create(&self.file)?;
        let saved = self.save(config, file);
        if saved.is_err() {
            // It was made a moment ago.
            let _ = std::fs::remove_file(&self.file);
        }
        let saved = saved?;
        describe("Backup", &saved)?;
        let note = LastBackup {
            time: Clock::System.now(),
            file: std::path::absolute(&self.file)?,
            change: saved.whole.snapshot.position.sequence,
            bytes: saved.whole.bytes,
            // What was written is read back, or the backup fails.
            verified: true,
            signed: saved.whole.signature.is_some(),
        };
        if let Err(error) = note.write(&config.data_dir) {
            output::note(&format!("warning: `scimd status` will not show this backup: {error}"))?;
        }
        Ok(())
    }

    fn save(&self, config: &Config, file: File) -> Result<Saved> {
        let _progress = Progress::of("Writing the backup and reading it back");
        let OperatorReply::Snapshot { name, sha256 } =
            OperatorClient::new(config).ask(OperatorRequest::Snapshot)?
        else {
            return unexpected();
        };
        let now = Clock::System.now();
        let saved = backup::save(&config.data_dir, &name, &sha256, (file, &self.file), now)?;
        if saved.whole.sha256 != sha256 {
            bail!("the copy of {name} differs from the original; check the disks, then try again");
        }
        Ok(saved)
    }
}

/// Prints what a backup holds.
pub(super) fn describe(title: &str, backup: &Saved) -> Result<()> {
    let snapshot = &backup.whole.snapshot;
    output::line(&format!("{title:<10} {}", snapshot.path.display()))?;
    output::line(&format!(
        "Taken      {}, with change {}",
        output::moment(Some(snapshot.taken), ""),
        snapshot.position.sequence
    ))?;
    // Settings can't change which resource types there are, so that those of the backup need not be read.
    for resource_type in Registry::built_in().resource_types() {
        let count = backup.counts.get(&resource_type.tag).copied().unwrap_or_default();
        output::line(&format!("{:<10} {count}", resource_type.endpoint))?;
    }
    output::line(&format!("Bytes      {}", backup.whole.bytes))?;
    let signed = match backup.whole.signature {
        Some(_) => "yes",
        None => "no",
    };
    output::line(&format!("SHA-256    {}", backup.whole.file_sha256))?;
    output::line(&format!("Signed     {signed}"))
}
