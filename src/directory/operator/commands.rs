//! The commands that change named operators: add, change, remove, and record their sign-ins.

use std::net::IpAddr;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use rand::TryRng;
use rand::rngs::SysRng;
use serde_json::json;

use crate::clock::rfc3339;
use crate::credential::{OperatorAccount, OperatorRole, PasswordHash, SealedSecret};
use crate::directory::error::DirectoryError;
use crate::directory::operator::table::stored_operators;
use crate::directory::transaction::{Command, Transaction};
use crate::event::{Difference, Event, Verb};
use crate::store::{StoreError, keys};

/// How many named operators there may be.
const MAX_OPERATORS: usize = 1_000;

/// Adds a named operator.
pub struct AddOperator {
    /// The name, as [`check_name`](crate::credential::check_name) returns it.
    pub name: String,
    /// What the operator may do.
    pub role: OperatorRole,
    /// The password, if there is one yet.
    pub password: Option<PasswordHash>,
    /// The secret of the one-time codes, if there is one yet.
    pub code: Option<SealedSecret>,
}

/// Gives an operator another role. It ends the sessions of the operator.
pub struct SetOperatorRole {
    /// The name.
    pub name: String,
    /// The role.
    pub role: OperatorRole,
}

/// Sets what an operator signs in with; what is `None` stays. It ends the sessions of the operator.
pub struct SetOperatorCredentials {
    /// The name.
    pub name: String,
    /// The password.
    pub password: Option<PasswordHash>,
    /// The secret of the one-time codes, and the step of the code that confirmed it.
    pub code: Option<(SealedSecret, i64)>,
}

/// Ends all sessions of an operator.
pub struct EndOperatorSessions {
    /// The name.
    pub name: String,
}

/// Removes an operator, whose sessions end.
pub struct RemoveOperator {
    /// The name.
    pub name: String,
}

/// Records that an operator has signed in by password and code, and uses the code up.
pub struct RecordSignIn {
    /// The operator, as it was when the password was checked.
    pub account: OperatorAccount,
    /// The step of the code.
    pub step: i64,
    /// The address of the browser.
    pub address: IpAddr,
}

/// Records that an operator has signed in by another way.
pub struct NoteSignIn {
    /// The name.
    pub name: String,
    /// The role.
    pub role: OperatorRole,
    /// The way.
    pub way: &'static str,
    /// The address of the browser.
    pub address: IpAddr,
    /// The issuer and the subject, of a user of an OpenID provider.
    pub provider: Option<(String, String)>,
}

/// Records that a one-time link was made, by which an operator signs in. The link itself is in no record.
pub struct NoteLink {
    /// The name of the operator.
    pub name: String,
    /// The role.
    pub role: OperatorRole,
    /// Until when the link is valid.
    pub expires: Timestamp,
}

impl Command for AddOperator {
    type Output = OperatorAccount;
    const OUTLASTS_SETTINGS: bool = true;

    /// # Errors
    ///
    /// `Unfit` if there is an operator of that name, or no room for another.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<OperatorAccount, DirectoryError> {
        let operators = stored_operators(tx)?;
        if operators.iter().any(|operator| operator.name == self.name) {
            return Err(DirectoryError::Unfit(format!(
                "operator \"{0}\" exists already; `scimd operator set {0} --role` changes the role",
                self.name
            )));
        }
        if operators.len() >= MAX_OPERATORS {
            return Err(DirectoryError::Unfit(format!(
                "there are {MAX_OPERATORS} operators already; remove one with `scimd operator remove`"
            )));
        }
        let account = OperatorAccount {
            name: self.name.clone(),
            role: self.role,
            created: tx.now(),
            password: self.password.clone(),
            code: self.code.clone(),
            last_step: None,
            last_sign_in: None,
            epoch: epoch()?,
        };
        put(tx, &account)?;
        tx.details().value_changed("role", None, Some(&json!(self.role)));
        tx.record(event(Verb::Added, &account.name));
        Ok(account)
    }
}

impl Command for SetOperatorRole {
    type Output = OperatorAccount;
    const OUTLASTS_SETTINGS: bool = true;

    /// # Errors
    ///
    /// `NotFound`.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<OperatorAccount, DirectoryError> {
        let before = find(tx, &self.name)?;
        if before.role == self.role {
            return Ok(before);
        }
        let account = OperatorAccount { role: self.role, epoch: epoch()?, ..before.clone() };
        put(tx, &account)?;
        tx.details().value_changed("role", Some(&json!(before.role)), Some(&json!(account.role)));
        tx.record(event(Verb::Changed, &account.name));
        Ok(account)
    }
}

impl Command for SetOperatorCredentials {
    type Output = OperatorAccount;
    const OUTLASTS_SETTINGS: bool = true;

    /// # Errors
    ///
    /// `NotFound`.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<OperatorAccount, DirectoryError> {
        let mut account = find(tx, &self.name)?;
        let mut changed = Vec::new();
        if let Some(password) = &self.password {
            account.password = Some(password.clone());
            changed.push(Difference::hidden("password"));
        }
        if let Some((code, step)) = &self.code {
            account.code = Some(code.clone());
            account.last_step = Some(*step);
            changed.push(Difference::hidden("one-time code"));
        }
        account.epoch = epoch()?;
        put(tx, &account)?;
        tx.details().changed(changed);
        tx.record(event(Verb::Changed, &account.name));
        Ok(account)
    }
}

impl Command for EndOperatorSessions {
    type Output = OperatorAccount;
    const OUTLASTS_SETTINGS: bool = true;

    fn takes_away(&self) -> bool {
        true
    }

    /// # Errors
    ///
    /// `NotFound`.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<OperatorAccount, DirectoryError> {
        let account = OperatorAccount { epoch: epoch()?, ..find(tx, &self.name)? };
        put(tx, &account)?;
        tx.details().changed(vec![Difference::hidden("sessions")]);
        tx.record(event(Verb::Changed, &account.name));
        Ok(account)
    }
}

impl Command for RemoveOperator {
    type Output = OperatorAccount;
    const OUTLASTS_SETTINGS: bool = true;

    fn takes_away(&self) -> bool {
        true
    }

    /// # Errors
    ///
    /// `NotFound`.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<OperatorAccount, DirectoryError> {
        let account = find(tx, &self.name)?;
        tx.delete(keys::operator(&account.name));
        tx.details().value_changed("role", Some(&json!(account.role)), None);
        tx.record(event(Verb::Removed, &account.name));
        Ok(account)
    }
}

impl Command for RecordSignIn {
    type Output = OperatorAccount;
    const OUTLASTS_SETTINGS: bool = true;

    /// # Errors
    ///
    /// `NotFound` if the operator was removed or changed meanwhile; `Unauthenticated` if the code, or a later one, was
    /// accepted already.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<OperatorAccount, DirectoryError> {
        let account = find(tx, &self.account.name)?;
        if account.epoch != self.account.epoch {
            return Err(not_found(&account.name));
        }
        if account.last_step.is_some_and(|last| self.step <= last) {
            return Err(DirectoryError::Unauthenticated);
        }
        let (last_step, last_sign_in) = (Some(self.step), Some(tx.now()));
        let account = OperatorAccount { last_step, last_sign_in, ..account };
        put(tx, &account)?;
        let address = json!(self.address.to_string());
        tx.details().value_changed("way", None, Some(&json!("password")));
        tx.details().value_changed("address", None, Some(&address));
        tx.record(event(Verb::SignedIn, &account.name));
        Ok(account)
    }
}

impl Command for NoteSignIn {
    type Output = ();
    const OUTLASTS_SETTINGS: bool = true;

    fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
        let details = tx.details();
        details.value_changed("way", None, Some(&json!(self.way)));
        details.value_changed("role", None, Some(&json!(self.role)));
        details.value_changed("address", None, Some(&json!(self.address.to_string())));
        if let Some((issuer, subject)) = &self.provider {
            details.value_changed("issuer", None, Some(&json!(issuer)));
            details.value_changed("subject", None, Some(&json!(subject)));
        }
        tx.record(event(Verb::SignedIn, &self.name));
        Ok(())
    }
}

impl Command for NoteLink {
    type Output = ();
    const OUTLASTS_SETTINGS: bool = true;

    fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
        let expires = json!(rfc3339(self.expires));
        tx.details().value_changed("role", None, Some(&json!(self.role)));
        tx.details().value_changed("expires", None, Some(&expires));
        tx.record(event(Verb::Linked, &self.name));
        Ok(())
    }
}

fn put(tx: &mut Transaction<'_>, account: &OperatorAccount) -> Result<(), DirectoryError> {
    let value = serde_json::to_vec(account).map_err(|error| StoreError::Engine {
        action: "write an operator",
        reason: error.to_string(),
    })?;
    tx.put(keys::operator(&account.name), value);
    Ok(())
}

fn find(tx: &Transaction<'_>, name: &str) -> Result<OperatorAccount, DirectoryError> {
    let found = stored_operators(tx)?.into_iter().find(|operator| operator.name == name);
    found.ok_or_else(|| not_found(name))
}

fn not_found(name: &str) -> DirectoryError {
    DirectoryError::NotFound { kind: "operator".to_owned(), id: name.to_owned() }
}

/// What the sessions of an operator are bound to.
fn epoch() -> Result<String, DirectoryError> {
    let mut random = [0; 8];
    SysRng.try_fill_bytes(&mut random).map_err(|error| StoreError::Engine {
        action: "change an operator",
        reason: format!("the operating system gives no randomness: {error}"),
    })?;
    Ok(HEXLOWER.encode(&random))
}

fn event(verb: Verb, subject: impl Into<String>) -> Event {
    Event { kind: "operator".to_owned(), verb, subject: subject.into() }
}
