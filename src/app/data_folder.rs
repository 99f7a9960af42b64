//! The data folder: opened for a server or a command, read, and checked.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use rand::TryRng;
use rand::rngs::SysRng;

use super::settings::{settings, vocabulary};
use crate::clock::Clock;
use crate::config::{Config, Store};
use crate::directory::{self, Directory};
use crate::log::Position;
use crate::log::local::LogFiles;
use crate::operator::audit::AuditVerification;
use crate::store::check::Check;
use crate::store::folder::DataFolder;
use crate::store::inspect::Inspection;
use crate::store::local::{LocalStore, StoreLimits};

/// The database's page cache where no state is held in memory.
const READING_CACHE_MIB: u32 = 64;

/// Opens the directory in the configured data folder, of which so many mebibytes will be held in memory
/// at most.
///
/// # Errors
///
/// The folder can't be used or is in use; the journal is damaged.
pub fn open_directory(config: &Config, memory_mib: u32) -> Result<Directory> {
    let folder = DataFolder::open(&config.data_dir)?;
    let Store { min_free_mib, .. } = config.store;
    let cache_mib = cache(config, memory_mib);
    let limits = StoreLimits { cache_mib, memory_mib, min_free_mib };
    let store = LocalStore::open(folder, limits, new_identity()?, Clock::System.now())
        .context("can't open the data folder")?;
    Ok(Directory::open(Arc::new(store), settings(config, None)?)?)
}

/// How many mebibytes the database may have as its page cache; enough to be read, if it is.
fn cache(config: &Config, memory_mib: u32) -> u32 {
    let least = if memory_mib == 0 { READING_CACHE_MIB } else { 0 };
    config.store.cache_mib.max(least)
}

/// Checks the data folder without altering what is in it; no server may be using it.
///
/// # Errors
///
/// There is no such folder, or it is in use.
pub fn verify(config: &Config) -> Result<Vec<Check>> {
    if !config.data_dir.exists() {
        bail!("there is no data folder {}; check data_dir", config.data_dir.display());
    }
    let folder = DataFolder::open(&config.data_dir)?;
    Ok(match Inspection::open(folder, cache(config, 0)) {
        Ok(inspection) => {
            let mut checks = inspection.checks().to_vec();
            checks.extend(directory::verify(&inspection, &vocabulary(config)?.1));
            checks
        }
        Err(checks) => checks,
    })
}

/// The audit trail in the data folder, for reading; no server need be stopped for it.
///
/// # Errors
///
/// There is none, or the end of it is damaged.
pub fn change_log(config: &Config) -> Result<LogFiles> {
    Ok(LogFiles::inspect(&journal(config)?)?.0)
}

/// Checks the chain of the audit trail in the data folder, which no server may be using.
///
/// # Errors
///
/// There is none, or the folder is in use.
pub fn verify_trail(config: &Config, anchors: &[Position]) -> Result<AuditVerification> {
    let journal = journal(config)?;
    let _folder = DataFolder::open(&config.data_dir)?;
    let mut verified = AuditVerification::default();
    match LogFiles::check_folder(&journal, anchors, &mut |error| verified.fault(&error)) {
        Ok(checked) => verified = verified.read(&checked),
        Err(error) => verified.fault(&error),
    }
    Ok(verified)
}

fn journal(config: &Config) -> Result<PathBuf> {
    let journal = config.data_dir.join("journal");
    if !journal.exists() {
        bail!("there is no audit trail in {}; check data_dir", config.data_dir.display());
    }
    Ok(journal)
}

/// What a new journal is told from any other by.
///
/// # Errors
///
/// The operating system gives no randomness.
pub fn new_identity() -> Result<[u8; 16]> {
    let mut identity = [0; 16];
    SysRng.try_fill_bytes(&mut identity).context("the operating system gives no randomness")?;
    Ok(identity)
}
