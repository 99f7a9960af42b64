//! `scimd migrate`: moves the log from files into a database, and back.

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::exit::CliError;
use super::output;
use super::progress::Progress;
use crate::app::{self, LogMove};
use crate::config::Config;

#[derive(Args)]
pub(super) struct MigrateArgs {
    /// What keeps the log from then on
    #[arg(long, value_name = "ENGINE")]
    to: Engine,
}

#[derive(Clone, Copy, ValueEnum)]
enum Engine {
    /// A PostgreSQL database, which several nodes can share
    Postgres,
    /// Files in the data directory
    Local,
}

impl MigrateArgs {
    pub(super) fn run(&self, config: &Config) -> Result<()> {
        app::check_exists(config)?;
        if config.store.url_file.is_none() {
            return Err(CliError::usage(
                "store.url_file is missing; add the path of a file with the URL of the database to [store]",
            ));
        }
        match self.to {
            Engine::Postgres => to_postgres(config),
            Engine::Local => to_local(config),
        }
    }
}

fn to_postgres(config: &Config) -> Result<()> {
    let progress = Progress::of("Copying the log into the database");
    let moved = app::migrate_to_postgres(config, &mut |done, all| {
        progress.says(format!("Copying the log into the database: change {done} of {all}"));
    });
    drop(progress);
    match moved? {
        LogMove::Copied(end) => output::note(&format!(
            "The database has changes up to {}. Next: stop scimd, then run `scimd migrate --to postgres` again, which copies \
             the rest.",
            end.sequence
        )),
        LogMove::Finished(end) => {
            output::note(&format!(
                "The database has the whole log, up to change {}, and the data directory is that of a node. Next: set this \
                 in [store], then start scimd:",
                end.sequence
            ))?;
            output::line("engine = \"postgres\"")
        }
    }
}

fn to_local(config: &Config) -> Result<()> {
    let progress = Progress::of("Checking the copy of the log, and leaving the database");
    let moved = app::migrate_to_local(config);
    drop(progress);
    let end = moved?;
    output::note(&format!(
        "The data directory has the whole log, up to change {}, and no node starts on the database any more. Next: set \
         this in [store], then start scimd:",
        end.sequence
    ))?;
    output::line("engine = \"local\"")
}
