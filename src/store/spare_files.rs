//! Whether files can be opened: a change needs some at the moment at which it is too late to refuse it.
//!
//! The database may open a file in the middle of applying a change, and a failure there would end all writing
//! until the next start. So a change is refused, for the moment, while few file descriptors are left.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::StoreError;

/// How many descriptors must be free for a change.
const SPARE: usize = 8;

/// Descriptors that can be opened.
pub(super) struct SpareFiles {
    /// An open file, of which others are made.
    file: File,
    /// Whether a lack of descriptors has been logged.
    told: AtomicBool,
}

impl SpareFiles {
    /// Creates a check that goes by a file in `folder`.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`].
    pub(super) fn of(folder: &Path) -> Result<Self, StoreError> {
        let file = File::open(folder).map_err(StoreError::file("open", folder))?;
        Ok(Self { file, told: AtomicBool::new(false) })
    }

    /// Checks that [`SPARE`] files can be opened, and logs when changes are first refused and when they are
    /// accepted again.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoFiles`].
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let spare: Result<Vec<File>, _> = (0..SPARE).map(|_| self.file.try_clone()).collect();
        match spare {
            Ok(_) => {
                if self.told.swap(false, Ordering::Relaxed) {
                    tracing::info!("files can be opened again; accepting writes");
                }
                Ok(())
            }
            Err(source) => {
                if !self.told.swap(true, Ordering::Relaxed) {
                    tracing::error!(
                        error = %source,
                        "too few files can be opened; rejecting writes, reads still work: raise LimitNOFILE"
                    );
                }
                Err(StoreError::NoFiles)
            }
        }
    }
}
