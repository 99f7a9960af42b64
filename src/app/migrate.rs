//! Moves the log of a server into a database, and back.

use anyhow::{Context as _, Result, bail};

use super::data_folder::{check_exists, journal, open_local_store};
use super::database;
use crate::clock::Clock;
use crate::config::Config;
use crate::log::local::LogFiles;
use crate::log::postgres::{LogTransfer, TransferProgress, move_to_files};
use crate::log::{LogError, Position, ReadLog as _, SnapshotFile};
use crate::store::folder::DataFolder;
use crate::store::maintenance::Maintenance as _;

/// How many changes may be missing when the server is to be stopped.
const FEW: u64 = 1_000;

/// How far the log of a server has been moved into a database.
pub enum LogMove {
    /// The server runs: the rest is copied once it is stopped.
    Copied(Position),
    /// The data directory is that of a node.
    Finished(Position),
}

/// Copies the log in the data directory into the database of `store.url_file`. While a server uses the directory, that is
/// all; else the directory becomes that of a node.
///
/// # Errors
///
/// One sentence that says what to do. The server can go on as before; what was copied is used the next time.
pub fn migrate_to_postgres(
    config: &Config,
    progress: &mut TransferProgress<'_>,
) -> Result<LogMove> {
    let journal = journal(config)?;
    let (data, is_node) = (&config.data_dir, database::is_node(&config.data_dir));
    let settings = database::settings(config)?;
    let node = settings.node;
    if DataFolder::is_in_use(data)? {
        if is_node {
            bail!("{} is that of a running node: its log is in a database already", data.display());
        }
        let mut transfer = LogTransfer::open(settings, &LogFiles::inspect(&journal)?.0, false)?;
        while transfer.copy(&LogFiles::inspect(&journal)?.0, true, progress)? > FEW {}
        return Ok(LogMove::Copied(transfer.reached()));
    }
    let mut transfer = LogTransfer::open(settings, &LogFiles::inspect(&journal)?.0, is_node)?;
    // Locks the directory, cuts off what was never acknowledged, and compares the log with the state.
    let store = open_local_store(config, 0)?;
    let files = LogFiles::inspect(&journal)?.0;
    transfer.copy(&files, false, progress)?;
    if transfer.start().sequence > 0 {
        // What came before is in a snapshot alone.
        let snapshot = store.snapshot(Clock::System.now())?.snapshot;
        let file = SnapshotFile { path: &snapshot.path, position: snapshot.position };
        transfer.keep_snapshot(&file)?;
    }
    transfer.check_whole(&files)?;
    // From here on the directory can be used by neither a server nor a node, until all is done.
    transfer.claim()?;
    database::keep_node(data, node)?;
    transfer.complete()?;
    Ok(LogMove::Finished(files.head()))
}

/// Makes the log in a database that of the files in the data directory, which is that of a node that is stopped.
///
/// # Errors
///
/// One sentence that says what to do. The command can be run again.
pub fn migrate_to_local(config: &Config) -> Result<Position> {
    check_exists(config)?;
    let data = &config.data_dir;
    if !database::is_node(data) {
        bail!(
            "{} is not the data directory of a node: its log is in files already",
            data.display()
        );
    }
    let _folder = DataFolder::open(data)?;
    let journal = journal(config)?;
    let moved = move_to_files(database::settings(config)?, &journal, Clock::System.now());
    let end = moved.map_err(|error| match error {
        error @ LogError::Damaged { .. } => anyhow::Error::from(error).context(
            "the copy of the log is damaged; start the node once, so that it is copied again, then stop it and run the \
             command again",
        ),
        error => error.into(),
    })?;
    database::forget_node(data).context("run the command again")?;
    Ok(end)
}
