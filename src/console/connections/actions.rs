//! What is done with connections: saving, tokens, OAuth clients, removal.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::Map;

use super::pages::{ConnectionPage, NewSecret, blank, page};
use super::settings_form::{SettingsForm, written};
use crate::config::connection_text;
use crate::connection::token::TokenOwner;
use crate::console::call::{ConsoleCall, unexpected};
use crate::console::reply::{ConsoleFailure, ConsoleReply, query_value};
use crate::operator::{
    ClientReply, ClientRequest, ConnectionChange, ConnectionRefusal, OperatorReply, OperatorRequest,
};
use crate::text::duration;

/// Saves a new connection.
pub(in crate::console) fn add(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let form = SettingsForm::sent(&call.form);
    match added(call, &form)? {
        Some(refused) => Ok(refused),
        None => {
            let notice = format!("Connection {} was added and is in force.", form.name);
            Ok(call.done(path(&form.name), notice))
        }
    }
}

/// Adds a connection; the page that says why not, if it is refused.
fn added(call: &ConsoleCall, form: &SettingsForm) -> Result<Option<ConsoleReply>, ConsoleFailure> {
    let settings = call.settings();
    let refused = |error, paste| {
        let page = blank(call, &settings.config, form.clone());
        Ok(Some(refused(call, page, error, paste)?))
    };
    let (values, _) = form.settings(&Map::new());
    let change = ConnectionChange::Add { name: form.name.clone(), settings: values.clone() };
    match changed(call, change)? {
        Ok(()) => Ok(None),
        Err(ConnectionRefusal::Usage(error) | ConnectionRefusal::NotFound(error)) => {
            refused(error, None)
        }
        Err(ConnectionRefusal::Failed(error)) => {
            refused(error, connection_text(&form.name, &values).ok())
        }
    }
}

/// Saves the settings of a connection.
pub(in crate::console) fn save(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let name = call.parameter(0).to_owned();
    let form = SettingsForm { name: name.clone(), ..SettingsForm::sent(&call.form) };
    let present = written(&call.settings().config, &name).unwrap_or_default();
    let (values, unset) = form.settings(&present);
    let unset = unset.into_iter().filter(|key| present.contains_key(*key));
    let unset: Vec<String> = unset.map(ToOwned::to_owned).collect();
    let mut whole = present.clone();
    unset.iter().for_each(|key| drop(whole.shift_remove(key)));
    whole.extend(values.clone());
    let change = ConnectionChange::Set { name: name.clone(), settings: values, unset };
    let (error, paste) = match changed(call, change)? {
        Ok(()) => return Ok(call.done(path(&name), "The settings were saved and are in force.")),
        Err(ConnectionRefusal::Usage(error)) => (error, None),
        Err(ConnectionRefusal::NotFound(error)) => return Err(ConsoleFailure::not_found(error)),
        Err(ConnectionRefusal::Failed(error)) => (error, connection_text(&name, &whole).ok()),
    };
    let page = ConnectionPage { form, ..page(call, &name, None)? };
    refused(call, page, error, paste)
}

fn changed(
    call: &ConsoleCall,
    change: ConnectionChange,
) -> Result<Result<(), ConnectionRefusal>, ConsoleFailure> {
    match call.execute(OperatorRequest::ChangeConnection(change))? {
        OperatorReply::ConnectionChanged(_) => Ok(Ok(())),
        OperatorReply::ConnectionRefused(refusal) => Ok(Err(refusal)),
        _ => Err(unexpected()),
    }
}

/// The page with what was entered, and why it was not accepted.
fn refused(
    call: &ConsoleCall,
    mut page: ConnectionPage,
    error: String,
    paste: Option<String>,
) -> Result<ConsoleReply, ConsoleFailure> {
    let file = call.settings().config.connection_file(&page.form.name);
    let file = file.map_or_else(String::new, |file| file.display().to_string());
    page.error = Some(error);
    page.paste = paste.map(|text| (file, text));
    Ok(call.page(&page)?.with_status(StatusCode::UNPROCESSABLE_ENTITY))
}

/// Adds a connection, generates a token for it, and shows the token.
pub(in crate::console) fn add_with_token(
    call: &ConsoleCall,
) -> Result<ConsoleReply, ConsoleFailure> {
    let form = SettingsForm::sent(&call.form);
    match added(call, &form)? {
        Some(refused) => Ok(refused),
        None => token_page(call, &form.name),
    }
}

/// Generates a token, or resets those there are, and shows it.
pub(in crate::console) fn generate_token(
    call: &ConsoleCall,
) -> Result<ConsoleReply, ConsoleFailure> {
    token_page(call, call.parameter(0))
}

fn token_page(call: &ConsoleCall, name: &str) -> Result<ConsoleReply, ConsoleFailure> {
    let owner = TokenOwner::Connection(name.to_owned());
    let valid_for = validity(call.form.get("valid_for"))?;
    let request = match call.form.has("overlap") {
        true => OperatorRequest::ResetTokens {
            owner,
            valid_for,
            overlap: parsed(call.form.get("overlap"))?,
            description: None,
        },
        false => OperatorRequest::GenerateToken { owner, valid_for, description: None },
    };
    let OperatorReply::Generated { secret, token, limited } = call.execute(request)? else {
        return Err(unexpected());
    };
    let secret = NewSecret::Token { secret, expires: token.expires, limited: limited.len() };
    call.page(&page(call, name, Some(secret))?)
}

/// Generates an OAuth client, and shows its secret.
pub(in crate::console) fn generate_client(
    call: &ConsoleCall,
) -> Result<ConsoleReply, ConsoleFailure> {
    let name = call.parameter(0).to_owned();
    let request = ClientRequest::Generate {
        connection: name.clone(),
        valid_for: validity(call.form.get("valid_for"))?,
        description: None,
    };
    match call.execute(OperatorRequest::Client(request))? {
        OperatorReply::Client(ClientReply::Generated { secret, client }) => {
            let secret = NewSecret::Client { id: client.id, secret };
            call.page(&page(call, &name, Some(secret))?)
        }
        _ => Err(unexpected()),
    }
}

pub(in crate::console) fn revoke_token(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let id = call.parameter(1).to_owned();
    call.execute(OperatorRequest::RevokeToken { id: id.clone() })?;
    Ok(call.done(path(call.parameter(0)), format!("Token {id} was revoked.")))
}

pub(in crate::console) fn revoke_client(
    call: &ConsoleCall,
) -> Result<ConsoleReply, ConsoleFailure> {
    let id = call.parameter(1).to_owned();
    call.execute(OperatorRequest::Client(ClientRequest::Revoke { id: id.clone() }))?;
    Ok(call.done(path(call.parameter(0)), format!("OAuth client {id} was revoked.")))
}

/// Removes a connection whose name was typed.
pub(in crate::console) fn remove(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let name = call.parameter(0).to_owned();
    if call.form.get("confirm") != name {
        let page = page(call, &name, None)?;
        return refused(call, page, format!("type {name} to remove the connection"), None);
    }
    let change = ConnectionChange::Remove { name: name.clone(), confirmed: true };
    match changed(call, change)? {
        Ok(()) => Ok(call.done("/connections", format!("Connection {name} was removed."))),
        Err(ConnectionRefusal::NotFound(error)) => Err(ConsoleFailure::not_found(error)),
        Err(ConnectionRefusal::Usage(error) | ConnectionRefusal::Failed(error)) => {
            refused(call, page(call, &name, None)?, error, None)
        }
    }
}

fn path(name: &str) -> String {
    format!("/connections/{}", query_value(name))
}

/// How long a token or client is valid; a year unless the form says otherwise.
fn validity(text: &str) -> Result<Option<Duration>, ConsoleFailure> {
    match text {
        "never" => Ok(None),
        "" => parsed("365d").map(Some),
        text => parsed(text).map(Some),
    }
}

fn parsed(text: &str) -> Result<Duration, ConsoleFailure> {
    duration::parse(text).map_err(|error| ConsoleFailure::bad(error.to_string()))
}
