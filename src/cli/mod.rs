//! The command line: one file for each command.

mod arguments;
mod audit;
mod backup;
mod brake;
mod change;
mod clock;
mod completions;
mod config;
mod confirm;
mod connection;
mod doctor;
mod exit;
mod export;
mod folder_owner;
mod group;
mod import;
mod init;
mod manual;
mod notify;
mod operator;
mod output;
mod reload;
mod requests;
mod resource;
mod restore;
mod serve;
mod setup;
mod status;
mod time_arg;
mod token;
mod undo;
mod user;
mod verify;

use std::path::PathBuf;

use anyhow::Result;
use clap::{CommandFactory as _, Parser, Subcommand};

pub use exit::{ExitKind, error_lines, is_closed_output};
pub use output::printable;

use arguments::Configuration;

/// On-prem SCIM 2.0 provisioning appliance.
#[derive(Parser)]
#[command(name = "scimd", version, about, long_about = None)]
pub struct Cli {
    /// Configuration file [default: $SCIMD_CONFIG, else config.toml in the working directory, else
    /// /etc/scimd/config.toml, else built-in defaults]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Say which configuration and data directory are used
    #[arg(short, long, global = true)]
    verbose: bool,
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
    /// List, show, add, change and remove connections
    #[command(subcommand)]
    Connection(connection::ConnectionCommand),
    /// Generate, list, replace and revoke tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// List, show, deactivate, activate and transfer users
    #[command(subcommand)]
    User(user::UserCommand),
    /// List and show groups, and change their members
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Show who changed what, when and from where, and verify the audit trail
    Audit(audit::AuditArgs),
    /// Show whether scimd runs, how it is doing, and what needs attention
    Status(status::StatusArgs),
    /// Check whether an identity provider can reach scimd, and wait for its first request
    Doctor(doctor::DoctorArgs),
    /// Show what clients asked, what they were answered, and why
    Requests(requests::RequestsArgs),
    /// Export all users with their effective access, and all groups with their members
    Export(export::ExportArgs),
    /// Import users and groups from JSON Lines or CSV
    Import(import::ImportArgs),
    /// Write a backup of everything to one file, also while a server runs
    Backup(backup::BackupArgs),
    /// Restore a backup into an empty data folder
    Restore(restore::RestoreArgs),
    /// Check the integrity of the data folder, also while a server runs
    Verify(verify::VerifyArgs),
    /// Show, hold and release connections that change too many accounts
    Brake(brake::BrakeArgs),
    /// Show whether the clock is trusted, and accept it after an alarm
    Clock(clock::ClockArgs),
    /// Revert users, groups and memberships to a point in time
    Undo(undo::UndoArgs),
    /// Test notifications
    #[command(subcommand)]
    Notify(notify::NotifyCommand),
    /// Have the running server read its configuration again, and wait for the outcome
    Reload(reload::ReloadArgs),
    /// Check the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print shell completions
    Completions(completions::CompletionsArgs),
    /// Write the manual pages, one for each command
    Manual(manual::ManualArgs),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// The reason that it failed, in words for the operator.
    pub fn run(self) -> Result<()> {
        let configuration = Configuration::new(self.config, self.verbose);
        match self.command {
            CliCommand::Init(init) => init.run(),
            CliCommand::Serve(serve) => serve.run(&configuration.load()?),
            CliCommand::Setup(setup) => setup.run(&configuration.load()?),
            CliCommand::Connection(connection) => connection.run(&configuration.load()?),
            CliCommand::Token(token) => token.run(&configuration.load()?),
            CliCommand::User(user) => user.run(&configuration.load()?),
            CliCommand::Group(group) => group.run(&configuration.load()?),
            CliCommand::Audit(audit) => audit.run(&configuration.load()?),
            CliCommand::Status(status) => status.run(&configuration.load()?),
            CliCommand::Doctor(doctor) => doctor.run(&configuration.load()?),
            CliCommand::Requests(requests) => requests.run(&configuration.load()?),
            CliCommand::Export(export) => export.run(&configuration.load()?),
            CliCommand::Import(import) => import.run(&configuration.load()?),
            CliCommand::Backup(backup) => backup.run(&configuration.load()?),
            CliCommand::Restore(restore) => restore.run(&configuration.load()?),
            CliCommand::Verify(verify) => verify.run(&configuration.load()?),
            CliCommand::Brake(brake) => brake.run(&configuration.load()?),
            CliCommand::Clock(clock) => clock.run(&configuration.load()?),
            CliCommand::Undo(undo) => undo.run(&configuration.load()?),
            CliCommand::Notify(notify) => notify.run(&configuration.load()?),
            CliCommand::Reload(reload) => reload.run(&configuration.load()?),
            CliCommand::Config(config) => config.run(&configuration),
            CliCommand::Completions(completions) => completions.run(Self::command()),
            CliCommand::Manual(manual) => manual.run(Self::command()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
