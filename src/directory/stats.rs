//! Statistics of a directory.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::connection::token::TokenOwner;
use crate::directory::Directory;
use crate::directory::stored;
use crate::directory::trusted_time::ClockStatus;
use crate::metrics::HistogramSnapshot;
use crate::store::stats::StoreStats;

/// Statistics of a directory at one moment.
#[derive(Clone, Debug)]
pub struct DirectoryStats {
    /// Whether changes can be made.
    pub writable: bool,
    /// Commands that the writer has not taken yet.
    pub waiting: u64,
    /// How many changes each group had that was put on disk at once.
    pub groups: HistogramSnapshot,
    /// How many resources there are, by the endpoint of their type; those that can't be counted are
    /// left out.
    pub resources: Vec<(String, u64)>,
    /// The clock, held against the log and the time that has passed.
    pub clock: ClockStatus,
    /// Those of the store.
    pub store: StoreStats,
}

impl Directory {
    /// The time by which expiry is judged: the later of the clock and [`Directory::now`].
    pub fn time_for_expiry(&self) -> Timestamp {
        self.shared.time.for_expiry(self.settings.local.clock)
    }

    /// The clock, held against the log and the time that has passed.
    pub fn clock_status(&self) -> ClockStatus {
        self.shared.time.status(self.settings.local.clock)
    }

    /// How many requests were denied since the start, by the owner of the token that was presented.
    pub fn denials_by_owner(&self) -> BTreeMap<TokenOwner, u64> {
        self.shared.denied.by_owner()
    }

    /// The figures. Not for a thread that drives asynchronous tasks: files are looked at.
    pub fn stats(&self) -> DirectoryStats {
        let state = self.shared.store.as_ref();
        let kept = self.registry().resource_types().iter().filter(|kept| kept.tag != 0);
        let resources = kept.filter_map(|resource_type| {
            let total = stored::total(state, resource_type).ok()?;
            Some((resource_type.endpoint.clone(), total))
        });
        DirectoryStats {
            writable: self.is_writable(),
            waiting: self.shared.counters.waiting.value(),
            groups: self.shared.counters.groups.counts(),
            resources: resources.collect(),
            clock: self.clock_status(),
            store: state.stats(),
        }
    }
}
