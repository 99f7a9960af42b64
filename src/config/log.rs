//! `[log]`: how much is logged, and in which form.

use super::reader::Section;
use crate::logging::{LogFormat, LogLevel};

/// The log on stderr.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// The least severe level that is logged.
    pub level: LogLevel,
    /// The form of a line.
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
