//! The data folder: opened for a server or a command, read, and checked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use rand::TryRng;
use rand::rngs::SysRng;

use super::code_key::provide_code_key;
use super::database;
use super::settings::{local_settings, vocabulary};
use crate::clock::Clock;
use crate::config::{Config, EngineConfig, StoreConfig};
use crate::directory::{self, Directory, UnknownAccess};
use crate::log::local::LogFiles;
use crate::log::{Log, LogError, LogNode, Position};
use crate::operator::audit::AuditVerification;
use crate::store::StoreError;
use crate::store::check::Check;
use crate::store::folder::DataFolder;
use crate::store::inspect::Inspection;
use crate::store::local::{LocalStore, StoreLimits};
use crate::store::read_only::ReadOnlyStore;
use crate::store::recover::RecoveredDatabase;

/// How long nodes take to come back after an outage of the database.
const RETURN: Duration = Duration::from_secs(4);
/// The page cache of the database, in MiB, if no state is held in memory.
const READING_CACHE_MIB: u32 = 64;

/// Opens the directory in the configured data folder for a server, under the settings of the
/// configuration: they are put into the log if they differ from those there. Creates what is missing.
///
/// # Errors
///
/// The folder can't be used or is in use; the journal is damaged. Accounts have access that the
/// configuration does not know, unless `unknown` says to drop it; the schemas can't be added, or resources
/// share a value that they make unique.
pub fn start_directory(config: &Config, unknown: UnknownAccess) -> Result<Directory> {
    // Names the lines of what is wrong.
    vocabulary(config)?;
    let store = open_store(config, config.store.memory_mib)?;
    let (shared, local) = (config.shared_settings(), local_settings(config));
    let log = store.log();
    let directory = match has_company(log.as_ref())? {
        // The settings in force are those of all nodes; a reload puts others in force for all.
        true => {
            let directory = Directory::open_as_saved(log, Arc::new(store), &shared, local)?;
            directory.compare_settings(&shared)?;
            if let Some(problem) = directory.problem() {
                tracing::warn!("not ready: {problem}");
            }
            directory
        }
        false => Directory::open(log, Arc::new(store), &shared, unknown, local)?,
    };
    provide_code_key(config, &directory);
    Ok(directory)
}

/// Whether other nodes that share the log are running.
fn has_company(log: &dyn Log) -> Result<bool> {
    let others = || -> Result<Vec<LogNode>> {
        Ok(log.nodes()?.into_iter().filter(|node| !node.is_this).collect())
    };
    let known = others()?;
    if known.is_empty() || known.iter().any(LogNode::is_running) {
        return Ok(!known.is_empty());
    }
    // After an outage of the database no node was seen lately: those that run show themselves within a moment.
    std::thread::sleep(RETURN);
    Ok(others()?.iter().any(|node| node.seen < RETURN))
}

/// Opens the directory in the configured data folder for a change without a server, under the settings of
/// its last start; under those of the configuration if there was none. Creates what is missing.
///
/// # Errors
///
/// The folder can't be used or is in use; the journal is damaged.
pub fn open_directory(config: &Config) -> Result<Directory> {
    vocabulary(config)?;
    let store = open_store(config, 0)?;
    let (shared, local) = (config.shared_settings(), local_settings(config));
    let directory = Directory::open_as_saved(store.log(), Arc::new(store), &shared, local)?;
    provide_code_key(config, &directory);
    Ok(directory)
}

/// Creates the data folder if it is missing.
///
/// # Errors
///
/// It can't be created, or the schemas of the configuration can't be added.
pub fn create_data_folder(config: &Config) -> Result<()> {
    vocabulary(config)?;
    Ok(DataFolder::create(&config.data_dir)?)
}

/// Opens the store in the data folder; holds at most `memory_mib` of its state in memory.
fn open_store(config: &Config, memory_mib: u32) -> Result<LocalStore> {
    match config.store.engine {
        EngineConfig::Local if database::is_node(&config.data_dir) => bail!(
            "the data directory {} belongs to a node whose log is in a database, but store.engine is \"local\"; set it \
             to \"postgres\", move the log back with `scimd migrate --to local`, or choose another data_dir",
            config.data_dir.display()
        ),
        EngineConfig::Local => open_local_store(config, memory_mib),
        EngineConfig::Postgres => {
            let folder = DataFolder::open(&config.data_dir)?;
            let (limits, identity) = (limits(config, memory_mib), new_identity()?);
            let now = Clock::System.now();
            let settings = database::settings(config)?;
            let node = settings.node;
            let opened = LocalStore::open_shared(folder, limits, settings, identity, now);
            let store = opened.context("can't open the log in the database")?;
            database::keep_node(&config.data_dir, node)?;
            Ok(store)
        }
    }
}

fn limits(config: &Config, memory_mib: u32) -> StoreLimits {
    let StoreConfig { min_free_mib, .. } = config.store;
    StoreLimits { cache_mib: cache(config, memory_mib), memory_mib, min_free_mib }
}

/// Opens the store in the data folder with the log in its files, whatever else is known of that.
pub(super) fn open_local_store(config: &Config, memory_mib: u32) -> Result<LocalStore> {
    let folder = DataFolder::open(&config.data_dir)?;
    let (identity, now) = (new_identity()?, Clock::System.now());
    let opened = LocalStore::open(folder, limits(config, memory_mib), identity, now);
    opened.map_err(|error| {
        let is_damaged = matches!(error, StoreError::Log(LogError::Damaged { .. }));
        let error = anyhow::Error::from(error);
        match is_damaged {
            true => anyhow!(
                "can't open the data directory: {error:#}; keep it, and save what the database holds with `scimd recover \
                 --from-database FILE`, or restore the newest backup"
            ),
            false => error.context("can't open the data directory"),
        }
    })
}

/// The page cache of the database, in MiB; large enough for reading if reads go to the database.
fn cache(config: &Config, memory_mib: u32) -> u32 {
    let least = if memory_mib == 0 { READING_CACHE_MIB } else { 0 };
    config.store.cache_mib.max(least)
}

/// Opens the directory in the configured data folder for reading, without a server: nothing on disk is
/// created or altered, and every change is refused. The settings are those of the last start, whatever the
/// configuration says since.
///
/// # Errors
///
/// There is no data folder, it can't be read, or the journal is damaged.
pub fn open_directory_read_only(config: &Config) -> Result<Directory> {
    check_exists(config)?;
    vocabulary(config)?;
    let store = ReadOnlyStore::open(&config.data_dir)?;
    let (shared, local) = (config.shared_settings(), local_settings(config));
    Ok(Directory::open_read_only(store.log(), Arc::new(store), &shared, local)?)
}

/// Checks the data folder without altering anything in it; no server may be using it.
///
/// # Errors
///
/// There is no such folder, or it is in use.
pub fn verify(config: &Config) -> Result<Vec<Check>> {
    check_exists(config)?;
    let folder = DataFolder::open_read_only(&config.data_dir)?;
    Ok(match Inspection::open(folder, cache(config, 0)) {
        Ok(inspection) => {
            let mut checks = inspection.checks().to_vec();
            checks.extend(directory::verify_as_saved(&inspection, &config.shared_settings()));
            checks
        }
        Err(checks) => checks,
    })
}

/// The database of a data folder whose journal is damaged, and what is wrong with it. Nothing in the folder is altered.
///
/// # Errors
///
/// There is no such folder, it is in use, or its journal is whole; there is no database that can be opened.
pub fn open_damaged(config: &Config) -> Result<(RecoveredDatabase, Vec<Check>)> {
    check_exists(config)?;
    if database::is_node(&config.data_dir) {
        bail!(
            "{} is the data directory of a node: start scimd, which copies a damaged log from the database again; if that \
             is lost for good, remove the file \"node\" from the directory and run the command again",
            config.data_dir.display()
        );
    }
    let folder = DataFolder::open_read_only(&config.data_dir)?;
    let database = RecoveredDatabase::open(folder, cache(config, 0))?;
    let checks = directory::verify_as_saved(database.state(), &config.shared_settings());
    Ok((database, checks))
}

/// The changes in the data folder, for reading; no server need be stopped for it.
///
/// # Errors
///
/// There is no data folder or no journal in it, or the end of it is damaged.
pub fn change_log(config: &Config) -> Result<LogFiles> {
    Ok(LogFiles::inspect(&journal(config)?)?.0)
}

/// Checks the chain of the audit trail in the data folder, which no server may be using.
///
/// # Errors
///
/// There is no data folder or no journal in it, or the folder is in use.
pub fn verify_trail(config: &Config, anchors: &[Position]) -> Result<AuditVerification> {
    let journal = journal(config)?;
    let _folder = DataFolder::open_read_only(&config.data_dir)?;
    let mut verified = AuditVerification::default();
    match LogFiles::check_folder(&journal, anchors, &mut |error| verified.fault(&error)) {
        Ok(checked) => verified = verified.read(&checked),
        Err(error) => verified.fault(&error),
    }
    Ok(verified)
}

/// Checks that the data folder exists, before a command that must not create it.
///
/// # Errors
///
/// It does not: says where it was looked for, and by which configuration.
pub fn check_exists(config: &Config) -> Result<()> {
    let folder = config.data_dir.display();
    if config.data_dir.symlink_metadata().is_ok() {
        return Ok(());
    }
    match &config.file {
        Some(file) => bail!(
            "data directory {folder} not found (data_dir in {}); correct data_dir, choose another configuration with \
             --config, or run `scimd serve --first-boot` to create it",
            file.display()
        ),
        None => bail!(
            "data directory {folder} not found (built-in default, because no config.toml was found); choose a \
             configuration with --config, or run `scimd serve --first-boot` to create it"
        ),
    }
}

pub(super) fn journal(config: &Config) -> Result<PathBuf> {
    check_exists(config)?;
    let journal = config.data_dir.join("journal");
    if !journal.exists() {
        bail!("no audit log in {}; check data_dir", config.data_dir.display());
    }
    Ok(journal)
}

/// A random identity for a new log.
///
/// # Errors
///
/// The operating system provides no randomness.
pub fn new_identity() -> Result<[u8; 16]> {
    let mut identity = [0; 16];
    SysRng
        .try_fill_bytes(&mut identity)
        .context("the operating system provides no random numbers")?;
    Ok(identity)
}
