//! `scimd doctor --wait`: shows what arrives, until a request of a connection succeeds.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::cli::exit::CliError;
use crate::cli::operator::{OperatorClient, unexpected};
use crate::cli::{output, requests};
use crate::clock::Stopwatch;
use crate::config::Config;
use crate::operator::{OperatorReply, OperatorRequest};
use crate::request_log::{RequestEntry, RequestQuery};
use crate::text::duration;

/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(300);

pub(super) fn for_success(config: &Config, connection: &str, patience: Duration) -> Result<()> {
    let mut handshakes = failed_handshakes(config)?;
    let newest = RequestQuery { limit: 1, ..RequestQuery::default() };
    let mut reached = requests::find(config, &newest)?.reached;
    output::note(&format!(
        "Waiting up to {} for a request of connection {connection}. Press \"test\" at the identity provider.",
        duration::display(patience)
    ))?;
    let watch = Stopwatch::start();
    while watch.elapsed() < patience {
        let query = RequestQuery { after: Some(reached), limit: 100, ..RequestQuery::default() };
        let page = requests::find(config, &query)?;
        reached = page.reached;
        for entry in &page.entries {
            if entry.connection.as_deref().is_none_or(|name| name == connection) {
                output::line(&output::sanitize(&arrival(entry)))?;
            }
            if entry.connection.as_deref() == Some(connection) && !entry.has_failed() {
                return output::line(&format!("Connection {connection} works."));
            }
        }
        let failed = failed_handshakes(config)?;
        if failed > handshakes {
            output::line(
                "A TLS handshake failed: the client does not trust the certificate, or uses plain HTTP. `scimd \
                 doctor` checks the certificate.",
            )?;
            handshakes = failed;
        }
        std::thread::sleep(PAUSE);
    }
    bail!(
        "no request of connection {connection} succeeded in {}; check URL, DNS and firewall with `scimd doctor`",
        duration::display(patience)
    )
}

/// One request that has arrived, in words.
fn arrival(entry: &RequestEntry) -> String {
    let from = entry.address.map_or_else(String::new, |address| format!(" from {address}"));
    let asked = format!("{} {}{from}", entry.method, entry.path);
    if let Some(repeated) = entry.repeated {
        let reason = entry.reason.as_deref().unwrap_or_default();
        return format!("{} more requests{from} were denied: {reason}", repeated.count);
    }
    match (&entry.reason, &entry.detail) {
        (Some(reason), _) => format!("{asked}: denied: {reason}"),
        (None, Some(detail)) => format!("{asked}: {}: {detail}", entry.status),
        (None, None) => format!("{asked}: {}", entry.status),
    }
}

/// The number of TLS handshakes that have failed since the server was started.
fn failed_handshakes(config: &Config) -> Result<u64> {
    match OperatorClient::new(config).ask_server(&OperatorRequest::ShowStatus)? {
        Some(OperatorReply::Status(status)) => Ok(status.failed_handshakes),
        Some(_) => unexpected(),
        None => Err(CliError::not_running(
            "scimd is not running; start it with `systemctl start scimd` or `scimd serve`",
        )),
    }
}
