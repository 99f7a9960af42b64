//! Free space on the disk of the data directory.
//!
//! A disk that is full is foreseen: changes are refused while little room is left, and are taken on
//! again once there is more. Met by a write, it would end all writing until the next start, and sled
//! may not even read any more.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::StoreError;

const MIB: u64 = 1024 * 1024;
/// How many bytes are kept for changes that take access away, once others are refused.
const RESERVE: u64 = 16 * MIB;

/// The room that is left for a data folder.
pub(super) struct DiskSpace {
    folder: PathBuf,
    /// How much must be left, in bytes.
    least: u64,
    /// Whether a lack of space has been logged.
    told: AtomicBool,
}

impl DiskSpace {
    /// Creates a check of the disk of `folder`, of which `least_mib` mebibytes must stay free.
    pub(super) fn new(folder: &Path, least_mib: u32) -> Self {
        let least = u64::from(least_mib) * MIB;
        Self { folder: folder.to_owned(), least, told: AtomicBool::new(false) }
    }

    /// Checks that enough space stays free after `bytes` more bytes are written.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`], or [`StoreError::RoomUnknown`].
    pub(super) fn check(&self, bytes: u64) -> Result<(), StoreError> {
        self.check_above(self.floors().0, bytes)
    }

    fn check_above(&self, least: u64, bytes: u64) -> Result<(), StoreError> {
        let left =
            self.left().map_err(|error| StoreError::RoomUnknown { reason: error.to_string() })?;
        fits_in(left, least, bytes)
    }

    /// The bytes that must stay free for changes, and for those that take access away.
    fn floors(&self) -> (u64, u64) {
        (self.least, self.least.min(RESERVE))
    }

    /// Checks the space for a change that takes access away: it may use all but the last
    /// [`RESERVE`] bytes.
    ///
    /// # Errors
    ///
    /// As [`DiskSpace::check`].
    pub(super) fn check_reserve(&self) -> Result<(), StoreError> {
        self.check_above(self.floors().1, 0)
    }

    /// Checks the space for a change, and logs when changes are first refused and when they are
    /// accepted again.
    ///
    /// # Errors
    ///
    /// As [`DiskSpace::check`].
    pub(super) fn check_for_change(&self) -> Result<(), StoreError> {
        let outcome = self.check(0);
        match &outcome {
            Err(error) if !self.told.swap(true, Ordering::Relaxed) => tracing::error!(
                %error, folder = %self.folder.display(),
                "low disk space; accepting only changes that remove access, reads still work: free space on the disk \
                 of the data directory"
            ),
            Ok(()) if self.told.swap(false, Ordering::Relaxed) => {
                tracing::info!("disk space recovered; accepting writes");
            }
            _ => {}
        }
        outcome
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.folder)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

/// Checks that `bytes` fit in what is left, and `least` stay free.
fn fits_in(left: u64, least: u64, bytes: u64) -> Result<(), StoreError> {
    let needed = least.saturating_add(bytes);
    if left >= needed {
        return Ok(());
    }
    Err(StoreError::Full { left_mib: left / MIB, needed_mib: needed / MIB })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_what_is_left_below_the_limit_for_others() {
        let folder = tempfile::tempdir().unwrap();
        let space = DiskSpace::new(folder.path(), 1_000_000_000);
        assert!(matches!(space.check_for_change(), Err(StoreError::Full { .. })));
        assert!(space.check_reserve().is_ok());
        assert!(matches!(
            space.check_above(u64::MAX, 0),
            Err(StoreError::Full { needed_mib, .. }) if needed_mib == u64::MAX / MIB
        ));
        assert_eq!(RESERVE, 16 * MIB, "docs/limits.md states it");
    }

    #[test]
    fn changes_stay_above_min_free_mib_and_those_that_take_away_above_the_last_16_mib() {
        let floor = |least_mib: u32| DiskSpace::new(Path::new("/"), least_mib).floors();
        assert_eq!(floor(128), (128 * MIB, 16 * MIB));
        // Fewer than the reserve is what the operator wants for all changes.
        assert_eq!(floor(8), (8 * MIB, 8 * MIB));
        for (left, least, bytes, fits) in [
            (16 * MIB, 16 * MIB, 0, true),
            (16 * MIB - 1, 16 * MIB, 0, false),
            (16 * MIB, 16 * MIB, 1, false),
            (16 * MIB + 1, 16 * MIB, 1, true),
        ] {
            assert_eq!(fits_in(left, least, bytes).is_ok(), fits, "{left} {least} {bytes}");
        }
    }

    #[test]
    fn a_disk_that_does_not_say_how_much_room_it_has_refuses_changes_for_the_moment() {
        let folder = tempfile::tempdir().unwrap();
        let space = DiskSpace::new(&folder.path().join("gone"), 0);
        let error = space.check_for_change().unwrap_err();
        assert!(matches!(error.for_waiting(), StoreError::RoomUnknown { .. }), "{error}");
        std::fs::create_dir(folder.path().join("gone")).unwrap();
        assert!(space.check_for_change().is_ok());
    }
}
