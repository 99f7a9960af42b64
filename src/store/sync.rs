//! Making the content of a folder durable.

use std::fs::File;
use std::path::Path;

use super::StoreError;

/// Makes it durable which files a folder holds.
///
/// # Errors
///
/// [`StoreError::File`].
pub(super) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder)
        .and_then(|opened| opened.sync_all())
        .map_err(StoreError::file("sync", folder))
}
