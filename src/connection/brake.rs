//! The brake: when a connection takes too much from too many accounts.

use std::time::Duration;

use crate::text::keyword::keyword;

/// From how many accounts a connection may take something, and what happens beyond that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brake {
    /// What happens.
    pub action: BrakeAction,
    /// The share of all accounts, in percent; 1 to 100.
    pub percent: u32,
    /// Up to how many accounts nothing happens, whatever their share; 1 to 1000000.
    pub minimum: usize,
    /// Within what time; 1s to 1d.
    pub window: Duration,
}

/// What happens when a connection takes too much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BrakeAction {
    /// It is told: in the log, the journal and a counter.
    #[default]
    Alarm,
    /// Its changes are held until an operator releases it.
    Hold,
    /// Nothing; nothing is counted.
    Off,
}

impl BrakeAction {
    /// All, in the order of the documentation.
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
            window: Duration::from_secs(10 * 60),
        }
    }
}

impl Brake {
    /// From how many accounts something may be taken, of so many.
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
