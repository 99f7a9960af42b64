//! What keeps a directory in order: snapshots, checks, compaction, and undo.

use jiff::Timestamp;

use super::OperatorReply;
use crate::directory::{Directory, DirectoryError, Undo, UnknownAccess};
use crate::event::Actor;
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

pub(super) fn undo(
    directory: &Directory,
    actor: &Actor,
    since: Timestamp,
    connection: Option<String>,
    drop_unknown_access: bool,
    dry_run: bool,
) -> Result<OperatorReply, DirectoryError> {
    let unknown = match drop_unknown_access {
        true => UnknownAccess::Drop,
        false => UnknownAccess::Refuse,
    };
    let undo = Undo { since, connection, unknown, dry_run };
    Ok(OperatorReply::Undone(directory.undo(actor, &undo)?))
}
