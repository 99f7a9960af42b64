//! The nodes that share the log.

use std::time::Duration;

use data_encoding::HEXLOWER;

use super::reply::{NodeInfo, OperatorReply};
use crate::directory::{Directory, DirectoryError};
use crate::log::LogNode;
use crate::store::StoreError;

/// A node that was seen within this time is running: each is seen every second.
const ALIVE: Duration = Duration::from_secs(10);

pub(super) fn list(directory: &Directory) -> Result<OperatorReply, DirectoryError> {
    let nodes = directory.log().nodes().map_err(StoreError::from)?;
    let head = directory.log().head().sequence;
    let info = |node: LogNode| NodeInfo {
        id: HEXLOWER.encode(&node.id),
        name: node.name,
        version: node.version,
        running: node.seen < ALIVE,
        seen_ms: u64::try_from(node.seen.as_millis()).unwrap_or(u64::MAX),
        behind: if node.is_this { 0 } else { head.saturating_sub(node.copied) },
        this: node.is_this,
    };
    Ok(OperatorReply::Nodes(nodes.into_iter().map(info).collect()))
}
