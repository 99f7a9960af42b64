//! `scimd restore`: a data folder from a backup.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::exit::CliError;
use super::folder_owner::BorrowedFolder;
use super::progress::Progress;
use super::{backup, output};
use crate::app;
use crate::config::{Config, EngineConfig};
use crate::directory::{Directory, Restored, RevokeToken};
use crate::operator::actor;
use crate::store;
use crate::store::check::Check;
use crate::store::signing::VerifyingKey;
use crate::store::snapshot::Snapshot;

#[derive(Args)]
pub(super) struct RestoreArgs {
    /// The backup file
    file: PathBuf,
    /// The public key that signed the backup [default: the one in the data directory, if any]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Do not verify the signature
    #[arg(long, conflicts_with = "key")]
    unsigned: bool,
    /// Revoke all tokens of the backup, so that none that was revoked later is valid again
    #[arg(long)]
    revoke_tokens: bool,
    /// Give the data directory to this user; needs root [default: its present owner]
    #[arg(long, value_name = "USER")]
    user: Option<String>,
}

impl RestoreArgs {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        if config.store.engine == EngineConfig::Postgres {
            return Err(CliError::usage(
                "a backup is restored into files: set engine = \"local\" in [store] and run the command again; then move the \
                 log into an empty database with `scimd migrate --to postgres`",
            ));
        }
        let folder = BorrowedFolder::take(&config.data_dir, self.user.as_deref())?;
        self.restore(config)?;
        folder.give_back()
    }

    fn restore(self, config: &Config) -> Result<()> {
        let key = match (&self.key, self.unsigned) {
            (_, true) => None,
            (Some(file), _) => Some(VerifyingKey::read(file)?),
            (None, _) => VerifyingKey::of_folder(&config.data_dir)?,
        };
        let (identity, data) = (app::new_identity()?, &config.data_dir);
        let progress = Progress::of("Restoring and checking the data");
        let restored = store::backup::restore(&self.file, data, identity, key.as_ref())?;
        let snapshot = &restored.whole.snapshot;
        let opened = open_verified(config, snapshot);
        if opened.is_err() {
            store::backup::discard(&config.data_dir)?;
        }
        let directory = opened?;
        drop(progress);
        backup::describe("Restored", &restored)?;
        output::note(match key {
            Some(_) => "Verified the signature of the backup.",
            None => {
                "The signature of the backup was not verified; pass the public key with --key FILE."
            }
        })?;
        output::note(&format!(
            "Restored the state of {}. Later changes are lost: accounts deactivated since then are active again{}.",
            output::moment(Some(snapshot.taken), ""),
            if self.revoke_tokens { "" } else { ", and so are tokens revoked since" }
        ))?;
        if self.revoke_tokens {
            let tokens = directory.tokens();
            for token in &tokens {
                let revoke = RevokeToken { id: token.id.clone() };
                directory.submit(actor::offline(), revoke).wait()?;
            }
            let revoked = output::counted(tokens.len(), "token", "tokens");
            return output::note(&format!(
                "Revoked {revoked}; generate new ones with `scimd token generate`."
            ));
        }
        for token in directory.tokens() {
            output::note(&format!(
                "Token {} of {}, valid until {}; if it was revoked since: `scimd token revoke {}`",
                token.id,
                token.owner,
                output::moment(token.expires, "it is revoked"),
                token.id
            ))?;
        }
        Ok(())
    }
}

/// Opens what was restored, and checks all of it.
///
/// # Errors
///
/// The database can't be built, or something is not as it should be.
fn open_verified(config: &Config, snapshot: &Snapshot) -> Result<Directory> {
    let directory =
        app::open_directory(config).context("the database can't be built from the backup")?;
    let restored = Restored { sequence: snapshot.position.sequence, taken: snapshot.taken };
    directory.submit(actor::offline(), restored).wait()?;
    match directory.verify().iter().find(|check| check.faults > 0) {
        Some(Check { what, findings, .. }) => {
            bail!(
                "the backup is damaged, and nothing was restored: {what}: {}",
                findings.join("; ")
            )
        }
        None => Ok(directory),
    }
}
