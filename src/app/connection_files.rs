//! The files of `conf.d` that all nodes share: what `scimd connection` or the console has changed on any of them.
//!
//! The log has the newest text of each. A node writes it to its own `conf.d`, once, and notes that it has: what is changed
//! by hand later stays until the next change by a command.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{getegid, geteuid};

use crate::config::Config;
use crate::directory::{ConnectionFile, Directory, changed_elsewhere};
use crate::file;
use crate::operator::ConnectionRefusal;

/// The file of the data directory with the number of the newest change of each connection that this node has taken over.
const NOTES: &str = "connections.json";
/// How long a change waits for the database.
const PATIENCE: Duration = Duration::from_secs(3);

/// The numbers of the changes that this node has taken over.
fn notes(data: &Path) -> Result<BTreeMap<String, u64>> {
    let path = data.join(NOTES);
    match file::read(&path) {
        Ok(found) => serde_json::from_slice(&found.bytes)
            .with_context(|| format!("{} is damaged; remove it", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error).with_context(|| format!("can't read {}", path.display())),
    }
}

/// Notes that a change is taken over.
pub(super) fn note(data: &Path, name: &str, number: u64) -> Result<()> {
    let mut notes = notes(data)?;
    notes.insert(name.to_owned(), number);
    let (path, us) = (data.join(NOTES), (geteuid().as_raw(), getegid().as_raw()));
    let json = serde_json::to_vec(&notes)?;
    file::replace(&path, Some(&json), 0o600, us)
        .with_context(|| format!("can't write {}", path.display()))
}

/// The files that this node has not taken over yet.
pub(super) fn pending(directory: &Directory, data: &Path) -> Result<Vec<(String, ConnectionFile)>> {
    if !directory.log().is_shared() {
        return Ok(Vec::new());
    }
    let (files, notes) = (directory.connection_files()?, notes(data)?);
    let is_new = |(name, file): &(String, ConnectionFile)| notes.get(name) != Some(&file.number);
    Ok(files.into_iter().filter(is_new).collect())
}

/// The configuration with the files that all nodes share and this one could not write.
pub(super) fn with_pending(config: Config, directory: &Directory) -> Result<Config> {
    let mut config = config;
    for (name, file) in pending(directory, &config.data_dir)? {
        let Some(path) = config.connection_file(&name) else { continue };
        if config.text_of(&path) != file.text.as_deref() {
            config = config.with_file(&path, file.text.as_deref())?;
        }
    }
    Ok(config)
}

/// The change of a connection that all nodes are to follow, before anything is done. Where the log is not shared there is
/// one only if it was: nodes that share it again later are not to go back to what they had.
///
/// # Errors
///
/// The database can't be reached, or another node was faster.
pub(super) fn next_file(
    directory: &Directory,
    data: &Path,
    name: &str,
    text: Option<String>,
) -> Result<Option<ConnectionFile>, ConnectionRefusal> {
    let failed = |reason: String| ConnectionRefusal::Failed(reason);
    let known = || -> Result<Option<u64>> {
        let files = directory.connection_files()?;
        Ok(files.into_iter().find(|(known, _)| known == name).map(|(_, file)| file.number))
    };
    if !directory.log().is_shared() {
        let known = known().map_err(|error| failed(format!("{error:#}")))?;
        return Ok(known.map(|known| ConnectionFile { number: known + 1, text }));
    }
    let newest = directory.log().newest(PATIENCE);
    newest.map_err(|error| failed(format!("nothing was changed: {error}")))?;
    let read = || -> Result<(u64, u64)> {
        let taken = notes(data)?.get(name).copied().unwrap_or(0);
        Ok((taken, known()?.unwrap_or(0)))
    };
    let (taken, known) = read().map_err(|error| failed(format!("{error:#}")))?;
    if taken != known {
        return Err(failed(changed_elsewhere(name)));
    }
    Ok(Some(ConnectionFile { number: known + 1, text }))
}

/// Notes that this node has made a change of a connection.
pub(super) fn note_own(data: &Path, name: &str, number: u64) {
    // Otherwise the next start writes the same text again.
    if let Err(error) = note(data, name, number) {
        tracing::warn!(error = format!("{error:#}"), "a change of a connection could not be noted");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::Clock;
    use crate::directory::{LocalSettings, RecordConnectionChange};
    use crate::event::Actor;
    use crate::settings::SharedSettings;
    use crate::store::folder::DataFolder;
    use crate::store::local::{LocalStore, StoreLimits};

    #[test]
    fn without_nodes_a_change_follows_what_nodes_have_had_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(folder.path()).unwrap();
        let limits = StoreLimits { cache_mib: 8, memory_mib: 64, min_free_mib: 0 };
        let store = LocalStore::open(data, limits, [7; 16], Clock::System.now()).unwrap();
        let (log, local) = (store.log(), LocalSettings::for_tests(Clock::System));
        let shared = SharedSettings::default();
        let directory = Directory::open_as_saved(log, Arc::new(store), &shared, local).unwrap();
        let next = |name, text: Option<&str>| {
            next_file(&directory, folder.path(), name, text.map(ToOwned::to_owned)).ok().unwrap()
        };
        assert_eq!(next("okta", Some("a")), None);
        // As nodes have left it.
        let file = Some(ConnectionFile { number: 1, text: Some("a".to_owned()) });
        let record =
            RecordConnectionChange { name: "okta".to_owned(), before: None, after: None, file };
        directory.submit(Actor::System, record).wait().unwrap();
        assert_eq!(next("okta", None), Some(ConnectionFile { number: 2, text: None }));
        assert_eq!(next("entra", Some("a")), None);
    }
}
