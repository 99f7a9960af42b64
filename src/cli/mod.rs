//! The command line: one file for each command.

mod ask;
mod backup;
mod config;
mod init;
mod output;
mod restore;
mod serve;
mod token;
mod verify;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::app;
use crate::config::{Config, ConfigError};

/// On-prem SCIM 2.0 provisioning appliance.
#[derive(Parser)]
#[command(name = "scimd", version, about, long_about = None)]
pub struct Cli {
    /// The configuration; default: config.toml in the working folder, else built-in defaults.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write a commented config.toml
    Init(init::Init),
    /// Serve until SIGTERM or SIGINT
    Serve(serve::Serve),
    /// Make, list and end tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Write everything to one file, also while a server runs
    Backup(backup::Backup),
    /// Fill an empty data folder from a backup
    Restore(restore::Restore),
    /// Check everything in the data folder, also while a server runs
    Verify(verify::Verify),
    /// Check the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
}

/// How a command failed, as far as its exit code goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// It was tried.
    Trying,
    /// It was asked for wrongly, or the configuration is wrong.
    Asking,
}

impl Failed {
    /// What kind of failure an error is.
    pub fn of(error: &anyhow::Error) -> Self {
        if error.is::<ConfigError>() || error.is::<UsageError>() {
            Self::Asking
        } else {
            Self::Trying
        }
    }
}

/// A command that was asked for wrongly.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UsageError(String);

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// Whatever stopped it, in words for the operator.
    pub fn run(self) -> Result<()> {
        let configuration = Configuration(self.config);
        match self.command {
            Command::Init(init) => init.run(),
            Command::Serve(serve) => serve.run(&configuration.load()?),
            Command::Token(token) => token.run(&configuration.load()?),
            Command::Backup(backup) => backup.run(&configuration.load()?),
            Command::Restore(restore) => restore.run(&configuration.load()?),
            Command::Verify(verify) => verify.run(&configuration.load()?),
            Command::Config(config) => config.run(&configuration),
        }
    }
}

/// Where the configuration is.
struct Configuration(Option<PathBuf>);

impl Configuration {
    /// Reads it and checks all of it.
    fn load(&self) -> Result<Config> {
        let config = Config::find(self.0.as_deref())?;
        app::registry(&config)?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
