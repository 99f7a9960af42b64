//! `[process]`: limits that the server sets on its own process.

use super::reader::Section;

/// Limits on the process of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessConfig {
    /// Whether the server gives up files and system calls that it does not need, as far as the kernel can enforce it.
    pub sandbox: bool,
}

impl Default for ProcessConfig {
    fn default() -> Self {
        Self { sandbox: true }
    }
}

impl ProcessConfig {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        Self { sandbox: section.boolean("sandbox", Self::default().sandbox) }
    }
}
