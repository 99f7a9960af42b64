//! The clock, as operators see and accept it.

use super::reply::{ClockInfo, OperatorReply};
use crate::directory::{Directory, DirectoryError};
use crate::event::Actor;

pub(super) fn show(directory: &Directory) -> OperatorReply {
    OperatorReply::Clock(ClockInfo::from(directory.clock_status()))
}

pub(super) fn accept(directory: &Directory, actor: Actor) -> Result<OperatorReply, DirectoryError> {
    let before = directory.accept_clock(actor)?;
    Ok(OperatorReply::ClockAccepted { before: ClockInfo::from(before) })
}
