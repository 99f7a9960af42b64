//! The brakes of connections, as operators see and use them.

use serde::{Deserialize, Serialize};

use super::OperatorReply;
use crate::directory::{BrakeStatus, Directory, DirectoryError, Hold, HoldBrake, ReleaseBrake};
use crate::event::Actor;

/// The state of the brake of a connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BrakeInfo {
    /// The connection.
    pub connection: String,
    /// What happens when the connection exceeds its limit; `None` if the configuration lacks it.
    pub action: Option<String>,
    /// The number of accounts that the connection has taken something from, within the window.
    pub counted: u64,
    /// How often the connection exceeded its limit since the start.
    pub alarms: u64,
    /// Since when and why its changes are held, if they are.
    pub hold: Option<Hold>,
}

impl From<BrakeStatus> for BrakeInfo {
    fn from(status: BrakeStatus) -> Self {
        let BrakeStatus { connection, action, hold, counted, alarms } = status;
        let action = action.map(|action| action.as_str().to_owned());
        Self { connection, action, counted, alarms, hold }
    }
}

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
