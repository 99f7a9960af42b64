//! The way of a record from the request to the files: a buffer and one thread.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use memchr::memchr_iter;

use super::bodies::{Captures, RawBodies};
use super::entry::RequestEntry;
use super::query::{RequestPage, RequestQuery};
use super::read::read;
use super::ring::{Ring, RingLimits};
use super::traffic::{Traffic, TrafficCounts};
use super::waiting::{Batch, Waiting, Woken};
use super::{DENIED, SERVED};
use crate::clock::{Clock, Stopwatch};
use crate::metrics::Counter;

/// How long records gather before they are written. Meanwhile the thread is not woken.
const GATHER: Duration = Duration::from_millis(20);
/// The bytes that a line usually has at most.
const USUAL_LINE: usize = 512;
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
    waiting: Arc<Waiting>,
    dropped: Arc<Counter>,
    captures: Captures,
    traffic: TrafficCounts,
    /// Before this, records in the files are of an earlier process.
    started: Timestamp,
    /// Counts those records, at the first question.
    count_earlier: Once,
    /// Whether anything is kept.
    is_on: AtomicBool,
    /// What the thread goes by.
    limits: Arc<Mutex<RequestLogLimits>>,
    thread: Option<JoinHandle<()>>,
}

impl RequestLog {
    /// Starts the thread, which writes to the files in `folder`.
    ///
    /// # Errors
    ///
    /// The operating system refuses a thread.
    pub fn start(folder: PathBuf, limits: RequestLogLimits) -> std::io::Result<Self> {
        let (waiting, dropped) = (Arc::<Waiting>::default(), Arc::<Counter>::default());
        let is_on = AtomicBool::new(limits.max_bytes > 0);
        let limits = Arc::new(Mutex::new(limits));
        let recorder = Recorder {
            folder: folder.clone(),
            waiting: Arc::clone(&waiting),
            dropped: Arc::clone(&dropped),
            limits: Arc::clone(&limits),
            failed: None,
        };
        let thread = std::thread::Builder::new()
            .name("request-log".to_owned())
            .spawn(move || recorder.run())?;
        Ok(Self {
            folder,
            waiting,
            dropped,
            captures: Captures::default(),
            traffic: TrafficCounts::default(),
            started: Clock::System.now(),
            count_earlier: Once::new(),
            is_on,
            limits,
            thread: Some(thread),
        })
    }

    /// Whether records are kept: otherwise there is no need to make one.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Records a request that was authenticated. Never waits for a disk.
    pub fn note_served(&self, entry: RequestEntry, bodies: Option<RawBodies>) {
        self.traffic.count(&entry);
        let entry = match bodies {
            Some(bodies) => match self.waiting.add_with_bodies(Box::new(entry), bodies) {
                Ok(()) => return,
                Err(entry) => *entry,
            },
            None => entry,
        };
        self.note(&entry, |batch| &mut batch.served);
    }

    /// Records a denied request, or a summary of some. Never waits for a disk.
    pub fn note_denied(&self, entry: &RequestEntry) {
        self.traffic.count(entry);
        self.note(entry, |batch| &mut batch.denied);
    }

    fn note(&self, entry: &RequestEntry, lines: fn(&mut Batch) -> &mut Vec<u8>) {
        let mut line = Vec::with_capacity(USUAL_LINE);
        entry.encode(&mut line);
        if !self.waiting.add_line(&line, lines) {
            self.dropped.add_one();
        }
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

    /// Applies other limits to everything that is written from now on. Never waits for a disk.
    pub fn set_limits(&self, limits: RequestLogLimits) {
        self.is_on.store(limits.max_bytes > 0, Ordering::Relaxed);
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

    /// The requests of each connection within the hour before a time. The first call reads files.
    pub fn traffic(&self, now: Timestamp) -> BTreeMap<String, Traffic> {
        self.count_earlier.call_once(|| {
            // Files that can't be read are no reason to show nothing.
            let _ = self.traffic.count_files(&self.folder, self.started);
        });
        self.traffic.upto(now)
    }

    /// Waits until all that was noted before is in the files.
    fn flush(&self) {
        let (done, is_done) = sync_channel(1);
        self.waiting.add_flush(done);
        // If the thread is gone, the files have what they have.
        let _ = is_done.recv();
    }

    /// The number of records that were dropped: too many waited, or they could not be written.
    pub fn dropped(&self) -> u64 {
        self.dropped.value()
    }
}

impl Drop for RequestLog {
    fn drop(&mut self) {
        self.waiting.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread's side.
struct Recorder {
    folder: PathBuf,
    waiting: Arc<Waiting>,
    dropped: Arc<Counter>,
    limits: Arc<Mutex<RequestLogLimits>>,
    /// When a failure was last logged.
    failed: Option<Stopwatch>,
}

impl Recorder {
    fn run(mut self) {
        let mut limits = self.limits();
        let served = Ring::open(self.folder.join(SERVED), limits.served());
        let denied = Ring::open(self.folder.join(DENIED), limits.denied());
        let mut rings = match (served, denied) {
            (Ok(served), Ok(denied)) => Some((served, denied)),
            (Err(error), _) | (_, Err(error)) => {
                let folder = self.folder.display();
                tracing::error!(%error, %folder, "the request log can't be opened; no requests are recorded");
                None
            }
        };
        let mut batch = Batch::default();
        loop {
            if let Some((served, denied)) = &mut rings {
                served.prune(Clock::System.now());
                denied.prune(Clock::System.now());
            }
            let since_prune = Stopwatch::start();
            while since_prune.elapsed() < PRUNE_EVERY {
                match self.waiting.wait(PRUNE_EVERY) {
                    Woken::Something => {}
                    Woken::Nothing => break,
                    Woken::Closed => return,
                }
                // Requests do not have to wake a thread that gathers.
                self.waiting.gather(GATHER);
                self.waiting.take(&mut batch);
                if let Some((served, denied)) = &mut rings {
                    if limits != self.limits() {
                        limits = self.limits();
                        served.set_limits(limits.served());
                        denied.set_limits(limits.denied());
                    }
                    for (mut entry, bodies) in batch.with_bodies.drain(..) {
                        entry.bodies = Some(bodies.mask());
                        entry.encode(&mut batch.served);
                    }
                    self.write(served, &batch.served);
                    self.write(denied, &batch.denied);
                } else {
                    self.count_dropped(&batch.served);
                    self.count_dropped(&batch.denied);
                    self.dropped.add(batch.with_bodies.len() as u64);
                }
                for done in batch.flushes.drain(..) {
                    // The one that waited may be gone.
                    let _ = done.send(());
                }
                batch.clear();
            }
        }
    }

    fn limits(&self) -> RequestLogLimits {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&mut self, ring: &mut Ring, mut lines: &[u8]) {
        let written = ring.append(&mut lines, Clock::System.now());
        self.count_dropped(lines);
        if let Err(error) = written
            && self.failed.is_none_or(|failed| failed.elapsed() > REPORT_EVERY)
        {
            self.failed = Some(Stopwatch::start());
            let folder = self.folder.display();
            tracing::warn!(%error, %folder, "writing to the request log failed; records are dropped");
        }
    }

    fn count_dropped(&self, lines: &[u8]) {
        self.dropped.add(memchr_iter(b'\n', lines).count() as u64);
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
        log.note_denied(&sample("2"));
        assert_eq!(ids(&log), ["1", "2"]);
        log.note_served(sample("3"), None);
        drop(log);
        assert_eq!(ids(&start(&folder, LIMITS)), ["1", "3", "2"]);
    }

    #[test]
    fn what_cannot_be_written_is_dropped_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let log = start(&folder, RequestLogLimits { min_free: u64::MAX / 2, ..LIMITS });
        log.note_served(sample("0"), None);
        log.note_denied(&sample("1"));
        assert_eq!(ids(&log), Vec::<String>::new());
        assert_eq!(log.dropped(), 2);
        log.set_limits(LIMITS);
        log.note_served(sample("2"), None);
        assert_eq!(ids(&log), ["2"]);
    }

    #[test]
    fn denied_requests_push_out_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let log = start(&folder, LIMITS);
        log.note_served(sample("served"), None);
        for _ in 0..20 {
            for _ in 0..512 {
                log.note_denied(&sample("denied"));
            }
            log.find(&RequestQuery::default()).unwrap();
        }
        let found = ids(&log);
        assert_eq!(found[0], "served");
        let share = (LIMITS.max_bytes / DENIED_SHARE) as usize;
        assert!(found.len() < share / 100, "{} records in {share} bytes", found.len());
    }

    #[test]
    fn requests_are_counted_once_also_those_of_an_earlier_process() {
        let folder = tempfile::tempdir().unwrap();
        let now = Clock::System.now();
        let entry = |id: &str, ago: u64| RequestEntry {
            time: now - Duration::from_secs(ago),
            ..sample(id)
        };
        let log = start(&folder, LIMITS);
        log.note_served(entry("1", 9_000), None);
        log.note_served(entry("2", 2), None);
        log.note_denied(&entry("3", 1));
        assert_eq!(log.traffic(now)["okta"].requests, 2);
        drop(log);
        let log = start(&folder, LIMITS);
        log.note_served(RequestEntry { time: Clock::System.now(), ..sample("4") }, None);
        ids(&log);
        assert_eq!(log.traffic(now)["okta"].requests, 3);
        assert_eq!(log.traffic(now)["okta"].requests, 3);
    }

    #[test]
    fn nothing_is_kept_with_a_limit_of_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let log = start(&folder, RequestLogLimits { max_bytes: 0, ..LIMITS });
        assert!(!log.is_on());
        log.note_served(sample("1"), None);
        assert_eq!(ids(&log), Vec::<String>::new());
    }
}
