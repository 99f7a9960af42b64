//! One command's view of the state, and what it wants changed.

pub(crate) mod budget;

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;

use crate::connection::MayGrant;
use crate::connection::token::TokenOwner;
use crate::directory::audit::denied::DeniedRequest;
use crate::directory::audit::details::ChangeDetails;
use crate::directory::error::DirectoryError;
use crate::directory::settings::Settings;
use crate::directory::transaction::budget::Budget;
use crate::event::{Actor, Details, Event, Reason};
use crate::store::overlay::Overlay;
use crate::store::{Read, StoreError, Write};

/// A change that the writer runs.
pub trait Command: Send + 'static {
    /// What it answers.
    type Output: Send + 'static;

    /// Whether it means the same under a later configuration than the one that it was prepared under.
    /// What does not is refused with [`DirectoryError::Superseded`] once there is a later one.
    const OUTLASTS_SETTINGS: bool = false;

    /// Whether it only clears what an earlier change left to be done. Then it runs whatever has become of the
    /// actor's token and connection since: the change was accepted.
    const IS_CLEANUP: bool = false;

    /// Whether an operator accepts the clock by it: then the writer trusts the clock before it runs.
    const ACCEPTS_CLOCK: bool = false;

    /// Whether it takes access away, and gives none: then it finds a place among what waits for the writer
    /// also where there is no other.
    fn takes_away(&self) -> bool {
        false
    }

    /// Reads, checks, and says through `tx` what is to change. It is run again if another writer of the
    /// same log was faster, so it changes nothing else.
    ///
    /// # Errors
    ///
    /// What it answers instead; then nothing changes.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<Self::Output, DirectoryError>;
}

/// A change that a command wants, before it has an actor and a moment.
pub(crate) struct PendingChange {
    pub(crate) event: Event,
    pub(crate) details: Details,
    pub(crate) writes: Vec<Write>,
}

/// State as it will be when all earlier commands are done, and the changes of this one.
pub struct Transaction<'a> {
    state: Overlay<'a>,
    event: Option<Event>,
    details: ChangeDetails,
    /// Changes of commands within this one that are done.
    done: Vec<PendingChange>,
    settings: &'a Settings,
    /// Denials to record once the command is answered.
    denied: &'a Mutex<Vec<DeniedRequest>>,
    actor: &'a Actor,
    now: Timestamp,
    budget: &'a Budget,
}

impl<'a> Transaction<'a> {
    pub(crate) fn new(
        pending: &'a Overlay<'_>,
        denied: &'a Mutex<Vec<DeniedRequest>>,
        settings: &'a Settings,
        actor: &'a Actor,
        now: Timestamp,
        budget: &'a Budget,
    ) -> Self {
        Self {
            state: Overlay::new(pending),
            event: None,
            details: ChangeDetails::default(),
            done: Vec::new(),
            settings,
            denied,
            actor,
            now,
            budget,
        }
    }

    /// Runs a command within this one: what it changes is a change of its own, and nothing if it fails.
    pub(crate) fn nested<C: Command>(&mut self, command: &C) -> Result<C::Output, DirectoryError> {
        let (output, changes) = self.inner(command)?;
        for change in &changes {
            self.state.absorb(&change.writes);
        }
        self.done.extend(changes);
        Ok(output)
    }

    /// Runs a command as [`Transaction::nested`] does, and drops what it changes.
    pub(crate) fn tried<C: Command>(&self, command: &C) -> Result<C::Output, DirectoryError> {
        self.inner(command).map(|(output, _)| output)
    }

    fn inner<C: Command>(
        &self,
        command: &C,
    ) -> Result<(C::Output, Vec<PendingChange>), DirectoryError> {
        let mut tx = Transaction {
            state: Overlay::new(&self.state),
            event: None,
            details: ChangeDetails::default(),
            done: Vec::new(),
            settings: self.settings,
            denied: self.denied,
            actor: self.actor,
            now: self.now,
            budget: self.budget,
        };
        let output = command.run(&mut tx)?;
        Ok((output, tx.into_changes()))
    }

    /// The moment at which the command runs.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// The name of the connection through which the command came, if it did through one.
    pub(crate) fn connection(&self) -> Option<&'a str> {
        match self.actor {
            Actor::Connection { name, .. } => Some(name),
            Actor::Operator { .. } | Actor::System => None,
        }
    }

    /// What access the connection may give, if not all.
    pub(crate) fn may_grant(&self) -> Option<&'a MayGrant> {
        self.settings.local.may_grant.get(self.connection()?)
    }

    /// What the directory works by.
    pub(crate) fn settings(&self) -> &'a Settings {
        self.settings
    }

    /// Sets a key.
    pub(crate) fn put(&mut self, key: Vec<u8>, value: impl Into<Bytes>) {
        let value = value.into();
        self.budget.write(key.len() + value.len());
        self.state.put(key, value);
    }

    /// Removes a key.
    pub(crate) fn delete(&mut self, key: Vec<u8>) {
        self.budget.write(key.len());
        self.state.delete(key);
    }

    /// The state as the command sees it, read without charging its budget: for what takes access away,
    /// which never fails for size.
    pub(crate) fn unmetered(&self) -> &dyn Read {
        &self.state
    }

    /// Who makes the change.
    pub(crate) fn actor(&self) -> &'a Actor {
        self.actor
    }

    /// Whether the command has written at most this number of bytes so far, and has as many left as it has written.
    pub(crate) fn bytes_within(&self, most: usize) -> bool {
        self.budget.has_written_at_most(most as u64)
    }

    /// How many bytes the command sets and removes so far.
    pub(crate) fn bytes(&self) -> usize {
        self.state.bytes()
    }

    /// What the command may still cost.
    pub(crate) fn budget(&self) -> &'a Budget {
        self.budget
    }

    /// Says what the change is. A command that does not say so changes nothing.
    pub(crate) fn record(&mut self, event: Event) {
        self.event = Some(event);
    }

    /// What the audit trail records of the change.
    pub(crate) fn details(&mut self) -> &mut ChangeDetails {
        &mut self.details
    }

    /// Notes for the audit trail that the client was refused something.
    pub(crate) fn record_denied(&self, reason: Reason) {
        if let Actor::Connection { name, token, address } = self.actor {
            let owner = Some(TokenOwner::Connection(name.clone()));
            let (token, detail, address) = (Some(token.clone()), None, *address);
            let denied = DeniedRequest { reason, owner, token, detail, address };
            self.denied.lock().unwrap_or_else(PoisonError::into_inner).push(denied);
        }
    }

    /// What the command wants changed, in order.
    pub(crate) fn into_changes(self) -> Vec<PendingChange> {
        let mut changes = self.done;
        changes.extend(self.event.map(|event| PendingChange {
            event,
            details: self.details.into_details(),
            writes: self.state.into_writes(),
        }));
        changes
    }
}

impl Read for Transaction<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.budget.read(1)?;
        self.state.get(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.budget.read(1)?;
        let mut within = Ok(());
        self.state.scan(prefix, after, &mut |key, value| {
            within = self.budget.read(1);
            if within.is_err() { ControlFlow::Break(()) } else { visit(key, value) }
        })?;
        within
    }
}
