//! The writer: the one thread that changes state.
//!
//! It takes what waits, runs each command against state with all earlier ones in place, commits the
//! changes as one group, and answers. While a group is being synced the next one gathers.

mod clearing;
mod clock;
mod commit;
mod following;
pub(crate) mod job;
pub(crate) mod liveness;
pub(crate) mod pending;
pub(crate) mod queue;
mod record_denied;
pub(crate) mod settings_change;
#[cfg(test)]
mod shared_log;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock::Stopwatch;
use crate::directory::core::DirectoryCore;
use crate::directory::error::DirectoryError;
use crate::directory::settings::Settings;
use crate::directory::token::client_commands::RecordClientUse;
use crate::directory::token::commands::RecordTokenUse;
use crate::directory::transaction::Command;
use crate::directory::writer::clearing::Clearing;
use crate::directory::writer::job::QueuedCommand;
use crate::directory::writer::queue::{Popped, PushError, Queue, WriterMessage};
use crate::directory::writer::record_denied::RecordDenied;
use crate::event::Actor;
use crate::store::StoreError;

/// How many commands are committed at once.
const GROUP: usize = 512;
/// How many bytes of changes close a group.
const GROUP_BYTES: usize = 32 * 1024 * 1024;
/// How long commands run until their group is closed: each that runs longer is a group of its own.
const GROUP_TIME: Duration = Duration::from_millis(100);
/// Clearing runs after this many groups of commands, even if more commands wait.
const GROUPS_BETWEEN_CLEARING: u64 = 8;
/// How often the last use of tokens is put on disk.
const TOKEN_USE_PERIOD: Duration = Duration::from_secs(60);

/// The other end of the writer's thread. Dropping it lets the thread finish what waits.
pub(crate) struct WriterHandle {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
    /// The threads that follow a shared log, and what ends them.
    following: Vec<JoinHandle<()>>,
    shared: Arc<DirectoryCore>,
}

impl WriterHandle {
    /// Hands in a message, unless it is a client's and too many wait.
    pub(crate) fn try_send(&self, message: WriterMessage) -> Result<(), PushError> {
        self.queue.try_push(message)
    }

    /// Hands in a message, however many wait.
    pub(crate) fn send(&self, message: WriterMessage) -> Result<(), PushError> {
        self.queue.push(message)
    }

    /// Whether the thread takes messages.
    pub(crate) fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        self.queue.close();
        // A thread can't wait for itself: the writer lets go last if no other thread waits for what it publishes.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
        self.shared.latest.close();
        for thread in self.following.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The writer thread's side.
pub(crate) struct Writer {
    shared: Arc<DirectoryCore>,
    settings: Arc<Settings>,
    queue: Arc<Queue>,
    clearing: Clearing,
    /// Whether another node has put settings in force that this one can't go by without a restart.
    is_outdated: bool,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(
        shared: Arc<DirectoryCore>,
        settings: Arc<Settings>,
    ) -> Result<WriterHandle, DirectoryError> {
        let queue = Arc::new(Queue::new());
        let clearing = Clearing::new();
        let following = match shared.log.is_shared() {
            true => following::start(&shared, &queue)?,
            false => Vec::new(),
        };
        let core = Arc::clone(&shared);
        let is_outdated = false;
        let mut writer =
            Self { shared, settings, queue: Arc::clone(&queue), clearing, is_outdated };
        let thread = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                // A panic here leaves it unknown what was changed: end, and let every waiting and
                // later command be answered with that.
                if catch_unwind(AssertUnwindSafe(|| writer.run())).is_err() {
                    tracing::error!("the writer panicked; restart scimd to recover");
                }
                for message in writer.queue.stop() {
                    message.fail(DirectoryError::Stopped);
                }
            })
            .map_err(|error| {
                StoreError::Folder(format!("can't start the writer thread: {error}"))
            })?;
        Ok(WriterHandle { queue, thread: Some(thread), following, shared: core })
    }

    fn run(&mut self) {
        let (mut since_note, mut since_report) = (Stopwatch::start(), Stopwatch::start());
        let mut pause = RecordDenied::pause(None);
        let mut warming = true;
        let mut groups = 0_u64;
        loop {
            self.watch_clock();
            let until_note = TOKEN_USE_PERIOD.saturating_sub(since_note.elapsed());
            let until_report = pause.saturating_sub(since_report.elapsed());
            let until = match warming {
                true => Duration::ZERO,
                false => until_note.min(until_report).min(self.clearing.due_in()),
            };
            match self.queue.pop_within(until) {
                Popped::Message(first) => {
                    self.take(first);
                    groups += 1;
                    self.clearing.look(self.shared.store.as_ref());
                    if groups.is_multiple_of(GROUPS_BETWEEN_CLEARING) {
                        self.clear_memberships();
                    }
                }
                Popped::Nothing => self.clear_memberships(),
                Popped::Closed => {
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

    /// Runs the first message and the messages queued after it, up to a large command or a change of the settings,
    /// so that earlier commands run under the settings of their time.
    fn take(&mut self, first: WriterMessage) {
        let mut next = Some(first);
        let mut jobs = Vec::new();
        let mut follows = false;
        let settings_change = loop {
            match next {
                Some(WriterMessage::Run(job)) => {
                    self.shared.counters.waiting.take_one();
                    let is_large = job.is_large();
                    jobs.push(job);
                    // What comes meanwhile has its turn before the next large one.
                    if is_large {
                        break None;
                    }
                }
                Some(WriterMessage::ChangeSettings(settings_change)) => {
                    break Some(settings_change);
                }
                Some(WriterMessage::Follow) => follows = true,
                None => break None,
            }
            next = if jobs.len() < GROUP { self.queue.try_pop() } else { None };
        };
        if follows {
            self.follow();
        }
        self.commit(jobs);
        if let Some(settings_change) = settings_change
            && let Some(settings) = settings_change.run(|save| self.carry_out(save))
        {
            self.settings = settings;
        }
    }

    /// Clears a part of the memberships that a change has left to be cleared, if there is any.
    fn clear_memberships(&mut self) {
        let shared = Arc::clone(&self.shared);
        let store = shared.store.as_ref();
        let Some(clear) = self.clearing.next(store) else { return };
        let actor = clear.actor(store).map_err(DirectoryError::from);
        let outcome = actor.and_then(|actor| self.carry_out_as(actor, clear));
        self.clearing.done(clear, outcome, store);
    }

    /// Records when tokens and clients were last used.
    fn note_token_use(&mut self) {
        if let Some(used) = RecordTokenUse::from_table(&self.shared.tokens) {
            // A failure is logged where it happens.
            let _ = self.carry_out(used);
        }
        if let Some(used) = RecordClientUse::from_table(&self.shared.clients) {
            let _ = self.carry_out(used);
        }
    }

    /// Puts refused requests into the trail; answers how long the next time is to be waited for. While
    /// nothing can be written they stay where they are.
    fn record_denied(&mut self) -> Duration {
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
    fn carry_out<C: Command>(&mut self, command: C) -> Result<C::Output, DirectoryError> {
        self.carry_out_as(Actor::System, command)
    }

    fn carry_out_as<C: Command>(
        &mut self,
        actor: Actor,
        command: C,
    ) -> Result<C::Output, DirectoryError> {
        let (reply, mut answer) = oneshot::channel();
        let settings = Arc::clone(&self.settings);
        self.commit(vec![Box::new(QueuedCommand::new(settings, actor, command, reply))]);
        answer.try_recv().map_or(Err(DirectoryError::Stopped), |(outcome, _)| outcome)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use super::*;
    use crate::clock::Clock;
    use crate::connection::token::TokenOwner;
    use crate::directory::transaction::Transaction;
    use crate::directory::transaction::budget::MAX_BYTES;
    use crate::directory::{Directory, GenerateToken, LocalSettings, RevokeToken};
    use crate::event::{Event, Verb};
    use crate::scim::error::{ScimError, ScimType};
    use crate::settings::SharedSettings;
    use crate::store::Read as _;
    use crate::store::folder::DataFolder;
    use crate::store::local::{LocalStore, StoreLimits};

    /// Sets one key to a value of this many bytes, the key included.
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
        let settings = LocalSettings {
            brakes: Arc::default(),
            may_grant: Arc::default(),
            clock: Clock::System,
            max_resource_bytes: 1,
            max_scan: 1,
            max_search_time: Duration::from_secs(1),
            reads_latest: false,
        };
        Directory::open_as_saved(store.log(), store, &SharedSettings::default(), settings).unwrap()
    }

    #[test]
    fn the_largest_change_that_is_taken_is_read_back_and_a_larger_one_harms_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let directory = directory(store(folder.path()));
        directory.submit(Actor::System, Big(MAX_BYTES)).wait().unwrap();
        let refused = directory.submit(Actor::System, Big(MAX_BYTES + 1)).wait();
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

    /// Sets a key, then panics.
    struct Faulty;

    impl Command for Faulty {
        type Output = ();

        fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
            Big(100).run(tx)?;
            panic!("a bug");
        }
    }

    /// Reads more keys than a client's command may, and does not care.
    struct Greedy;

    impl Command for Greedy {
        type Output = ();

        fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
            while tx.get(KEY).is_ok() {}
            Big(100).run(tx)
        }
    }

    #[test]
    fn a_command_that_panics_fails_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let directory = directory(store.clone());
        let failed = directory.submit(Actor::System, Faulty).wait();
        assert!(matches!(failed, Err(DirectoryError::Internal)));
        assert_eq!(store.get(KEY).unwrap(), None);
        directory.submit(Actor::System, Big(200)).wait().unwrap();
        assert_eq!(store.get(KEY).unwrap().unwrap().len(), 200 - KEY.len());
        assert!(directory.is_writable());
    }

    /// A client with a token of its own.
    fn client(directory: &Directory) -> Actor {
        let generate = GenerateToken {
            owner: TokenOwner::Connection("okta".to_owned()),
            valid_for: None,
            description: None,
        };
        let token = directory.submit(Actor::System, generate).wait().unwrap().token.id;
        Actor::Connection { name: "okta".to_owned(), token, address: [127, 0, 0, 1].into() }
    }

    #[test]
    fn a_command_past_its_budget_changes_nothing_and_the_next_one_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let directory = directory(store.clone());
        let client = client(&directory);
        let refused = directory.submit(client.clone(), Greedy).wait();
        assert!(matches!(
            refused,
            Err(DirectoryError::Invalid(ScimError { scim_type: ScimType::TooMany, .. }))
        ));
        assert_eq!(store.get(KEY).unwrap(), None);
        directory.submit(client, Big(100)).wait().unwrap();
    }

    #[test]
    fn a_command_whose_token_is_revoked_while_it_waits_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let directory = directory(store.clone());
        let client = client(&directory);
        let Actor::Connection { token, .. } = &client else { unreachable!() };
        directory.submit(client.clone(), Big(100)).wait().unwrap();
        directory.submit(Actor::System, RevokeToken { id: token.clone() }).wait().unwrap();
        let refused = directory.submit(client, Big(200)).wait();
        assert!(matches!(refused, Err(DirectoryError::Unauthenticated)));
        assert_eq!(store.get(KEY).unwrap().unwrap().len(), 100 - KEY.len());
    }

    /// Keeps the writer busy until the other end of the channel goes.
    struct Busy(Mutex<std::sync::mpsc::Receiver<()>>);

    impl Command for Busy {
        type Output = ();

        fn run(&self, _tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
            let _ = self.0.lock().unwrap().recv();
            Ok(())
        }
    }

    #[test]
    fn operators_go_ahead_of_clients_and_are_never_refused_for_want_of_room() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let directory = directory(store.clone());
        let client = client(&directory);
        let Actor::Connection { token, .. } = client.clone() else { unreachable!() };
        let (go_on, wait) = channel();
        let busy = directory.submit(Actor::System, Busy(Mutex::new(wait)));
        // The writer has taken it: from here on all wait.
        while directory.shared.counters.waiting.value() > 0 {
            std::thread::yield_now();
        }
        let waiting: Vec<_> =
            (0..queue::CAPACITY).map(|_| directory.submit(client.clone(), Big(100))).collect();
        let full = directory.submit(client, Big(100)).wait();
        assert!(matches!(full, Err(DirectoryError::Busy)));
        let revoke = directory.submit(
            Actor::Operator { uid: None, name: None, sudo: None },
            RevokeToken { id: token },
        );
        drop(go_on);
        busy.wait().unwrap();
        revoke.wait().unwrap();
        for command in waiting {
            assert!(matches!(command.wait(), Err(DirectoryError::Unauthenticated)));
        }
        assert_eq!(store.get(KEY).unwrap(), None);
    }

    #[test]
    fn no_answer_waits_for_a_large_command_that_comes_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let directory = directory(store(folder.path()));
        let client = client(&directory);
        let (go_on, wait) = channel();
        let busy = directory.submit(Actor::System, Busy(Mutex::new(wait)));
        let before = directory.submit(client.clone(), Big(100));
        let (go_on_large, wait) = channel();
        let large = directory.submit_request(client, ("", 16 * 1024 + 1), Busy(Mutex::new(wait)));
        drop(go_on);
        busy.wait().unwrap();
        before.wait().unwrap();
        drop(go_on_large);
        large.wait().unwrap();
    }

    #[test]
    fn a_command_whose_client_is_gone_before_it_ran_is_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let directory = directory(store.clone());
        let client = client(&directory);
        let (go_on, wait) = channel();
        let busy = directory.submit(Actor::System, Busy(Mutex::new(wait)));
        drop(directory.submit(client.clone(), Big(100)));
        drop(go_on);
        busy.wait().unwrap();
        directory.submit(client, Faulty).wait().unwrap_err();
        assert_eq!(store.get(KEY).unwrap(), None);
    }
}
