//! `scimd client`: OAuth clients, with which identity providers get access tokens.

use std::path::{Path, PathBuf};
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
use crate::connection::assertion::{BadClientKey, KeySet};
use crate::file;
use crate::operator::{ClientInfo, ClientReply, ClientRequest, OperatorReply, OperatorRequest};

/// The columns of the list.
const HEAD: [&str; 8] =
    ["ID", "CONNECTION", "CREDENTIAL", "STATUS", "CREATED", "EXPIRES", "LAST USED", "DESCRIPTION"];

#[derive(Subcommand)]
pub(super) enum ClientCommand {
    /// Generate an OAuth client and print its id, its secret and the URL where it gets access tokens
    ///
    /// With --public-key or --jwks the client has no secret: it signs assertions with its own key (RFC 7523).
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
    /// Register the public key in this PEM file instead of generating a secret
    #[arg(long, value_name = "FILE", conflicts_with = "jwks")]
    public_key: Option<PathBuf>,
    /// Register the public keys in this JSON Web Key Set instead of generating a secret
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// Print client_id, client_secret and token_url as JSON; with a key, audience in place of client_secret
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
        let keys = match (&self.public_key, &self.jwks) {
            (Some(file), _) => Some(read_keys("--public-key", file, KeySet::of_public_key)?),
            (None, Some(file)) => Some(read_keys("--jwks", file, KeySet::of_jwks)?),
            (None, None) => None,
        };
        let connection = the_connection(config, self.connection)?;
        let valid_for: Option<Duration> = self.expires.duration();
        let description = self.description;
        let Some(keys) = keys else {
            let request = ClientRequest::Generate { connection, valid_for, description };
            let ClientReply::Generated { secret, client } = ask(config, request)? else {
                return unexpected();
            };
            print(config, &client, ("client_secret", "Client secret", &secret), self.json)?;
            return note(&client, "The secret is shown only once. Copy it now.");
        };
        let thumbprints = keys.thumbprints().join(", ");
        let request = ClientRequest::Register { connection, valid_for, description, keys };
        let ClientReply::Registered(client) = ask(config, request)? else { return unexpected() };
        let audience = config.public_url.as_str();
        print(config, &client, ("audience", "Audience", audience), self.json)?;
        let rules = format!(
            "It signs in with its key (SHA-256 thumbprint {thumbprints}): assertions with the client id as iss and sub, \
             the audience alone as aud, at most 10 minutes of life, and a jti of their own."
        );
        note(&client, &rules)
    }
}

fn read_keys(
    option: &str,
    path: &Path,
    read: impl FnOnce(&[u8]) -> Result<KeySet, BadClientKey>,
) -> Result<KeySet> {
    let failed = |error: &dyn std::fmt::Display| {
        CliError::usage(format!("{option} {}: {error}", path.display()))
    };
    let found = file::read(path).map_err(|error| failed(&format!("can't read it: {error}")))?;
    read(&found.bytes).map_err(|error| failed(&error))
}

/// Prints a new client: its id, one more value (key, label, value), and the URL of access tokens.
fn print(
    config: &Config,
    client: &ClientInfo,
    (key, label, value): (&str, &str, &str),
    json: bool,
) -> Result<()> {
    let url = app::token_url(config);
    if json {
        return output::json(&json!({"client_id": client.id, key: value, "token_url": url}));
    }
    for (label, value) in [("Client ID", client.id.as_str()), (label, value), ("Token URL", &url)] {
        output::line(&format!("{label:<15}{value}"))?;
    }
    Ok(())
}

fn note(client: &ClientInfo, text: &str) -> Result<()> {
    let until = match client.expires {
        Some(_) => format!("valid until {}", output::moment(client.expires, "")),
        None => "valid until it is revoked".to_owned(),
    };
    let ClientInfo { id, connection, .. } = client;
    output::note(&format!("Client {id} for connection {connection}, {until}. {text}"))
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

fn row(client: &ClientInfo) -> [Cell; 8] {
    [
        client.id.clone().into(),
        client.connection.clone().into(),
        client.credential.clone().into(),
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
