//! What operators are told of brakes.

use serde::{Deserialize, Serialize};

use super::{OperatorReply, failed};
use crate::directory::{BrakeStatus, Directory, Hold, HoldBrake, ReleaseBrake};
use crate::event::Actor;

/// How the brake of a connection stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BrakeInfo {
    /// The connection.
    pub connection: String,
    /// What happens when it takes too much; `None` if the configuration does not know it.
    pub action: Option<String>,
    /// From how many accounts it has taken something, within the window.
    pub counted: u64,
    /// How often it took too much since the start.
    pub alarms: u64,
    /// Why its changes are held, if they are.
    pub hold: Option<Hold>,
}

impl From<BrakeStatus> for BrakeInfo {
    fn from(status: BrakeStatus) -> Self {
        let BrakeStatus { connection, action, hold, counted, alarms } = status;
        let action = action.map(|action| action.as_str().to_owned());
        Self { connection, action, counted, alarms, hold }
    }
}

pub(super) fn show(directory: &Directory) -> OperatorReply {
    match directory.brakes() {
        Ok(brakes) => OperatorReply::Brakes(brakes.into_iter().map(BrakeInfo::from).collect()),
        Err(error) => failed(error),
    }
}

pub(super) fn hold(directory: &Directory, actor: Actor, connection: String) -> OperatorReply {
    let command = HoldBrake { connection: connection.clone() };
    match directory.submit(actor, command).wait() {
        Ok(hold) => OperatorReply::BrakeHeld { connection, hold },
        Err(error) => failed(error),
    }
}

pub(super) fn release(
    directory: &Directory,
    actor: Actor,
    connection: Option<String>,
) -> OperatorReply {
    match directory.submit(actor, ReleaseBrake { connection }).wait() {
        Ok((connection, hold)) => OperatorReply::BrakeReleased { connection, hold },
        Err(error) => failed(error),
    }
}
