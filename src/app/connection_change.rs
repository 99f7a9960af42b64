//! Changes a connection in `conf.d`: checks the whole configuration, writes the file, and puts it in force.
//!
//! On a refusal the file is as it was before.

use std::fmt;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::connection_files;
use super::data_folder::{check_exists, open_directory};
use super::open_files::check_open_files;
use super::settings::vocabulary;
use crate::config::{Config, connection_settings, connection_text, holds_only, is_connection_name};
use crate::connection::client::Client;
use crate::connection::token::Token;
use crate::directory::{
    ConnectionFile, Directory, DirectoryError, RecordConnectionChange, RevokeClient, RevokeToken,
};
use crate::event::Actor;
use crate::file;
use crate::operator::resource::count_managed;
use crate::operator::{ConnectionChange, ConnectionChanged, ConnectionRefusal};

/// The mode of a file in `conf.d`, and that of the folder.
const FILE_MODE: u32 = 0o640;
const FOLDER_MODE: u32 = 0o750;

/// A change that was checked and can be carried out.
pub(super) struct PlannedChange {
    name: String,
    path: PathBuf,
    /// The text before and after; `None` without the file.
    old: Option<String>,
    new: Option<String>,
    before: Option<Map<String, Value>>,
    after: Option<Map<String, Value>>,
}

fn failed(error: &dyn fmt::Display) -> ConnectionRefusal {
    ConnectionRefusal::Failed(error.to_string())
}

fn usage<T>(reason: String) -> Result<T, ConnectionRefusal> {
    Err(ConnectionRefusal::Usage(reason))
}

/// Checks a change, and the configuration that it makes.
///
/// # Errors
///
/// The change is wrong; nothing was written.
pub(super) fn plan(
    file: Option<&Path>,
    directory: &Directory,
    change: ConnectionChange,
) -> Result<PlannedChange, ConnectionRefusal> {
    let name = change.name().to_owned();
    if !is_connection_name(&name) {
        return usage(format!(
            "invalid connection name \"{}\"; use 1 to 32 of the characters a-z, 0-9, _ and -",
            name.escape_debug().take(64).collect::<String>()
        ));
    }
    let Some(file) = file else {
        return usage("no configuration file found; write one with `scimd init`".to_owned());
    };
    // What the files say now, which need not be in force.
    let config = Config::load(file).map_err(|error| {
        ConnectionRefusal::Failed(format!(
            "the current configuration is invalid; correct it first:\n{error}"
        ))
    })?;
    let path = config.connection_file(&name).unwrap_or_default();
    let place = config.connection_places.get(&name);
    if let Some(place) = place.filter(|place| *place.file != *path) {
        return usage(format!(
            "connection {name} is defined at {place}; change it there, then run `scimd reload`"
        ));
    }
    let exists = place.is_some();
    let old = config.text_of(&path).map(ToOwned::to_owned);
    if old.as_ref().is_some_and(|old| !holds_only(old, &name)) {
        return usage(format!(
            "{} contains more than connection {name}, and this command would remove that; change the file, then run \
             `scimd reload`",
            path.display()
        ));
    }
    let before = exists.then(|| connection_settings(old.as_deref().unwrap_or_default(), &name));
    let after = match change {
        ConnectionChange::Add { .. } if exists => {
            return usage(format!(
                "connection {name} already exists; change it with `scimd connection set {name}`"
            ));
        }
        ConnectionChange::Set { .. } | ConnectionChange::Remove { .. } if !exists => {
            let known: Vec<&str> = config.connections.keys().map(String::as_str).collect();
            return Err(ConnectionRefusal::NotFound(format!(
                "connection {name} not found; configured: {}",
                known.join(", ")
            )));
        }
        ConnectionChange::Add { settings, .. } => Some(settings),
        ConnectionChange::Set { settings, unset, .. } => {
            let mut all = before.clone().unwrap_or_default();
            for key in unset {
                if all.shift_remove(&key).is_none() {
                    return usage(format!(
                        "connection {name} has no setting \"{}\"",
                        key.escape_debug()
                    ));
                }
            }
            all.extend(settings);
            Some(all)
        }
        ConnectionChange::Remove { confirmed, .. } => {
            check_removal(&name, &config, directory, confirmed)?;
            None
        }
    };
    let new = match &after {
        Some(settings) => Some(connection_text(&name, settings).map_err(ConnectionRefusal::Usage)?),
        None => None,
    };
    let wanted = config.with_file(&path, new.as_deref());
    let wanted = wanted.map_err(|error| ConnectionRefusal::Usage(error.to_string()))?;
    vocabulary(&wanted).map_err(|error| ConnectionRefusal::Usage(error.to_string()))?;
    check_open_files(&wanted).map_err(|error| ConnectionRefusal::Usage(error.to_string()))?;
    Ok(PlannedChange { name, path, old, new, before, after })
}

/// Checks that a connection may be removed.
fn check_removal(
    name: &str,
    config: &Config,
    directory: &Directory,
    confirmed: bool,
) -> Result<(), ConnectionRefusal> {
    if config.connections.len() == 1 {
        return usage(format!("connection {name} is the only one; add another connection first"));
    }
    if confirmed {
        return Ok(());
    }
    let tokens = directory.valid_tokens(name).len();
    let accounts = count_managed(directory, name).map_err(|error| failed(&error))?;
    if tokens == 0 && accounts == 0 {
        return Ok(());
    }
    usage(format!(
        "connection {name} has {} and manages {}. Removing it revokes its tokens; its accounts stay as they are, and \
         no connection with scope = \"own\" may change them. Add --yes to remove it",
        counted(tokens as u64, "valid token"),
        counted(accounts as u64, "account")
    ))
}

fn counted(count: u64, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

impl PlannedChange {
    /// Writes the file.
    pub(super) fn write(&self) -> Result<(), ConnectionRefusal> {
        put(&self.path, self.new.as_deref())
    }

    /// Puts the file back as it was.
    pub(super) fn put_back(&self) -> Result<(), ConnectionRefusal> {
        put(&self.path, self.old.as_deref())
    }

    /// The record that all nodes are to follow, before anything is written; `None` where the log is not shared.
    pub(super) fn next_file(
        &self,
        directory: &Directory,
        data: &Path,
    ) -> Result<Option<ConnectionFile>, ConnectionRefusal> {
        connection_files::next_file(directory, data, &self.name, self.new.clone())
    }

    /// Records the change in the audit trail, and the file for all nodes.
    pub(super) fn record(
        &self,
        directory: &Directory,
        data: &Path,
        actor: &Actor,
        file: Option<ConnectionFile>,
    ) -> Result<(), DirectoryError> {
        let number = file.as_ref().map(|file| file.number);
        let record = RecordConnectionChange {
            name: self.name.clone(),
            before: self.before.clone(),
            after: self.after.clone(),
            file,
        };
        directory.submit(actor.clone(), record).wait()?;
        if let Some(number) = number {
            connection_files::note_own(data, &self.name, number);
        }
        Ok(())
    }

    /// Revokes what a removed connection had, and answers.
    pub(super) fn finish(
        self,
        directory: &Directory,
        actor: &Actor,
        in_force: bool,
    ) -> Result<ConnectionChanged, ConnectionRefusal> {
        let Self { name, path, before, after, .. } = self;
        if after.is_none() {
            // A connection that has this name later has nothing to do with them.
            let revoke = || {
                for Token { id, .. } in directory.valid_tokens(&name) {
                    directory.submit(actor.clone(), RevokeToken { id }).wait()?;
                }
                for Client { id, .. } in directory.valid_clients(&name) {
                    directory.submit(actor.clone(), RevokeClient { id }).wait()?;
                }
                Ok::<_, DirectoryError>(())
            };
            revoke().map_err(|error| {
                failed(&format!(
                    "the connection was removed but its tokens and clients could not be revoked: {error}; revoke them \
                     with `scimd token revoke` and `scimd client revoke`"
                ))
            })?;
        }
        Ok(ConnectionChanged { name, file: path.display().to_string(), before, after, in_force })
    }
}

/// What comes of a record that was not made although the change was.
pub(super) fn not_recorded(error: &DirectoryError) -> ConnectionRefusal {
    failed(&format!("the change was made but could not be recorded in the audit log: {error}"))
}

/// Gives a file of `conf.d` a text, or removes it.
pub(super) fn put(path: &Path, text: Option<&str>) -> Result<(), ConnectionRefusal> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let shown = folder.display();
    if text.is_some() && !folder.exists() {
        let mut make = fs::DirBuilder::new();
        make.mode(FOLDER_MODE).create(folder).map_err(|error| {
            failed(&format!(
                "can't create {shown}: {error}; as root, run `install -d -o scimd -g scimd -m 0750 {shown}`"
            ))
        })?;
    }
    let owner = fs::metadata(folder).map(|found| (found.uid(), found.gid()));
    let written =
        owner.and_then(|owner| file::replace(path, text.map(str::as_bytes), FILE_MODE, owner));
    written.map_err(|error| {
        failed(&format!(
            "can't write {}: {error}; {shown} must belong to the user of the service",
            path.display()
        ))
    })
}

/// Changes a connection where no server runs.
///
/// # Errors
///
/// The change is wrong or can't be carried out; everything is as it was.
pub fn change_connection(
    config: &Config,
    actor: &Actor,
    change: ConnectionChange,
) -> Result<ConnectionChanged, ConnectionRefusal> {
    let open = || {
        check_exists(config)?;
        open_directory(config)
    };
    let directory = open().map_err(|error| failed(&format!("{error:#}")))?;
    let planned = plan(config.file.as_deref(), &directory, change)?;
    let file = planned.next_file(&directory, &config.data_dir)?;
    let is_shared = file.is_some();
    planned.write()?;
    if let Err(error) = planned.record(&directory, &config.data_dir, actor, file) {
        if is_shared {
            planned.put_back()?;
            return Err(failed(&format!("nothing was changed: {error}")));
        }
        return Err(not_recorded(&error));
    }
    planned.finish(&directory, actor, false)
}
