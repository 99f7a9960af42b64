//! The way of a record from the request to the files: a bounded channel and one thread.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::bodies::{Captures, RawBodies};
use super::entry::RequestEntry;
use super::query::{RequestPage, RequestQuery};
use super::read::read;
use super::ring::{Ring, RingLimits};
use super::traffic::{Traffic, traffic};
use super::{DENIED, SERVED};
use jiff::Timestamp;

use crate::clock::{Clock, Stopwatch};
use crate::metrics::Counter;

/// The number of records that may wait for the thread.
const CAPACITY: usize = 4_096;
/// The bytes of bodies that may wait for the thread; others are not kept.
const MAX_WAITING: usize = 16 << 20;
/// How long records gather before they are written. Meanwhile the thread is not woken.
const GATHER: Duration = Duration::from_millis(20);
/// How often old files are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(60 * 60);
/// How often a failure to write is logged.
const REPORT_EVERY: Duration = Duration::from_secs(60);
/// Denied requests have one part in this number of the whole.
const DENIED_SHARE: u64 = 8;

/// How much the request log keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLogLimits {
    /// The size of all files, in bytes; 0 to keep nothing.
    pub max_bytes: u64,
    /// The age of the oldest record.
    pub max_age: Duration,
    /// The bytes that must stay free on the disk: below, no requests are recorded.
    pub min_free: u64,
}

impl RequestLogLimits {
    fn served(self) -> RingLimits {
        let max_bytes = self.max_bytes - self.denied().max_bytes;
        RingLimits { max_bytes, max_age: self.max_age, min_free: self.min_free }
    }

    fn denied(self) -> RingLimits {
        RingLimits {
            max_bytes: self.max_bytes / DENIED_SHARE,
            max_age: self.max_age,
            min_free: self.min_free,
        }
    }
}

/// The request log of a running server. Dropping it writes what waits.
pub struct RequestLog {
    folder: PathBuf,
    /// `None` once it is being dropped.
    sender: Option<SyncSender<Message>>,
    dropped: Arc<Counter>,
    captures: Captures,
    /// The bytes of bodies that wait for the thread.
    waiting: Arc<AtomicUsize>,
    /// What the thread goes by.
    limits: Arc<Mutex<RequestLogLimits>>,
    thread: Option<JoinHandle<()>>,
}

enum Message {
    Served(Box<RequestEntry>, Option<RawBodies>),
    Denied(Box<RequestEntry>),
    /// Answered once everything before is in the files.
    Flush(SyncSender<()>),
}

impl RequestLog {
    /// Starts the thread, which writes to the files in `folder`.
    ///
    /// # Errors
    ///
    /// The operating system refuses a thread.
    pub fn start(folder: PathBuf, limits: RequestLogLimits) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(CAPACITY);
        let dropped = Arc::new(Counter::default());
        let (waiting, limits) = (Arc::default(), Arc::new(Mutex::new(limits)));
        let recorder = Recorder {
            folder: folder.clone(),
            dropped: Arc::clone(&dropped),
            waiting: Arc::clone(&waiting),
            limits: Arc::clone(&limits),
            failed: None,
        };
        let thread = std::thread::Builder::new()
            .name("request-log".to_owned())
            .spawn(move || recorder.run(&receiver))?;
        Ok(Self {
            folder,
            sender: Some(sender),
            dropped,
            captures: Captures::default(),
            waiting,
            limits,
            thread: Some(thread),
        })
    }

    /// Records a request that was authenticated. Never waits.
    pub fn note_served(&self, entry: RequestEntry, bodies: Option<RawBodies>) {
        let bodies = bodies.filter(|bodies| {
            let waiting = self.waiting.fetch_add(bodies.len(), Ordering::Relaxed) + bodies.len();
            if waiting > MAX_WAITING {
                self.waiting.fetch_sub(bodies.len(), Ordering::Relaxed);
            }
            waiting <= MAX_WAITING
        });
        self.send(Message::Served(Box::new(entry), bodies));
    }

    /// Keeps the bodies of a connection from now on, for a time; for no time to end it. `hidden` are the names
    /// of the attributes whose values are masked, in lower case.
    pub fn capture(&self, connection: &str, lasts: Duration, hidden: BTreeSet<String>) {
        self.captures.begin(connection, lasts, hidden);
    }

    /// The names of the attributes to mask, if the bodies of a connection are kept.
    pub fn captured(&self, connection: &str) -> Option<Arc<BTreeSet<String>>> {
        self.captures.of(connection)
    }

    /// Records a denied request, or a summary of some. Never waits.
    pub fn note_denied(&self, entry: RequestEntry) {
        self.send(Message::Denied(Box::new(entry)));
    }

    /// Applies other limits to everything that is written from now on. Never waits for a disk.
    pub fn set_limits(&self, limits: RequestLogLimits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// The records that a query asks for, with all that were noted before. Waits for the thread.
    ///
    /// # Errors
    ///
    /// A file can't be read.
    pub fn find(&self, query: &RequestQuery) -> std::io::Result<RequestPage> {
        self.flush();
        read(&self.folder, query)
    }

    /// The requests of each connection since a time. Waits for the thread.
    ///
    /// # Errors
    ///
    /// A file can't be read.
    pub fn traffic(&self, since: Timestamp) -> std::io::Result<BTreeMap<String, Traffic>> {
        self.flush();
        traffic(&self.folder, since)
    }

    /// Waits until all that was noted before is in the files.
    fn flush(&self) {
        let (done, is_done) = sync_channel(1);
        if let Some(sender) = &self.sender
            && sender.send(Message::Flush(done)).is_ok()
        {
            // If the thread is gone, the files have what they have.
            let _ = is_done.recv();
        }
    }

    /// The number of records that were dropped: too many waited, or they could not be written.
    pub fn dropped(&self) -> u64 {
        self.dropped.value()
    }

    fn send(&self, message: Message) {
        let sent = self.sender.as_ref().map(|sender| sender.try_send(message));
        if let Some(Err(TrySendError::Full(unsent) | TrySendError::Disconnected(unsent))) = sent {
            if let Message::Served(_, Some(bodies)) = unsent {
                self.waiting.fetch_sub(bodies.len(), Ordering::Relaxed);
            }
            self.dropped.add_one();
        }
    }
}

impl Drop for RequestLog {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread's side.
struct Recorder {
    folder: PathBuf,
    dropped: Arc<Counter>,
    waiting: Arc<AtomicUsize>,
    limits: Arc<Mutex<RequestLogLimits>>,
    /// When a failure was last logged.
    failed: Option<Stopwatch>,
}

impl Recorder {
    fn run(mut self, receiver: &Receiver<Message>) {
        let mut limits = self.limits();
        let served = Ring::open(self.folder.join(SERVED), limits.served());
        let denied = Ring::open(self.folder.join(DENIED), limits.denied());
        let (mut served, mut denied) = match (served, denied) {
            (Ok(served), Ok(denied)) => (served, denied),
            (Err(error), _) | (_, Err(error)) => {
                let folder = self.folder.display();
                tracing::error!(%error, %folder, "the request log can't be opened; no requests are recorded");
                return;
            }
        };
        let mut line = Vec::new();
        loop {
            served.prune(Clock::System.now());
            denied.prune(Clock::System.now());
            let since_prune = Stopwatch::start();
            while since_prune.elapsed() < PRUNE_EVERY {
                let mut next = match receiver.recv_timeout(PRUNE_EVERY) {
                    Ok(message) => Some(message),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                };
                // No request has to wake a thread that is not waiting.
                std::thread::sleep(GATHER);
                if limits != self.limits() {
                    limits = self.limits();
                    for (ring, limits) in
                        [(&mut served, limits.served()), (&mut denied, limits.denied())]
                    {
                        ring.set_limits(limits);
                        ring.prune(Clock::System.now());
                    }
                }
                while let Some(message) = next {
                    match message {
                        Message::Served(mut entry, bodies) => {
                            if let Some(bodies) = bodies {
                                self.waiting.fetch_sub(bodies.len(), Ordering::Relaxed);
                                entry.bodies = Some(bodies.mask());
                            }
                            self.write(&mut served, &mut entry, &mut line);
                        }
                        Message::Denied(mut entry) => {
                            self.write(&mut denied, &mut entry, &mut line);
                        }
                        Message::Flush(done) => drop(done.send(())),
                    }
                    next = match receiver.try_recv() {
                        Ok(message) => Some(message),
                        Err(TryRecvError::Empty) => None,
                        Err(TryRecvError::Disconnected) => return,
                    };
                }
            }
        }
    }

    fn limits(&self) -> RequestLogLimits {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&mut self, ring: &mut Ring, entry: &mut RequestEntry, line: &mut Vec<u8>) {
        entry.mask_tokens();
        line.clear();
        entry.encode(line);
        if let Err(error) = ring.append(entry, line) {
            self.dropped.add_one();
            if self.failed.is_none_or(|failed| failed.elapsed() > REPORT_EVERY) {
                self.failed = Some(Stopwatch::start());
                let folder = self.folder.display();
                tracing::warn!(%error, %folder, "writing to the request log failed; records are dropped");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::sample;
    use super::*;

    const LIMITS: RequestLogLimits =
        RequestLogLimits { max_bytes: 1 << 20, max_age: Duration::from_secs(1 << 32), min_free: 0 };

    fn start(folder: &tempfile::TempDir, limits: RequestLogLimits) -> RequestLog {
        RequestLog::start(folder.path().to_owned(), limits).unwrap()
    }

    fn ids(log: &RequestLog) -> Vec<String> {
        let query = RequestQuery { limit: 100_000, ..RequestQuery::default() };
        log.find(&query).unwrap().entries.into_iter().map(|entry| entry.id).collect()
    }

    #[test]
    fn what_was_noted_is_found_at_once_and_after_another_start() {
        let folder = tempfile::tempdir().unwrap();
        let log = start(&folder, LIMITS);
        log.note_served(sample("1"), None);
        log.note_denied(sample("2"));
        assert_eq!(ids(&log), ["1", "2"]);
        log.note_served(sample("3"), None);
        drop(log);
        assert_eq!(ids(&start(&folder, LIMITS)), ["1", "3", "2"]);
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let log = start(&folder, LIMITS);
        log.note_served(sample("0"), None);
        for number in 0..3 * CAPACITY {
            log.note_served(sample(&number.to_string()), None);
        }
        let dropped = log.dropped();
        assert!(dropped > 0);
        let limits = RequestLogLimits { max_bytes: 1 << 30, ..LIMITS };
        log.set_limits(limits);
        assert_eq!(ids(&log).len() as u64 + dropped, 3 * CAPACITY as u64 + 1);
    }

    #[test]
    fn denied_requests_push_out_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let log = start(&folder, LIMITS);
        log.note_served(sample("served"), None);
        for _ in 0..20 {
            for _ in 0..CAPACITY / 8 {
                log.note_denied(sample("denied"));
            }
            log.find(&RequestQuery::default()).unwrap();
        }
        let found = ids(&log);
        assert_eq!(found[0], "served");
        let share = (LIMITS.max_bytes / DENIED_SHARE) as usize;
        assert!(found.len() < share / 100, "{} records in {share} bytes", found.len());
    }

    #[test]
    fn nothing_is_kept_with_a_limit_of_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let log = start(&folder, RequestLogLimits { max_bytes: 0, ..LIMITS });
        log.note_served(sample("1"), None);
        assert_eq!(ids(&log), Vec::<String>::new());
    }
}
