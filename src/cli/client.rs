//! `scimd client`: OAuth clients, with which identity providers get access tokens.

use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use super::arguments::the_connection;
use super::exit::CliError;
use super::list::{ListFormat, ListOutput};
use super::operator::{OperatorClient, unexpected};
use super::output;
use super::table::Cell;
use super::token::Expiry;
use crate::app;
use crate::config::Config;
use crate::operator::{ClientInfo, ClientReply, ClientRequest, OperatorReply, OperatorRequest};

/// The columns of the list.
const HEAD: [&str; 7] =
    ["ID", "CONNECTION", "STATUS", "CREATED", "EXPIRES", "LAST USED", "DESCRIPTION"];

#[derive(Subcommand)]
pub(super) enum ClientCommand {
    /// Generate an OAuth client and print its id, its secret and the URL where it gets access tokens
    Generate(GenerateArgs),
    /// List all clients, without their secrets
    List {
        /// Only the clients of this connection
        #[arg(long)]
        connection: Option<String>,
        #[command(flatten)]
        list: ListOutput,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke clients and their access tokens at once
    Revoke {
        /// The ids of the clients, from `scimd client list`, or beginnings of them that no other client has
        #[arg(value_name = "ID", required_unless_present = "connection")]
        ids: Vec<String>,
        /// All clients of this connection
        #[arg(long, conflicts_with = "ids")]
        connection: Option<String>,
    },
}

#[derive(Args)]
pub(super) struct GenerateArgs {
    /// The connection of the client; required if there are several
    #[arg(long)]
    connection: Option<String>,
    /// How long the client is valid, as in 365d, or `never` for no expiry
    #[arg(long, value_parser = Expiry::parse, default_value = "365d", value_name = "DURATION|never")]
    expires: Expiry,
    /// What the client is for, to tell it from others
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Print client_id, client_secret and token_url as JSON
    #[arg(long)]
    json: bool,
}

impl ClientCommand {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        match self {
            Self::Generate(arguments) => arguments.run(config),
            Self::List { connection, list: output, json } => {
                list(config, connection.as_deref(), &output, json)
            }
            Self::Revoke { ids, connection } => revoke(config, ids, connection),
        }
    }
}

impl GenerateArgs {
    fn run(self, config: &Config) -> Result<()> {
        let connection = the_connection(config, self.connection)?;
        let valid_for: Option<Duration> = self.expires.duration();
        let request =
            ClientRequest::Generate { connection, valid_for, description: self.description };
        let ClientReply::Generated { secret, client } = ask(config, request)? else {
            return unexpected();
        };
        let url = app::token_url(config);
        if self.json {
            output::json(
                &json!({"client_id": client.id, "client_secret": secret, "token_url": url}),
            )?;
        } else {
            output::line(&format!("Client ID      {}", client.id))?;
            output::line(&format!("Client secret  {secret}"))?;
            output::line(&format!("Token URL      {url}"))?;
        }
        output::note(&format!(
            "Client {} for connection {}, {}. The secret is shown only once. Copy it now.",
            client.id,
            client.connection,
            match client.expires {
                Some(_) => format!("valid until {}", output::moment(client.expires, "")),
                None => "valid until it is revoked".to_owned(),
            },
        ))
    }
}

fn ask(config: &Config, request: ClientRequest) -> Result<ClientReply> {
    match OperatorClient::new(config).ask(OperatorRequest::Client(request))? {
        OperatorReply::Client(reply) => Ok(reply),
        _ => unexpected(),
    }
}

/// All clients, or those of a connection.
fn clients(config: &Config, connection: Option<&str>) -> Result<Vec<ClientInfo>> {
    let ClientReply::Clients(mut clients) = ask(config, ClientRequest::List)? else {
        return unexpected();
    };
    if let Some(name) = connection {
        // The clients of a connection that was removed can be listed as well.
        clients.retain(|client| client.connection == name);
        if clients.is_empty() && !config.connections.contains_key(name) {
            the_connection(config, Some(name.to_owned()))?;
        }
    }
    Ok(clients)
}

fn list(config: &Config, connection: Option<&str>, output: &ListOutput, json: bool) -> Result<()> {
    let clients = clients(config, connection)?;
    let mut printer = output.printer(json.then_some(ListFormat::Json), HEAD);
    printer.print(&clients, |client| client, row)?;
    printer.end("No clients.")
}

fn row(client: &ClientInfo) -> [Cell; 7] {
    [
        client.id.clone().into(),
        client.connection.clone().into(),
        Cell::alert_if(client.status != "valid", client.status.as_str()),
        Cell::Time(Some(client.created), ""),
        Cell::Time(client.expires, "never"),
        Cell::Time(client.last_used, "never"),
        output::sanitize(client.description.as_deref().unwrap_or_default()).into(),
    ]
}

fn revoke(config: &Config, ids: Vec<String>, connection: Option<String>) -> Result<()> {
    let ids = match connection {
        Some(name) => {
            let clients = clients(config, Some(&name))?;
            if clients.is_empty() {
                return Err(CliError::not_found(format!(
                    "connection \"{name}\" has no client; run `scimd client list` to list all clients"
                )));
            }
            clients.into_iter().map(|client| client.id).collect()
        }
        None if ids.iter().any(String::is_empty) => {
            return Err(CliError::usage("\"\" is not the id of a client"));
        }
        None => ids,
    };
    for id in ids {
        let ClientReply::Revoked(client) = ask(config, ClientRequest::Revoke { id })? else {
            return unexpected();
        };
        output::note(&format!(
            "Revoked client {} (connection \"{}\") and its access tokens, effective immediately.",
            client.id, client.connection
        ))?;
    }
    Ok(())
}
