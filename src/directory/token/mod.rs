//! Tokens: generate, reset, revoke, list, and find the one that a client presents.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use rand::TryRng;
use rand::rngs::SysRng;
use serde_json::json;

use crate::connection::token::{SECRET_BYTES, Token, TokenDigest, TokenSecret};
use crate::directory::Directory;
use crate::directory::error::DirectoryError;
use crate::directory::transaction::{Command, Transaction};
use crate::event::{Event, Verb};
use crate::store::{Read, StoreError, keys};

/// The tokens, in memory: every request asks for one.
#[derive(Default)]
pub struct TokenTable {
    by_digest: RwLock<HashMap<TokenDigest, Arc<Live>>>,
}

/// A token and its last use, which is not yet on disk.
struct Live {
    token: Token,
    /// Milliseconds since 1970; 0 for not since the last note.
    used: AtomicI64,
}

impl TokenTable {
    /// Reads all tokens.
    pub(crate) fn load(state: &dyn Read) -> Result<Self, StoreError> {
        let table = Self::default();
        for token in stored(state)? {
            table.insert(token);
        }
        Ok(table)
    }

    fn insert(&self, token: Token) {
        let mut by_digest = self.by_digest.write().unwrap_or_else(PoisonError::into_inner);
        let used = by_digest.get(&token.digest).map_or(0, |live| live.used.load(Ordering::Relaxed));
        by_digest.insert(token.digest, Arc::new(Live { token, used: AtomicI64::new(used) }));
    }

    fn remove(&self, digest: &TokenDigest) {
        self.by_digest.write().unwrap_or_else(PoisonError::into_inner).remove(digest);
    }

    fn find(&self, digest: &TokenDigest) -> Option<Arc<Live>> {
        let by_digest = self.by_digest.read().unwrap_or_else(PoisonError::into_inner);
        // The hash map compares with ==; the comparison that decides takes constant time.
        let live = by_digest.get(digest)?;
        live.token.digest.matches(digest).then(|| Arc::clone(live))
    }

    fn all(&self) -> Vec<Arc<Live>> {
        let by_digest = self.by_digest.read().unwrap_or_else(PoisonError::into_inner);
        by_digest.values().cloned().collect()
    }
}

/// Why a token opens nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// No token has that digest.
    #[error("the token is unknown or was revoked")]
    Unknown,
    /// It has ended.
    #[error("token {id} of connection {connection} expired")]
    Expired {
        /// Its id.
        id: String,
        /// Its connection.
        connection: String,
    },
}

impl Directory {
    /// The valid token that a client presents; notes that it was used.
    ///
    /// # Errors
    ///
    /// [`TokenRefusal`].
    pub fn authenticate(&self, presented: &TokenSecret) -> Result<Token, TokenRefusal> {
        let live = self.shared.tokens.find(&presented.digest()).ok_or(TokenRefusal::Unknown)?;
        let now = self.settings.clock.now();
        if live.token.is_expired(now) {
            let Token { id, connection, .. } = live.token.clone();
            return Err(TokenRefusal::Expired { id, connection });
        }
        live.used.store(now.as_millisecond(), Ordering::Relaxed);
        Ok(live.token.clone())
    }

    /// The valid tokens of a connection, oldest first.
    pub fn valid_tokens(&self, connection: &str) -> Vec<Token> {
        let now = self.settings.clock.now();
        let mut tokens = self.tokens();
        tokens.retain(|token| token.connection == connection && !token.is_expired(now));
        tokens
    }

    /// Every token, oldest first.
    pub fn tokens(&self) -> Vec<Token> {
        let mut tokens: Vec<Token> = self
            .shared
            .tokens
            .all()
            .iter()
            .map(|live| {
                let used = used(live).or(live.token.last_used);
                Token { last_used: used, ..live.token.clone() }
            })
            .collect();
        tokens.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        tokens
    }
}

fn used(live: &Live) -> Option<Timestamp> {
    match live.used.load(Ordering::Relaxed) {
        0 => None,
        millisecond => Timestamp::from_millisecond(millisecond).ok(),
    }
}

/// Every token in the store.
fn stored(state: &dyn Read) -> Result<Vec<Token>, StoreError> {
    let mut tokens = Vec::new();
    let mut problem = Ok(());
    state.scan(&keys::tokens(), None, &mut |key, value| {
        match serde_json::from_slice(&value) {
            Ok(token) => tokens.push(token),
            Err(error) => {
                let key = String::from_utf8_lossy(key);
                let reason = format!("{key} holds no token: {error}");
                problem = Err(StoreError::Engine { action: "read tokens", reason });
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    problem.map(|()| tokens)
}

fn put(tx: &mut Transaction<'_>, token: &Token) -> Result<(), DirectoryError> {
    let value = serde_json::to_vec(token).map_err(|error| StoreError::Engine {
        action: "write a token",
        reason: error.to_string(),
    })?;
    tx.put(keys::token(&token.id), value);
    Ok(())
}

/// Records a token that was made or revoked, or whose end moved.
fn describe(tx: &mut Transaction<'_>, before: Option<&Token>, after: Option<&Token>) {
    let connection = |token: Option<&Token>| token.map(|token| json!(token.connection));
    let expires = |token: Option<&Token>| Some(json!(token?.expires?));
    let details = tx.details();
    details.value_changed("connection", connection(before).as_ref(), connection(after).as_ref());
    details.value_changed("expires", expires(before).as_ref(), expires(after).as_ref());
}

fn event(verb: Verb, subject: impl Into<String>) -> Event {
    Event { kind: "token".to_owned(), verb, subject: subject.into() }
}

/// Makes a token and answers it with its secret.
pub struct Generate {
    /// The connection that it speaks for.
    pub connection: String,
    /// How long it is valid; `None` for ever.
    pub valid_for: Option<Duration>,
}

/// A new token, the only time that its secret is known.
pub struct Generated {
    /// The secret.
    pub secret: TokenSecret,
    /// What is kept of it.
    pub token: Token,
    /// Older tokens of the connection that end later.
    pub limited: Vec<Token>,
    /// Older tokens of the connection that have ended.
    pub revoked: Vec<Token>,
}

impl Command for Generate {
    type Output = Generated;
    const OUTLASTS_SETTINGS: bool = true;

    /// # Errors
    ///
    /// `Storage` if the operating system gives no randomness.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<Generated, DirectoryError> {
        let (mut random, mut id) = ([0; SECRET_BYTES], [0; 6]);
        let filled =
            SysRng.try_fill_bytes(&mut random).and_then(|()| SysRng.try_fill_bytes(&mut id));
        filled.map_err(|error| StoreError::Engine {
            action: "make a token",
            reason: format!("the operating system gives no randomness: {error}"),
        })?;
        let secret = TokenSecret::from_random(random);
        let token = Token {
            id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
            connection: self.connection.clone(),
            created: tx.now(),
            expires: self.valid_for.map(|valid_for| later(tx.now(), valid_for)),
            last_used: None,
            digest: secret.digest(),
        };
        tx.expect_absent(keys::token(&token.id));
        put(tx, &token)?;
        describe(tx, None, Some(&token));
        tx.record(event(Verb::Generated, &token.id));
        Ok(Generated { secret, token, limited: Vec::new(), revoked: Vec::new() })
    }

    fn publish(generated: &Generated, tokens: &TokenTable) {
        for token in generated.limited.iter().chain([&generated.token]) {
            tokens.insert(token.clone());
        }
        for token in &generated.revoked {
            tokens.remove(&token.digest);
        }
    }
}

/// The moment so much later, or the last there is.
fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Makes a token in place of the others of its connection, which end after an overlap.
pub struct Reset {
    /// The connection.
    pub connection: String,
    /// How long the new token is valid; `None` for ever.
    pub valid_for: Option<Duration>,
    /// How long the others are still valid.
    pub overlap: Duration,
}

impl Command for Reset {
    type Output = Generated;
    const OUTLASTS_SETTINGS: bool = true;

    /// # Errors
    ///
    /// As [`Generate`].
    fn run(&self, tx: &mut Transaction<'_>) -> Result<Generated, DirectoryError> {
        let end = later(tx.now(), self.overlap);
        let older = stored(tx)?;
        // First the new one: cut short by a crash, this leaves too many tokens rather than none.
        let (connection, valid_for) = (self.connection.clone(), self.valid_for);
        let generated = tx.nested(&Generate { connection, valid_for })?;
        let (mut limited, mut revoked) = (Vec::new(), Vec::new());
        for token in older {
            let ends_later = token.expires.is_none_or(|expires| expires > end);
            if token.connection == self.connection && ends_later {
                if self.overlap.is_zero() {
                    // Not left to the clock, which may be set back.
                    tx.nested(&Revoke { id: token.id.clone() })?;
                    revoked.push(Token { expires: Some(end), ..token });
                } else {
                    limited.push(tx.nested(&Limit { token, end })?);
                }
            }
        }
        Ok(Generated { limited, revoked, ..generated })
    }

    fn publish(generated: &Generated, tokens: &TokenTable) {
        Generate::publish(generated, tokens);
    }
}

/// Gives a token an earlier end.
struct Limit {
    /// The token as it is.
    token: Token,
    /// Its new end.
    end: Timestamp,
}

impl Command for Limit {
    type Output = Token;
    const OUTLASTS_SETTINGS: bool = true;

    fn run(&self, tx: &mut Transaction<'_>) -> Result<Token, DirectoryError> {
        let limited = Token { expires: Some(self.end), ..self.token.clone() };
        put(tx, &limited)?;
        describe(tx, Some(&self.token), Some(&limited));
        tx.record(event(Verb::Limited, &limited.id));
        Ok(limited)
    }
}

/// Ends a token at once and for good.
pub struct Revoke {
    /// Its id.
    pub id: String,
}

impl Command for Revoke {
    type Output = Token;
    const OUTLASTS_SETTINGS: bool = true;

    /// # Errors
    ///
    /// `NotFound`.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<Token, DirectoryError> {
        let token = stored(tx)?.into_iter().find(|token| token.id == self.id).ok_or_else(|| {
            DirectoryError::NotFound { kind: "token".to_owned(), id: self.id.clone() }
        })?;
        tx.delete(keys::token(&token.id));
        describe(tx, Some(&token), None);
        tx.record(event(Verb::Revoked, &token.id));
        Ok(token)
    }

    fn publish(token: &Token, tokens: &TokenTable) {
        tokens.remove(&token.digest);
    }
}

/// Puts on disk when tokens were last used.
pub(crate) struct Used {
    tokens: Vec<Token>,
}

impl Used {
    /// The tokens that were used since this was last asked.
    pub(crate) fn since_last_note(table: &TokenTable) -> Option<Self> {
        let tokens: Vec<Token> = table
            .all()
            .iter()
            .filter_map(|live| {
                let last_used = used(live)?;
                live.used.store(0, Ordering::Relaxed);
                Some(Token { last_used: Some(last_used), ..live.token.clone() })
            })
            .collect();
        (!tokens.is_empty()).then_some(Self { tokens })
    }
}

impl Command for Used {
    type Output = Vec<Token>;
    const OUTLASTS_SETTINGS: bool = true;

    fn run(&self, tx: &mut Transaction<'_>) -> Result<Vec<Token>, DirectoryError> {
        let mut noted = Vec::new();
        for token in &self.tokens {
            // It may have been revoked or limited meanwhile: only its last use is new.
            let Some(mut present) = stored(tx)?.into_iter().find(|known| known.id == token.id)
            else {
                continue;
            };
            present.last_used = token.last_used;
            put(tx, &present)?;
            noted.push(present);
        }
        let ids: Vec<&str> = noted.iter().map(|token| token.id.as_str()).collect();
        if !ids.is_empty() {
            tx.record(event(Verb::Used, ids.join(" ")));
        }
        Ok(noted)
    }

    fn publish(noted: &Vec<Token>, tokens: &TokenTable) {
        for token in noted {
            tokens.insert(token.clone());
        }
    }
}
