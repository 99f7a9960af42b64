//! The arguments that several commands have: the configuration file, and the connection.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use super::exit::CliError;
use super::output;
use crate::app;
use crate::config::{Config, SYSTEM_FILE};
use crate::connection::token::TokenOwner;

/// The environment variable that names the configuration file.
const VARIABLE: &str = "SCIMD_CONFIG";

/// The configuration that a command uses.
pub(super) struct Configuration {
    /// The file, if one is named.
    file: Option<PathBuf>,
    /// Whether to say which file and data directory are used.
    verbose: bool,
}

impl Configuration {
    /// The file that is named on the command line, or else in the environment.
    pub(super) fn new(file: Option<PathBuf>, verbose: bool) -> Self {
        let variable = || std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
        Self { file: file.or_else(|| variable().map(PathBuf::from)), verbose }
    }

    /// Reads the configuration and checks all of it.
    pub(super) fn load(&self) -> Result<Config> {
        let config = self.read()?;
        app::vocabulary(&config)?;
        Ok(config)
    }

    /// Reads the configuration and says nothing; `None` if it can't be read.
    pub(super) fn silently(&self) -> Option<Config> {
        Config::find(self.file.as_deref()).ok()
    }

    /// Reads the configuration, and says which one it is, if that was asked for or may be a surprise.
    pub(super) fn read(&self) -> Result<Config> {
        let config = Config::find(self.file.as_deref())?;
        let system = Path::new(SYSTEM_FILE);
        let is_surprise = self.file.is_none()
            && config.file.as_deref().is_some_and(|file| file != system)
            && system.exists();
        if self.verbose || is_surprise {
            let file = config.file.as_ref().map_or_else(
                || "built-in defaults, as no config.toml was found".to_owned(),
                |file| file.display().to_string(),
            );
            let instead = if is_surprise { format!(" (not {SYSTEM_FILE})") } else { String::new() };
            output::note(&format!(
                "Using configuration {file}{instead}, data directory {}",
                config.data_dir.display()
            ))?;
        }
        Ok(config)
    }
}

/// Checks the connection by which something was searched and not found: one that was removed may have left
/// something, one that never was is a mistake.
///
/// # Errors
///
/// The configuration does not have it: exit code 4.
pub(super) fn check_searched(config: &Config, named: Option<&String>) -> Result<()> {
    named.map_or(Ok(()), |name| the_connection(config, Some(name.clone())).map(|_| ()))
}

/// The owner of a token.
#[derive(Args)]
pub(super) struct OwnerArgs {
    /// The connection of the token; without this option and --application, the only connection
    #[arg(long, value_name = "CONNECTION", conflicts_with = "application")]
    connection: Option<String>,
    /// The application of the token
    #[arg(long, value_name = "APPLICATION")]
    application: Option<String>,
}

impl OwnerArgs {
    /// The owner that is named, or the only connection if none is.
    pub(super) fn find(self, config: &Config) -> Result<TokenOwner> {
        let Some(name) = self.application else {
            return Ok(TokenOwner::Connection(the_connection(config, self.connection)?));
        };
        if config.applications.contains_key(&name) {
            return Ok(TokenOwner::Application(name));
        }
        let known: Vec<&str> = config.applications.keys().map(String::as_str).collect();
        let hint = match known.as_slice() {
            [] => format!("none is configured; add [applications.{name}]"),
            known => format!("the configuration has {}", known.join(", ")),
        };
        let name = name.escape_debug();
        Err(CliError::not_found(format!("application \"{name}\" not found; {hint}")))
    }

    /// Whether an owner is named.
    pub(super) fn is_given(&self) -> bool {
        self.connection.is_some() || self.application.is_some()
    }
}

/// The connection with a name, or the only one if no name is given.
pub(super) fn the_connection(config: &Config, named: Option<String>) -> Result<String> {
    let known: Vec<&String> = config.connections.keys().collect();
    let listed = known.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    match (named, known.as_slice()) {
        (Some(name), _) if config.connections.contains_key(&name) => Ok(name),
        (Some(name), _) => Err(CliError::not_found(format!(
            "connection \"{}\" not found; the configuration has {listed}",
            name.escape_debug()
        ))),
        (None, [only]) => Ok((*only).clone()),
        (None, _) => {
            Err(CliError::usage(format!("--connection is required; configured: {listed}")))
        }
    }
}
