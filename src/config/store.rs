//! `[store]`: the embedded database.

use super::reader::Section;

/// What the embedded database may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Memory for its page cache, in MiB; 8 to 4096.
    pub cache_mib: u32,
}

impl Default for Store {
    fn default() -> Self {
        Self { cache_mib: 64 }
    }
}

impl Store {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        Self { cache_mib: section.integer("cache_mib", 8..=4_096, Self::default().cache_mib) }
    }
}
