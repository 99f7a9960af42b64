//! The brake: limits on the number of accounts from which a connection may remove access, and to which it may
//! give the access that does most harm.

use std::time::Duration;

use crate::text::keyword::keyword;

/// The limits on the number of accounts that may lose or gain something, and the action beyond them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brake {
    /// The action when the limit is exceeded.
    pub action: BrakeAction,
    /// The share of all accounts, in percent; 1 to 100.
    pub percent: u32,
    /// The number of accounts that is always allowed, whatever their share; 1 to 1000000.
    pub minimum: usize,
    /// The number of accounts that may be reactivated or given company permissions; 1 to 1000000.
    pub max_gains: usize,
    /// The time window in which accounts are counted; 1s to 1d.
    pub window: Duration,
}

/// The action when a connection exceeds one of its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BrakeAction {
    /// An alarm is raised in the log, the audit trail and a metric.
    #[default]
    Alarm,
    /// The changes of the connection are held until an operator releases the brake.
    Hold,
    /// The brake is disabled: nothing is counted.
    Off,
}

impl BrakeAction {
    /// All actions, in the order of the documentation.
    pub const ALL: &[Self] = &[Self::Alarm, Self::Hold, Self::Off];

    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::Hold => "hold",
            Self::Off => "off",
        }
    }
}

keyword!(BrakeAction, "action");

impl Default for Brake {
    fn default() -> Self {
        Self {
            action: BrakeAction::default(),
            percent: 20,
            minimum: 10,
            max_gains: 10,
            window: Duration::from_secs(10 * 60),
        }
    }
}

impl Brake {
    /// Returns the limit on the accounts that may lose something, in a directory of `accounts` accounts.
    pub fn limit(&self, accounts: u64) -> u64 {
        let share = accounts.saturating_mul(u64::from(self.percent)) / 100;
        share.max(self.minimum as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_larger_of_share_and_minimum() {
        let brake = Brake { percent: 20, minimum: 10, ..Brake::default() };
        for (accounts, limit) in [(0, 10), (49, 10), (54, 10), (55, 11), (1_000, 200)] {
            assert_eq!(brake.limit(accounts), limit, "{accounts}");
        }
    }
}
