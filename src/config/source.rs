//! The texts of a configuration: `config.toml`, and the files of `conf.d` beside it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::ConfigError;
use super::place::Place;
use super::problems::Problem;
use crate::file::{self, SmallFile};

/// The folder beside `config.toml` with more files.
pub(super) const FOLDER: &str = "conf.d";

/// The permission bits that let others write a file.
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// The maximum number of files in the folder.
const MAX_FILES: usize = 256;

/// One file of a configuration, with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourceFile {
    pub(super) path: Arc<Path>,
    pub(super) text: Arc<str>,
    /// Whether the file may only contain connections, because the service can write it.
    pub(super) connections_only: bool,
}

/// The files of a configuration in the order in which they are merged; none for the built-in defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources(pub(super) Vec<SourceFile>);

impl Sources {
    /// One file with this text.
    pub(super) fn of_text(text: &str, file: &Path) -> Self {
        let file = SourceFile { path: file.into(), text: text.into(), connections_only: false };
        Self(vec![file])
    }

    /// Reads a file, and those of the folder beside it.
    ///
    /// # Errors
    ///
    /// A file that can't be read, is too large, or that others may write; a file or folder of a user who may not
    /// decide who gets in.
    pub(super) fn read(main: &Path) -> Result<Self, ConfigError> {
        let SmallFile { bytes, owner, mode } = read(main, file::read(main))?;
        check_mode(main, mode)?;
        let mut files = vec![SourceFile {
            path: main.into(),
            text: text(main, bytes)?,
            connections_only: false,
        }];
        let beside = main.parent().unwrap_or_else(|| Path::new(""));
        let folder = beside.join(FOLDER);
        let found = match fs::symlink_metadata(&folder) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self(files)),
            Err(source) => return Err(ConfigError::Unreadable { file: folder, source }),
        };
        check_folder(&folder, beside, &found, owner)?;
        for path in names(&folder)? {
            let link = fs::symlink_metadata(&path);
            if link.as_ref().is_ok_and(fs::Metadata::is_symlink) {
                return Err(ConfigError::Link { file: path });
            }
            let SmallFile { bytes, owner: owns, mode } = read(&path, file::read_itself(&path))?;
            check_mode(&path, mode)?;
            if ![0, owner, found.uid()].contains(&owns) {
                return Err(ConfigError::Foreign { file: path, owner: owns });
            }
            let text = text(&path, bytes)?;
            let connections_only = owns != 0 && owns != owner;
            files.push(SourceFile { path: path.into(), text, connections_only });
        }
        Ok(Self(files))
    }

    /// The files in the order in which they are merged.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|file| &*file.path)
    }

    /// These files with another text for one of `conf.d`, or without it. A new one comes where its name puts it, and may
    /// only contain connections.
    pub(super) fn with(&self, path: &Path, text: Option<&str>) -> Self {
        let others = self.0.iter().filter(|file| *file.path != *path);
        let mut files: Vec<SourceFile> = others.cloned().collect();
        if let Some(text) = text {
            let file = SourceFile { path: path.into(), text: text.into(), connections_only: true };
            // The first one is the configuration file itself.
            let place = files.iter().skip(1).position(|other| other.path > file.path);
            files.insert(place.map_or(files.len(), |place| place + 1), file);
        }
        Self(files)
    }

    /// The text of one of the files.
    pub(super) fn text(&self, path: &Path) -> Option<&str> {
        let file = self.0.iter().find(|file| *file.path == *path)?;
        Some(&file.text)
    }
}

/// The names of the files in the folder that are read, in order.
fn names(folder: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { file: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_hidden =
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.extension().is_some_and(|extension| extension == "toml") && !is_hidden {
            names.push(path);
        }
    }
    if names.len() > MAX_FILES {
        return Err(ConfigError::TooMany { folder: folder.to_owned(), most: MAX_FILES });
    }
    names.sort();
    Ok(names)
}

/// Checks that no other user could have put the folder there, and that others can't write to it.
fn check_folder(
    folder: &Path,
    beside: &Path,
    found: &fs::Metadata,
    owner: u32,
) -> Result<(), ConfigError> {
    if found.is_symlink() {
        return Err(ConfigError::Link { file: folder.to_owned() });
    }
    if !found.is_dir() {
        let source = io::Error::from(io::ErrorKind::NotADirectory);
        return Err(ConfigError::Unreadable { file: folder.to_owned(), source });
    }
    check_mode(folder, found.mode() & 0o777)?;
    let us = rustix::process::geteuid().as_raw();
    let beside = if beside.as_os_str().is_empty() { Path::new(".") } else { beside };
    let could_be_put_there =
        fs::metadata(beside).map_or(true, |beside| beside.mode() & WRITABLE_BY_OTHERS != 0);
    if could_be_put_there && ![0, owner, us].contains(&found.uid()) {
        return Err(ConfigError::Foreign { file: folder.to_owned(), owner: found.uid() });
    }
    Ok(())
}

fn check_mode(path: &Path, mode: u32) -> Result<(), ConfigError> {
    if mode & WRITABLE_BY_OTHERS != 0 {
        return Err(ConfigError::Open { file: path.to_owned(), mode });
    }
    Ok(())
}

fn read(path: &Path, read: io::Result<SmallFile>) -> Result<SmallFile, ConfigError> {
    let file = || path.to_owned();
    read.map_err(|source| match source.kind() {
        io::ErrorKind::FileTooLarge => ConfigError::TooLarge { file: file() },
        _ => ConfigError::Unreadable { file: file(), source },
    })
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<Arc<str>, ConfigError> {
    String::from_utf8(bytes).map(Arc::from).map_err(|error| {
        let end = error.utf8_error().valid_up_to();
        let valid = String::from_utf8_lossy(error.as_bytes().get(..end).unwrap_or_default());
        let line = valid.matches('\n').count() + 1;
        let column = valid.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let place = Place { file: path.into(), line, column };
        let message = "not UTF-8; expected a text file in UTF-8".to_owned();
        ConfigError::Invalid { problems: vec![Problem { place, key: String::new(), message }] }
    })
}
