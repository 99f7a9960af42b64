//! The first page: how the server is doing, its connections, and what happens now.

use std::sync::Arc;

use askama::Template;

use super::call::{ConsoleCall, unexpected};
use super::page::{Layout, in_one_unit};
use super::reply::{ConsoleFailure, ConsoleReply};
use crate::clock::Clock;
use crate::operator::{
    ConnectionStatus, Finding, OperatorReply, OperatorRequest, ServerStatus, StatusLimits, findings,
};
use crate::request_log::{RequestEntry, RequestQuery};
use crate::store::last_backup::LastBackup;

/// The number of requests that are shown.
const LATEST: usize = 12;
#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    layout: Layout,
    status: Arc<ServerStatus>,
    up: String,
    findings: Vec<Finding>,
    certificate: Option<jiff::Timestamp>,
    backup: Option<LastBackup>,
    latest: Vec<RequestEntry>,
}

pub(super) fn show(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let settings = call.settings();
    let status = status(call)?;
    let now = Clock::System.now();
    let limits = StatusLimits {
        certificate: Ok(settings.certificate_expires),
        min_free_mib: settings.config.store.min_free_mib,
        snapshot_interval: settings.config.store.snapshot_interval,
    };
    let query = RequestQuery { limit: LATEST, ..RequestQuery::default() };
    let mut latest = match call.execute(OperatorRequest::FindRequests(query))? {
        OperatorReply::Requests(page) => page.entries,
        _ => return Err(unexpected()),
    };
    latest.reverse();
    call.page(&OverviewPage {
        layout: Layout::new(call, "Overview", "/"),
        up: in_one_unit(now.duration_since(status.since).as_secs().unsigned_abs()),
        findings: findings(&status, &limits, now),
        status,
        certificate: settings.certificate_expires,
        backup: LastBackup::read(&settings.config.data_dir),
        latest,
    })
}

/// The status of the server, at most seconds old.
pub(super) fn status(call: &ConsoleCall) -> Result<Arc<ServerStatus>, ConsoleFailure> {
    call.console.status(|| match call.execute(OperatorRequest::ShowStatus)? {
        OperatorReply::Status(status) => Ok(Arc::from(status)),
        _ => Err(unexpected()),
    })
}

impl OverviewPage {
    /// When the last token of a connection expires; nothing if one never does.
    fn last_expiry(connection: &ConnectionStatus) -> Option<jiff::Timestamp> {
        let ends = connection.tokens.iter().map(|token| token.expires);
        ends.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    fn is_held(connection: &ConnectionStatus) -> bool {
        connection.brake.as_ref().is_some_and(|brake| brake.hold.is_some())
    }

    fn mib(bytes: &u64) -> u64 {
        bytes >> 20
    }
}
