//! The folder of the log, changed durably.

use std::fs::{self, File};
use std::path::Path;

use crate::log::LogError;

/// Makes the folder if it is missing, durably.
pub(super) fn create_folder(folder: &Path) -> Result<(), LogError> {
    fs::create_dir_all(folder).map_err(LogError::io("create", folder))?;
    folder.parent().map_or(Ok(()), sync_folder)
}

/// Makes it durable which files a folder holds.
pub(super) fn sync_folder(folder: &Path) -> Result<(), LogError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(LogError::io("sync", folder))
}
