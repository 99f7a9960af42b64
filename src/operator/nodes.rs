//! The nodes that share the log.

use data_encoding::HEXLOWER;

use super::reply::{NodeInfo, OperatorReply};
use crate::directory::{Directory, DirectoryError};
use crate::log::{FormatRaise, LogNode};
use crate::store::StoreError;

pub(super) fn list(directory: &Directory) -> Result<OperatorReply, DirectoryError> {
    let nodes = directory.log().nodes().map_err(StoreError::from)?;
    let head = directory.log().head().sequence;
    let info = |node: LogNode| NodeInfo {
        running: node.is_running(),
        id: HEXLOWER.encode(&node.id),
        name: node.name,
        version: node.version,
        format: node.format,
        seen_ms: u64::try_from(node.seen.as_millis()).unwrap_or(u64::MAX),
        behind: if node.is_this { 0 } else { head.saturating_sub(node.copied) },
        this: node.is_this,
    };
    Ok(OperatorReply::Nodes(nodes.into_iter().map(info).collect()))
}

pub(super) fn raise_format(directory: &Directory) -> Result<OperatorReply, DirectoryError> {
    let refused = |reason: String| Ok(OperatorReply::Failed(reason));
    match directory.log().raise_format().map_err(StoreError::from)? {
        FormatRaise::NotShared => {
            refused("the log is in local files, and always written in the newest format".to_owned())
        }
        FormatRaise::Unchanged(format) => Ok(OperatorReply::Format { format, raised: false }),
        FormatRaise::Raised(format) => {
            tracing::info!(format, "the format of the log in the database was raised");
            Ok(OperatorReply::Format { format, raised: true })
        }
        FormatRaise::Refused { behind, known } => {
            let each = behind.into_iter().map(|(node, format)| format!("{node}: {format}"));
            let each: Vec<String> = each.collect();
            refused(format!(
                "format {known} is not known to each running node ({}); upgrade those first",
                each.join(", ")
            ))
        }
    }
}
