//! `[log]`: the level and format of the log.

use super::reader::Section;
use crate::logging::{LogFormat, LogLevel};

/// The log on stderr.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// The minimum level.
    pub level: LogLevel,
    /// The format of a line.
    pub format: LogFormat,
}

impl LogConfig {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            level: section.parsed("level", default.level),
            format: section.parsed("format", default.format),
        }
    }
}
