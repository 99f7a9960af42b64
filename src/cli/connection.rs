//! `scimd connection`: list, show and change the connections of the configuration.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::exit::CliError;
use super::list::{ListFormat, ListOutput};
use super::operator::{OperatorClient, unexpected};
use super::output;
use super::table::Cell;
use crate::app;
use crate::config::Config;
use crate::connection::MayGrant;
use crate::operator::{
    ConnectionChange, ConnectionChanged, ConnectionRefusal, OperatorReply, OperatorRequest, actor,
};
use crate::text::duration;

/// The maximum size of all values of a change, in bytes of JSON.
const MAX_BYTES: usize = 32 * 1024;

#[derive(Subcommand)]
pub(super) enum ConnectionCommand {
    /// List connections and where each is defined
    List {
        #[command(flatten)]
        list: ListOutput,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the settings of a connection
    Show {
        /// The name of the connection
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Add a connection and apply it
    Add {
        /// The name of the connection
        name: String,
        /// Provider type: okta, okta-custom, entra, generic or custom
        #[arg(long)]
        method: String,
        #[command(flatten)]
        settings: ConnectionOptions,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Change settings of a connection and apply them
    Set {
        /// The name of the connection
        name: String,
        /// Provider type: okta, okta-custom, entra, generic or custom
        #[arg(long)]
        method: Option<String>,
        #[command(flatten)]
        settings: ConnectionOptions,
        /// Remove a setting, by its configuration key, such as ip_allowlist (repeatable)
        #[arg(long, value_name = "KEY")]
        unset: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a connection
    Remove {
        /// The name of the connection
        name: String,
        /// Remove it even if it has valid tokens or manages accounts
        #[arg(long, short)]
        yes: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
pub(super) struct ConnectionOptions {
    /// Default workspace of new accounts
    #[arg(long, value_name = "NAME")]
    default_workspace: Option<String>,
    /// Permission of new accounts in the default workspace (repeatable)
    #[arg(long, value_name = "PERMISSION")]
    default_permission: Vec<String>,
    /// Required X-Request-Origin value
    #[arg(long, value_name = "ORIGIN")]
    service_origin: Option<String>,
    /// Client addresses to allow: addresses, networks and a-b ranges, comma-separated
    #[arg(long, value_name = "LIST")]
    ip_allowlist: Option<String>,
    /// What the connection may change: `all`, or `own` (what it created itself)
    #[arg(long)]
    scope: Option<String>,
    /// Unknown attributes: `lenient` (ignore them) or `strict` (reject the request)
    #[arg(long)]
    compat: Option<String>,
    /// Group members that do not exist: `refuse` or `ignore`
    #[arg(long)]
    unknown_members: Option<String>,
    /// POST of an account that exists and is inactive: `conflict` or `reactivate`
    #[arg(long)]
    on_inactive_create: Option<String>,
    /// PEM file with the CA of client certificates; requests must then present one
    #[arg(long, value_name = "FILE")]
    client_ca: Option<String>,
    /// Role or entitlement that the connection may give, such as "role:*" (repeatable)
    #[arg(long, value_name = "ACCESS")]
    may_grant: Vec<String>,
    /// Maximum number of requests per day
    #[arg(long, value_name = "NUMBER")]
    daily_requests: Option<u32>,
}

impl ConnectionOptions {
    /// The settings that were given, by their keys in the configuration.
    fn settings(self, method: Option<String>) -> Map<String, Value> {
        let texts = [
            ("method", method),
            ("default_workspace", self.default_workspace),
            ("service_origin", self.service_origin),
            ("ip_allowlist", self.ip_allowlist),
            ("scope", self.scope),
            ("compat", self.compat),
            ("unknown_members", self.unknown_members),
            ("on_inactive_create", self.on_inactive_create),
            ("client_ca", self.client_ca),
        ];
        let mut settings = Map::new();
        for (key, value) in texts {
            if let Some(value) = value {
                settings.insert(key.to_owned(), Value::String(value));
            }
        }
        let lists =
            [("default_permissions", self.default_permission), ("may_grant", self.may_grant)];
        for (key, list) in lists {
            if !list.is_empty() {
                settings.insert(key.to_owned(), json!(list));
            }
        }
        if let Some(number) = self.daily_requests {
            settings.insert("daily_requests".to_owned(), json!(number));
        }
        settings
    }
}

impl ConnectionCommand {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        match self {
            Self::List { list: output, json } => list(config, &output, json),
            Self::Show { name, json } => show(config, &name, json),
            Self::Add { name, method, settings, json } => {
                let settings = settings.settings(Some(method));
                change(config, ConnectionChange::Add { name, settings }, json)
            }
            Self::Set { name, method, settings, unset, json } => {
                let settings = settings.settings(method);
                if settings.is_empty() && unset.is_empty() {
                    return Err(CliError::usage("name at least one setting to change"));
                }
                change(config, ConnectionChange::Set { name, settings, unset }, json)
            }
            Self::Remove { name, yes, json } => {
                change(config, ConnectionChange::Remove { name, confirmed: yes }, json)
            }
        }
    }
}

fn change(config: &Config, change: ConnectionChange, json: bool) -> Result<()> {
    let size = serde_json::to_vec(&change)?.len();
    if size > MAX_BYTES {
        return Err(CliError::usage(format!(
            "the settings have {size} bytes; use at most {MAX_BYTES}, or write them to a file in conf.d"
        )));
    }
    let request = OperatorRequest::ChangeConnection(change.clone());
    let reply = match OperatorClient::new(config).ask_server(&request)? {
        Some(OperatorReply::ConnectionChanged(changed)) => Ok(changed),
        Some(OperatorReply::ConnectionRefused(refusal)) => Err(refusal),
        Some(_) => return unexpected(),
        None => app::change_connection(config, &actor::offline(), change),
    };
    match reply {
        Ok(changed) if json => output::json(&changed),
        Ok(changed) => describe(&changed),
        Err(ConnectionRefusal::Usage(reason)) => Err(CliError::usage(reason)),
        Err(ConnectionRefusal::NotFound(reason)) => Err(CliError::not_found(reason)),
        Err(ConnectionRefusal::Failed(reason)) => Err(anyhow::anyhow!(reason)),
    }
}

fn describe(changed: &ConnectionChanged) -> Result<()> {
    let ConnectionChanged { name, file, before, after, in_force } = changed;
    let (done, file) = match (before, after) {
        (None, _) => ("added", format!("; wrote {file}")),
        (Some(_), Some(_)) => ("changed", format!("; wrote {file}")),
        (Some(_), None) => ("removed", format!("; removed {file}")),
    };
    let when = if *in_force { "applied" } else { "to be applied at the next start" };
    output::note(&format!("Connection {name} {done}, {when}{file}."))?;
    match before {
        None => output::note(&format!(
            "Next: `scimd token generate --connection {name}`, then `scimd setup --connection {name}`."
        )),
        Some(_) => Ok(()),
    }
}

fn list(config: &Config, output: &ListOutput, json: bool) -> Result<()> {
    let all = config.connections.iter().map(|(name, connection)| {
        let row = [
            name.clone().into(),
            connection.method.to_string().into(),
            connection.scope.as_str().into(),
            place(config, name).into(),
        ];
        Ok((settings(config, name)?, row))
    });
    let all: Vec<(Value, [Cell; 4])> = all.collect::<Result<_>>()?;
    let head = ["NAME", "METHOD", "SCOPE", "DEFINED AT"];
    let mut printer = output.printer(json.then_some(ListFormat::Json), head);
    printer.print(&all, |(settings, _)| settings, |(_, row)| row.clone())?;
    printer.end("No connections.")
}

fn place(config: &Config, name: &str) -> String {
    let place = config.connection_places.get(name);
    place.map_or_else(|| "built-in default".to_owned(), ToString::to_string)
}

/// The settings of a connection as JSON, by their keys in the configuration.
fn settings(config: &Config, name: &str) -> Result<Value> {
    let Some(connection) = config.connections.get(name) else {
        let known: Vec<&str> = config.connections.keys().map(String::as_str).collect();
        return Err(CliError::not_found(format!(
            "connection \"{}\" not found; configured: {}",
            name.escape_debug(),
            known.join(", ")
        )));
    };
    let mut settings: BTreeMap<&str, Value> = BTreeMap::new();
    settings.insert("name", json!(name));
    settings.insert("defined_at", json!(place(config, name)));
    settings.insert("method", json!(connection.method.as_str()));
    settings.insert("default_workspace", json!(connection.default_workspace));
    settings.insert("default_permissions", json!(connection.default_permissions));
    settings.insert(
        "service_origin",
        json!(connection.service_origin.as_ref().map(ToString::to_string)),
    );
    settings
        .insert("ip_allowlist", json!(connection.ip_allowlist.as_ref().map(ToString::to_string)));
    settings.insert("client_ca", json!(connection.client_ca));
    settings.insert("scope", json!(connection.scope.as_str()));
    settings.insert("on_inactive_create", json!(connection.on_inactive_create.as_str()));
    settings.insert("daily_requests", json!(connection.daily_requests));
    settings.insert("compat", json!(connection.compat.as_str()));
    settings.insert("unknown_members", json!(connection.unknown_members.as_str()));
    settings.insert("may_grant", json!(connection.may_grant.as_ref().map(MayGrant::entries)));
    settings.insert("brake_action", json!(connection.brake.action.as_str()));
    settings.insert("brake_percent", json!(connection.brake.percent));
    settings.insert("brake_minimum", json!(connection.brake.minimum));
    settings.insert("brake_max_gains", json!(connection.brake.max_gains));
    settings.insert("brake_window", json!(duration::display(connection.brake.window).to_string()));
    Ok(json!(settings))
}

fn show(config: &Config, name: &str, json: bool) -> Result<()> {
    let settings = settings(config, name)?;
    if json {
        return output::json(&settings);
    }
    for (key, value) in settings.as_object().into_iter().flatten() {
        let value = match value {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        output::line(&format!("{key:<20} {value}"))?;
    }
    Ok(())
}
