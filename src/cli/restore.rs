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

#[derive(Args)]
pub(super) struct RestoreArgs {
    /// A file that `scimd backup` wrote
    file: PathBuf,
}

impl RestoreArgs {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        let restored = store::backup::restore(&self.file, &config.data_dir, app::new_identity()?)?;
        let snapshot = &restored.whole.snapshot;
        let directory = app::open_directory(config)
            .context("the backup is in place, and the database could not be built from it")?;
        let sequence = snapshot.position.sequence;
        directory.submit(actor::offline(), Restored { sequence, taken: snapshot.taken }).wait()?;
        backup::describe(config, "Restored", &restored)?;
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
