//! Says in the log, once a day, which tokens and which certificate end soon.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;
use crate::http::server;
use crate::operator::OperatorContext;

/// How often.
const DAILY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long before their end.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Tells until dropped, for the first time at once.
pub(super) async fn run(
    context: Arc<ArcSwap<OperatorContext>>,
    listener: Arc<ArcSwap<server::ListenerConfig>>,
) {
    loop {
        let soon = Clock::System.now().saturating_add(SOON).unwrap_or(Timestamp::MAX);
        tell_of_tokens(&context.load(), soon);
        let certificate = listener.load().tls.as_ref().and_then(server::TlsConfig::not_after);
        if let Some(valid_until) = certificate.filter(|end| *end < soon) {
            tracing::warn!(%valid_until, "the certificate ends soon: put a newer one in its place");
        }
        tokio::time::sleep(DAILY).await;
    }
}

/// A connection ends with its last token; of one that has none a start and a reload tell.
fn tell_of_tokens(context: &OperatorContext, soon: Timestamp) {
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
