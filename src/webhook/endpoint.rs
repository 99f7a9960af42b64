//! The task of one webhook: what is sent next, when it is sent again, and what is stored of that.
//!
//! What is stored says up to where everything is delivered, and up to where batches are fixed: behind the first cursor,
//! each batch has as many events as may be. So a batch has the same id and bytes whenever it is sent, also after a
//! restart, while it is stored at most once a second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::{BufMut as _, Bytes, BytesMut};
use jiff::{SignedDuration, Timestamp};
use rand::RngExt as _;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::delivery::{DeliveryOutcome, Receiver};
use super::waived::WaivedTurn;
use crate::directory::{Directory, SaveWebhookState, WebhookState};
use crate::event::Actor;
use crate::feed::{Cursor, EventFilter, Feed, FeedError};
use crate::log::Lease;
use crate::operator::WebhookInfo;

/// The most events of a batch.
const MAX_EVENTS: usize = 100;
/// The size at which a batch ends, in bytes. One event may be larger.
const MAX_BYTES: usize = 1024 * 1024;
/// The least time between two records of the state.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// How often it is recorded that nothing was wanted: after a restart, or on another node, it begins there, and what comes
/// long before may be gone.
pub(super) const NOTE_EVERY: Duration = Duration::from_secs(60 * 60);
/// The time before the first retry, and the most before a later one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const MAX_RETRY: Duration = Duration::from_secs(60 * 60);
/// How often a node that shares the log looks whether it is the one that sends.
const LOOK: Duration = Duration::from_millis(500);
/// How long deliveries may fail before the webhook is parked.
const GIVE_UP: SignedDuration = SignedDuration::from_hours(24);

/// What a webhook is configured to.
#[derive(Clone)]
pub struct WebhookSettings {
    /// Where deliveries go.
    pub receiver: Receiver,
    /// Which events it gets.
    pub filter: EventFilter,
}

/// One webhook.
pub(super) struct Endpoint {
    pub(super) name: String,
    pub(super) settings: ArcSwap<WebhookSettings>,
    pub(super) directory: Arc<Directory>,
    pub(super) feed: Arc<Feed>,
    /// Where it begins if it is new.
    pub(super) begin: Cursor,
    /// Wakes the task after settings or state were changed from outside.
    pub(super) wake: Notify,
    progress: Mutex<DeliveryProgress>,
    delivered: AtomicU64,
    events: AtomicU64,
    failed: AtomicU64,
}

/// How far deliveries are.
#[derive(Default)]
pub(super) struct DeliveryProgress {
    /// What is stored, or will be within a second.
    pub(super) state: WebhookState,
    /// Whether this node sends.
    pub(super) sends: bool,
    /// Whether this node has removed events before another one has sent them.
    pub(super) released: bool,
    /// Whether it is left to nodes whose feed begins earlier.
    pub(super) waived: Option<WaivedTurn>,
    /// Whether a batch was delivered since the state was stored, or much passed that is not wanted.
    pub(super) unsaved: bool,
    /// The number of failures since the last success.
    pub(super) failures: u32,
    /// Why the last delivery failed.
    pub(super) error: Option<String>,
    /// Counts the changes from outside: what a delivery found before one of them does not count any more.
    pub(super) turn: u64,
}

/// A batch of events.
pub(super) struct EventBatch {
    id: String,
    body: Bytes,
    /// The number of its events.
    events: u64,
    last: Cursor,
}

/// What to do next.
pub(super) enum NextDelivery {
    Send(EventBatch),
    /// Look again at once.
    Again,
    Wait,
}

impl Endpoint {
    pub(super) fn new(
        name: String,
        settings: ArcSwap<WebhookSettings>,
        directory: Arc<Directory>,
        feed: Arc<Feed>,
    ) -> Self {
        let (wake, progress) = (Notify::new(), Mutex::default());
        let (delivered, events, failed) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let begin = feed.cursor_at(directory.log().head().sequence);
        Self { name, settings, directory, feed, begin, wake, progress, delivered, events, failed }
    }

    pub(super) fn progress(&self) -> MutexGuard<'_, DeliveryProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Delivers until dropped.
    pub(super) async fn run(self: Arc<Self>) {
        let mut written = self.feed.written();
        if !self.is_shared() {
            self.start().await;
        }
        let mut saved = Instant::now() - SAVE_EVERY;
        loop {
            if self.is_shared() && !self.has_turn().await {
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    () = self.wake.notified() => {}
                }
                continue;
            }
            let turn = self.progress().turn;
            match self.next(&mut saved).await {
                Ok(NextDelivery::Send(batch)) => self.send(batch, turn, &mut saved).await,
                Ok(NextDelivery::Again) => {}
                Ok(NextDelivery::Wait) => {
                    let unsaved = self.progress().unsaved;
                    tokio::select! {
                        changed = written.changed() => if changed.is_err() { return },
                        () = self.wake.notified() => {}
                        () = self.turn_lost() => {}
                        () = tokio::time::sleep_until(saved + SAVE_EVERY), if unsaved => {
                            self.save().await;
                            saved = Instant::now();
                        }
                    }
                }
                Err(reason) => {
                    self.park(reason);
                    self.save().await;
                }
            }
        }
    }

    /// Takes up what is stored; a new webhook gets what happens from now on.
    async fn start(&self) {
        let stored = self.directory.webhook_state(&self.name).unwrap_or_else(|error| {
            tracing::error!(webhook = self.name, %error, "the state of a webhook can't be read; it begins with what happens now");
            None
        });
        let is_new = stored.is_none();
        let begin = || WebhookState { after: self.begin.to_string(), ..WebhookState::default() };
        self.progress().state = stored.unwrap_or_else(begin);
        if is_new {
            self.save().await;
        }
    }

    /// The next batch, fixed and recorded.
    pub(super) async fn next(&self, saved: &mut Instant) -> Result<NextDelivery, String> {
        let state = self.progress().state.clone();
        if state.parked.is_some() {
            return Ok(NextDelivery::Wait);
        }
        let cursor = |text: &str| Cursor::parse(text).map_err(|error| error.to_string());
        let after = cursor(&state.after)?;
        let mut until = state.until.as_deref().map(cursor).transpose()?;
        if until.is_some_and(|until| until <= after) {
            until = None;
        }
        // After a restart the feed may still have to catch up, and the batch would be shorter than it was.
        let is_ours = |until: &Cursor| self.feed.cursor_at(until.sequence()) == *until;
        if [until, Some(after).filter(|_| self.is_shared())]
            .into_iter()
            .flatten()
            .any(|cursor| is_ours(&cursor) && cursor > self.feed.head())
        {
            return Ok(NextDelivery::Wait);
        }
        let horizon = until.unwrap_or_else(|| self.feed.head());
        let (batch, next) = self.read(after, horizon).await?;
        let Some(batch) = batch else {
            // Nothing that is wanted: that is as a rule not worth a record.
            if next > after {
                let mut progress = self.progress();
                progress.state.after = next.to_string();
                progress.unsaved |= saved.elapsed() >= NOTE_EVERY;
            }
            self.progress().state.until = None;
            return Ok(if until.is_some() { NextDelivery::Again } else { NextDelivery::Wait });
        };
        if until.is_none() {
            tokio::time::sleep_until(*saved + SAVE_EVERY).await;
            self.progress().state.until = Some(horizon.to_string());
            let is_saved = self.save().await;
            *saved = Instant::now();
            // Another node could fix other batches.
            if self.is_shared() && !is_saved {
                self.progress().state.until = None;
                return Ok(NextDelivery::Wait);
            }
        }
        Ok(NextDelivery::Send(batch))
    }

    /// The batch behind a cursor and up to another, if there are events that are wanted, and where it ends.
    async fn read(
        &self,
        after: Cursor,
        until: Cursor,
    ) -> Result<(Option<EventBatch>, Cursor), String> {
        let (feed, filter) = (Arc::clone(&self.feed), self.settings.load().filter.clone());
        let read = move || feed.read(&after, &filter, MAX_EVENTS);
        let page = loop {
            match tokio::task::spawn_blocking(read.clone()).await {
                Ok(Ok(page)) => break page,
                Ok(Err(FeedError::Unavailable(_))) | Err(_) => {
                    tokio::time::sleep(SAVE_EVERY).await;
                }
                Ok(Err(error)) => return Err(self.missing(&error.to_string())),
            }
        };
        let mut body = BytesMut::new();
        let (mut first, mut last, mut events) = (None, None, 0);
        for event in page.events.iter().filter(|event| event.cursor <= until) {
            if !body.is_empty() && body.len() + event.bytes.len() + 2 > MAX_BYTES {
                break;
            }
            body.put_u8(if body.is_empty() { b'[' } else { b',' });
            body.put_slice(&event.bytes);
            first = first.or(Some(event.cursor));
            last = Some(event.cursor);
            events += 1;
        }
        let (Some(first), Some(last)) = (first, last) else {
            return Ok((None, page.next.min(until)));
        };
        body.put_u8(b']');
        // The id of a webhook has no full stop.
        let id = format!("{first}_{last}").replace('.', "-");
        Ok((Some(EventBatch { id, body: body.freeze(), events, last }), last))
    }

    /// Sends a batch once, and waits as long as is to be waited after a failure.
    async fn send(&self, batch: EventBatch, turn: u64, saved: &mut Instant) {
        if self.progress().turn != turn || !self.is_held() {
            return;
        }
        let settings = self.settings.load_full();
        let now = self.directory.now();
        let outcome = tokio::select! {
            biased;
            () = self.turn_lost() => return,
            outcome = settings.receiver.deliver(&batch.id, now.as_second(), batch.body) => outcome,
        };
        let mut must_save = false;
        let pause = {
            let mut progress = self.progress();
            if progress.turn != turn {
                return;
            }
            match outcome {
                DeliveryOutcome::Taken => {
                    self.delivered.fetch_add(1, Ordering::Relaxed);
                    self.events.fetch_add(batch.events, Ordering::Relaxed);
                    if progress.state.failing_since.take().is_some() {
                        tracing::info!(webhook = self.name, "deliveries succeed again");
                        must_save = true;
                    }
                    progress.state.after = batch.last.to_string();
                    progress.unsaved = true;
                    (progress.failures, progress.error) = (0, None);
                    Duration::ZERO
                }
                DeliveryOutcome::Gone => {
                    self.failed.fetch_add(1, Ordering::Relaxed);
                    let reason = "the receiver answered 410, it wants no more events".to_owned();
                    drop(progress);
                    self.park(reason);
                    must_save = true;
                    Duration::ZERO
                }
                DeliveryOutcome::Failed { reason, retry_after } => {
                    self.failed.fetch_add(1, Ordering::Relaxed);
                    let since = *progress.state.failing_since.get_or_insert(now);
                    if progress.failures == 0 {
                        tracing::warn!(
                            webhook = self.name,
                            reason,
                            "a delivery failed and will be repeated"
                        );
                        must_save = true;
                    }
                    progress.error = Some(reason.clone());
                    let pause = pause_after(progress.failures).max(retry_after.unwrap_or_default());
                    progress.failures = progress.failures.saturating_add(1);
                    drop(progress);
                    if now.duration_since(since) > GIVE_UP {
                        self.park(format!(
                            "deliveries failed for 24 hours, the last one so: {reason}"
                        ));
                        must_save = true;
                    }
                    pause
                }
            }
        };
        if must_save || saved.elapsed() >= SAVE_EVERY {
            self.save().await;
            *saved = Instant::now();
        }
        if !pause.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.turn_lost() => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// Why it is parked if events are missing.
    fn missing(&self, why: &str) -> String {
        format!(
            "events are missing: {why} Deliver what there is with `scimd webhook resend {} --after oldest`",
            self.name
        )
    }

    /// Parks it, since its events were removed so that the log does not grow further.
    pub(super) async fn give_up(&self) {
        {
            let mut progress = self.progress();
            if self.is_shared() && !progress.sends {
                // Another node has its own copy of the log to send from.
                progress.released = true;
                return;
            }
            // What is being delivered does not count any more.
            progress.turn += 1;
        }
        let why = "the log has reached `max_log_mib`, and no other webhook was further behind.";
        self.park(self.missing(why));
        self.save().await;
        self.wake.notify_one();
    }

    /// Parks it if it is not parked already.
    fn park(&self, reason: String) {
        if self.progress().state.parked.is_some() {
            return;
        }
        tracing::error!(
            webhook = self.name,
            reason,
            "the webhook is parked; nothing is delivered until `scimd webhook test` or `resend`"
        );
        self.progress().state.parked = Some(reason);
    }

    /// Stores the state; a failure to do so is logged, and costs no more than deliveries that are repeated. Returns whether
    /// it is stored.
    async fn save(&self) -> bool {
        let state = {
            let mut progress = self.progress();
            progress.unsaved = false;
            progress.state.clone()
        };
        let name = self.name.clone();
        match self.directory.submit(Actor::System, SaveWebhookState { name, state }).await {
            Ok(is_saved) => is_saved,
            Err(error) => {
                tracing::warn!(webhook = self.name, %error, "the state of a webhook can't be stored");
                self.leave_after(&error);
                false
            }
        }
    }

    /// Sends a test event; if it is taken, deliveries go on.
    pub(super) async fn test(&self) -> Result<(), String> {
        let now: Timestamp = self.directory.now();
        let id = format!("test-{}", now.as_microsecond());
        let event = serde_json::json!([{"specversion": "1.0", "id": id, "source": "scimd", "type": "scimd.test",
            "time": now}]);
        let settings = self.settings.load_full();
        let body = Bytes::from(event.to_string());
        match settings.receiver.deliver(&id, now.as_second(), body).await {
            DeliveryOutcome::Taken => {
                if self.is_shared() && !self.progress().sends {
                    return self.go_on_elsewhere().await;
                }
                let was_parked = {
                    let mut progress = self.progress();
                    progress.turn += 1;
                    (progress.failures, progress.error) = (0, None);
                    progress.state.failing_since = None;
                    progress.state.parked.take().is_some()
                };
                if was_parked {
                    self.save().await;
                }
                self.wake.notify_one();
                Ok(())
            }
            DeliveryOutcome::Gone => {
                Err("the receiver answered 410, it wants no more events".to_owned())
            }
            DeliveryOutcome::Failed { reason, .. } => Err(reason),
        }
    }

    /// Delivers everything after a cursor.
    pub(super) fn resend(&self, after: &str) -> Result<(), String> {
        let after = match after {
            "oldest" => self.feed.oldest(),
            "head" => self.feed.head(),
            text => Cursor::parse(text).map_err(|error| error.to_string())?,
        };
        let filter = self.settings.load().filter.clone();
        self.feed.read(&after, &filter, 1).map_err(|error| error.to_string())?;
        let state = WebhookState { after: after.to_string(), ..WebhookState::default() };
        if self.is_shared() {
            let taken_up = self.directory.submit(Actor::System, self.take_up_by(Some(state)));
            return taken_up.wait().map(drop).map_err(|error| error.to_string());
        }
        let state = {
            let mut progress = self.progress();
            let turn = progress.turn + 1;
            // What nodes have stored here with a term keeps it: less is refused.
            let state = WebhookState { term: progress.state.term, ..state };
            *progress =
                DeliveryProgress { state: state.clone(), turn, ..DeliveryProgress::default() };
            state
        };
        let save = SaveWebhookState { name: self.name.clone(), state };
        let saved = self.directory.submit(Actor::System, save).wait();
        self.wake.notify_one();
        match saved {
            Ok(true) => Ok(()),
            Ok(false) => {
                Err("the state was stored by another process meanwhile; try again".to_owned())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// The change behind which the log is needed; `None` if nothing is delivered.
    pub(super) fn needed(&self) -> Option<u64> {
        let progress = self.progress();
        let is_active = progress.state.parked.is_none() && !progress.released;
        let after = Cursor::parse(&progress.state.after).ok().filter(|_| is_active)?;
        // Some events of that change may not be delivered yet.
        Some(after.sequence().saturating_sub(1))
    }

    pub(super) fn info(&self) -> WebhookInfo {
        let progress = self.progress();
        let sequence = Cursor::parse(&progress.state.after).map_or(0, |after| after.sequence());
        WebhookInfo {
            name: self.name.clone(),
            url: self.settings.load().receiver.url.to_string(),
            after: progress.state.after.clone(),
            behind: self.feed.head().sequence().saturating_sub(sequence),
            delivered: self.delivered.load(Ordering::Relaxed),
            events: self.events.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            error: progress.error.clone(),
            failing_since: progress.state.failing_since,
            parked: progress.state.parked.clone(),
            sends: !self.is_shared() || progress.sends,
            sent_by: match self.lease() {
                Lease::Elsewhere(node) => Some(node),
                Lease::Held | Lease::Unknown => None,
            },
        }
    }
}

/// The time before the next attempt: twice as long after each failure, and up to a half less at random.
fn pause_after(failures: u32) -> Duration {
    let whole = FIRST_RETRY.saturating_mul(1 << failures.min(12)).min(MAX_RETRY);
    whole.mul_f64(rand::rng().random_range(0.5..=1.0))
}
