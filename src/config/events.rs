//! `[events]`: how far back the change feed goes.

use std::time::Duration;

use super::reader::Section;

/// How far back the change feed goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventsConfig {
    /// How long changes stay in the log at least, so that consumers can catch up; 0s to 3650d.
    pub retention: Duration,
    /// The size of the log, in MiB, at which the webhook that holds most of it is parked; 64 to 1048576.
    pub max_log_mib: u32,
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self { retention: Duration::from_secs(30 * 24 * 60 * 60), max_log_mib: 4_096 }
    }
}

impl EventsConfig {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let retention = Duration::ZERO..=Duration::from_secs(3_650 * 24 * 60 * 60);
        Self {
            retention: section.duration("retention", retention, default.retention),
            max_log_mib: section.integer("max_log_mib", 64..=1_048_576, default.max_log_mib),
        }
    }

    /// The size of the log at which the webhook that holds most of it is parked, in bytes.
    pub fn max_log_bytes(&self) -> u64 {
        u64::from(self.max_log_mib) << 20
    }
}
