//! The brakes of connections, as operators see and use them.

use super::reply::{BrakeInfo, OperatorReply};
use crate::directory::{AllowBrake, Directory, DirectoryError, Hold, HoldBrake, ReleaseBrake};
use crate::event::Actor;

pub(super) fn show(directory: &Directory) -> Result<OperatorReply, DirectoryError> {
    Ok(OperatorReply::Brakes(directory.brakes()?.into_iter().map(BrakeInfo::from).collect()))
}

pub(super) fn hold(
    directory: &Directory,
    actor: Actor,
    connection: String,
    reason: Option<String>,
) -> Result<OperatorReply, DirectoryError> {
    let command = HoldBrake { connection: connection.clone(), reason };
    let hold = directory.submit(actor, command).wait()?;
    Ok(OperatorReply::BrakeHeld { connection, hold })
}

pub(super) fn allow(
    directory: &Directory,
    actor: Actor,
    command: AllowBrake,
) -> Result<OperatorReply, DirectoryError> {
    let connection = command.connection.clone();
    let allowance = directory.submit(actor, command).wait()?;
    let brakes = directory.brakes()?;
    let hold = brakes.into_iter().find(|brake| brake.connection == connection);
    let hold = hold.and_then(|brake| brake.hold);
    Ok(OperatorReply::BrakeAllowed { connection, allowance, hold })
}

pub(super) fn withheld(
    directory: &Directory,
    connection: String,
) -> Result<OperatorReply, DirectoryError> {
    let changes = directory.withheld(&connection);
    let brakes = directory.brakes()?;
    let hold = brakes.into_iter().find(|brake| brake.connection == connection);
    Ok(OperatorReply::Withheld { hold: hold.and_then(|brake| brake.hold), connection, changes })
}

/// Releases a connection; which one, and its hold if it was held.
pub(super) fn release(
    directory: &Directory,
    actor: Actor,
    connection: Option<String>,
) -> Result<(Option<String>, Option<Hold>), DirectoryError> {
    let released = directory.submit(actor, ReleaseBrake { connection: connection.clone() });
    Ok(match released.wait()? {
        Some((name, hold)) => (Some(name), Some(hold)),
        None => (connection, None),
    })
}
