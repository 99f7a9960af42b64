//! The commands that change OAuth clients: generate, revoke, and record their use.

use std::time::Duration;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use rand::TryRng;
use rand::rngs::SysRng;
use serde_json::json;

use crate::connection::assertion::KeySet;
use crate::connection::client::{CLIENT_PREFIX, Client, ClientProof};
use crate::connection::token::{SECRET_BYTES, TokenSecret};
use crate::directory::error::DirectoryError;
use crate::directory::token::client_table::{ClientTable, ProvenClient, stored_clients};
use crate::directory::transaction::{Command, Transaction};
use crate::event::{Event, Verb};
use crate::store::{StoreError, keys};

fn put(tx: &mut Transaction<'_>, client: &Client) -> Result<(), DirectoryError> {
    let value = serde_json::to_vec(client).map_err(|error| StoreError::Engine {
        action: "write a client",
        reason: error.to_string(),
    })?;
    tx.put(keys::client(&client.id), value);
    Ok(())
}

/// Records a client that was made or revoked.
fn describe(tx: &mut Transaction<'_>, before: Option<&Client>, after: Option<&Client>) {
    let details = tx.details();
    let mut value = |name, of: &dyn Fn(&Client) -> Option<serde_json::Value>| {
        let (before, after) = (before.and_then(of), after.and_then(of));
        details.value_changed(name, before.as_ref(), after.as_ref());
    };
    value("connection", &|client| Some(json!(client.connection)));
    value("credential", &|client| Some(json!(client.proof.as_str())));
    value("key", &|client| match &client.proof {
        ClientProof::Keys(keys) => Some(json!(keys.thumbprints().join(" "))),
        ClientProof::Secret(_) | ClientProof::Federation => None,
    });
    value("description", &|client| client.description.as_ref().map(|text| json!(text)));
    value("expires", &|client| client.expires.map(|expires| json!(expires)));
}

fn event(verb: Verb, subject: impl Into<String>) -> Event {
    Event { kind: "client".to_owned(), verb, subject: subject.into() }
}

/// What is known of a client before it is made.
pub struct NewClient {
    /// The connection that its access tokens authenticate.
    pub connection: String,
    /// How long the client is valid; `None` if it does not expire.
    pub valid_for: Option<Duration>,
    /// What the operator says that it is for.
    pub description: Option<String>,
}

impl NewClient {
    /// Makes the client.
    fn make(&self, tx: &mut Transaction<'_>, proof: ClientProof) -> Result<Client, DirectoryError> {
        let mut id = [0; 6];
        fill(&mut id)?;
        let id = format!("{CLIENT_PREFIX}{}", HEXLOWER.encode(&id));
        self.add(tx, id, proof)
    }

    /// Adds the client with this id.
    fn add(
        &self,
        tx: &mut Transaction<'_>,
        id: String,
        proof: ClientProof,
    ) -> Result<Client, DirectoryError> {
        let mut generation = [0; 8];
        fill(&mut generation)?;
        let later = |by| tx.now().checked_add(by).unwrap_or(Timestamp::MAX);
        let client = Client {
            id,
            connection: self.connection.clone(),
            created: tx.now(),
            expires: self.valid_for.map(later),
            last_used: None,
            proof,
            generation: u64::from_le_bytes(generation),
            description: self.description.clone(),
        };
        put(tx, &client)?;
        describe(tx, None, Some(&client));
        tx.record(event(Verb::Generated, &client.id));
        Ok(client)
    }
}

fn fill(random: &mut [u8]) -> Result<(), StoreError> {
    SysRng.try_fill_bytes(random).map_err(|error| StoreError::Engine {
        action: "make a client",
        reason: format!("the operating system gives no randomness: {error}"),
    })
}

/// Generates an OAuth client with a secret.
pub struct GenerateClient(pub NewClient);

/// A new client with its secret, which is known only here.
pub struct GeneratedClient {
    /// The secret.
    pub secret: TokenSecret,
    /// The client as it is stored.
    pub client: Client,
}

impl Command for GenerateClient {
    type Output = GeneratedClient;
    const OUTLASTS_SETTINGS: bool = true;

    /// # Errors
    ///
    /// `Storage` if the operating system gives no randomness.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<GeneratedClient, DirectoryError> {
        let mut random = [0; SECRET_BYTES];
        fill(&mut random)?;
        let secret = TokenSecret::from_random(random);
        let client = self.0.make(tx, ClientProof::Secret(secret.digest()))?;
        Ok(GeneratedClient { secret, client })
    }
}

/// Generates an OAuth client that signs its assertions with a key of its own.
pub struct RegisterClient {
    /// The client.
    pub client: NewClient,
    /// Its public keys.
    pub keys: KeySet,
}

impl Command for RegisterClient {
    type Output = Client;
    const OUTLASTS_SETTINGS: bool = true;

    /// # Errors
    ///
    /// `Storage` if the operating system gives no randomness.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<Client, DirectoryError> {
        self.client.make(tx, ClientProof::Keys(self.keys.clone()))
    }
}

/// Revokes a client and its access tokens at once and for good.
pub struct RevokeClient {
    /// Its id.
    pub id: String,
}

impl Command for RevokeClient {
    type Output = Client;
    const OUTLASTS_SETTINGS: bool = true;

    /// # Errors
    ///
    /// `NotFound`.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<Client, DirectoryError> {
        let is_meant = |client: &Client| {
            client.id == self.id && !matches!(client.proof, ClientProof::Federation)
        };
        let found = stored_clients(tx)?.into_iter().find(is_meant);
        let client = found.ok_or_else(|| DirectoryError::NotFound {
            kind: "client".to_owned(),
            id: self.id.clone(),
        })?;
        remove(tx, &client);
        Ok(client)
    }
}

fn remove(tx: &mut Transaction<'_>, client: &Client) {
    tx.delete(keys::client(&client.id));
    describe(tx, Some(client), None);
    tx.record(event(Verb::Revoked, &client.id));
}

/// Has the log follow the issuers that a configuration trusts: a trust that is no longer configured ends for good, with
/// its access tokens, and a new one begins.
pub(crate) struct FollowTrusts(pub(crate) Vec<ProvenClient>);

impl Command for FollowTrusts {
    type Output = ();
    const OUTLASTS_SETTINGS: bool = true;

    /// # Errors
    ///
    /// `Storage` if the operating system gives no randomness.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
        let mut stored = stored_clients(tx)?;
        stored.retain(|client| matches!(client.proof, ClientProof::Federation));
        for client in &stored {
            if self.0.iter().all(|trust| trust.id != client.id) {
                remove(tx, client);
            }
        }
        for trust in &self.0 {
            if stored.iter().all(|client| client.id != trust.id) {
                let connection = trust.owner.name().to_owned();
                let client = NewClient { connection, valid_for: None, description: None };
                client.add(tx, trust.id.clone(), ClientProof::Federation)?;
            }
        }
        Ok(())
    }
}

/// Records when clients were last used.
pub(crate) struct RecordClientUse {
    used: Vec<(String, Timestamp)>,
}

impl RecordClientUse {
    /// Takes the uses that are not recorded yet; `None` if there are none.
    pub(crate) fn from_table(table: &ClientTable) -> Option<Self> {
        let used = table.take_used();
        (!used.is_empty()).then_some(Self { used })
    }
}

impl Command for RecordClientUse {
    type Output = ();
    const OUTLASTS_SETTINGS: bool = true;

    fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
        let mut noted = Vec::new();
        for mut client in stored_clients(tx)? {
            let Some((_, at)) = self.used.iter().find(|(id, _)| *id == client.id) else { continue };
            client.last_used = Some(*at);
            put(tx, &client)?;
            noted.push(client.id);
        }
        if !noted.is_empty() {
            tx.record(event(Verb::Used, noted.join(" ")));
        }
        Ok(())
    }
}
