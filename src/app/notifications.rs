//! Notifications of a server: their settings, what keeps them from being delivered, and their test.

use std::sync::Arc;

use super::settings::endpoint;
use crate::config::Config;
use crate::notify::{self, Notifier, NotifySettings};
use crate::operator::NotificationTest;

/// What notifications are delivered with.
pub(super) fn notify_settings(config: &Config) -> NotifySettings {
    NotifySettings { config: config.notify.clone(), endpoint: endpoint(config) }
}

/// Logs what keeps notifications from being delivered.
pub(super) fn log_problems(config: &Config) {
    for problem in notify::problems(&config.notify) {
        tracing::warn!(
            problem,
            "notifications can't be delivered; correct this, then run `scimd notify test`"
        );
    }
}

/// What delivers a test for an operator; not for a thread that drives asynchronous tasks.
pub(super) fn tester(
    notifier: &Arc<Notifier>,
) -> Arc<dyn Fn() -> Vec<NotificationTest> + Send + Sync> {
    let (notifier, runtime) = (Arc::clone(notifier), tokio::runtime::Handle::current());
    Arc::new(move || {
        let delivered = runtime.block_on(notifier.test());
        delivered.into_iter().map(|(way, error)| NotificationTest { way, error }).collect()
    })
}
