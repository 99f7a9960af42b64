//! The OAuth clients in memory, and the digests of the access tokens that are valid now.
//!
//! Access tokens are stored nowhere. For each client the table holds the digests of its tokens of all
//! periods that are still valid, whether they were asked for or not: so a token outlives a restart, works
//! on every node that has the key, and no number of token requests makes anything grow.

use std::collections::{HashMap, VecDeque};
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use jiff::Timestamp;

use crate::connection::access_token::AccessTokenIssuer;
use crate::connection::assertion::KeySet;
use crate::connection::client::{Client, ClientProof};
use crate::connection::token::{Token, TokenDigest, TokenOwner, TokenSecret};
use crate::directory::token::table::{InvalidToken, Live, PresentedToken};
use crate::log::{Frame, Write};
use crate::store::keys::{self, Kind};
use crate::store::used_assertions::{UsedAssertionError, UsedAssertions};
use crate::store::{Read, StoreError};

/// The number of access tokens that one client may ask for in a minute: far more than any needs, and less
/// than what keeps a processor busy.
const TOKENS_PER_MINUTE: u64 = 30_000;
/// The part of a minute that a token request uses up, and a minute, in milliseconds.
const COST: u64 = MINUTE / TOKENS_PER_MINUTE;
const MINUTE: u64 = 60_000;

/// The clients in memory.
#[derive(Default)]
pub(crate) struct ClientTable {
    clients: RwLock<Clients>,
    /// `None` without a server: then no client signs in.
    used: Mutex<Option<UsedAssertions>>,
}

#[derive(Default)]
struct Clients {
    by_id: HashMap<String, LiveClient>,
    by_digest: HashMap<TokenDigest, Arc<Live>>,
    /// `None` without a server: then access tokens are of no use.
    issuer: Option<AccessTokenIssuer>,
    /// The periods whose tokens are in `by_digest`.
    periods: Option<RangeInclusive<i64>>,
}

/// A client, its last use as far as that is not on disk yet, and the digests of its tokens.
struct LiveClient {
    client: Client,
    /// Milliseconds since 1970; 0 if it was not used since the last record of uses.
    used: Arc<AtomicI64>,
    digests: VecDeque<TokenDigest>,
    /// When the client has its whole allowance of token requests back, in milliseconds.
    full_at: Arc<AtomicU64>,
}

/// Why a client is not authenticated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidClient {
    /// There is no client with that id.
    #[error("the client is unknown or was revoked")]
    Unknown,
    /// The secret is not that of the client.
    #[error("the secret is not that of client {id} of {owner}")]
    Secret {
        /// Its id.
        id: String,
        /// Its connection.
        owner: TokenOwner,
    },
    /// The client has a secret, and no key.
    #[error("client {id} of {owner} has a secret, not a key; send the secret")]
    NoKey {
        /// Its id.
        id: String,
        /// Its connection.
        owner: TokenOwner,
    },
    /// The client has expired.
    #[error("client {id} of {owner} expired")]
    Expired {
        /// Its id.
        id: String,
        /// Its connection.
        owner: TokenOwner,
    },
}

/// A client that has proved itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenClient {
    /// Its id.
    pub id: String,
    /// The connection that its access tokens authenticate.
    pub owner: TokenOwner,
}

/// Why an assertion that a client has signed does not count.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UnusableAssertion(String);

/// A new access token.
pub struct AccessToken {
    /// The token.
    pub secret: TokenSecret,
    /// How long it is valid at least, in seconds.
    pub expires_in: i64,
}

/// Why a client that has proved itself gets no access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAccessToken {
    /// The client has been revoked meanwhile, or there is no server.
    Unknown,
    /// The client has asked for too many, and may ask again after this time.
    TooMany(Duration),
}

impl ClientTable {
    /// Reads all clients.
    pub(crate) fn load(state: &dyn Read) -> Result<Self, StoreError> {
        let mut clients = Clients::default();
        stored_clients(state)?.into_iter().for_each(|client| clients.insert(client));
        Ok(Self { clients: RwLock::new(clients), used: Mutex::default() })
    }

    /// Takes over what a committed frame did to clients.
    pub(crate) fn observe(&self, frame: &Frame) {
        let of_client = |write: &&Write| keys::kind(&write.key) == Some(Kind::Client);
        for write in frame.writes.iter().filter(of_client) {
            let id = write.key.strip_prefix(&keys::clients()).unwrap_or_default();
            let id = String::from_utf8_lossy(id);
            match write.value.as_deref().map(serde_json::from_slice::<Client>) {
                Some(Ok(client)) => self.write().insert(client),
                // A damaged record authenticates no request.
                Some(Err(error)) => {
                    tracing::error!(%error, client = %id, "a client in the log can't be read");
                    self.write().remove(&id);
                }
                None => self.write().remove(&id),
            }
        }
    }

    /// Issues access tokens by a key from now on, with another lifetime or for the first time.
    pub(crate) fn issue_with(&self, issuer: AccessTokenIssuer, now: Timestamp) {
        let mut clients = self.write();
        clients.issuer = Some(issuer);
        clients.forget_digests();
        clients.advance(now);
    }

    /// Changes the lifetime of access tokens, also of those that were issued.
    pub(crate) fn set_lifetime(&self, lifetime: Duration, now: Timestamp) {
        let mut clients = self.write();
        clients.issuer = clients.issuer.take().map(|issuer| issuer.with_lifetime(lifetime));
        clients.forget_digests();
        clients.advance(now);
    }

    /// Whether the trusts are these.
    pub(crate) fn trusts_are(&self, trusts: &[ProvenClient]) -> bool {
        let clients = self.read();
        let known = clients.by_id.values().filter(|live| live.is_trust()).count();
        let is_known =
            |trust: &ProvenClient| clients.by_id.get(&trust.id).is_some_and(LiveClient::is_trust);
        known == trusts.len() && trusts.iter().all(is_known)
    }

    /// Ends the access tokens of all trusts but these, also if the log can't follow.
    pub(crate) fn distrust_others(&self, trusts: &[ProvenClient]) {
        let mut clients = self.write();
        let live = clients.by_id.values().filter(|live| live.is_trust());
        let gone = live.filter(|live| trusts.iter().all(|trust| trust.id != live.client.id));
        let gone: Vec<String> = gone.map(|live| live.client.id.clone()).collect();
        gone.iter().for_each(|id| clients.remove(id));
    }

    fn read(&self) -> RwLockReadGuard<'_, Clients> {
        self.clients.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Clients> {
        self.clients.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the tokens of periods that have begun. Of the callers that find it necessary one does it.
    fn advance(&self, now: Timestamp) {
        if self.read().is_behind(now) {
            self.write().advance(now);
        }
    }

    /// Finds the valid access token that a client presents at `now`.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`].
    pub(crate) fn authenticate(
        &self,
        digest: &TokenDigest,
        now: Timestamp,
    ) -> Result<PresentedToken, InvalidToken> {
        let find = || self.read().by_digest.get(digest).map(Arc::clone);
        // Another node may have issued a token of a period that this one has not seen yet.
        let live = find().or_else(|| {
            self.advance(now);
            find()
        });
        let live = live.filter(|live| live.token.digest.matches(digest));
        PresentedToken::valid(live.ok_or(InvalidToken::Unknown)?, now)
    }

    /// Whether there is a client with this id that has not expired.
    pub(crate) fn is_valid(&self, id: &str, now: Timestamp) -> bool {
        self.read().by_id.get(id).is_some_and(|live| !live.client.is_expired(now))
    }

    /// Checks the secret of a client.
    ///
    /// # Errors
    ///
    /// [`InvalidClient`].
    pub(crate) fn check_secret(
        &self,
        id: &str,
        secret: &str,
        now: Timestamp,
    ) -> Result<ProvenClient, InvalidClient> {
        let clients = self.read();
        let Client { id, connection, proof, .. } =
            &clients.by_id.get(id).ok_or(InvalidClient::Unknown)?.client;
        let (id, owner) = (id.clone(), TokenOwner::Connection(connection.clone()));
        let secret = TokenSecret::parse(secret);
        let is_right = match proof {
            ClientProof::Secret(digest) => {
                secret.is_some_and(|secret| secret.digest().matches(digest))
            }
            ClientProof::Keys(_) => false,
            ClientProof::Federation => return Err(InvalidClient::Unknown),
        };
        if !is_right {
            return Err(InvalidClient::Secret { id, owner });
        }
        if clients.by_id.get(&id).is_none_or(|live| live.client.is_expired(now)) {
            return Err(InvalidClient::Expired { id, owner });
        }
        Ok(ProvenClient { id, owner })
    }

    /// The keys of a client, one of which must sign its assertions.
    ///
    /// # Errors
    ///
    /// `Unknown` or `NoKey`.
    pub(crate) fn keys(&self, id: &str) -> Result<(ProvenClient, KeySet), InvalidClient> {
        let clients = self.read();
        let Client { id, connection, proof, .. } =
            &clients.by_id.get(id).ok_or(InvalidClient::Unknown)?.client;
        let (id, owner) = (id.clone(), TokenOwner::Connection(connection.clone()));
        match proof {
            ClientProof::Keys(keys) => Ok((ProvenClient { id, owner }, keys.clone())),
            ClientProof::Secret(_) => Err(InvalidClient::NoKey { id, owner }),
            ClientProof::Federation => Err(InvalidClient::Unknown),
        }
    }

    /// Keeps the assertions that clients use there from now on.
    pub(crate) fn remember_in(&self, used: UsedAssertions) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Some(used);
    }

    /// Uses an assertion of a client, which is valid until `end`, in seconds since 1970. Waits for the disk.
    ///
    /// # Errors
    ///
    /// [`UnusableAssertion`]; always without a server.
    pub(crate) fn use_assertion(
        &self,
        client: &ProvenClient,
        assertion: &str,
        end: i64,
        now: Timestamp,
    ) -> Result<(), UnusableAssertion> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = match used.as_mut() {
            Some(used) => used.take(&client.id, assertion, end, now.as_second()),
            None => Err(UsedAssertionError::Used),
        };
        taken.map_err(|error| {
            if let UsedAssertionError::Storage(error) = &error {
                tracing::error!(%error, "the use of an assertion can't be recorded");
            }
            UnusableAssertion(error.to_string())
        })
    }

    /// The access token of a client that has proved itself.
    ///
    /// # Errors
    ///
    /// [`NoAccessToken`].
    pub(crate) fn issue(&self, id: &str, now: Timestamp) -> Result<AccessToken, NoAccessToken> {
        self.advance(now);
        let clients = self.read();
        let live = clients.by_id.get(id).ok_or(NoAccessToken::Unknown)?;
        let issuer = clients.issuer.as_ref().ok_or(NoAccessToken::Unknown)?;
        live.count(now)?;
        live.used.store(now.as_millisecond(), Ordering::Relaxed);
        let secret = issuer.token(id, live.client.generation, *issuer.live_periods(now).end());
        let left = live.client.expires.map(|end| end.as_second() - now.as_second());
        Ok(AccessToken { secret, expires_in: left.unwrap_or(i64::MAX).min(issuer.lifetime()) })
    }

    /// Every client with its last use, oldest first; without the trusts of the configuration.
    pub(crate) fn list(&self) -> Vec<Client> {
        let clients = self.read();
        let mut list: Vec<Client> = clients.by_id.values().map(LiveClient::shown).collect();
        list.retain(|client| !matches!(client.proof, ClientProof::Federation));
        list.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        list
    }

    /// Takes the clients that were used since the last call, each with its last use.
    pub(crate) fn take_used(&self) -> Vec<(String, Timestamp)> {
        let taken = |live: &LiveClient| {
            let used = live.used.swap(0, Ordering::Relaxed);
            let used = Timestamp::from_millisecond(used).ok().filter(|_| used != 0)?;
            Some((live.client.id.clone(), used))
        };
        self.read().by_id.values().filter_map(taken).collect()
    }
}

impl Clients {
    fn insert(&mut self, client: Client) {
        let before = self.by_id.get(&client.id);
        let used = before.map(|live| Arc::clone(&live.used)).unwrap_or_default();
        let full_at = before.map(|live| Arc::clone(&live.full_at)).unwrap_or_default();
        let id = client.id.clone();
        self.remove(&id);
        self.by_id
            .insert(id.clone(), LiveClient { client, used, digests: VecDeque::new(), full_at });
        if let Some(periods) = self.periods.clone() {
            self.add_tokens(&id, periods);
        }
    }

    fn remove(&mut self, id: &str) {
        for digest in self.by_id.remove(id).map(|live| live.digests).unwrap_or_default() {
            self.by_digest.remove(&digest);
        }
    }

    fn forget_digests(&mut self) {
        self.by_digest.clear();
        self.by_id.values_mut().for_each(|live| live.digests.clear());
        self.periods = None;
    }

    fn is_behind(&self, now: Timestamp) -> bool {
        let present = self.issuer.as_ref().map(|issuer| issuer.live_periods(now));
        self.periods != present
    }

    /// Adds the tokens of periods that have begun, and drops those that have ended.
    fn advance(&mut self, now: Timestamp) {
        let Some(issuer) = &self.issuer else { return };
        let present = issuer.live_periods(now);
        let added = match &self.periods {
            Some(before) if *before == present => return,
            Some(before)
                if before.start() <= present.start() && before.contains(present.start()) =>
            {
                let ended = usize::try_from(present.start() - before.start()).unwrap_or(0);
                let added = before.end() + 1..=*present.end();
                for live in self.by_id.values_mut() {
                    for digest in live.digests.drain(..ended.min(live.digests.len())) {
                        self.by_digest.remove(&digest);
                    }
                }
                added
            }
            _ => {
                self.forget_digests();
                present.clone()
            }
        };
        self.periods = Some(present);
        let ids: Vec<String> = self.by_id.keys().cloned().collect();
        ids.iter().for_each(|id| self.add_tokens(id, added.clone()));
    }

    /// Adds the tokens of a client for some periods, later than those that it has.
    fn add_tokens(&mut self, id: &str, periods: RangeInclusive<i64>) {
        let (Some(issuer), Some(live)) = (&self.issuer, self.by_id.get_mut(id)) else { return };
        for period in periods {
            let digest = issuer.token(id, live.client.generation, period).digest();
            let end = issuer.end(period);
            let token = Token {
                id: id.to_owned(),
                owner: TokenOwner::Connection(live.client.connection.clone()),
                created: issuer.start(period),
                expires: Some(live.client.expires.map_or(end, |expires| expires.min(end))),
                last_used: None,
                last_denied: None,
                digest,
                description: None,
            };
            live.digests.push_back(digest);
            self.by_digest.insert(digest, Arc::new(Live { token, used: Arc::clone(&live.used) }));
        }
    }
}

impl LiveClient {
    fn is_trust(&self) -> bool {
        matches!(self.client.proof, ClientProof::Federation)
    }

    fn shown(&self) -> Client {
        let used = self.used.load(Ordering::Relaxed);
        let used = Timestamp::from_millisecond(used).ok().filter(|_| used != 0);
        Client { last_used: used.or(self.client.last_used), ..self.client.clone() }
    }

    /// Counts a token request against the allowance of the client (GCRA).
    fn count(&self, now: Timestamp) -> Result<(), NoAccessToken> {
        let now = u64::try_from(now.as_millisecond()).unwrap_or_default();
        let next = |full_at: u64| {
            let full_at = full_at.max(now) + COST;
            (full_at <= now + MINUTE).then_some(full_at)
        };
        match self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) {
            Ok(_) => Ok(()),
            Err(full_at) => {
                let wait = (full_at.max(now) + COST).saturating_sub(now + MINUTE);
                Err(NoAccessToken::TooMany(Duration::from_millis(wait)))
            }
        }
    }
}

/// Every client in the store.
pub(crate) fn stored_clients(state: &dyn Read) -> Result<Vec<Client>, StoreError> {
    let mut clients = Vec::new();
    let mut problem = Ok(());
    state.scan(&keys::clients(), None, &mut |key, value| {
        match serde_json::from_slice(&value) {
            Ok(client) => clients.push(client),
            Err(error) => {
                let key = String::from_utf8_lossy(key);
                let reason = format!("{key} holds no client: {error}");
                problem = Err(StoreError::Engine { action: "read clients", reason });
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    problem.map(|()| clients)
}

#[cfg(test)]
mod tests;
