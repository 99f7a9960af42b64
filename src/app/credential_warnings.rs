//! Warns in the log of connections and applications without a valid token, of tokens without an owner, and of tokens and
//! certificates that expire soon.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};

use crate::config::Config;
use crate::connection::token::TokenOwner;
use crate::directory::Directory;
use crate::operator::OperatorContext;
use crate::transport;

/// The time between warnings.
const DAILY: Duration = Duration::from_secs(24 * 60 * 60);
/// The time before expiry from which on warnings are logged.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Warns once a day of tokens and certificates that expire soon, until dropped; for the first time at once.
pub(super) async fn run(
    context: Arc<ArcSwap<OperatorContext>>,
    listener: Arc<ArcSwap<transport::ListenerConfig>>,
) {
    loop {
        let context = context.load();
        let now = context.directory.time_for_expiry();
        let soon = now.saturating_add(SOON).unwrap_or(Timestamp::MAX);
        warn_of_tokens(&context, now);
        drop(context);
        let certificate = listener.load().tls.as_ref().and_then(transport::TlsConfig::not_after);
        if let Some(valid_until) = certificate.filter(|end| *end < soon) {
            tracing::warn!(%valid_until, "the certificate expires soon; replace it");
        }
        tokio::time::sleep(DAILY).await;
    }
}

/// Warns of each connection and application whose last valid token expires soon. Those without one are logged by a
/// start and a reload.
fn warn_of_tokens(context: &OperatorContext, now: Timestamp) {
    for (owner, expires) in ending_tokens(context, now) {
        let (connection, application) = owner.names();
        let (kind, name) = (owner.kind(), owner.name());
        tracing::warn!(
            connection,
            application,
            %expires,
            "the last valid token expires soon; run `scimd token reset --{kind} {name} --overlap 24h` and \
             enter the new token in the client"
        );
    }
}

/// The connections and applications whose last valid token expires soon, each with its end.
pub(super) fn ending_tokens(
    context: &OperatorContext,
    now: Timestamp,
) -> Vec<(TokenOwner, Timestamp)> {
    let soon = now.saturating_add(SOON).unwrap_or(Timestamp::MAX);
    let site = &context.site;
    let ending = owners(site.connections.iter(), site.applications.iter()).filter_map(|owner| {
        let valid = context.directory.valid_tokens_of(&owner);
        let clients = owner.names().0.map(|name| context.directory.valid_clients(name));
        let ends = valid.iter().map(|token| token.expires);
        let ends = ends.chain(clients.iter().flatten().map(|client| client.expires));
        let ends = ends.map(|end| end.unwrap_or(Timestamp::MAX));
        Some((owner, ends.max().filter(|end| *end < soon)?))
    });
    ending.collect()
}

/// Warns in the log of each connection and application that has no valid token, and of tokens that open nothing.
pub(super) fn warn_of_missing_tokens(config: &Config, directory: &Directory) {
    let tokens = unexpired(directory);
    let has_client = |name: &str| {
        let trusts = config.connections.get(name).is_some_and(|one| one.federation.is_some());
        trusts || !directory.valid_clients(name).is_empty()
    };
    for owner in missing_tokens(config, &tokens) {
        let (connection, application) = owner.names();
        let (kind, name) = (owner.kind(), owner.name());
        if connection.is_some_and(has_client) {
            continue;
        }
        tracing::warn!(
            connection,
            application,
            "no valid token: all requests are denied; run `scimd token generate --{kind} {name}`"
        );
    }
    for (token, owner) in tokens_without_owner(config, &tokens) {
        tracing::warn!(
            token,
            "the token's {owner} is not in the configuration: the token opens nothing; run `scimd token revoke {token}`"
        );
    }
}

/// The ids of all tokens that have not expired, with their owners.
pub(super) fn unexpired(directory: &Directory) -> Vec<(String, TokenOwner)> {
    let now = directory.time_for_expiry();
    let tokens = directory.tokens().into_iter().filter(|token| !token.is_expired(now));
    tokens.map(|token| (token.id, token.owner)).collect()
}

/// The connections and applications that have none of these tokens.
pub(super) fn missing_tokens(config: &Config, tokens: &[(String, TokenOwner)]) -> Vec<TokenOwner> {
    owners(config.connections.keys(), config.applications.keys())
        .filter(|owner| tokens.iter().all(|(_, of)| of != owner))
        .collect()
}

/// Those of these tokens whose owner the configuration does not have.
pub(super) fn tokens_without_owner<'a>(
    config: &Config,
    tokens: &'a [(String, TokenOwner)],
) -> impl Iterator<Item = &'a (String, TokenOwner)> {
    tokens.iter().filter(|(_, owner)| match owner {
        TokenOwner::Connection(name) => !config.connections.contains_key(name),
        TokenOwner::Application(name) => !config.applications.contains_key(name),
    })
}

fn owners<'a>(
    connections: impl Iterator<Item = &'a String>,
    applications: impl Iterator<Item = &'a String>,
) -> impl Iterator<Item = TokenOwner> {
    let applications = applications.cloned().map(TokenOwner::Application);
    connections.cloned().map(TokenOwner::Connection).chain(applications)
}
