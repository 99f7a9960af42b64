//! `[requests]`: the size and age of the request log.

use std::time::Duration;

use super::reader::Section;

/// How much the request log keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestsConfig {
    /// The size of its files, in MiB; 0 to 1048576, 0 for no request log.
    pub max_mib: u32,
    /// The age of its records, in days; 1 to 3650.
    pub max_days: u32,
    /// How long the bodies of all connections are kept from a start on; 0s to 24h.
    pub bodies_for: Duration,
}

impl Default for RequestsConfig {
    fn default() -> Self {
        Self { max_mib: 256, max_days: 30, bodies_for: Duration::ZERO }
    }
}

impl RequestsConfig {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            max_mib: section.integer("max_mib", 0..=1_048_576, default.max_mib),
            max_days: section.integer("max_days", 1..=3_650, default.max_days),
            bodies_for: section.duration(
                "bodies_for",
                Duration::ZERO..=Duration::from_secs(24 * 60 * 60),
                default.bodies_for,
            ),
        }
    }

    /// The size of its files, in bytes.
    pub fn max_bytes(&self) -> u64 {
        u64::from(self.max_mib) << 20
    }

    /// The age of its records.
    pub fn max_age(&self) -> Duration {
        Duration::from_secs(u64::from(self.max_days) * 24 * 60 * 60)
    }
}
