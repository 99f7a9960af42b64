//! The settings in the configuration file, held against those of the other nodes.
//!
//! Each node shows the others digests of what its file says, also before a reload: so a reload can find out that the file
//! of another node differs.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::clock::Stopwatch;
use crate::config::Config;
use crate::directory::Directory;
use crate::log::LogNode;
use crate::settings::SharedSettings;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long a reload waits for the digests of files that were changed a moment ago, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(4);
const PAUSE: Duration = Duration::from_millis(250);
/// What a node shows whose file can't be used.
const INVALID: &str = "invalid";

/// Shows other nodes what the configuration file says, and follows its changes; without other nodes does nothing.
pub(super) async fn show(file: Option<PathBuf>, directory: Arc<Directory>) {
    if !directory.log().is_shared() {
        return std::future::pending().await;
    }
    let mut seen = None;
    loop {
        let (file, directory, before) = (file.clone(), Arc::clone(&directory), seen.clone());
        let look = move || {
            look(file.as_deref(), before.as_deref(), |config| {
                let digests = config
                    .and_then(|config| directory.settings_digests(&config.shared_settings()).ok());
                directory.log().note_settings(digests.as_deref().unwrap_or(INVALID));
                digests.is_some()
            })
        };
        seen = tokio::task::spawn_blocking(look).await.ok().flatten();
        tokio::time::sleep(LOOK).await;
    }
}

/// Has what the files say shown if they are not those that were seen `before`; which are seen now. Files that can't be used
/// do not count as seen: what is wrong may be elsewhere, or pass.
fn look(
    file: Option<&Path>,
    before: Option<&[FileStamp]>,
    show: impl FnOnce(Option<Config>) -> bool,
) -> Option<Vec<FileStamp>> {
    let stamps = stamps(file);
    let is_shown = before == Some(&stamps[..]) || show(Config::find(file).ok());
    is_shown.then_some(stamps)
}

/// What tells a version of a file from others: its inode, length and time of change.
type FileStamp = (PathBuf, u64, u64, i64, i64);

/// Those of the configuration file and of the files in `conf.d`.
fn stamps(file: Option<&Path>) -> Vec<FileStamp> {
    let Some(file) = file else { return Vec::new() };
    let parts = file.parent().unwrap_or_else(|| Path::new("")).join("conf.d");
    let parts = std::fs::read_dir(parts).into_iter().flatten().flatten().map(|part| part.path());
    let stamp = |path: PathBuf| {
        let found = std::fs::metadata(&path).ok()?;
        Some((path, found.ino(), found.len(), found.ctime(), found.ctime_nsec()))
    };
    let mut stamps: Vec<_> =
        std::iter::once(file.to_owned()).chain(parts).filter_map(stamp).collect();
    stamps.sort();
    stamps
}

/// Checks that no running node has another configuration file, if these settings are not those in force.
///
/// # Errors
///
/// Names the nodes, and the keys that differ.
pub(super) fn check_other_nodes(directory: &Directory, wanted: &SharedSettings) -> Result<()> {
    if !directory.log().is_shared() || directory.differing_settings(wanted)?.is_empty() {
        return Ok(());
    }
    let ours = directory.settings_digests(wanted)?;
    let since = Stopwatch::start();
    loop {
        let nodes = directory.log().nodes();
        let nodes = nodes.context("the configuration of the other nodes is not known")?;
        let differing: Vec<String> =
            nodes.iter().filter_map(|node| difference(directory, node, &ours)).collect();
        // A node shows nothing for a moment after its start; those of earlier versions never do.
        let is_pending =
            |node: &LogNode| !node.is_this && node.is_running() && node.settings.is_empty();
        let is_late = since.elapsed() > PATIENCE;
        if differing.is_empty() && (is_late || !nodes.iter().any(is_pending)) {
            return Ok(());
        }
        if is_late {
            bail!(
                "the configuration file of {}; make the files equal, or run `scimd reload --force` to put the file of \
                 this node in force on all nodes",
                differing.join(", and that of ")
            );
        }
        std::thread::sleep(PAUSE);
    }
}

/// How the file of a node differs, if it runs and has read its file.
fn difference(directory: &Directory, node: &LogNode, ours: &str) -> Option<String> {
    if node.is_this || !node.is_running() || node.settings.is_empty() || node.settings == ours {
        return None;
    }
    let shown = node.shown();
    if node.settings == INVALID {
        return Some(format!("{shown} has errors"));
    }
    let keys = directory.differing_digests(ours, &node.settings);
    Some(format!("{shown} differs in {}", keys.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_until_it_can_be_used_and_then_once_it_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        let mut seen = None;
        let mut shown = |is_usable: bool| {
            let mut shown = None;
            seen = look(Some(&file), seen.as_deref(), |config| {
                shown = Some(config.is_some());
                is_usable
            });
            shown
        };
        std::fs::write(&file, "log.level =").unwrap();
        assert_eq!([shown(false), shown(false)], [Some(false); 2]);
        std::fs::write(&file, "log.level = 'debug'").unwrap();
        // Digests could not be made.
        assert_eq!([shown(false), shown(true), shown(true)], [Some(true), Some(true), None]);
        std::fs::write(&file, "log.level = 'trace' ").unwrap();
        assert_eq!(shown(true), Some(true));
    }
}
