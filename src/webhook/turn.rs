//! Which node sends, where several share the log.
//!
//! The one that holds the lease of the webhook sends. It takes up what is stored under a new term, so that what the one
//! before may still store does not count: also if that one was only paused.

use std::time::Duration;

use tokio::time::Instant;

use super::endpoint::{DeliveryProgress, Endpoint};
use super::waived::WaivedTurn;
use crate::directory::{DirectoryError, TakeUpWebhook, WebhookState};
use crate::event::Actor;
use crate::log::Lease;

/// How often a node that sends looks whether it still may.
const LOOK: Duration = Duration::from_millis(250);
/// For how long a node that can't send leaves the webhook to others.
const LEAVE: Duration = Duration::from_secs(30);

/// The name of the lease of a webhook.
pub(super) fn lease_of(webhook: &str) -> String {
    format!("webhook {webhook}")
}

impl Endpoint {
    /// Whether several nodes may send.
    pub(super) fn is_shared(&self) -> bool {
        self.directory.log().is_shared()
    }

    pub(super) fn lease(&self) -> Lease {
        self.directory.log().lease(&lease_of(&self.name))
    }

    pub(super) fn is_held(&self) -> bool {
        self.lease() == Lease::Held
    }

    /// What is stored, if it can be read.
    fn stored(&self) -> Option<WebhookState> {
        self.directory.webhook_state(&self.name).ok().flatten()
    }

    /// Whether this node still goes by the term that is stored.
    fn is_current(&self) -> bool {
        let (stored, progress) = (self.stored(), self.progress());
        progress.sends && stored.is_none_or(|stored| stored.term == progress.state.term)
    }

    /// Gives up the turn, so that another node can take it.
    fn leave(&self) {
        self.directory.log().pause_lease(&lease_of(&self.name), LEAVE);
    }

    /// Gives up the turn if nothing could be stored for a reason that other nodes need not have.
    pub(super) fn leave_after(&self, error: &DirectoryError) {
        let is_common = matches!(error, DirectoryError::Storage(error) if error.is_unavailable());
        if !is_common {
            self.leave();
        }
    }

    /// Whether this node could send: it can store how far it is, and its feed begins early enough.
    fn can_take_up(&self) -> bool {
        let Some(stored) = self.stored() else { return self.directory.is_writable() };
        let mut progress = self.progress();
        let was_waived = progress.waived.is_some();
        let is_waived = WaivedTurn::is_waived(
            &mut progress.waived,
            &stored,
            self.feed.oldest(),
            Instant::now(),
        );
        if is_waived && !was_waived {
            tracing::warn!(
                webhook = self.name,
                "the change feed of this node begins behind what is to be sent; leaving the webhook to other nodes for \
                 10 minutes"
            );
        }
        !is_waived && self.directory.is_writable()
    }

    /// Whether this node is to send; takes up what is stored if it has just become the one.
    pub(super) async fn has_turn(&self) -> bool {
        let is_held = self.is_held();
        match (is_held, is_held && self.is_current()) {
            (true, true) if self.directory.is_writable() => true,
            (true, false) if self.can_take_up() => self.take_up().await,
            (is_held, _) => {
                if is_held {
                    self.leave();
                }
                let stored = self.stored();
                let mut progress = self.progress();
                if progress.sends {
                    tracing::info!(
                        webhook = self.name,
                        "this node no longer sends events to the webhook"
                    );
                    *progress =
                        DeliveryProgress { turn: progress.turn + 1, ..DeliveryProgress::default() };
                }
                // To be shown, and so that the log keeps what this node may have to send.
                if let Some(stored) = stored {
                    progress.state = stored;
                }
                false
            }
        }
    }

    async fn take_up(&self) -> bool {
        match self.directory.submit(Actor::System, self.take_up_by(None)).await {
            Ok(state) => {
                let mut progress = self.progress();
                if !progress.sends {
                    tracing::info!(
                        webhook = self.name,
                        after = state.after,
                        "this node sends events to the webhook from now on"
                    );
                }
                let turn = progress.turn + 1;
                *progress =
                    DeliveryProgress { state, sends: true, turn, ..DeliveryProgress::default() };
                true
            }
            Err(error) => {
                tracing::warn!(webhook = self.name, %error, "a webhook can't be taken up");
                self.leave_after(&error);
                false
            }
        }
    }

    /// The command that has a node go on with the webhook, by a state or by the stored one.
    pub(super) fn take_up_by(&self, state: Option<WebhookState>) -> TakeUpWebhook {
        TakeUpWebhook { name: self.name.clone(), state, begin: self.begin.to_string() }
    }

    /// Has the node that sends go on after a test that this one has sent.
    pub(super) async fn go_on_elsewhere(&self) -> Result<(), String> {
        let Some(mut state) = self.stored() else { return Ok(()) };
        let (parked, failing) = (state.parked.take(), state.failing_since.take());
        if parked.is_none() && failing.is_none() {
            return Ok(());
        }
        let taken_up = self.directory.submit(Actor::System, self.take_up_by(Some(state))).await;
        taken_up.map(drop).map_err(|error| error.to_string())
    }

    /// Answers once this node may not send any more, or is to take up what was stored since; never where the log is not
    /// shared.
    pub(super) async fn turn_lost(&self) {
        if !self.is_shared() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(LOOK).await;
            if !self.is_held() || !self.is_current() || !self.directory.is_writable() {
                return;
            }
        }
    }
}
