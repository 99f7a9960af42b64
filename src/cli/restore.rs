//! `scimd restore`: a data folder from a backup.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;

use super::{backup, output};
use crate::app;
use crate::config::Config;
use crate::directory::Restored;
use crate::operator::actor;
use crate::store;
use crate::store::signing::VerifyingKey;

#[derive(Args)]
pub(super) struct RestoreArgs {
    /// A file that `scimd backup` wrote
    file: PathBuf,
    /// The public key of the server that wrote it [default: that in the data folder, if there is one]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Leave its signature unchecked
    #[arg(long, conflicts_with = "key")]
    unsigned: bool,
}

impl RestoreArgs {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        let key = match (&self.key, self.unsigned) {
            (_, true) => None,
            (Some(file), _) => Some(VerifyingKey::read(file)?),
            (None, _) => VerifyingKey::of_folder(&config.data_dir)?,
        };
        let (identity, data) = (app::new_identity()?, &config.data_dir);
        let restored = store::backup::restore(&self.file, data, identity, key.as_ref())?;
        let snapshot = &restored.whole.snapshot;
        let directory = app::open_directory(config)
            .context("the backup is in place, and the database could not be built from it")?;
        let sequence = snapshot.position.sequence;
        directory.submit(actor::offline(), Restored { sequence, taken: snapshot.taken }).wait()?;
        backup::describe(config, "Restored", &restored)?;
        output::note(match key {
            Some(_) => "The signature of the backup matches.",
            None => "The signature of the backup was not checked: --key FILE names the public key.",
        })?;
        output::note(&format!(
            "All is as it was on {}. What came later is not there: accounts closed since are open again, \
             and so are tokens revoked since.",
            output::moment(Some(snapshot.taken), "")
        ))?;
        for token in directory.tokens() {
            output::note(&format!(
                "Token {} of connection {}, valid until {}; if it was revoked since: `scimd token revoke {}`",
                token.id,
                token.connection,
                output::moment(token.expires, "it is revoked"),
                token.id
            ))?;
        }
        Ok(())
    }
}
