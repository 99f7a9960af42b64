//! A webhook that a node leaves to others, since its own copy begins behind what is to be sent.

use std::time::Duration;

use tokio::time::Instant;

use crate::directory::WebhookState;
use crate::feed::Cursor;

/// How long a node whose feed begins too late waits for another node to send, before the webhook is parked for all.
const BEGINS_TOO_LATE: Duration = Duration::from_secs(10 * 60);

/// A turn that a node leaves to others, since its feed begins behind what is to be sent.
pub(super) struct WaivedTurn {
    /// What was stored then: it changes if another node sends.
    stored: WebhookState,
    since: Instant,
}

impl WaivedTurn {
    /// Whether a node whose feed begins with `oldest` is to leave the webhook to others; notes since when it does.
    pub(super) fn is_waived(
        waived: &mut Option<Self>,
        stored: &WebhookState,
        oldest: Cursor,
        now: Instant,
    ) -> bool {
        let begins_too_late = Cursor::parse(&stored.after).is_ok_and(|after| after < oldest);
        if !begins_too_late || stored.parked.is_some() {
            *waived = None;
            return false;
        }
        let before = waived.take().filter(|waived| waived.stored == *stored);
        let begin = || Self { stored: stored.clone(), since: now };
        let waived = waived.insert(before.unwrap_or_else(begin));
        now.duration_since(waived.since) < BEGINS_TOO_LATE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_whose_feed_begins_too_late_leaves_a_webhook_to_others_for_10_minutes() {
        let cursor =
            |sequence: u64| Cursor::parse(&format!("abababababababab.{sequence}")).unwrap();
        let state =
            |term| WebhookState { after: cursor(7).to_string(), term, ..WebhookState::default() };
        let (mut waived, begin) = (None, Instant::now());
        let mut is_waived = |state: &WebhookState, oldest, after| {
            WaivedTurn::is_waived(&mut waived, state, cursor(oldest), begin + after)
        };
        assert!(!is_waived(&state(1), 7, Duration::ZERO));
        assert!(is_waived(&state(1), 8, Duration::ZERO));
        assert!(is_waived(&state(1), 8, BEGINS_TOO_LATE - Duration::from_millis(1)));
        assert!(!is_waived(&state(1), 8, BEGINS_TOO_LATE), "no other node sends");
        assert!(is_waived(&state(2), 8, BEGINS_TOO_LATE), "another node has sent");
        let parked = WebhookState { parked: Some("gone".to_owned()), ..state(2) };
        assert!(!is_waived(&parked, 8, BEGINS_TOO_LATE));
    }
}
