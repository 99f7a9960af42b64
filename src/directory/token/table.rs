//! The tokens in memory: loaded from state when the directory opens, kept up to date by every commit.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::Timestamp;

use crate::connection::token::{Token, TokenDigest, TokenOwner};
use crate::log::{Frame, Write};
use crate::store::keys::{self, Kind};
use crate::store::{Read, StoreError};

/// How many revoked tokens are remembered: others count as unknown.
const MAX_REVOKED: usize = 10_000;

/// The tokens in memory. Every request looks one up.
#[derive(Default)]
pub(crate) struct TokenTable {
    tokens: RwLock<Tokens>,
}

#[derive(Default)]
struct Tokens {
    by_digest: HashMap<TokenDigest, Arc<Live>>,
    /// The digest of each token, by its id.
    digests: HashMap<String, TokenDigest>,
    /// The ids and owners of tokens that were revoked since the start: who still presents one is named.
    revoked: HashMap<TokenDigest, (String, TokenOwner)>,
}

/// A valid token that a client presents.
pub struct PresentedToken {
    live: Arc<Live>,
    at: Timestamp,
}

impl PresentedToken {
    /// A token that is presented at `at`.
    ///
    /// # Errors
    ///
    /// [`InvalidToken::Expired`].
    pub(super) fn valid(live: Arc<Live>, at: Timestamp) -> Result<Self, InvalidToken> {
        if live.token.is_expired(at) {
            let Token { id, owner, .. } = live.token.clone();
            return Err(InvalidToken::Expired { id, owner });
        }
        Ok(Self { live, at })
    }

    /// The token.
    pub fn token(&self) -> &Token {
        &self.live.token
    }

    /// Notes that the request was admitted: only such a request is a use of the token.
    pub fn note_use(&self) {
        self.live.used.store(self.at.as_millisecond(), Ordering::Relaxed);
    }
}

/// A token, and its last use as far as that is not on disk yet.
pub(super) struct Live {
    pub(super) token: Token,
    /// Milliseconds since 1970; 0 if it was not used since the last record of uses. It outlives a change
    /// of the token.
    pub(super) used: Arc<AtomicI64>,
}

impl TokenTable {
    /// Reads all tokens.
    pub(crate) fn load(state: &dyn Read) -> Result<Self, StoreError> {
        let mut tokens = Tokens::default();
        for token in stored(state)? {
            tokens.insert(token);
        }
        Ok(Self { tokens: RwLock::new(tokens) })
    }

    /// Takes over what a committed frame did to tokens.
    pub(crate) fn observe(&self, frame: &Frame) {
        let of_token = |write: &&Write| keys::kind(&write.key) == Some(Kind::Token);
        for write in frame.writes.iter().filter(of_token) {
            let id = write.key.strip_prefix(&keys::tokens()).unwrap_or_default();
            let id = String::from_utf8_lossy(id);
            match write.value.as_deref().map(serde_json::from_slice::<Token>) {
                Some(Ok(token)) => self.write().insert(token),
                // A damaged token record authenticates no request.
                Some(Err(error)) => {
                    tracing::error!(%error, token = %id, "a token in the log can't be read");
                    self.write().remove(&id);
                }
                None => self.write().remove(&id),
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Tokens> {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tokens> {
        self.tokens.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, digest: &TokenDigest) -> Option<Arc<Live>> {
        let tokens = self.read();
        // The hash map compares with ==; the comparison that decides takes constant time.
        let live = tokens.by_digest.get(digest)?;
        live.token.digest.matches(digest).then(|| Arc::clone(live))
    }

    fn all(&self) -> Vec<Arc<Live>> {
        self.read().by_digest.values().cloned().collect()
    }
}

impl Tokens {
    fn insert(&mut self, token: Token) {
        let known = self.by_digest.get(&token.digest);
        let used = known.map(|live| Arc::clone(&live.used)).unwrap_or_default();
        if let Some(other) = self.digests.insert(token.id.clone(), token.digest)
            && other != token.digest
        {
            self.by_digest.remove(&other);
        }
        self.by_digest.insert(token.digest, Arc::new(Live { token, used }));
    }

    fn remove(&mut self, id: &str) {
        if let Some(digest) = self.digests.remove(id)
            && let Some(live) = self.by_digest.remove(&digest)
            && self.revoked.len() < MAX_REVOKED
        {
            self.revoked.insert(digest, (id.to_owned(), live.token.owner.clone()));
        }
    }
}

/// Why a presented token is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// There is no token with that digest.
    #[error("the token is unknown, or was revoked before scimd was started")]
    Unknown,
    /// The token was revoked since the start.
    #[error("token {id} of {owner} was revoked")]
    Revoked {
        /// Its id.
        id: String,
        /// Its owner.
        owner: TokenOwner,
    },
    /// The token has expired.
    #[error("token {id} of {owner} expired")]
    Expired {
        /// Its id.
        id: String,
        /// Its owner.
        owner: TokenOwner,
    },
}

impl TokenTable {
    /// Finds the valid token with a digest at `now`.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`].
    pub(crate) fn authenticate(
        &self,
        digest: &TokenDigest,
        now: Timestamp,
    ) -> Result<PresentedToken, InvalidToken> {
        let live = self.find(digest).ok_or_else(|| self.why_unknown(digest))?;
        PresentedToken::valid(live, now)
    }

    fn why_unknown(&self, digest: &TokenDigest) -> InvalidToken {
        match self.read().revoked.get(digest).cloned() {
            Some((id, owner)) => InvalidToken::Revoked { id, owner },
            None => InvalidToken::Unknown,
        }
    }

    /// Whether there is a token with this id that has not expired.
    pub(crate) fn is_valid(&self, id: &str, now: Timestamp) -> bool {
        let tokens = self.read();
        let live = tokens.digests.get(id).and_then(|digest| tokens.by_digest.get(digest));
        live.is_some_and(|live| !live.token.is_expired(now))
    }

    /// Every token with its last use, oldest first.
    pub(crate) fn list(&self) -> Vec<Token> {
        let mut tokens: Vec<Token> = self
            .all()
            .iter()
            .map(|live| Token {
                last_used: live.used().or(live.token.last_used),
                ..live.token.clone()
            })
            .collect();
        tokens.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        tokens
    }

    /// Takes the tokens that were used since the last call, each with its last use.
    pub(crate) fn take_used(&self) -> Vec<Token> {
        self.all()
            .iter()
            .filter_map(|live| {
                let last_used = live.used()?;
                live.used.store(0, Ordering::Relaxed);
                Some(Token { last_used: Some(last_used), ..live.token.clone() })
            })
            .collect()
    }
}

impl Live {
    fn used(&self) -> Option<Timestamp> {
        match self.used.load(Ordering::Relaxed) {
            0 => None,
            millisecond => Timestamp::from_millisecond(millisecond).ok(),
        }
    }
}

/// Every token in the store.
pub(crate) fn stored(state: &dyn Read) -> Result<Vec<Token>, StoreError> {
    let mut tokens = Vec::new();
    let mut problem = Ok(());
    state.scan(&keys::tokens(), None, &mut |key, value| {
        match serde_json::from_slice(&value) {
            Ok(token) => tokens.push(token),
            Err(error) => {
                let key = String::from_utf8_lossy(key);
                let reason = format!("{key} contains no token: {error}");
                problem = Err(StoreError::Engine { action: "read tokens", reason });
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    problem.map(|()| tokens)
}
