//! Warns in the log of connections without a valid token, and of tokens and certificates that expire soon.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};

use crate::config::Config;
use crate::directory::Directory;
use crate::http::server;
use crate::operator::OperatorContext;

/// The time between warnings.
const DAILY: Duration = Duration::from_secs(24 * 60 * 60);
/// The time before expiry from which on warnings are logged.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Warns once a day of tokens and certificates that expire soon, until dropped; for the first time at once.
pub(super) async fn run(
    context: Arc<ArcSwap<OperatorContext>>,
    listener: Arc<ArcSwap<server::ListenerConfig>>,
) {
    loop {
        let context = context.load();
        let now = context.directory.time_for_expiry();
        let soon = now.saturating_add(SOON).unwrap_or(Timestamp::MAX);
        warn_of_tokens(&context, soon);
        drop(context);
        let certificate = listener.load().tls.as_ref().and_then(server::TlsConfig::not_after);
        if let Some(valid_until) = certificate.filter(|end| *end < soon) {
            tracing::warn!(%valid_until, "the certificate ends soon: put a newer one in its place");
        }
        tokio::time::sleep(DAILY).await;
    }
}

/// Warns of each connection whose last valid token expires soon. Connections without one are logged by a
/// start and a reload.
fn warn_of_tokens(context: &OperatorContext, soon: Timestamp) {
    for name in &context.site.connections {
        let valid = context.directory.valid_tokens(name);
        let ends = valid.iter().map(|token| token.expires.unwrap_or(Timestamp::MAX));
        if let Some(expires) = ends.max().filter(|end| *end < soon) {
            tracing::warn!(
                connection = name,
                %expires,
                "the last valid token ends soon: `scimd token reset --connection {name} --overlap 24h` makes \
                 another, to be given to the identity provider"
            );
        }
    }
}

/// Warns in the log of each connection that has no valid token.
pub(super) fn warn_of_missing_tokens(config: &Config, directory: &Directory) {
    for name in config.connections.keys() {
        if directory.valid_tokens(name).is_empty() {
            tracing::warn!(
                connection = name,
                "there is no valid token: all its requests are refused; run `scimd token generate --connection {name}`"
            );
        }
    }
}
