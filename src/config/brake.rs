//! `[connections.NAME.brake]`: the limits on accounts that one connection affects.

use std::time::Duration;

use super::reader::Section;
use crate::connection::Brake;

impl Brake {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let window = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
        Self {
            action: section.parsed("action", default.action),
            percent: section.integer("percent", 1..=100, default.percent),
            minimum: section.integer("minimum", 1..=1_000_000, default.minimum),
            max_gains: section.integer("max_gains", 1..=1_000_000, default.max_gains),
            window: section.duration("window", window, default.window),
        }
    }
}
