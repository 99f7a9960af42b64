//! What follows the log beside the directory.

use std::sync::Arc;

use crate::directory::{Directory, LocalSettings};
use crate::log::Log;
use crate::store::Store;

impl Directory {
    /// The log, the state that follows it, and the settings of this process, for who derives something from them.
    pub(crate) fn parts_to_follow(&self) -> (Arc<dyn Log>, Arc<dyn Store>, LocalSettings) {
        let (log, store) = (Arc::clone(&self.shared.log), Arc::clone(&self.shared.store));
        (log, store, self.settings.local.clone())
    }
}
