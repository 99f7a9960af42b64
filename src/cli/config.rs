//! `scimd config check`: every problem of the configuration, with its line.

use anyhow::Result;
use clap::Subcommand;

use super::arguments::Configuration;
use super::output;
use crate::app;
use crate::config::Config;

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Print every problem of the configuration with its line and key
    Check,
}

impl ConfigCommand {
    pub(super) fn run(&self, configuration: &Configuration) -> Result<()> {
        let Self::Check = self;
        let config = configuration.load()?;
        app::check_open_files(&config)?;
        let source = match &config.file {
            Some(file) => file.display().to_string(),
            None => "There is no config.toml here: the built-in configuration".to_owned(),
        };
        let names: Vec<&str> = config.connections.keys().map(String::as_str).collect();
        if config.grants.iter().any(|grant| grant.managers.is_some()) {
            warn_of_missed_grants(&config)?;
        }
        output::line(&format!(
            "{source} is valid: {} on {}, connections: {}.",
            config.public_url.as_str(),
            config.listen.address,
            names.join(", ")
        ))
    }
}

/// Warns of grants whose group another connection manages, where the data folder can be read: there is one, it is this
/// user's, and no server runs, whose log has the same warnings.
fn warn_of_missed_grants(config: &Config) -> Result<()> {
    let Ok(directory) = app::open_directory_read_only(config) else { return Ok(()) };
    for sentence in app::missed_grants(&directory)? {
        output::note(&format!("warning: {sentence}"))?;
    }
    Ok(())
}
