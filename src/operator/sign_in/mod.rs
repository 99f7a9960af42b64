//! How named operators sign in to the console: by password and one-time code.
//!
//! | file | contents |
//! | --- | --- |
//! | `throttle` | how often a name or an address may fail |
//! | `hash_queue` | one password hash at a time, and few that wait |
//! | `seal` | secrets of one-time codes, made and encrypted |
//!
//! A name that does not exist costs what a wrong password costs, and gets the same answer. What is said of a code is
//! said only if the password is right.

mod hash_queue;
mod seal;
mod throttle;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::hash_queue::HashQueue;
use self::seal::random;
pub(super) use self::seal::{new_secret, seal};
use self::throttle::Throttle;
use super::identity::{Identity, IdentitySource};
use crate::clock::Stopwatch;
use crate::credential::{
    CODE_SECRET_BYTES, CodeSecret, MAX_NAME, MAX_PASSWORD, OperatorAccount, Password, PasswordHash,
    SealedSecret, check_new_password,
};
use crate::directory::{DeniedRequest, Directory, DirectoryError, NoteSignIn, RecordSignIn};
use crate::event::{Actor, Reason};

/// How long an enrolment may take.
const ENROLMENT: Duration = Duration::from_secs(600);

/// What signing in needs in memory. It outlives reloads.
pub struct SignIns {
    throttle: Throttle,
    hashes: HashQueue,
    enrolments: Mutex<HashMap<String, Enrolment>>,
}

/// A secret of one-time codes that no code has confirmed yet.
struct Enrolment {
    secret: CodeSecret,
    since: Stopwatch,
}

/// An attempt to sign in.
pub struct SignInAttempt<'a> {
    /// The name, as entered.
    pub name: &'a str,
    /// The password, as entered.
    pub password: &'a str,
    /// The one-time code, as entered.
    pub code: &'a str,
    /// The address of the browser.
    pub address: IpAddr,
}

/// Why an operator could not sign in.
#[derive(Debug, thiserror::Error)]
pub enum SignInRefusal {
    /// Name, password or code is wrong.
    #[error(
        "name, password or code is wrong; enter all three again, and the code that the app shows now"
    )]
    Wrong,
    /// The code was accepted before.
    #[error("this code was used already; wait up to 30 seconds for the next one")]
    UsedCode,
    /// The operator has no password or no one-time code, or the key of the codes was lost.
    #[error(
        "no one-time code is enrolled, or its key was lost; an admin prints a sign-in link with `scimd console link \
         --operator {0}`, by which you enrol"
    )]
    NotEnrolled(String),
    /// The name or the address has failed too often.
    #[error("too many attempts failed; try again in {} seconds", .0.as_secs() + 1)]
    TooMany(Duration),
    /// Too many attempts wait.
    #[error("many attempts to sign in are waiting; try again in a few seconds")]
    Busy,
    /// The sign-in could not be recorded.
    #[error("the sign-in could not be recorded: {0}; see the log, or use `scimd console link`")]
    Failed(DirectoryError),
}

impl Default for SignIns {
    fn default() -> Self {
        Self {
            throttle: Throttle::new(),
            hashes: HashQueue::default(),
            enrolments: Mutex::default(),
        }
    }
}

impl SignIns {
    /// Signs an operator in, and uses the code up. It takes some ten milliseconds and waits for the disk: not for a
    /// thread that drives asynchronous tasks.
    ///
    /// # Errors
    ///
    /// [`SignInRefusal`], which is in log and audit log.
    pub fn sign_in(
        &self,
        directory: &Directory,
        attempt: &SignInAttempt<'_>,
    ) -> Result<OperatorAccount, SignInRefusal> {
        let account = directory.operator(&attempt.name.to_ascii_lowercase());
        let signed_in = self.try_sign_in(directory, account.as_ref(), attempt);
        if let Err(refusal) = &signed_in {
            report(directory, account.as_ref(), attempt.address, refusal);
        }
        signed_in
    }

    fn try_sign_in(
        &self,
        directory: &Directory,
        account: Option<&OperatorAccount>,
        attempt: &SignInAttempt<'_>,
    ) -> Result<OperatorAccount, SignInRefusal> {
        if attempt.name.len() > MAX_NAME || attempt.password.len() > MAX_PASSWORD {
            self.throttle.charge_address(attempt.address).map_err(SignInRefusal::TooMany)?;
            return Err(SignInRefusal::Wrong);
        }
        self.throttle.charge(attempt.name, attempt.address).map_err(SignInRefusal::TooMany)?;
        let hash = account.and_then(|account| account.password.clone());
        let hash = hash.unwrap_or_else(PasswordHash::of_no_password);
        let password = Password::new(attempt.password);
        let Some(fits) = self.hashes.take(|| hash.fits(&password)) else {
            self.throttle.give_back(attempt.name, attempt.address);
            return Err(SignInRefusal::Busy);
        };
        let secret = account.and_then(|account| {
            let sealed = account.code.as_ref()?;
            directory.code_key().ok()?.open(&account.name, sealed)
        });
        let now = directory.time_for_expiry().as_second();
        let is_enrolled = secret.is_some();
        let secret = secret.unwrap_or_else(|| CodeSecret::from_random([0; CODE_SECRET_BYTES]));
        let step = secret.step_of(attempt.code, now);
        let account = account.filter(|_| fits).ok_or(SignInRefusal::Wrong)?;
        if !is_enrolled {
            return Err(SignInRefusal::NotEnrolled(account.name.clone()));
        }
        let step = step.ok_or(SignInRefusal::Wrong)?;
        let record = RecordSignIn { account: account.clone(), step, address: attempt.address };
        let signed_in = directory.submit(actor(&account.name), record).wait();
        let account = signed_in.map_err(|error| match error {
            DirectoryError::Unauthenticated => SignInRefusal::UsedCode,
            DirectoryError::NotFound { .. } => SignInRefusal::Wrong,
            other => SignInRefusal::Failed(other),
        })?;
        self.throttle.give_back(attempt.name, attempt.address);
        Ok(account)
    }

    /// Charges an attempt to sign in at a provider to an address.
    ///
    /// # Errors
    ///
    /// How long to wait.
    pub fn charge(&self, address: IpAddr) -> Result<(), Duration> {
        self.throttle.charge_address(address)
    }

    /// Gives an attempt back that has succeeded.
    pub fn give_back(&self, address: IpAddr) {
        self.throttle.give_back_address(address);
    }

    /// Says in log and audit log why an operator could not sign in at a provider.
    pub fn report_refusal(&self, directory: &Directory, reason: &str, address: IpAddr) {
        tracing::warn!(%address, reason, "a sign-in at the OpenID provider was refused");
        directory.record_denied(DeniedRequest {
            reason: Reason::ConsoleSignIn,
            owner: None,
            token: None,
            detail: Some(reason.to_owned()),
            address,
        });
    }

    /// Checks a new password of an operator and hashes it; not for a thread that drives asynchronous tasks.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with it.
    pub fn hash(&self, name: &str, password: &str) -> Result<PasswordHash, String> {
        let password = Password::new(password);
        check_new_password(&password, name).map_err(|error| error.to_string())?;
        let salt = random().map_err(|error| error.to_string())?;
        let hashed = self.hashes.take(|| PasswordHash::of(&password, &salt));
        let hashed =
            hashed.ok_or("many attempts to sign in are waiting; try again in a few seconds")?;
        hashed.map_err(|error| error.to_string())
    }

    /// Keeps a secret until a code confirms it, for 10 minutes; an earlier one of the operator is forgotten.
    pub(super) fn begin_enrolment(&self, name: &str, secret: CodeSecret) {
        let mut enrolments = self.enrolments();
        enrolments.retain(|_, enrolment| enrolment.since.elapsed() < ENROLMENT);
        enrolments.insert(name.to_owned(), Enrolment { secret, since: Stopwatch::start() });
    }

    /// What can be made of the secret that an operator is enrolling; `None` if there is none.
    pub(super) fn with_enrolment<T>(
        &self,
        name: &str,
        work: impl FnOnce(&CodeSecret) -> T,
    ) -> Option<T> {
        let enrolments = self.enrolments();
        let enrolment = enrolments.get(name).filter(|one| one.since.elapsed() < ENROLMENT)?;
        Some(work(&enrolment.secret))
    }

    /// Records that an operator has signed in by another way than password and code. A full disk is no reason to keep
    /// an operator out.
    pub fn note(
        &self,
        directory: &Directory,
        identity: &Identity,
        way: &'static str,
        address: IpAddr,
    ) {
        let provider = match &identity.source {
            IdentitySource::Provider { issuer, subject } => Some((issuer.clone(), subject.clone())),
            IdentitySource::Host | IdentitySource::Named { .. } => None,
        };
        let (name, role) = (identity.name.clone(), identity.role);
        let note = NoteSignIn { name, role, way, address, provider };
        if let Err(error) = directory.submit(actor(&identity.name), note).wait() {
            tracing::error!(%error, operator = identity.name, way, "a sign-in to the console is not in the audit log");
        }
    }

    /// The secret that a code confirms, encrypted, and the step of the code; `None` for a wrong code.
    pub(super) fn confirm(
        &self,
        directory: &Directory,
        name: &str,
        code: &str,
    ) -> Result<Option<(SealedSecret, i64)>, DirectoryError> {
        let enrolments = self.enrolments();
        let enrolment = enrolments.get(name).filter(|one| one.since.elapsed() < ENROLMENT);
        let Some(enrolment) = enrolment else {
            let text = "the enrolment has ended after 10 minutes; begin again with another QR code";
            return Err(DirectoryError::Unfit(text.to_owned()));
        };
        match enrolment.secret.step_of(code, directory.time_for_expiry().as_second()) {
            Some(step) => Ok(Some((seal(directory, name, &enrolment.secret)?, step))),
            None => Ok(None),
        }
    }

    pub(super) fn end_enrolment(&self, name: &str) {
        self.enrolments().remove(name);
    }

    fn enrolments(&self) -> MutexGuard<'_, HashMap<String, Enrolment>> {
        self.enrolments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A named operator, as the audit log has it.
fn actor(name: &str) -> Actor {
    Actor::Operator { name: Some(name.to_owned()), uid: None, sudo: None }
}

/// Says in log and audit log why an operator could not sign in. A name that does not exist may be a password that was
/// entered in the wrong field: it is not written.
fn report(
    directory: &Directory,
    account: Option<&OperatorAccount>,
    address: IpAddr,
    refusal: &SignInRefusal,
) {
    let name = account.map_or("unknown", |account| account.name.as_str());
    tracing::warn!(operator = name, %address, reason = %refusal, "a sign-in to the console was refused");
    directory.record_denied(DeniedRequest {
        reason: Reason::ConsoleSignIn,
        owner: None,
        token: None,
        detail: Some(format!("operator {name}: {refusal}")),
        address,
    });
}

#[cfg(test)]
mod tests;
