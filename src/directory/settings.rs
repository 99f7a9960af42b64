//! The settings of a directory, and state as it is read under them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::access::Catalogue;
use crate::clock::Clock;
use crate::connection::Brake;
use crate::scim::registry::Registry;
use crate::store::Read;

/// The settings of a directory. A request and a command go by one of them from beginning to end.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The resource types.
    pub registry: Arc<Registry>,
    /// The access that accounts can have.
    pub catalogue: Arc<Catalogue>,
    /// The brake of each connection.
    pub brakes: Arc<BTreeMap<String, Brake>>,
    /// The clock.
    pub clock: Clock,
    /// The largest size of a stored resource, in bytes.
    pub max_resource_bytes: usize,
    /// The largest number of resources and members that a search reads.
    pub max_scan: usize,
    /// The longest time that a search takes.
    pub max_search_time: Duration,
}

/// State under one configuration, for reading.
#[derive(Clone, Copy)]
pub(crate) struct DirectoryView<'a> {
    /// The state.
    pub(crate) state: &'a dyn Read,
    /// The settings that it is read under.
    pub(crate) settings: &'a Settings,
}

impl<'a> DirectoryView<'a> {
    /// The resource types.
    pub(crate) fn registry(self) -> &'a Registry {
        &self.settings.registry
    }
}
