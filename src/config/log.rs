//! `[log]`: how much is logged, and in which form.

use std::fmt;
use std::str::FromStr;

use super::reader::Section;
use super::{Invalid, keyword};

/// The log on stderr.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The least severe level that is logged.
    pub level: Level,
    /// The form of a line.
    pub format: Format,
}

impl Log {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            level: section.parsed("level", default.level),
            format: section.parsed("format", default.format),
        }
    }
}

/// How severe a logged event is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Something failed and needs attention.
    Error,
    /// Something needs attention soon.
    Warn,
    /// What an operator wants to know of normal operation.
    #[default]
    Info,
    /// What helps to find a problem.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    /// Every level, the most severe first.
    pub const ALL: &[Self] = &[Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// The level as it is written in the configuration.
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

impl FromStr for Level {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        keyword::parse("level", Self::ALL, Self::as_str, text)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for programs.
    Json,
}

impl Format {
    /// Every format.
    pub const ALL: &[Self] = &[Self::Text, Self::Json];

    /// The format as it is written in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl FromStr for Format {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        keyword::parse("format", Self::ALL, Self::as_str, text)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
