//! The command line: one file for each command.

mod access;
mod arguments;
mod audit;
mod backup;
mod brake;
mod change;
mod client;
mod clock;
mod completions;
mod config;
mod confirm;
mod connection;
mod console;
mod console_operator;
mod csv;
mod doctor;
#[cfg(test)]
mod documents;
mod events;
mod examples;
mod exit;
mod export;
mod failure;
mod folder_owner;
mod group;
mod history;
mod import;
mod init;
mod list;
mod manual;
mod migrate;
mod nodes;
mod notify;
mod operator;
mod output;
mod progress;
mod recover;
mod reload;
mod requests;
mod resource;
mod restore;
mod serve;
mod setup;
mod status;
mod table;
mod time_arg;
mod token;
mod undo;
mod user;
mod verify;
mod version;
mod webhook;

use std::path::PathBuf;

use anyhow::Result;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

pub use exit::{ExitKind, is_closed_output};
pub use failure::FailureForm;

use arguments::Configuration;

/// On-prem SCIM 2.0 provisioning appliance.
#[derive(Parser)]
#[command(name = "scimd", version, about, long_about = None)]
struct Cli {
    /// Configuration file [default: $SCIMD_CONFIG, else config.toml in the working directory, else
    /// /etc/scimd/config.toml, else built-in defaults]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the configuration file and data directory in use
    #[arg(short, long, global = true)]
    verbose: bool,
    /// Print nothing but the result, errors and questions
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    #[command(subcommand)]
    command: CliCommand,
}

/// A command line that was understood, and the form in which its failure is printed.
pub struct CommandLine {
    cli: Cli,
    failure: FailureForm,
}

#[derive(Subcommand)]
enum CliCommand {
    /// Write a commented config.toml
    Init(init::InitArgs),
    /// Run the server until SIGTERM or SIGINT
    Serve(serve::ServeArgs),
    /// Print setup instructions for a connection
    Setup(setup::SetupArgs),
    /// List, show, add, change and remove connections
    #[command(subcommand)]
    Connection(connection::ConnectionCommand),
    /// Create, list, rotate and revoke tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Generate, list and revoke OAuth clients
    #[command(subcommand)]
    Client(client::ClientCommand),
    /// Add, list, change and remove named operators of the console
    #[command(subcommand)]
    Operator(console_operator::OperatorCommand),
    /// List, inspect and change users
    #[command(subcommand)]
    User(user::UserCommand),
    /// List and inspect groups, and change their members
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Explain access: why a user has it, who has some, and what would change
    #[command(subcommand)]
    Access(access::AccessCommand),
    /// Show the audit log, or verify its integrity
    Audit(audit::AuditArgs),
    /// Show whether scimd is running and what needs attention
    Status(status::StatusArgs),
    /// Sign in to the web console
    #[command(subcommand)]
    Console(console::ConsoleCommand),
    /// Check whether an identity provider can reach scimd
    Doctor(doctor::DoctorArgs),
    /// Show requests of clients, their answers and the reasons
    Requests(requests::RequestsArgs),
    /// Print the change feed, as an application sees it
    Events(events::EventsArgs),
    /// Export all users with their effective access, and all groups with their members
    Export(export::ExportArgs),
    /// Import users and groups from JSON Lines or CSV
    Import(import::ImportArgs),
    /// List and test webhooks, and repeat deliveries
    #[command(subcommand)]
    Webhook(webhook::WebhookCommand),
    /// Back up all data to one file; safe while the server is running
    Backup(backup::BackupArgs),
    /// Restore a backup into an empty data directory
    Restore(restore::RestoreArgs),
    /// Save the database as a backup when the journal is damaged and scimd does not start
    Recover(recover::RecoverArgs),
    /// Check the data directory for corruption; safe while the server is running
    Verify(verify::VerifyArgs),
    /// Show, pause and resume connections that remove access from too many users
    Brake(brake::BrakeArgs),
    /// Show whether the clock is trusted, or accept it after an alarm
    Clock(clock::ClockArgs),
    /// List the nodes that share a log in a database
    Nodes(nodes::NodesArgs),
    /// Move the log from files into a database that nodes share, or back
    Migrate(migrate::MigrateArgs),
    /// Revert users, groups and memberships to a point in time
    Undo(undo::UndoArgs),
    /// Test notifications
    #[command(subcommand)]
    Notify(notify::NotifyCommand),
    /// Reload the configuration of the running server and wait for the outcome
    Reload(reload::ReloadArgs),
    /// Check and show the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Generate shell completions
    Completions(completions::CompletionsArgs),
    /// Write the manual pages
    Manual(manual::ManualArgs),
    /// Show version, commit and data formats of this build
    Version(version::VersionArgs),
}

/// The definition of the whole command line, with examples.
pub fn command_line() -> clap::Command {
    completions::add_to(examples::add_to(Cli::command()))
}

impl CommandLine {
    /// Reads the command line of this process. A wrong one, and a request for help, ends it.
    ///
    /// # Errors
    ///
    /// The kind of failure, if a wrong one was reported as JSON.
    pub fn of_process() -> Result<Self, ExitKind> {
        completions::complete_if_asked(command_line);
        let understood = command_line().try_get_matches().and_then(|matches| {
            let failure = FailureForm::of_matches(&matches);
            Ok(Self { cli: Cli::from_arg_matches(&matches)?, failure })
        });
        understood.map_err(|error| {
            let form = FailureForm::of_arguments(std::env::args_os());
            if !error.use_stderr() || form == FailureForm::Text {
                error.exit();
            }
            // A closed standard error can't be reported anywhere.
            let _ = output::error(&FailureForm::of_usage(&error));
            ExitKind::Usage
        })
    }

    /// The form in which a failure of the command is printed.
    pub fn failure(&self) -> FailureForm {
        self.failure
    }

    /// Runs the command.
    ///
    /// # Errors
    ///
    /// The reason that it failed, in words for the operator.
    pub fn run(self) -> Result<()> {
        if self.cli.quiet {
            output::be_quiet();
        }
        self.cli.run()
    }
}

impl Cli {
    fn run(self) -> Result<()> {
        let configuration = Configuration::new(self.config, self.verbose);
        match self.command {
            CliCommand::Init(init) => init.run(),
            CliCommand::Serve(serve) => serve.run(&configuration.load()?),
            CliCommand::Setup(setup) => setup.run(&configuration.load()?),
            CliCommand::Connection(connection) => connection.run(&configuration.load()?),
            CliCommand::Token(token) => token.run(&configuration.load()?),
            CliCommand::Client(client) => client.run(&configuration.load()?),
            CliCommand::Operator(operator) => operator.run(&configuration.load()?),
            CliCommand::User(user) => user.run(&configuration.load()?),
            CliCommand::Group(group) => group.run(&configuration.load()?),
            CliCommand::Access(access) => access.run(&configuration.load()?),
            CliCommand::Audit(audit) => audit.run(&configuration.load()?),
            CliCommand::Status(status) => status.run(&configuration.load()?),
            CliCommand::Console(console) => console.run(&configuration.load()?),
            CliCommand::Doctor(doctor) => doctor.run(&configuration.load()?),
            CliCommand::Requests(requests) => requests.run(&configuration.load()?),
            CliCommand::Events(events) => events.run(&configuration.load()?),
            CliCommand::Export(export) => export.run(&configuration.load()?),
            CliCommand::Import(import) => import.run(&configuration.load()?),
            CliCommand::Webhook(webhook) => webhook.run(&configuration.load()?),
            CliCommand::Backup(backup) => backup.run(&configuration.load()?),
            CliCommand::Restore(restore) => restore.run(&configuration.load()?),
            CliCommand::Recover(recover) => recover.run(&configuration.load()?),
            CliCommand::Verify(verify) => verify.run(&configuration.load()?),
            CliCommand::Brake(brake) => brake.run(&configuration.load()?),
            CliCommand::Clock(clock) => clock.run(&configuration.load()?),
            CliCommand::Nodes(nodes) => nodes.run(&configuration.load()?),
            CliCommand::Migrate(migrate) => migrate.run(&configuration.load()?),
            CliCommand::Undo(undo) => undo.run(&configuration.load()?),
            CliCommand::Notify(notify) => notify.run(&configuration.load()?),
            CliCommand::Reload(reload) => reload.run(&configuration.load()?),
            CliCommand::Config(config) => config.run(&configuration),
            CliCommand::Completions(completions) => completions.run(),
            CliCommand::Manual(manual) => manual.run(command_line()),
            CliCommand::Version(version) => version.run(),
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
