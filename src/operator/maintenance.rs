//! What keeps a directory in order: snapshots, checks and compaction.

use super::OperatorReply;
use crate::directory::{Directory, DirectoryError};
use crate::store::snapshot::VerifiedSnapshot;

pub(super) fn snapshot(directory: &Directory) -> Result<OperatorReply, DirectoryError> {
    let VerifiedSnapshot { snapshot, sha256, .. } = directory.snapshot()?;
    Ok(OperatorReply::Snapshot { name: snapshot.name(), sha256 })
}

pub(super) fn verify(directory: &Directory) -> OperatorReply {
    OperatorReply::Verified(directory.verify())
}

pub(super) fn compact(directory: &Directory) -> Result<OperatorReply, DirectoryError> {
    directory.compact_at_next_start()?;
    Ok(OperatorReply::AtNextStart)
}
