//! `scimd completions`: what a shell needs to complete commands, options and names.
//!
//! The script of a shell calls `scimd` at each completion. Names of connections come from the configuration;
//! tokens, users and groups from the server, if one runs and may be asked.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Command};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::Shells;
use clap_complete::{CompleteEnv, Shell};
use serde_json::{Map, Value};

use super::arguments::Configuration;
use super::operator::OperatorClient;
use crate::config::Config;
use crate::connection::ConnectionMethod;
use crate::operator::resource::{ResourceFilter, ResourceKind};
use crate::operator::{OperatorReply, OperatorRequest};

/// The environment variable by which the script of a shell asks for completions.
const VARIABLE: &str = "SCIMD_COMPLETE";

#[derive(Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

impl CompletionsArgs {
    /// Prints the script of the shell.
    pub(super) fn run(&self) -> Result<()> {
        let (shells, name) = (Shells::builtins(), self.shell.to_string());
        let Some(shell) = shells.completer(&name) else {
            bail!("no completions for {name}");
        };
        let mut script = Vec::new();
        shell.write_registration(VARIABLE, "scimd", "scimd", "scimd", &mut script)?;
        Ok(io::stdout().write_all(&script)?)
    }
}

/// Answers the script of a shell, and ends the process, if that is what it was started for.
pub(super) fn complete_if_asked(command_line: fn() -> Command) {
    CompleteEnv::with_factory(command_line).var(VARIABLE).complete();
}

/// Adds to the whole command line how the values of arguments are completed.
pub(super) fn add_to(scimd: Command) -> Command {
    scimd.mut_subcommands(|command| {
        let name = command.get_name().to_owned();
        complete_values(command, &name).mut_subcommands(|below| complete_values(below, &name))
    })
}

/// Adds to a command, whose name begins with the word `first`, how its values are completed.
fn complete_values(command: Command, first: &str) -> Command {
    let verb = command.get_name().to_owned();
    command.mut_args(|arg| {
        let candidates: fn(&str) -> Option<Vec<String>> = match (first, arg.get_id().as_str()) {
            (_, "connection") => connections,
            ("connection", "name") if verb != "add" => connections,
            (_, "method") => methods,
            ("token", "ids") => tokens,
            ("user" | "group" | "undo" | "audit" | "requests", "user") => users,
            (_, "group") => groups,
            _ => return arg,
        };
        arg.add(ArgValueCompleter::new(move |typed: &OsStr| {
            let typed = typed.to_str().unwrap_or_default();
            let mut names = candidates(typed).unwrap_or_default();
            names.retain(|name| name.starts_with(typed));
            names.into_iter().map(CompletionCandidate::new).collect()
        }))
    })
}

/// The configuration that the command line names so far.
fn config() -> Option<Config> {
    let words: Vec<_> = std::env::args_os().collect();
    let named = words.iter().position(|word| word == "--config");
    let file = named.and_then(|place| words.get(place + 1)).map(PathBuf::from);
    Configuration::new(file, false).silently()
}

fn connections(_: &str) -> Option<Vec<String>> {
    Some(config()?.connections.into_keys().collect())
}

fn methods(_: &str) -> Option<Vec<String>> {
    Some(ConnectionMethod::ALL.iter().map(|method| method.as_str().to_owned()).collect())
}

fn tokens(_: &str) -> Option<Vec<String>> {
    let reply = OperatorClient::new(&config()?).ask_server(&OperatorRequest::ListTokens);
    match reply.ok()?? {
        OperatorReply::Tokens(tokens) => Some(tokens.into_iter().map(|token| token.id).collect()),
        _ => None,
    }
}

fn users(typed: &str) -> Option<Vec<String>> {
    resources(ResourceKind::User, "userName", typed)
}

fn groups(typed: &str) -> Option<Vec<String>> {
    resources(ResourceKind::Group, "displayName", typed)
}

/// The names that begin with what is typed: those of one page at most.
fn resources(kind: ResourceKind, attribute: &str, typed: &str) -> Option<Vec<String>> {
    let beginning = serde_json::to_string(typed).ok()?;
    let filter = Some(format!("{attribute} sw {beginning}"));
    let request = OperatorRequest::ListResources {
        kind,
        cursor: String::new(),
        access: false,
        only: ResourceFilter { filter, ..ResourceFilter::default() },
    };
    match OperatorClient::new(&config()?).ask_server(&request).ok()?? {
        OperatorReply::Resources { resources, .. } => {
            let name = |one: &Map<String, Value>| Some(one.get(attribute)?.as_str()?.to_owned());
            Some(resources.iter().filter_map(|one| name(&one.resource)).collect())
        }
        _ => None,
    }
}
