//! The file of `conf.d` that holds one connection, as `scimd connection` writes it.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::error::ConfigError;
use super::merge::CONNECTIONS;
use super::root::Config;
use super::source::FOLDER;

/// What each such file begins with.
const HEAD: &str = "# Written by `scimd connection`, which keeps no comments.\n\n";

impl Config {
    /// The file of `conf.d` that holds a connection; `None` without a configuration file.
    pub fn connection_file(&self, name: &str) -> Option<PathBuf> {
        let beside = self.file.as_deref()?.parent().unwrap_or_else(|| Path::new(""));
        Some(beside.join(FOLDER).join(format!("connection-{name}.toml")))
    }

    /// The text of one of the files that the configuration was read from.
    pub fn text_of(&self, file: &Path) -> Option<&str> {
        self.sources.text(file)
    }

    /// The configuration with another text for one file of `conf.d`, or without that file.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] with every problem.
    pub fn with_file(&self, file: &Path, text: Option<&str>) -> Result<Self, ConfigError> {
        Self::of_sources(self.sources.with(file, text))
    }
}

/// The settings of a connection in the text of its file; none of a text that does not hold it.
pub fn connection_settings(text: &str, name: &str) -> Map<String, Value> {
    let table: toml::Table = text.parse().unwrap_or_default();
    let settings = table.get(CONNECTIONS).and_then(|all| all.get(name));
    match settings.and_then(|settings| serde_json::to_value(settings).ok()) {
        Some(Value::Object(settings)) => settings,
        _ => Map::new(),
    }
}

/// Whether a text has nothing but the settings of a connection, or nothing at all.
pub fn holds_only(text: &str, name: &str) -> bool {
    let table: toml::Table = text.parse().unwrap_or_default();
    table.iter().all(|(key, value)| {
        key == CONNECTIONS
            && value.as_table().is_some_and(|all| all.keys().all(|other| other == name))
    })
}

/// The text of a file that holds a connection with these settings.
///
/// # Errors
///
/// A value that TOML does not have.
pub fn connection_text(name: &str, settings: &Map<String, Value>) -> Result<String, String> {
    let mut connection = toml::Table::new();
    for (key, value) in settings {
        let value = toml::Value::try_from(value).map_err(|error| format!("{key}: {error}"))?;
        connection.insert(key.clone(), value);
    }
    let named = toml::Table::from_iter([(name.to_owned(), toml::Value::Table(connection))]);
    let whole = toml::Table::from_iter([(CONNECTIONS.to_owned(), toml::Value::Table(named))]);
    let text = toml::to_string(&whole).map_err(|error| error.to_string())?;
    Ok(format!("{HEAD}{text}"))
}
