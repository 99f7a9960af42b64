//! The arguments that several commands have: the configuration file, and the connection.

use std::path::PathBuf;

use anyhow::Result;

use super::exit::UsageError;
use crate::app;
use crate::config::Config;

/// The configuration file, if one is named.
pub(super) struct Configuration(pub(super) Option<PathBuf>);

impl Configuration {
    /// Reads the configuration and checks all of it.
    pub(super) fn load(&self) -> Result<Config> {
        let config = Config::find(self.0.as_deref())?;
        app::vocabulary(&config)?;
        Ok(config)
    }
}

/// The connection with a name, or the only one if no name is given.
pub(super) fn the_connection(config: &Config, named: Option<String>) -> Result<String> {
    let known: Vec<&String> = config.connections.keys().collect();
    let listed = known.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    match (named, known.as_slice()) {
        (Some(name), _) if config.connections.contains_key(&name) => Ok(name),
        (Some(name), _) => Err(UsageError(format!(
            "there is no connection \"{}\"; the configuration has {listed}",
            name.escape_debug()
        ))
        .into()),
        (None, [only]) => Ok((*only).clone()),
        (None, _) => {
            Err(UsageError(format!("say which connection with --connection: {listed}")).into())
        }
    }
}
