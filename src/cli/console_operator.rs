//! `scimd operator`: named operators of the console.

use std::fs::File;
use std::io::{Read as _, stdin};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Subcommand;
use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use super::exit::CliError;
use super::list::{ListFormat, ListOutput};
use super::operator::{OperatorClient, unexpected};
use super::output;
use super::table::Cell;
use crate::config::Config;
use crate::credential::{
    MAX_PASSWORD, OperatorRole, Password, PasswordHash, SALT_BYTES, check_name, check_new_password,
};
use crate::operator::{
    AccountReply, AccountRequest, OperatorInfo, OperatorReply, OperatorRequest, OperatorStatus,
};

/// The columns of the list.
const HEAD: [&str; 5] = ["NAME", "ROLE", "STATUS", "ADDED", "LAST SIGN-IN"];

#[derive(Subcommand)]
pub(super) enum OperatorCommand {
    /// Add an operator
    Add {
        /// The name to sign in with
        name: String,
        /// What the operator may do: viewer, operator or admin
        #[arg(long, default_value = "viewer")]
        role: OperatorRole,
        /// Read the password from this file, or from standard input (-), and print the URI of the one-time codes
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// List the operators, without their secrets
    List {
        #[command(flatten)]
        list: ListOutput,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give an operator another role, which ends their sessions
    Set {
        /// The name of the operator
        name: String,
        /// What the operator may do: viewer, operator or admin
        #[arg(long)]
        role: OperatorRole,
    },
    /// Remove an operator, which ends their sessions
    Remove {
        /// The name of the operator
        name: String,
    },
}

impl OperatorCommand {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        match self {
            Self::Add { name, role, password_file } => {
                add(config, &name, role, password_file.as_deref())
            }
            Self::List { list: output, json } => list(config, &output, json),
            Self::Set { name, role } => {
                let AccountReply::Changed(operator) =
                    ask(config, AccountRequest::SetRole { name, role })?
                else {
                    return unexpected();
                };
                output::note(&format!(
                    "Operator \"{}\" has role {} from now on.",
                    operator.name, operator.role
                ))
            }
            Self::Remove { name } => {
                let AccountReply::Removed(operator) = ask(config, AccountRequest::Remove { name })?
                else {
                    return unexpected();
                };
                output::note(&format!(
                    "Removed operator \"{}\" (role {}) and ended their sessions.",
                    operator.name, operator.role
                ))
            }
        }
    }
}

fn add(config: &Config, name: &str, role: OperatorRole, file: Option<&Path>) -> Result<()> {
    let name = check_name(name).map_err(|error| CliError::usage(error.to_string()))?;
    let password = file.map(|file| hash(file, &name)).transpose()?;
    let AccountReply::Added { operator, code } =
        ask(config, AccountRequest::Add { name, role, password })?
    else {
        return unexpected();
    };
    let name = operator.name;
    output::note(&format!("Operator \"{name}\" added, role {role}."))?;
    match code {
        Some(code) => {
            output::line(&code.uri)?;
            output::note(
                "The URI holds the secret of the one-time codes and is shown only once. Enter it in an authenticator app \
                 now.",
            )
        }
        None => output::note(&format!(
            "Print a sign-in link with `scimd console link --operator {name}`: it lets {name} choose a password and \
             enrol one-time codes."
        )),
    }
}

/// Hashes the password in a file, or on standard input: neither a command line nor the admin socket sees it.
fn hash(file: &Path, name: &str) -> Result<PasswordHash> {
    let shown = file.display();
    let mut text = Zeroizing::new(String::new());
    // One byte more than fits, and the end of the line.
    let most = MAX_PASSWORD as u64 + 3;
    if file == Path::new("-") {
        stdin().take(most).read_to_string(&mut text)
    } else {
        File::open(file).and_then(|file| file.take(most).read_to_string(&mut text))
    }
    .with_context(|| format!("can't read the password from {shown}"))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let password = Password::new(line.strip_suffix('\r').unwrap_or(line));
    check_new_password(&password, name).map_err(|error| CliError::usage(error.to_string()))?;
    let mut salt = [0; SALT_BYTES];
    SysRng.try_fill_bytes(&mut salt).context("the operating system gives no randomness")?;
    PasswordHash::of(&password, &salt).map_err(|error| CliError::usage(error.to_string()))
}

fn ask(config: &Config, request: AccountRequest) -> Result<AccountReply> {
    match OperatorClient::new(config).ask(OperatorRequest::Account(request))? {
        OperatorReply::Account(reply) => Ok(reply),
        _ => unexpected(),
    }
}

fn list(config: &Config, output: &ListOutput, json: bool) -> Result<()> {
    let AccountReply::Operators(operators) = ask(config, AccountRequest::List)? else {
        return unexpected();
    };
    let mut printer = output.printer(json.then_some(ListFormat::Json), HEAD);
    printer.print(&operators, |operator| operator, row)?;
    printer.end("No operators.")
}

fn row(operator: &OperatorInfo) -> [Cell; 5] {
    [
        operator.name.clone().into(),
        operator.role.as_str().into(),
        Cell::alert_if(operator.status != OperatorStatus::Ready, operator.status.as_str()),
        Cell::Time(Some(operator.created), ""),
        Cell::Time(operator.last_sign_in, "never"),
    ]
}
