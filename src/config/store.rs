//! `[store]`: the resources of the store, and the retention of snapshots and log.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::reader::Section;
use crate::text::{InvalidText, duration};

/// The resources of the store, and the retention of snapshots and log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// Memory for its page cache, in MiB; 1 to 4096.
    pub cache_mib: u32,
    /// Memory for the state, so that reads need no disk access, in MiB; 0 to 1048576.
    pub memory_mib: u32,
    /// Free disk space below which changes are refused, in MiB; 0 to 1000000000.
    pub min_free_mib: u32,
    /// Time from one snapshot to the next; 1s to 365d.
    pub snapshot_interval: Duration,
    /// The number of snapshots that are kept; 1 to 1000.
    pub keep_snapshots: usize,
    /// The retention of the change log.
    pub keep_journal: RetentionConfig,
    /// What keeps the log.
    pub engine: EngineConfig,
    /// The file with the URL of the database, where that keeps the log.
    pub url_file: Option<PathBuf>,
    /// What reads see, where nodes share a log.
    pub reads: ReadsConfig,
}

/// What keeps the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineConfig {
    /// Files in the data directory.
    Local,
    /// A PostgreSQL database that several nodes share.
    Postgres,
}

impl FromStr for EngineConfig {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        match text {
            "local" => Ok(Self::Local),
            "postgres" => Ok(Self::Postgres),
            _ => Err(InvalidText::new("expected \"local\" or \"postgres\"")),
        }
    }
}

/// What reads see, where nodes share a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadsConfig {
    /// All that any node has acknowledged before.
    Latest,
    /// What this node has followed: milliseconds old as a rule, older while it is cut off.
    Local,
}

impl FromStr for ReadsConfig {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        match text {
            "latest" => Ok(Self::Latest),
            "local" => Ok(Self::Local),
            _ => Err(InvalidText::new("expected \"latest\" or \"local\"")),
        }
    }
}

/// A retention time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionConfig {
    /// Unlimited retention.
    Forever,
    /// Retention for at least this time.
    For(Duration),
}

impl FromStr for RetentionConfig {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        match text {
            "forever" => Ok(Self::Forever),
            _ => duration::parse(text)
                .map(Self::For)
                .map_err(|error| InvalidText::new(format!("{error}, or \"forever\""))),
        }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            cache_mib: 2,
            memory_mib: 1_024,
            min_free_mib: 128,
            snapshot_interval: Duration::from_secs(24 * 60 * 60),
            keep_snapshots: 7,
            keep_journal: RetentionConfig::Forever,
            engine: EngineConfig::Local,
            url_file: None,
            reads: ReadsConfig::Latest,
        }
    }
}

impl StoreConfig {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let engine = section.parsed("engine", default.engine);
        let url_file = section.path("url_file");
        if engine == EngineConfig::Postgres && url_file.is_none() && !section.is_written("url_file")
        {
            section.missing(
                "url_file",
                "missing; expected the path of a file with the URL of the database, as engine is \"postgres\"",
            );
        }
        let interval = Duration::from_secs(1)..=Duration::from_secs(365 * 24 * 60 * 60);
        Self {
            cache_mib: section.integer("cache_mib", 1..=4_096, default.cache_mib),
            memory_mib: section.integer("memory_mib", 0..=1_048_576, default.memory_mib),
            min_free_mib: section.integer("min_free_mib", 0..=1_000_000_000, default.min_free_mib),
            snapshot_interval: section.duration(
                "snapshot_interval",
                interval,
                default.snapshot_interval,
            ),
            keep_snapshots: section.integer("keep_snapshots", 1..=1_000, default.keep_snapshots),
            keep_journal: section.parsed("keep_journal", default.keep_journal),
            engine,
            url_file,
            reads: section.parsed("reads", default.reads),
        }
    }
}
