//! The settings of the log: the least severe level that is logged, and the format of a line.

use std::fmt;

use crate::text::keyword::keyword;

/// How severe a logged event is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Something failed and needs attention.
    Error,
    /// Something needs attention soon.
    Warn,
    /// Normal operation.
    #[default]
    Info,
    /// Details for finding a problem.
    Debug,
    /// All events.
    Trace,
}

impl LogLevel {
    /// All levels, the most severe first.
    pub const ALL: &[Self] = &[Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// Returns the level as it is written in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

keyword!(LogLevel, "level");

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The format of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people: time, level, message, `name=value` fields.
    #[default]
    Text,
    /// One JSON object per line, for programs.
    Json,
}

impl LogFormat {
    /// All formats.
    pub const ALL: &[Self] = &[Self::Text, Self::Json];

    /// Returns the format as it is written in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

keyword!(LogFormat, "format");

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
