//! How much is logged, and in which form.

use std::fmt;

use crate::text::keyword::keyword;

/// How severe a logged event is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
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

impl LogLevel {
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

keyword!(LogLevel, "level");

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for programs.
    Json,
}

impl LogFormat {
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

keyword!(LogFormat, "format");

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
