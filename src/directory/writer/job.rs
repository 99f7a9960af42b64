//! One command on its way through the writer: checked, run in isolation, judged by the brake, answered.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::directory::audit::denied::DeniedRequest;
use crate::directory::brake::{self, Judged};
use crate::directory::core::DirectoryCore;
use crate::directory::error::DirectoryError;
use crate::directory::settings::Settings;
use crate::directory::token::validity;
use crate::directory::transaction::budget::{Budget, BudgetLimits, MAX_BYTES};
use crate::directory::transaction::{Command, PendingChange, Transaction};
use crate::directory::writer::pending::Answer;
use crate::event::{Actor, Head};
use crate::log::{LogEntry, Write};
use crate::scim::error::{ScimError, ScimType};
use crate::store::StoreError;
use crate::store::overlay::Overlay;

/// The body of a request with more bytes may take long.
const LARGE: usize = 16 * 1024;

/// A command that waits, whatever it answers.
pub(crate) trait QueuedJob: Send {
    /// The connection of the client that waits; `None` for what goes ahead of clients.
    fn connection(&self) -> Option<&str>;
    /// Whether it takes access away, and gives none.
    fn takes_away(&self) -> bool;
    /// Whether it may take long, as its request is large: then nobody else has to wait for its end.
    fn is_large(&self) -> bool;
    /// Runs the command, perhaps not for the first time; returns what it wants changed, in order. If there is a
    /// `shortage`, it fails with that unless it only takes access away.
    fn run(
        &mut self,
        pending: &Overlay<'_>,
        shared: &DirectoryCore,
        settings: &Arc<Settings>,
        shortage: Option<&StoreError>,
    ) -> Vec<LogEntry>;
    /// Answers, now that what the command relied on is on disk; `changes` are the sequences of what it changed.
    fn answer(self: Box<Self>, shared: &DirectoryCore, changes: Option<Range<u64>>);
    /// Answers that storage failed.
    fn fail(self: Box<Self>, error: DirectoryError);
}

/// A command with the sender through which its answer goes.
pub(crate) struct QueuedCommand<C: Command> {
    /// Under which settings it was prepared.
    prepared: Arc<Settings>,
    actor: Actor,
    command: C,
    /// The size of the request that the command comes from, if it comes from one.
    body_bytes: Option<usize>,
    /// The id of that request.
    request: Option<String>,
    outcome: Option<Result<C::Output, DirectoryError>>,
    /// What was denied to the client in the last run.
    denied: Mutex<Vec<DeniedRequest>>,
    reply: oneshot::Sender<Answer<C::Output>>,
}

impl<C: Command> QueuedCommand<C> {
    pub(crate) fn new(
        prepared: Arc<Settings>,
        actor: Actor,
        command: C,
        reply: oneshot::Sender<Answer<C::Output>>,
    ) -> Self {
        let (body_bytes, request, outcome, denied) = (None, None, None, Mutex::default());
        Self { prepared, actor, command, body_bytes, request, outcome, denied, reply }
    }

    /// Limits what the command may write in proportion to the size of its request, whose id goes into the log.
    pub(crate) fn of_request(mut self, id: &str, body_bytes: usize) -> Self {
        self.body_bytes = Some(body_bytes);
        self.request = (!id.is_empty()).then(|| id.to_owned());
        self
    }

    /// Runs the command; what it answers, and what changes.
    fn attempt(
        &self,
        pending: &Overlay<'_>,
        shared: &DirectoryCore,
        settings: &Settings,
        now: Timestamp,
        shortage: Option<&StoreError>,
    ) -> (Result<C::Output, DirectoryError>, Vec<PendingChange>) {
        let admitted = match C::IS_CLEANUP {
            true => Ok(()),
            false => {
                let now = shared.time.for_expiry(settings.local.clock);
                validity::check(pending, (&shared.tokens, &shared.clients), &self.actor, now)
                    .and_then(|()| brake::check(pending, &self.actor))
            }
        };
        let run = || {
            let limits = BudgetLimits::of(&self.actor, C::IS_CLEANUP);
            let budget = Budget::new(match self.body_bytes {
                Some(body_bytes) => {
                    limits.of_request(body_bytes, settings.local.max_resource_bytes)
                }
                None => limits,
            });
            let mut tx =
                Transaction::new(pending, &self.denied, settings, &self.actor, now, &budget);
            let output = self.command.run(&mut tx)?;
            budget.check()?;
            Ok::<_, DirectoryError>((output, tx.into_changes()))
        };
        if let Err(DirectoryError::Held(_)) = &admitted {
            // What it would do is listed for the operator, and dropped.
            if let Ok((_, changes)) = run() {
                shared.brakes.note_withheld(pending, &self.actor, now, &changes);
            }
            self.denied.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        let ran = admitted.and_then(|()| {
            let (output, changes) = run()?;
            check_size(&changes)?;
            if let Some(shortage) = shortage
                && !brake::only_take_away(pending, settings, &self.actor, &changes)?
            {
                return Err(shortage.for_waiting().into());
            }
            Ok((output, changes))
        });
        let (output, changes) = match ran {
            Ok(ran) => ran,
            Err(error) => return (Err(error), Vec::new()),
        };
        if C::IS_CLEANUP {
            return (Ok(output), changes);
        }
        match shared.brakes.judge(pending, settings, &self.actor, now, changes) {
            Ok(Judged::Pass(changes)) => (Ok(output), changes),
            Ok(Judged::Held(changes, error)) => (Err(error), changes),
            Err(error) => (Err(error), Vec::new()),
        }
    }
}

impl<C: Command> QueuedJob for QueuedCommand<C> {
    fn connection(&self) -> Option<&str> {
        match &self.actor {
            Actor::Connection { name, .. } => Some(name),
            Actor::Operator { .. } | Actor::System => None,
        }
    }

    fn takes_away(&self) -> bool {
        self.command.takes_away()
    }

    fn is_large(&self) -> bool {
        self.body_bytes.is_some_and(|bytes| bytes > LARGE)
    }

    fn run(
        &mut self,
        pending: &Overlay<'_>,
        shared: &DirectoryCore,
        settings: &Arc<Settings>,
        shortage: Option<&StoreError>,
    ) -> Vec<LogEntry> {
        // A client that is gone waits for no answer. What ran before may be on disk already.
        if self.outcome.is_none() && self.connection().is_some() && self.reply.is_closed() {
            return Vec::new();
        }
        if !C::OUTLASTS_SETTINGS && !Arc::ptr_eq(&self.prepared, settings) {
            self.outcome = Some(Err(DirectoryError::Superseded));
            return Vec::new();
        }
        let clock = settings.local.clock;
        if C::ACCEPTS_CLOCK {
            shared.time.accept(clock);
        }
        let now = shared.time.for_records(clock);
        self.denied.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        // A command only fills an overlay: if it panics, the overlay goes, and nothing has happened. The
        // panic hook has logged where; this says what was asked.
        let ran = catch_unwind(AssertUnwindSafe(|| {
            self.attempt(pending, shared, settings, now, shortage)
        }));
        let (outcome, changes) = ran.unwrap_or_else(|_| {
            let command = std::any::type_name::<C>();
            tracing::error!(
                command,
                "a change failed because of a bug in scimd; nothing was changed"
            );
            (Err(DirectoryError::Internal), Vec::new())
        });
        self.outcome = Some(outcome);
        changes
            .into_iter()
            .map(|PendingChange { event, mut details, writes }| {
                details.request.clone_from(&self.request);
                let head = Head { time: now, actor: self.actor.clone(), event, details };
                LogEntry { head, writes }
            })
            .collect()
    }

    fn answer(self: Box<Self>, shared: &DirectoryCore, changes: Option<Range<u64>>) {
        let outcome = self.outcome.unwrap_or(Err(DirectoryError::Stopped));
        let now = shared.time.for_records(self.prepared.local.clock);
        for denied in self.denied.into_inner().unwrap_or_else(PoisonError::into_inner) {
            shared.denied.note(denied, now);
        }
        // The client may be gone; the change stands.
        let _ = self.reply.send((outcome, changes));
    }

    fn fail(self: Box<Self>, error: DirectoryError) {
        let _ = self.reply.send((Err(error), None));
    }
}

/// Refuses more than the log takes as one change, no matter who asks.
fn check_size(changes: &[PendingChange]) -> Result<(), DirectoryError> {
    let bytes: usize = changes.iter().map(|change| size(&change.writes)).sum();
    if bytes > MAX_BYTES {
        return Err(ScimError::new(
            ScimType::TooMany,
            "The request changes too much at once; change or remove members in several requests first.",
        )
        .into());
    }
    Ok(())
}

/// How many bytes a change sets and removes.
pub(super) fn size(writes: &[Write]) -> usize {
    writes.iter().map(Write::bytes).sum()
}
