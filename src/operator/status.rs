//! How a running server is doing.

use super::context::{OperatorContext, RunningServer};
use super::reply::{BrakeInfo, ConnectionStatus, OperatorReply, ServerStatus};
use super::token;
use crate::directory::DirectoryError;

pub(super) fn show(context: &OperatorContext) -> Result<OperatorReply, DirectoryError> {
    let OperatorContext { directory, site, server } = context;
    let Some(RunningServer { requests, since, failed_handshakes, webhooks, .. }) = server else {
        return Ok(OperatorReply::Failed("scimd is not running".to_owned()));
    };
    let now = directory.now();
    let traffic = requests.traffic(now);
    let brakes: Vec<BrakeInfo> = directory.brakes()?.into_iter().map(BrakeInfo::from).collect();
    let connection = |name: &String| ConnectionStatus {
        name: name.clone(),
        traffic: traffic.get(name).cloned().unwrap_or_default(),
        tokens: directory
            .valid_tokens(name)
            .into_iter()
            .map(|one| token::info(context, one))
            .collect(),
        brake: brakes.iter().find(|brake| brake.connection == *name).cloned(),
    };
    let (stats, node_problem) = (directory.stats(), directory.problem());
    Ok(OperatorReply::Status(Box::new(ServerStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        since: *since,
        config_file: site.config_file.clone(),
        data_dir: site.data_dir.clone(),
        endpoint: site.base_url.clone(),
        ready: stats.writable && node_problem.is_none(),
        node_problem,
        node_warning: directory.warning(),
        clock_trusted: stats.clock.is_trusted,
        disk_free_bytes: stats.store.free_bytes,
        snapshot: stats.store.snapshot,
        failed_handshakes: failed_handshakes(),
        connections: site.connections.iter().map(connection).collect(),
        webhooks: webhooks.list(),
    })))
}
