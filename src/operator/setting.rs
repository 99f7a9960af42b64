//! The settings of a configuration, as operators see them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A setting that is in force. Secrets are in files, and not among the settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettingInfo {
    /// Its key, such as `listen.address` or `roles[1].name`.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// The file that it is written in; `None` for a default.
    pub file: Option<String>,
    /// The line in that file, from 1.
    pub line: Option<usize>,
}

impl SettingInfo {
    /// `FILE:LINE`, or `default`.
    pub fn origin(&self) -> String {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("{file}:{line}"),
            _ => "default".to_owned(),
        }
    }
}
