//! The writer: the one thread that changes state.
//!
//! It takes what waits, runs each command against state with all earlier ones in place, commits the
//! changes as one group, and answers. While a group is being synced the next one gathers.

mod commit;
pub(crate) mod counters;
pub(crate) mod liveness;
pub(crate) mod pending;
pub(crate) mod settings_change;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock::Stopwatch;
use crate::directory::audit::denied::DeniedRequest;
use crate::directory::audit::record_denied::RecordDenied;
use crate::directory::brake::{self, Judged};
use crate::directory::core::DirectoryCore;
use crate::directory::error::DirectoryError;
use crate::directory::settings::Settings;
use crate::directory::token::commands::RecordTokenUse;
use crate::directory::transaction::{Command, PendingChange, Transaction};
use crate::directory::writer::settings_change::SettingsChange;
use crate::event::{Actor, Head};
use crate::log::{LogEntry, Write};
use crate::scim::error::{ScimError, ScimType};
use crate::store::StoreError;
use crate::store::overlay::Overlay;

/// How many commands may wait.
const QUEUE: usize = 1_024;
/// How many commands are committed at once.
const GROUP: usize = 512;
/// How many bytes of changes close a group.
const GROUP_BYTES: usize = 32 * 1024 * 1024;
/// How many bytes a command may change: well below what the journal takes as one change.
pub(crate) const MAX_COMMAND_BYTES: usize = 48 * 1024 * 1024;
/// How often the last use of tokens is put on disk.
const TOKEN_USE_PERIOD: Duration = Duration::from_secs(60);

/// What the writer is asked to do.
pub(crate) enum WriterMessage {
    /// Make a change.
    Run(Box<dyn QueuedJob>),
    /// Go by other settings from here on.
    ChangeSettings(Box<SettingsChange>),
}

impl WriterMessage {
    /// Answers that it is not done.
    pub(crate) fn fail(self, error: DirectoryError) {
        match self {
            Self::Run(job) => job.fail(error),
            Self::ChangeSettings(settings_change) => settings_change.fail(error),
        }
    }
}

/// The other end of the writer's thread. Dropping it lets the thread finish what waits.
pub(crate) struct WriterHandle {
    orders: Option<SyncSender<WriterMessage>>,
    thread: Option<JoinHandle<()>>,
}

impl WriterHandle {
    /// Hands in an order, unless too many wait.
    pub(crate) fn try_send(&self, order: WriterMessage) -> Result<(), TrySendError<WriterMessage>> {
        match &self.orders {
            Some(orders) => orders.try_send(order),
            None => Err(TrySendError::Disconnected(order)),
        }
    }

    /// Hands in an order, and waits for a place in the queue.
    pub(crate) fn send(&self, order: WriterMessage) -> Result<(), WriterMessage> {
        match &self.orders {
            Some(orders) => orders.send(order).map_err(|refused| refused.0),
            None => Err(order),
        }
    }

    /// Whether the thread takes orders.
    pub(crate) fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        drop(self.orders.take());
        // A thread can't wait for itself: the writer lets go last if nobody waits for what it publishes.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

/// A command that waits, whatever it answers.
pub(crate) trait QueuedJob: Send {
    /// Runs the command, perhaps not for the first time; returns what it wants changed, in order.
    fn run(
        &mut self,
        pending: &Overlay<'_>,
        shared: &DirectoryCore,
        settings: &Arc<Settings>,
    ) -> Vec<LogEntry>;
    /// Answers, now that what the command relied on is on disk.
    fn answer(self: Box<Self>, shared: &DirectoryCore);
    /// Answers that storage failed.
    fn fail(self: Box<Self>, error: DirectoryError);
}

/// A command with the one who waits for it.
pub(crate) struct QueuedCommand<C: Command> {
    /// Under which settings it was prepared.
    prepared: Arc<Settings>,
    actor: Actor,
    command: C,
    outcome: Option<Result<C::Output, DirectoryError>>,
    /// What was denied to the client in the last run.
    denied: Mutex<Vec<DeniedRequest>>,
    reply: oneshot::Sender<Result<C::Output, DirectoryError>>,
}

impl<C: Command> QueuedCommand<C> {
    pub(crate) fn new(
        prepared: Arc<Settings>,
        actor: Actor,
        command: C,
        reply: oneshot::Sender<Result<C::Output, DirectoryError>>,
    ) -> Self {
        Self { prepared, actor, command, outcome: None, denied: Mutex::default(), reply }
    }
}

impl<C: Command> QueuedJob for QueuedCommand<C> {
    fn run(
        &mut self,
        pending: &Overlay<'_>,
        shared: &DirectoryCore,
        settings: &Arc<Settings>,
    ) -> Vec<LogEntry> {
        if !C::OUTLASTS_SETTINGS && !Arc::ptr_eq(&self.prepared, settings) {
            self.outcome = Some(Err(DirectoryError::Superseded));
            return Vec::new();
        }
        let now = settings.clock.now();
        self.denied.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        let mut tx = Transaction::new(pending, &self.denied, settings, &self.actor, now);
        let outcome = brake::check(pending, &self.actor).and_then(|()| self.command.run(&mut tx));
        let mut changes = if outcome.is_ok() { tx.into_changes() } else { Vec::new() };
        let bytes: usize = changes.iter().map(|change| size(&change.writes)).sum();
        let mut outcome = if bytes > MAX_COMMAND_BYTES {
            changes.clear();
            Err(ScimError::new(
                ScimType::TooMany,
                "The request changes too much at once; change or remove members in several requests first.",
            )
            .into())
        } else {
            outcome
        };
        let judged = shared.brakes.judge(pending, settings, &self.actor, now, changes);
        let changes = match judged {
            Ok(Judged::Pass(changes)) => changes,
            Ok(Judged::Held(changes, error)) => {
                outcome = Err(error);
                changes
            }
            Err(error) => {
                outcome = Err(error);
                Vec::new()
            }
        };
        self.outcome = Some(outcome);
        changes
            .into_iter()
            .map(|PendingChange { event, details, writes }| {
                let head = Head { time: now, actor: self.actor.clone(), event, details };
                LogEntry { head, writes }
            })
            .collect()
    }

    fn answer(self: Box<Self>, shared: &DirectoryCore) {
        let outcome = self.outcome.unwrap_or(Err(DirectoryError::Stopped));
        let now = self.prepared.clock.now();
        for denied in self.denied.into_inner().unwrap_or_else(PoisonError::into_inner) {
            shared.denied.note(denied, now);
        }
        // Whoever asked may have gone; the change stands.
        let _ = self.reply.send(outcome);
    }

    fn fail(self: Box<Self>, error: DirectoryError) {
        let _ = self.reply.send(Err(error));
    }
}

/// The writer thread's side.
pub(crate) struct Writer {
    shared: Arc<DirectoryCore>,
    settings: Arc<Settings>,
    orders: Receiver<WriterMessage>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(
        shared: Arc<DirectoryCore>,
        settings: Arc<Settings>,
    ) -> Result<WriterHandle, DirectoryError> {
        let (sender, orders) = sync_channel(QUEUE);
        let mut writer = Self { shared, settings, orders };
        let thread = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                // A panic here leaves it unknown what was changed: end, and let every waiting and
                // later command be answered with that.
                if catch_unwind(AssertUnwindSafe(|| writer.run())).is_err() {
                    tracing::error!("the writer panicked; restart scimd to recover");
                }
            })
            .map_err(|error| {
                StoreError::Folder(format!("can't start the writer thread: {error}"))
            })?;
        Ok(WriterHandle { orders: Some(sender), thread: Some(thread) })
    }

    fn run(&mut self) {
        let (mut since_note, mut since_report) = (Stopwatch::start(), Stopwatch::start());
        let mut pause = RecordDenied::pause(None);
        let mut warming = true;
        loop {
            let until_note = TOKEN_USE_PERIOD.saturating_sub(since_note.elapsed());
            let until_report = pause.saturating_sub(since_report.elapsed());
            let until = if warming { Duration::ZERO } else { until_note.min(until_report) };
            match self.orders.recv_timeout(until) {
                Ok(first) => self.take(first),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.note_token_use();
                    self.record_denied();
                    return;
                }
            }
            warming = warming && self.shared.store.warm_up();
            if since_report.elapsed() >= pause {
                pause = self.record_denied();
                since_report = Stopwatch::start();
            }
            if since_note.elapsed() >= TOKEN_USE_PERIOD {
                self.note_token_use();
                since_note = Stopwatch::start();
            }
        }
    }

    /// Does what is asked first and what waits behind it, up to a change of the settings: what was asked
    /// for before is done before, under the settings of that time.
    fn take(&mut self, first: WriterMessage) {
        let mut next = Some(first);
        let mut jobs = Vec::new();
        let settings_change = loop {
            match next {
                Some(WriterMessage::Run(job)) => {
                    self.shared.counters.waiting.take_one();
                    jobs.push(job);
                }
                Some(WriterMessage::ChangeSettings(settings_change)) => {
                    break Some(settings_change);
                }
                None => break None,
            }
            next = if jobs.len() < GROUP { self.orders.try_recv().ok() } else { None };
        };
        self.commit(jobs);
        if let Some(settings_change) = settings_change {
            let mut settings = Arc::clone(&self.settings);
            settings_change.run(&mut settings, |save| self.carry_out(save));
            self.settings = settings;
        }
    }

    /// What is not worth a sync of its own: when tokens were last used.
    fn note_token_use(&self) {
        if let Some(used) = RecordTokenUse::from_table(&self.shared.tokens) {
            // What goes wrong is told where it does.
            let _ = self.carry_out(used);
        }
    }

    /// Puts refused requests into the trail; answers how long the next time is to be waited for. While
    /// nothing can be written they stay where they are.
    fn record_denied(&self) -> Duration {
        if self.shared.store.is_stopped() {
            return RecordDenied::pause(None);
        }
        let report = RecordDenied::from_log(&self.shared.denied);
        let pause = RecordDenied::pause(report.as_ref());
        if let Some(report) = report {
            let _ = self.carry_out(report);
        }
        pause
    }

    /// Carries out a command of scimd's own, at once.
    fn carry_out<C: Command>(&self, command: C) -> Result<C::Output, DirectoryError> {
        let (reply, mut answer) = oneshot::channel();
        let settings = Arc::clone(&self.settings);
        self.commit(vec![Box::new(QueuedCommand::new(settings, Actor::System, command, reply))]);
        answer.try_recv().unwrap_or(Err(DirectoryError::Stopped))
    }
}

/// How many bytes a change sets and removes.
fn size(writes: &[Write]) -> usize {
    writes.iter().map(Write::bytes).sum()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::access::Catalogue;
    use crate::clock::Clock;
    use crate::config::Config;
    use crate::directory::{Directory, Settings};
    use crate::event::{Event, Verb};
    use crate::scim::schema::Registry;
    use crate::store::Read as _;
    use crate::store::folder::DataFolder;
    use crate::store::local::{LocalStore, StoreLimits};

    /// Sets one key to so many bytes.
    struct Big(usize);

    const KEY: &[u8] = b"xbig";
    const LIMITS: StoreLimits = StoreLimits { cache_mib: 8, memory_mib: 64, min_free_mib: 0 };

    impl Command for Big {
        type Output = ();

        fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
            tx.put(KEY.to_vec(), vec![7; self.0 - KEY.len()]);
            let subject = String::new();
            tx.record(Event { kind: "test".to_owned(), verb: Verb::Replaced, subject });
            Ok(())
        }
    }

    fn store(folder: &Path) -> Arc<LocalStore> {
        let folder = DataFolder::open(folder).unwrap();
        Arc::new(LocalStore::open(folder, LIMITS, [7; 16], jiff::Timestamp::UNIX_EPOCH).unwrap())
    }

    fn directory(store: Arc<LocalStore>) -> Directory {
        let settings = Settings {
            registry: Arc::new(Registry::built_in()),
            catalogue: Arc::new(Catalogue::new(&Config::default())),
            brakes: Arc::default(),
            clock: Clock::System,
            max_resource_bytes: 1,
            max_scan: 1,
            max_search_time: Duration::from_secs(1),
        };
        Directory::open(store.log(), store, settings).unwrap()
    }

    #[test]
    fn the_largest_change_that_is_taken_is_read_back_and_a_larger_one_harms_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let directory = directory(store(folder.path()));
        directory.submit(Actor::System, Big(MAX_COMMAND_BYTES)).wait().unwrap();
        let refused = directory.submit(Actor::System, Big(MAX_COMMAND_BYTES + 1)).wait();
        assert!(matches!(
            refused,
            Err(DirectoryError::Invalid(ScimError { scim_type: ScimType::TooMany, .. }))
        ));
        directory.submit(Actor::System, Big(100)).wait().unwrap();
        drop(directory);

        // What counts is that the journal gives all of it back.
        std::fs::remove_dir_all(folder.path().join("state")).unwrap();
        let store = store(folder.path());
        assert_eq!(store.get(KEY).unwrap().map(|value| value.len()), Some(100 - KEY.len()));
    }
}
