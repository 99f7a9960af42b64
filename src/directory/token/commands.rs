//! The commands that change tokens: generate, reset, revoke, and record their use.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use rand::TryRng;
use rand::rngs::SysRng;
use serde_json::json;

use crate::connection::token::{SECRET_BYTES, Token, TokenDenial, TokenOwner, TokenSecret};
use crate::directory::error::DirectoryError;
use crate::directory::token::table::{TokenTable, stored};
use crate::directory::transaction::{Command, Transaction};
use crate::event::{Event, Verb};
use crate::store::{StoreError, keys};

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
    let expires = |token: Option<&Token>| Some(json!(token?.expires?));
    let details = tx.details();
    if let Some(owner) = before.or(after).map(|token| &token.owner) {
        let name = |token: Option<&Token>| token.map(|token| json!(token.owner.name()));
        details.value_changed(owner.kind(), name(before).as_ref(), name(after).as_ref());
    }
    let description = |token: Option<&Token>| Some(json!(token?.description.as_ref()?));
    let of_both = (description(before), description(after));
    details.value_changed("description", of_both.0.as_ref(), of_both.1.as_ref());
    details.value_changed("expires", expires(before).as_ref(), expires(after).as_ref());
}

fn event(verb: Verb, subject: impl Into<String>) -> Event {
    Event { kind: "token".to_owned(), verb, subject: subject.into() }
}

/// Generates a token and returns it with its secret.
pub struct GenerateToken {
    /// The connection or application that the token authenticates.
    pub owner: TokenOwner,
    /// How long the token is valid; `None` if it does not expire.
    pub valid_for: Option<Duration>,
    /// What the operator says that it is for.
    pub description: Option<String>,
}

/// A new token with its secret, which is known only here.
pub struct GeneratedToken {
    /// The secret.
    pub secret: TokenSecret,
    /// The token as it is stored.
    pub token: Token,
    /// Older tokens of its owner that were given an earlier end.
    pub limited: Vec<Token>,
    /// Older tokens of its owner that were revoked.
    pub revoked: Vec<Token>,
}

impl Command for GenerateToken {
    type Output = GeneratedToken;
    const OUTLASTS_SETTINGS: bool = true;

    /// # Errors
    ///
    /// `Storage` if the operating system gives no randomness.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<GeneratedToken, DirectoryError> {
        let (mut random, mut id) = ([0; SECRET_BYTES], [0; 6]);
        let filled =
            SysRng.try_fill_bytes(&mut random).and_then(|()| SysRng.try_fill_bytes(&mut id));
        filled.map_err(|error| StoreError::Engine {
            action: "create a token",
            reason: format!("the operating system provides no random numbers: {error}"),
        })?;
        let secret = TokenSecret::from_random(random);
        let token = Token {
            id: HEXLOWER.encode(&id),
            owner: self.owner.clone(),
            created: tx.now(),
            expires: self.valid_for.map(|valid_for| later(tx.now(), valid_for)),
            last_used: None,
            last_denied: None,
            digest: secret.digest(),
            description: self.description.clone(),
        };
        put(tx, &token)?;
        describe(tx, None, Some(&token));
        tx.record(event(Verb::Generated, &token.id));
        Ok(GeneratedToken { secret, token, limited: Vec::new(), revoked: Vec::new() })
    }
}

/// The moment `by` after `now`, or the last moment that can be represented.
fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Generates a token that replaces the others of its owner, which end after an overlap.
pub struct ResetTokens {
    /// The owner.
    pub owner: TokenOwner,
    /// How long the new token is valid; `None` if it does not expire.
    pub valid_for: Option<Duration>,
    /// How long the others are still valid.
    pub overlap: Duration,
    /// What the operator says that the new token is for.
    pub description: Option<String>,
}

impl Command for ResetTokens {
    type Output = GeneratedToken;
    const OUTLASTS_SETTINGS: bool = true;

    /// # Errors
    ///
    /// As [`GenerateToken`].
    fn run(&self, tx: &mut Transaction<'_>) -> Result<GeneratedToken, DirectoryError> {
        let end = later(tx.now(), self.overlap);
        let older = stored(tx)?;
        // First the new one: cut short by a crash, this leaves too many tokens rather than none.
        let (owner, valid_for) = (self.owner.clone(), self.valid_for);
        let description = self.description.clone();
        let generated = tx.nested(&GenerateToken { owner, valid_for, description })?;
        let (mut limited, mut revoked) = (Vec::new(), Vec::new());
        for token in older {
            let ends_later = token.expires.is_none_or(|expires| expires > end);
            if token.owner == self.owner && ends_later {
                if self.overlap.is_zero() {
                    // Not left to the clock, which may be set back.
                    tx.nested(&RevokeToken { id: token.id.clone() })?;
                    revoked.push(Token { expires: Some(end), ..token });
                } else {
                    limited.push(tx.nested(&LimitToken { token, end })?);
                }
            }
        }
        Ok(GeneratedToken { limited, revoked, ..generated })
    }
}

/// Gives a token an earlier end.
struct LimitToken {
    /// The token as it is.
    token: Token,
    /// Its new end.
    end: Timestamp,
}

impl Command for LimitToken {
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

/// Revokes a token at once and for good.
pub struct RevokeToken {
    /// Its id.
    pub id: String,
}

impl Command for RevokeToken {
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
}

/// Notes the last denied request of each of these tokens, by its id.
pub(crate) fn note_denials<'a>(
    tx: &mut Transaction<'_>,
    denials: impl Iterator<Item = (&'a str, TokenDenial)>,
) -> Result<(), DirectoryError> {
    let mut last: BTreeMap<&str, TokenDenial> = BTreeMap::new();
    for (id, denial) in denials {
        if last.get(id).is_none_or(|known| known.time <= denial.time) {
            last.insert(id, denial);
        }
    }
    if last.is_empty() {
        return Ok(());
    }
    for mut token in stored(tx)? {
        if let Some(denial) = last.remove(token.id.as_str()) {
            token.last_denied = Some(denial);
            put(tx, &token)?;
        }
    }
    Ok(())
}

/// Records when tokens were last used.
pub(crate) struct RecordTokenUse {
    tokens: Vec<Token>,
}

impl RecordTokenUse {
    /// Takes the uses that are not recorded yet; `None` if there are none.
    pub(crate) fn from_table(table: &TokenTable) -> Option<Self> {
        let tokens = table.take_used();
        (!tokens.is_empty()).then_some(Self { tokens })
    }
}

impl Command for RecordTokenUse {
    type Output = Vec<Token>;
    const OUTLASTS_SETTINGS: bool = true;

    fn run(&self, tx: &mut Transaction<'_>) -> Result<Vec<Token>, DirectoryError> {
        let (mut noted, mut present) = (Vec::new(), stored(tx)?);
        for token in &self.tokens {
            // It may have been revoked or limited meanwhile: only its last use is new.
            let Some(at) = present.iter().position(|known| known.id == token.id) else {
                continue;
            };
            let mut present = present.swap_remove(at);
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
}
