//! The last alarm of a connection: what it was about, and what undoes it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An alarm of the brake, or what made it pause a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrakeAlarm {
    /// When it was raised.
    pub time: Timestamp,
    /// When the first of the accounts lost, or gained, something: a whole second, and never after it.
    pub began: Timestamp,
    /// What was exceeded, as a clause.
    pub reason: String,
}

/// How far the monotonic clock and the times of records may be apart.
const MARGIN: Duration = Duration::from_millis(100);

/// The whole second before what happened this long ago.
pub(super) fn began(now: Timestamp, ago: Duration) -> Timestamp {
    let began = now.saturating_sub(ago.saturating_add(MARGIN)).unwrap_or(now);
    Timestamp::from_second(began.as_second()).unwrap_or(began)
}

/// The command that shows how to undo what a connection did since a time.
pub fn undo_command(connection: &str, began: Timestamp) -> String {
    format!("scimd undo --connection {connection} --since {began} --dry-run")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_is_a_whole_second_that_leaves_nothing_out() {
        let now = Timestamp::from_millisecond(100_050).unwrap();
        assert_eq!(began(now, Duration::ZERO), Timestamp::from_second(99).unwrap());
        assert_eq!(began(now, Duration::from_millis(9_900)), Timestamp::from_second(90).unwrap());
        assert_eq!(
            undo_command("okta", began(now, Duration::ZERO)),
            "scimd undo --connection okta --since 1970-01-01T00:01:39Z --dry-run"
        );
    }
}
