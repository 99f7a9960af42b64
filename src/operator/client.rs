//! OAuth clients, as operators manage them.

use super::client_request::{ClientInfo, ClientReply, ClientRequest};
use super::reply::OperatorReply;
use crate::connection::client::Client;
use crate::directory::{
    Directory, DirectoryError, GenerateClient, GeneratedClient, NewClient, RegisterClient,
    RevokeClient,
};
use crate::event::Actor;

pub(super) fn execute(
    directory: &Directory,
    actor: Actor,
    request: ClientRequest,
) -> Result<OperatorReply, DirectoryError> {
    let reply = match request {
        ClientRequest::Generate { connection, valid_for, description } => {
            let command = GenerateClient(NewClient { connection, valid_for, description });
            let GeneratedClient { secret, client } = directory.submit(actor, command).wait()?;
            let secret = secret.expose().to_owned();
            ClientReply::Generated { secret, client: info(directory, client) }
        }
        ClientRequest::Register { connection, valid_for, description, keys } => {
            let client = NewClient { connection, valid_for, description };
            let client = directory.submit(actor, RegisterClient { client, keys }).wait()?;
            ClientReply::Registered(info(directory, client))
        }
        ClientRequest::List => {
            let clients = directory.clients().into_iter();
            ClientReply::Clients(clients.map(|client| info(directory, client)).collect())
        }
        ClientRequest::Revoke { id } => {
            let id = whole_id(directory, id)?;
            let client = directory.submit(actor, RevokeClient { id }).wait()?;
            ClientReply::Revoked(info(directory, client))
        }
    };
    Ok(OperatorReply::Client(reply))
}

/// The only id that begins so, or the id itself.
fn whole_id(directory: &Directory, id: String) -> Result<String, DirectoryError> {
    let known: Vec<String> = directory.clients().into_iter().map(|client| client.id).collect();
    let begin: Vec<&String> =
        known.iter().filter(|known| !id.is_empty() && known.starts_with(&id)).collect();
    match begin.as_slice() {
        [only] => Ok((*only).clone()),
        several if !several.is_empty() && !several.contains(&&id) => {
            let listed: Vec<&str> = several.iter().map(|known| known.as_str()).collect();
            Err(DirectoryError::Unfit(format!(
                "several clients have ids that begin with \"{id}\": {}",
                listed.join(", ")
            )))
        }
        _ => Ok(id),
    }
}

fn info(directory: &Directory, client: Client) -> ClientInfo {
    let status = if client.is_expired(directory.time_for_expiry()) { "expired" } else { "valid" };
    let Client { id, connection, created, expires, last_used, description, proof, .. } = client;
    let (status, credential) = (status.to_owned(), proof.as_str().to_owned());
    ClientInfo { id, connection, created, expires, last_used, description, credential, status }
}
