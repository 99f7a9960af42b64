//! `[store]`: the resources of the store, and the retention of snapshots and log.

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
        }
    }
}

impl StoreConfig {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
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
        }
    }
}
