//! The brakes of connections, as operators see and use them.

use super::reply::{BrakeInfo, OperatorReply};
use crate::directory::{Directory, DirectoryError, HoldBrake, ReleaseBrake};
use crate::event::Actor;

pub(super) fn show(directory: &Directory) -> Result<OperatorReply, DirectoryError> {
    Ok(OperatorReply::Brakes(directory.brakes()?.into_iter().map(BrakeInfo::from).collect()))
}

pub(super) fn hold(
    directory: &Directory,
    actor: Actor,
    connection: String,
) -> Result<OperatorReply, DirectoryError> {
    let hold = directory.submit(actor, HoldBrake { connection: connection.clone() }).wait()?;
    Ok(OperatorReply::BrakeHeld { connection, hold })
}

pub(super) fn release(
    directory: &Directory,
    actor: Actor,
    connection: Option<String>,
) -> Result<OperatorReply, DirectoryError> {
    let (connection, hold) = directory.submit(actor, ReleaseBrake { connection }).wait()?;
    Ok(OperatorReply::BrakeReleased { connection, hold })
}
