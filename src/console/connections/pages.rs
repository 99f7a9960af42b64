//! The list of connections, and the page of one.

use askama::Template;
use jiff::Timestamp;

use super::arrivals::{self, Arrivals};
use super::settings_form::{
    BRAKE_ACTIONS, COMPATS, Choice, METHODS, ON_INACTIVE_CREATE, SCOPES, SettingsForm,
    UNKNOWN_MEMBERS, label, written,
};
use crate::access::Catalogue;
use crate::config::Config;
use crate::connection::setup::{Reachability, Setup, SetupField, SetupVia};
use crate::connection::token::TokenOwner;
use crate::console::call::{ConsoleCall, unexpected};
use crate::console::overview::status;
use crate::console::page::Layout;
use crate::console::reply::{ConsoleFailure, ConsoleReply, query_value};
use crate::operator::{
    ClientInfo, ClientReply, ClientRequest, OperatorReply, OperatorRequest, TokenInfo,
};

/// A row of the list.
struct ConnectionRow {
    name: String,
    method: &'static str,
    workspace: String,
    place: String,
    last_success: Option<Timestamp>,
    errors: u64,
    tokens: usize,
    is_held: bool,
}

#[derive(Template)]
#[template(path = "connections.html")]
struct ListPage {
    layout: Layout,
    rows: Vec<ConnectionRow>,
}

/// The page of a connection, or of a new one.
#[derive(Template)]
#[template(path = "connection.html")]
pub(super) struct ConnectionPage {
    pub(super) layout: Layout,
    pub(super) form: SettingsForm,
    pub(super) workspaces: Vec<String>,
    /// Whether the form has what was entered before the operator signed in again.
    pub(super) is_kept: bool,
    /// Why the form was not accepted.
    pub(super) error: Option<String>,
    /// The text for a file of `conf.d`, if the server can't write it.
    pub(super) paste: Option<(String, String)>,
    /// What there is of a connection that exists.
    pub(super) existing: Option<ExistingConnection>,
    /// A token or client that was just made.
    pub(super) secret: Option<NewSecret>,
}

/// What the page shows of a connection that exists.
pub(super) struct ExistingConnection {
    pub(super) method: &'static str,
    /// Where it is defined, if the console can't change it there.
    pub(super) fixed_at: Option<String>,
    pub(super) endpoint: String,
    pub(super) token_url: String,
    pub(super) tokens: Vec<TokenInfo>,
    pub(super) clients: Vec<ClientInfo>,
    /// The issuer and subject of its federation.
    pub(super) federation: Option<(String, String)>,
    pub(super) setup: Setup,
    /// Its fields, and those of each other way to sign in.
    pub(super) tables: Vec<FieldTable>,
    /// Whether the provider has an agent, and whether the setup is the one through it.
    pub(super) has_agent: bool,
    pub(super) is_via_agent: bool,
    pub(super) arrivals: Arrivals,
}

/// Fields to fill in at the identity provider.
pub(super) struct FieldTable {
    title: String,
    id: String,
    fields: Vec<SetupField>,
}

/// A secret that is shown once.
pub(super) enum NewSecret {
    Token { secret: String, expires: Option<Timestamp>, limited: usize },
    Client { id: String, secret: String },
}

pub(in crate::console) fn list(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let (settings, status) = (call.settings(), status(call)?);
    let rows = settings.config.connections.iter().map(|(name, connection)| {
        let known = status.connections.iter().find(|known| known.name == *name);
        ConnectionRow {
            name: name.clone(),
            method: label(connection.method),
            workspace: connection.default_workspace.clone(),
            place: place(&settings.config, name),
            last_success: known.and_then(|known| known.traffic.last_success),
            errors: known.map_or(0, |known| known.traffic.errors),
            tokens: known.map_or(0, |known| known.tokens.len()),
            is_held: known
                .and_then(|known| known.brake.as_ref())
                .is_some_and(|brake| brake.hold.is_some()),
        }
    });
    let rows = rows.collect();
    call.page(&ListPage { layout: Layout::new(call, "Connections", "/connections"), rows })
}

pub(in crate::console) fn new(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let settings = call.settings();
    let kept = call.take_kept().map(|fields| SettingsForm::sent(&fields));
    let is_kept = kept.is_some();
    let form = kept.unwrap_or_else(|| SettingsForm::new(&settings.config));
    call.page(&ConnectionPage { is_kept, ..blank(call, &settings.config, form) })
}

pub(in crate::console) fn show(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let name = call.parameter(0);
    let page = page(call, name, None)?;
    let kept = call.take_kept().map(|fields| SettingsForm::sent(&fields));
    let is_kept = kept.is_some();
    let kept = kept.map(|form| SettingsForm { name: name.to_owned(), ..form });
    call.page(&ConnectionPage { is_kept, form: kept.unwrap_or(page.form), ..page })
}

/// The page of a new connection.
pub(super) fn blank(call: &ConsoleCall, config: &Config, form: SettingsForm) -> ConnectionPage {
    ConnectionPage {
        layout: Layout::new(call, "Add a connection", "/connections").at("/add-connection"),
        form,
        workspaces: workspaces(config),
        is_kept: false,
        error: None,
        paste: None,
        existing: None,
        secret: None,
    }
}

/// The page of a connection that exists.
///
/// # Errors
///
/// There is none with that name.
pub(super) fn page(
    call: &ConsoleCall,
    name: &str,
    secret: Option<NewSecret>,
) -> Result<ConnectionPage, ConsoleFailure> {
    let settings = call.settings();
    let config = &settings.config;
    let Some(connection) = config.connections.get(name) else {
        return Err(ConsoleFailure::not_found(format!("connection \"{name}\" does not exist")));
    };
    let OperatorReply::Tokens(tokens) = call.execute(OperatorRequest::ListTokens)? else {
        return Err(unexpected());
    };
    let owner = TokenOwner::Connection(name.to_owned());
    let request = OperatorRequest::Client(ClientRequest::List);
    let OperatorReply::Client(ClientReply::Clients(clients)) = call.execute(request)? else {
        return Err(unexpected());
    };
    let reachability = Reachability {
        public_url: &config.public_url,
        endpoint: &settings.endpoint,
        token_endpoint: &settings.token_url,
        listen: config.listen.address,
        tls: config.listen.tls,
        trusted_proxies: &config.listen.trusted_proxies,
        self_signed: settings.self_signed.as_deref(),
    };
    let catalogue = Catalogue::new(&config.access_settings());
    let trust = connection.federation.as_ref();
    let guide =
        |via| Setup::new(&config.connections, name, connection, &catalogue, reachability, via);
    let wanted = if call.query.get("via") == "agent" { SetupVia::Agent } else { SetupVia::Direct };
    // Not every provider has an agent.
    let via = if guide(wanted).is_some() { wanted } else { SetupVia::Direct };
    let setup = guide(via).ok_or_else(unexpected)?;
    let existing = ExistingConnection {
        method: label(connection.method),
        fixed_at: written(config, name).is_none().then(|| place(config, name)),
        endpoint: settings.endpoint.clone(),
        token_url: settings.token_url.clone(),
        tokens: tokens.into_iter().filter(|token| token.owner == owner).collect(),
        clients: clients.into_iter().filter(|client| client.connection == name).collect(),
        federation: trust.map(|trust| (trust.issuer.clone(), trust.subject.clone())),
        tables: tables(&setup),
        setup,
        has_agent: guide(SetupVia::Agent).is_some(),
        is_via_agent: via == SetupVia::Agent,
        arrivals: arrivals::of(call, name)?,
    };
    Ok(ConnectionPage {
        layout: Layout::new(call, format!("Connection {name}"), "/connections")
            .at(format!("/connections/{}", query_value(name))),
        form: SettingsForm::of(name, connection),
        workspaces: workspaces(config),
        is_kept: false,
        error: None,
        paste: None,
        existing: Some(existing),
        secret,
    })
}

/// The fields of a setup, and those of each other way to sign in.
fn tables(setup: &Setup) -> Vec<FieldTable> {
    let (title, id) = ("Fields".to_owned(), "field".to_owned());
    let first = FieldTable { title, id, fields: setup.fields.clone() };
    let others = setup.sign_in.iter().enumerate().map(|(number, way)| FieldTable {
        title: format!("Or sign in with {}", way.name),
        id: format!("way-{number}"),
        fields: way.fields.clone(),
    });
    std::iter::once(first).chain(others).collect()
}

fn workspaces(config: &Config) -> Vec<String> {
    config.workspaces.iter().map(|workspace| workspace.name.clone()).collect()
}

/// Where a connection is defined.
fn place(config: &Config, name: &str) -> String {
    let place = config.connection_places.get(name);
    place.map_or_else(|| "built-in default".to_owned(), ToString::to_string)
}

impl ConnectionPage {
    fn methods() -> &'static [Choice] {
        &METHODS
    }

    fn choices(which: &str) -> &'static [Choice] {
        match which {
            "scope" => &SCOPES,
            "compat" => &COMPATS,
            "unknown_members" => &UNKNOWN_MEMBERS,
            "brake_action" => &BRAKE_ACTIONS,
            _ => &ON_INACTIVE_CREATE,
        }
    }

    /// The path of the page.
    fn path(&self) -> String {
        format!("/connections/{}", query_value(&self.form.name))
    }

    /// Whether a token of the connection is valid.
    fn has_token(existing: &ExistingConnection) -> bool {
        existing.tokens.iter().any(|token| token.status == "valid")
    }
}
