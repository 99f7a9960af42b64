//! The metrics of webhooks.

use jiff::Timestamp;

use super::catalogue::{self, Metric};
use super::exposition::Exposition;
use crate::operator::WebhookInfo;

/// A metric, and its value for a webhook.
type WebhookFigure<'a> = (&'a Metric, &'a dyn Fn(&WebhookInfo) -> u64);

/// Writes the metrics of all webhooks, as they are at the moment `now`.
pub(super) fn show(webhooks: &[WebhookInfo], now: Timestamp, text: &mut Exposition) {
    text.family(&catalogue::WEBHOOK_DELIVERIES);
    for one in webhooks {
        for (result, count) in [("taken", one.delivered), ("failed", one.failed)] {
            let labels = [("webhook", one.name.as_str()), ("result", result)];
            text.sample(catalogue::WEBHOOK_DELIVERIES.name, &labels, count);
        }
    }
    let failing = |one: &WebhookInfo| {
        let time = one.failing_since.map(|since| now.duration_since(since).as_secs());
        time.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or_default()
    };
    let values: [WebhookFigure<'_>; 4] = [
        (&catalogue::WEBHOOK_EVENTS, &|one| one.events),
        (&catalogue::WEBHOOK_BEHIND, &|one| one.behind),
        (&catalogue::WEBHOOK_FAILING_SECONDS, &failing),
        (&catalogue::WEBHOOK_PARKED, &|one| u64::from(one.parked.is_some())),
    ];
    for (metric, value) in values {
        text.family(metric);
        for one in webhooks {
            text.sample(metric.name, &[("webhook", one.name.as_str())], value(one));
        }
    }
}
