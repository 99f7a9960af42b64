//! The thread that follows the log and derives events.
//!
//! It holds a version of the state, and over it what the changes since have written: so each change is seen with the
//! state before and after it, whatever the writer does meanwhile, and memory is bounded by how far the thread is behind.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::derive::Deriver;
use super::ring::{ChangeEnd, RingWriter};
use super::state::FeedState;
use crate::clock::Stopwatch;
use crate::directory::{DirectoryError, LocalSettings};
use crate::log::{Frame, Log, Write, try_read};
use crate::store::overlay::Overlay;
use crate::store::past_state::PastState;
use crate::store::{Read, Store, StoreError};
use crate::text::causes;

/// How long the log is waited for at a time.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long a closed log is left alone, and for how long the state may be behind the log before it is asked whether it
/// has stopped.
const PAUSE: Duration = Duration::from_millis(20);
/// How often the state is looked at while it has not reached the log.
const GLANCE: Duration = Duration::from_micros(500);
/// How long the events of the last changes are still written when the feed is closed.
const CLOSING: Duration = Duration::from_secs(1);
/// How long nothing is tried after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(10);
/// After how many changes, and bytes of them, a later version of the state is taken.
const FRAMES: usize = 1_000;
const BYTES: usize = 4 * 1024 * 1024;
/// How many bytes of past values are looked up at a start.
const MAX_PAST: usize = 256 * 1024 * 1024;
/// How often files are removed that are no longer kept.
const TRIM_PERIOD: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_secs(60) };

/// The thread that derives events.
pub(super) struct Follower {
    log: Arc<dyn Log>,
    store: Arc<dyn Store>,
    local: LocalSettings,
    shared: Arc<FeedState>,
}

/// The state before the next change.
struct StateBefore<'a> {
    state: Overlay<'a>,
    /// The last change, which is not in the state yet: often no other comes before a later version of the state is
    /// taken, and what a large one has written need not be held twice.
    last: Option<Arc<Frame>>,
}

impl<'a> StateBefore<'a> {
    fn new(base: &'a dyn Read) -> Self {
        Self { state: Overlay::new(base), last: None }
    }

    /// Goes on behind the last change.
    fn catch_up(&mut self) -> &Overlay<'a> {
        if let Some(last) = self.last.take() {
            self.state.absorb(&last.writes);
        }
        &self.state
    }
}

/// The files, and how far they have come.
struct Progress {
    ring: RingWriter,
    reached: u64,
    since_trim: Stopwatch,
}

impl Follower {
    pub(super) fn new(
        log: Arc<dyn Log>,
        store: Arc<dyn Store>,
        local: LocalSettings,
        shared: Arc<FeedState>,
    ) -> Self {
        Self { log, store, local, shared }
    }

    fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::SeqCst)
    }

    /// Follows the log until the feed is closed. What fails is tried again from what is on disk.
    pub(super) fn run(&self) {
        let mut is_logged = false;
        while !self.is_stopping() {
            match catch_unwind(AssertUnwindSafe(|| self.follow())) {
                // Closed, or damaged: then all is derived again.
                Ok(Ok(())) => continue,
                Ok(Err(error)) if !is_logged => tracing::error!(
                    %error, cause = causes(&error),
                    "the change feed can't go on; it is tried again every ten seconds, and everything else goes on"
                ),
                Ok(Err(_)) => {}
                Err(_) => tracing::error!("the change feed failed by a bug; it is tried again"),
            }
            is_logged = true;
            let failed = Stopwatch::start();
            while !self.is_stopping() && failed.elapsed() < RETRY_PAUSE {
                std::thread::sleep(PAUSE);
            }
        }
    }

    fn follow(&self) -> Result<(), DirectoryError> {
        let FeedState { id, folder, index, .. } = &*self.shared;
        index.clear();
        let opened = RingWriter::open(folder, *id, Arc::clone(index));
        let (ring, last) = opened.map_err(|error| {
            StoreError::Folder(format!("can't open the change feed {}: {error}", folder.display()))
        })?;
        let mut progress = Progress { ring, reached: 0, since_trim: Stopwatch::start() };
        let is_damaged = self.shared.is_damaged.load(Ordering::SeqCst);
        if let Some(end) = last.filter(|end| !is_damaged && self.is_in_log(end)) {
            progress.reached = end.sequence;
            self.shared.publish(end.sequence, None);
            let version = self.store.version()?;
            if let Some(changed) = self.changed_since(end.sequence, version.sequence())? {
                return self.follow_from(Box::new(version), &changed, &mut progress);
            }
        }
        let past: Box<dyn Read> = match self.derive_anew(&mut progress)? {
            Some(past) => Box::new(past),
            None => return Ok(()),
        };
        self.follow_from(past, &[], &mut progress)
    }

    /// Whether the log has this very change.
    fn is_in_log(&self, end: &ChangeEnd) -> bool {
        let head = self.log.head();
        if end.sequence >= head.sequence {
            return (end.sequence, end.hash) == (head.sequence, head.hash);
        }
        let mut previous = None;
        let read = self.log.read(end.sequence, &mut |frame| {
            previous = Some(frame.previous);
            ControlFlow::Break(())
        });
        read.is_ok() && previous == Some(end.hash)
    }

    /// What makes the state at `upto` that at `sequence`: the keys that have changed since, with their values of then.
    /// `None` if that is too much, or no longer known.
    fn changed_since(
        &self,
        sequence: u64,
        upto: u64,
    ) -> Result<Option<Vec<Write>>, DirectoryError> {
        let mut changed = HashSet::new();
        if sequence == upto {
            return Ok(Some(Vec::new()));
        }
        let mut bytes = 0;
        try_read::<StoreError>(self.log.as_ref(), sequence, |frame| {
            if frame.sequence > upto || bytes > MAX_PAST {
                return Ok(ControlFlow::Break(()));
            }
            bytes += frame.writes.iter().map(|write| write.key.len()).sum::<usize>();
            changed.extend(frame.writes.iter().map(|write| write.key.clone()));
            Ok(ControlFlow::Continue(()))
        })?;
        let Some(maintenance) = self.store.maintenance().filter(|_| bytes <= MAX_PAST) else {
            return Ok(None);
        };
        let wanted = |key: &[u8]| changed.contains(key);
        let Ok(Some(mut values)) = maintenance.past(sequence, &wanted, MAX_PAST) else {
            return Ok(None);
        };
        let writes = changed.into_iter().map(|key| {
            let value = values.remove(&key);
            Write { key, value }
        });
        Ok(Some(writes.collect()))
    }

    /// Derives the whole feed again, from the oldest state that there is; answers the state that it has come to, or
    /// `None` if the feed is closed meanwhile.
    fn derive_anew(&self, progress: &mut Progress) -> Result<Option<PastState>, DirectoryError> {
        let maintenance = self.store.maintenance().ok_or(StoreError::Unsupported("past state"))?;
        let mut past = maintenance.oldest_state()?;
        progress.reached = past.position().sequence;
        progress.ring.restart(progress.reached).map_err(|error| unwritable(&error))?;
        self.shared.is_damaged.store(false, Ordering::SeqCst);
        let head = self.log.head().sequence;
        if head.saturating_sub(progress.reached) > FRAMES as u64 {
            tracing::info!(
                after = progress.reached,
                upto = head,
                "the change feed is derived from the log"
            );
        }
        let mut deriver = Deriver::new(self.shared.id, self.local.clone(), &past)?;
        loop {
            let frames = self.frames(progress.reached, self.store.applied().sequence)?;
            if frames.is_empty() {
                return Ok(Some(past));
            }
            if self.is_stopping() {
                return Ok(None);
            }
            let mut before = StateBefore::new(&past);
            self.derive(&frames, &mut deriver, &mut before, progress)?;
            drop(before);
            past.apply(&frames);
        }
    }

    /// Follows the log from the state `base`, less what `changed` takes back, until the feed is closed or damage is met.
    fn follow_from(
        &self,
        mut base: Box<dyn Read>,
        mut changed: &[Write],
        progress: &mut Progress,
    ) -> Result<(), DirectoryError> {
        loop {
            let mut before = StateBefore::new(base.as_ref());
            before.state.absorb(changed);
            let mut deriver = Deriver::new(self.shared.id, self.local.clone(), &before.state)?;
            let (mut taken, mut bytes) = (0, 0);
            let version = loop {
                let Some(upto) = self.await_changes(progress.reached) else { return Ok(()) };
                if self.shared.is_damaged.load(Ordering::SeqCst) {
                    return Ok(());
                }
                let is_idle = upto == progress.reached;
                while progress.reached < upto {
                    let frames = self.frames(progress.reached, upto)?;
                    taken += frames.len();
                    bytes += frames.iter().map(|frame| frame.bytes()).sum::<usize>();
                    self.derive(&frames, &mut deriver, &mut before, progress)?;
                }
                if taken >= FRAMES || bytes >= BYTES || (is_idle && taken > 0) {
                    break self.store.version()?;
                }
                if is_idle {
                    self.trim(progress)?;
                }
            };
            while progress.reached < version.sequence() {
                let frames = self.frames(progress.reached, version.sequence())?;
                self.derive(&frames, &mut deriver, &mut before, progress)?;
            }
            drop(before);
            base = Box::new(version);
            changed = &[];
            self.trim(progress)?;
        }
    }

    /// Waits for changes behind one, for a while; the last that the state has reached. `None` once the feed is closed.
    fn await_changes(&self, reached: u64) -> Option<u64> {
        let waited = Stopwatch::start();
        let head = match self.is_stopping() {
            true => self.log.head(),
            false => self.log.wait_beyond(reached, PATIENCE),
        };
        if head.sequence == reached {
            if self.is_stopping() {
                return None;
            }
            // One that is closed does not wait.
            if waited.elapsed() < PAUSE {
                std::thread::sleep(PAUSE);
            }
            return Some(reached);
        }
        // Consumers that read the directory because of an event must find it as the event says.
        let behind = Stopwatch::start();
        while self.store.applied().sequence < head.sequence {
            // `is_stopped` also asks how much room the disk has, so not at each glance.
            let is_stopped = behind.elapsed() > PAUSE && self.store.is_stopped();
            if is_stopped || (self.is_stopping() && waited.elapsed() > CLOSING) {
                return if self.is_stopping() { None } else { Some(reached) };
            }
            std::thread::sleep(GLANCE);
        }
        Some(head.sequence)
    }

    /// The next frames behind a change, up to another one; not too many.
    fn frames(&self, after: u64, upto: u64) -> Result<Vec<Arc<Frame>>, DirectoryError> {
        let (mut frames, mut bytes) = (Vec::new(), 0);
        if after == upto {
            return Ok(frames);
        }
        try_read::<StoreError>(self.log.as_ref(), after, |frame| {
            if frame.sequence > upto {
                return Ok(ControlFlow::Break(()));
            }
            bytes += frame.bytes();
            frames.push(frame);
            match frames.len() < FRAMES && bytes < BYTES {
                true => Ok(ControlFlow::Continue(())),
                false => Ok(ControlFlow::Break(())),
            }
        })?;
        Ok(frames)
    }

    /// Derives the events of frames, and shows them to readers.
    fn derive(
        &self,
        frames: &[Arc<Frame>],
        deriver: &mut Deriver,
        before: &mut StateBefore<'_>,
        progress: &mut Progress,
    ) -> Result<(), DirectoryError> {
        for frame in frames {
            deriver.derive(frame, before.catch_up(), &mut progress.ring)?;
            before.last = Some(Arc::clone(frame));
        }
        progress.ring.flush().map_err(|error| unwritable(&error))?;
        if let Some(last) = frames.last() {
            progress.reached = last.sequence;
            self.shared.publish(last.sequence, Some(last.head.time));
        }
        Ok(())
    }

    /// Removes the files whose changes are no longer in the log.
    fn trim(&self, progress: &mut Progress) -> Result<(), DirectoryError> {
        if progress.since_trim.elapsed() < TRIM_PERIOD {
            return Ok(());
        }
        progress.since_trim = Stopwatch::start();
        let begin = self.log.start().map_err(StoreError::from)?;
        progress.ring.trim(begin.sequence).map_err(|error| unwritable(&error))?;
        Ok(())
    }
}

fn unwritable(error: &std::io::Error) -> StoreError {
    StoreError::Folder(format!("can't write the change feed: {error}"))
}
