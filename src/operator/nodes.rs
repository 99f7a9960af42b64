//! The nodes that share the log.

use data_encoding::HEXLOWER;

use super::reply::{NodeInfo, OperatorReply};
use crate::directory::{Directory, DirectoryError};
use crate::log::LogNode;
use crate::store::StoreError;

pub(super) fn list(directory: &Directory) -> Result<OperatorReply, DirectoryError> {
    let nodes = directory.log().nodes().map_err(StoreError::from)?;
    let head = directory.log().head().sequence;
    let info = |node: LogNode| NodeInfo {
        running: node.is_running(),
        id: HEXLOWER.encode(&node.id),
        name: node.name,
        version: node.version,
        seen_ms: u64::try_from(node.seen.as_millis()).unwrap_or(u64::MAX),
        behind: if node.is_this { 0 } else { head.saturating_sub(node.copied) },
        this: node.is_this,
    };
    Ok(OperatorReply::Nodes(nodes.into_iter().map(info).collect()))
}
