//! `scimd config`: what a start or a reload would refuse, what may keep clients from being served, and the settings in
//! force.

use anyhow::Result;
use clap::Subcommand;
use serde::Serialize;

use super::arguments::Configuration;
use super::exit::CliError;
use super::list::{ListFormat, ListOutput, ListPrinter};
use super::operator::OperatorClient;
use super::output;
use crate::app::{self, ConfigFindings};
use crate::config::Config;
use crate::operator::{OperatorReply, OperatorRequest, SettingInfo};

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Check the configuration file and the files that it names
    Check {
        /// Also compare it with the data directory: access of accounts, tokens
        #[arg(long)]
        data: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show every setting in force, defaults included; secrets are in files, which are not read
    Show {
        /// Also show the file and line that each value comes from
        #[arg(long)]
        origin: bool,
        #[command(flatten)]
        list: ListOutput,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// The result of a check.
#[derive(Serialize)]
struct CheckReport {
    valid: bool,
    files: Vec<String>,
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl ConfigCommand {
    pub(super) fn run(&self, configuration: &Configuration) -> Result<()> {
        match self {
            Self::Check { data, json } => check(configuration, *data, *json),
            Self::Show { origin, list, json } => {
                let settings = app::effective_settings(&configuration.read()?);
                let json = json.then_some(ListFormat::Json);
                match origin {
                    true => print(list.printer(json, ["KEY", "VALUE", "ORIGIN"]), &settings),
                    false => print(list.printer(json, ["KEY", "VALUE"]), &settings),
                }
            }
        }
    }
}

/// Prints settings, with as much of each as there are columns.
fn print<const N: usize>(mut printer: ListPrinter<N>, settings: &[SettingInfo]) -> Result<()> {
    printer.print(
        settings,
        |setting| setting,
        |setting| {
            let mut cells =
                [setting.key.clone(), setting.value.to_string(), setting.origin()].into_iter();
            std::array::from_fn(|_| cells.next().unwrap_or_default().into())
        },
    )?;
    printer.end("No settings.")
}

fn check(configuration: &Configuration, data: bool, json: bool) -> Result<()> {
    let read = configuration.read();
    let ConfigFindings { errors, warnings } = match &read {
        Ok(config) if data => check_with_data(config)?,
        Ok(config) => app::check_config(config, false),
        Err(error) => {
            let errors = format!("{error:#}").lines().map(ToOwned::to_owned).collect();
            ConfigFindings { errors, warnings: Vec::new() }
        }
    };
    let failed = (!errors.is_empty()).then(|| errors.join("\n"));
    if json {
        let files = read.as_ref().map(app::config_files).unwrap_or_default();
        let files = files.iter().map(|file| file.display().to_string()).collect();
        output::json(&CheckReport { valid: failed.is_none(), files, errors, warnings })?;
    } else {
        for warning in warnings {
            output::note(&format!("warning: {warning}"))?;
        }
    }
    match (failed, &read) {
        (Some(failed), _) => Err(CliError::usage(failed)),
        (None, Ok(config)) if !json => describe(config),
        _ => Ok(()),
    }
}

/// Checks a configuration against the data directory: through the server that uses it, if one runs.
fn check_with_data(config: &Config) -> Result<ConfigFindings> {
    let reply =
        OperatorClient::new(config).reply_of_server(&OperatorRequest::CheckConfiguration)?;
    let mut findings = app::check_config(config, reply.is_none());
    if let Some(OperatorReply::Failed(reason)) = reply {
        findings.errors.push(reason);
    }
    let tokens = OperatorClient::new(config).ask_server(&OperatorRequest::ListTokens)?;
    if let Some(OperatorReply::Tokens(mut tokens)) = tokens {
        tokens.retain(|token| token.status != "expired");
        let tokens: Vec<_> = tokens.into_iter().map(|token| (token.id, token.owner)).collect();
        findings.warnings.extend(app::token_warnings(config, &tokens));
    }
    Ok(findings)
}

fn describe(config: &Config) -> Result<()> {
    let source = match &config.file {
        Some(file) => file.display().to_string(),
        None => "No configuration file found; the built-in configuration".to_owned(),
    };
    let names: Vec<&str> = config.connections.keys().map(String::as_str).collect();
    output::line(&format!(
        "{source} is valid: {} on {}, connections: {}.",
        config.public_url.as_str(),
        config.listen.address,
        names.join(", ")
    ))
}
