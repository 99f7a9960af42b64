//! The command line: one file for each command.

mod audit;
mod backup;
mod brake;
mod completions;
mod config;
mod export;
mod group;
mod init;
mod manual;
mod operator;
mod output;
mod resource;
mod restore;
mod serve;
mod setup;
mod time_arg;
mod token;
mod undo;
mod user;
mod verify;

use std::path::PathBuf;

use anyhow::Result;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::app;
use crate::config::{Config, ConfigError};

/// On-prem SCIM 2.0 provisioning appliance.
#[derive(Parser)]
#[command(name = "scimd", version, about, long_about = None)]
pub struct Cli {
    /// Configuration file [default: config.toml in the working folder, else /etc/scimd/config.toml,
    /// else built-in defaults]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Subcommand)]
enum CliCommand {
    /// Write a commented config.toml
    Init(init::InitArgs),
    /// Serve until SIGTERM or SIGINT
    Serve(serve::ServeArgs),
    /// Print the settings for the identity provider of a connection, and how to test them
    Setup(setup::SetupArgs),
    /// Generate, list, replace and revoke tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// List and show users
    #[command(subcommand)]
    User(user::UserCommand),
    /// List and show groups
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Show who changed what, when and from where, and verify the audit trail
    Audit(audit::AuditArgs),
    /// Export all users and their effective access
    Export(export::ExportArgs),
    /// Write a backup of everything to one file, also while a server runs
    Backup(backup::BackupArgs),
    /// Restore a backup into an empty data folder
    Restore(restore::RestoreArgs),
    /// Check the integrity of the data folder, also while a server runs
    Verify(verify::VerifyArgs),
    /// Show, hold and release connections that change too many accounts
    Brake(brake::BrakeArgs),
    /// Restore users, groups and memberships to an earlier point in time
    Undo(undo::UndoArgs),
    /// Check the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print shell completions
    Completions(completions::CompletionsArgs),
    /// Write the manual pages, one for each command
    Manual(manual::ManualArgs),
}

/// The kind of a failure, which decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitKind {
    /// The command was tried and failed: exit code 1.
    Failure,
    /// The command line or the configuration is wrong: exit code 2.
    Usage,
}

impl ExitKind {
    /// The kind of failure that an error is.
    pub fn of(error: &anyhow::Error) -> Self {
        if error.is::<ConfigError>() || error.is::<UsageError>() {
            Self::Usage
        } else {
            Self::Failure
        }
    }
}

/// A wrong use of a command.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UsageError(String);

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// The reason that it failed, in words for the operator.
    pub fn run(self) -> Result<()> {
        let configuration = Configuration(self.config);
        match self.command {
            CliCommand::Init(init) => init.run(),
            CliCommand::Serve(serve) => serve.run(&configuration.load()?),
            CliCommand::Setup(setup) => setup.run(&configuration.load()?),
            CliCommand::Token(token) => token.run(&configuration.load()?),
            CliCommand::User(user) => user.run(&configuration.load()?),
            CliCommand::Group(group) => group.run(&configuration.load()?),
            CliCommand::Audit(audit) => audit.run(&configuration.load()?),
            CliCommand::Export(export) => export.run(&configuration.load()?),
            CliCommand::Backup(backup) => backup.run(&configuration.load()?),
            CliCommand::Restore(restore) => restore.run(&configuration.load()?),
            CliCommand::Verify(verify) => verify.run(&configuration.load()?),
            CliCommand::Brake(brake) => brake.run(&configuration.load()?),
            CliCommand::Undo(undo) => undo.run(&configuration.load()?),
            CliCommand::Config(config) => config.run(&configuration),
            CliCommand::Completions(completions) => completions.run(),
            CliCommand::Manual(manual) => manual.run(),
        }
    }
}

/// The command line as data, for the manual pages and completions.
fn definitions() -> clap::Command {
    Cli::command()
}

/// The connection with a name, or the only one if no name is given.
fn the_connection(config: &Config, named: Option<String>) -> Result<String> {
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

/// The configuration file, if one is named.
struct Configuration(Option<PathBuf>);

impl Configuration {
    /// Reads the configuration and checks all of it.
    fn load(&self) -> Result<Config> {
        let config = Config::find(self.0.as_deref())?;
        app::vocabulary(&config)?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        definitions().debug_assert();
    }
}
