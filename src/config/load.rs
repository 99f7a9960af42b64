//! Finds and reads the configuration file.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cut_off::cut_off;
use super::error::ConfigError;
use super::reader;
use super::root::Config;
use super::schema::SchemaLines;
use super::source::Sources;
use crate::connection::federation::KeySource;
use crate::scim::custom::SchemaProblem;

/// The file that is read from the working folder if none is named.
const FILE_NAME: &str = "config.toml";

/// The file of the installed service, which is read where the working folder has none.
pub const SYSTEM_FILE: &str = "/etc/scimd/config.toml";

/// How long a file must stay the same before a reload takes it.
const SETTLED: Duration = Duration::from_millis(200);
/// How often a reload looks whether the file stays the same.
const ATTEMPTS: usize = 25;

impl Config {
    /// Reads the named file, or else `config.toml` in the working folder, or else [`SYSTEM_FILE`].
    /// Returns the defaults if none of them exists.
    ///
    /// An operator's command therefore uses the service's configuration in any working folder
    /// without a `config.toml`. What the working folder has counts only if it belongs to this user or to root: another
    /// user could have put it there.
    ///
    /// # Errors
    ///
    /// As for [`Config::load`], and [`ConfigError::Foreign`].
    pub fn find(explicit: Option<&Path>) -> Result<Self, ConfigError> {
        match Self::locate(explicit)? {
            Some(file) => Self::load(&file),
            None => Ok(Self::default()),
        }
    }

    /// Like [`Config::find`], for a file that may just be written: what was read must stay the same for
    /// 200 ms, and must not look like the beginning of the file that `present` was read from.
    ///
    /// # Errors
    ///
    /// As for [`Config::find`]; [`ConfigError::Unsettled`].
    pub fn find_again(present: &Self) -> Result<Self, ConfigError> {
        let Some(file) = Self::locate(present.file.as_deref())? else { return Ok(Self::default()) };
        let mut sources = Sources::read(&file)?;
        for _ in 0..ATTEMPTS {
            std::thread::sleep(SETTLED);
            let again = Sources::read(&file)?;
            if again == sources {
                if let Some(problem) = cut_off(&sources, &present.sources) {
                    return Err(ConfigError::Invalid { problems: vec![problem] });
                }
                return Self::of_sources(sources);
            }
            sources = again;
        }
        Err(ConfigError::Unsettled { file })
    }

    fn locate(explicit: Option<&Path>) -> Result<Option<PathBuf>, ConfigError> {
        let places = [FILE_NAME, SYSTEM_FILE].map(Path::new);
        explicit.map_or_else(|| locate_among(&places), |file| Ok(Some(file.to_owned())))
    }

    /// Reads a configuration file, and those of `conf.d` beside it.
    ///
    /// # Errors
    ///
    /// A file can't be read, is larger than 1 MiB, or may be written by others; the problems of all files.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::of_sources(Sources::read(path)?)
    }

    /// Reads a configuration from the text of one file.
    ///
    /// Relative paths in it are taken from the folder of `file`, which need not exist.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] with every problem.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        Self::of_sources(Sources::of_text(text, file))
    }

    /// Reads a configuration from its texts. Relative paths are taken from the folder of the first.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] with every problem.
    pub(super) fn of_sources(sources: Sources) -> Result<Self, ConfigError> {
        let mut config = reader::read(&sources, Self::read)
            .map_err(|problems| ConfigError::Invalid { problems })?;
        config.file = sources.0.first().map(|main| main.path.to_path_buf());
        let folder = config.file.as_deref().and_then(Path::parent).unwrap_or_else(|| Path::new(""));
        config.data_dir = folder.join(config.data_dir);
        let listen = &mut config.listen;
        for path in [&mut listen.certificate, &mut listen.private_key, &mut listen.unix] {
            *path = path.take().map(|path| folder.join(path));
        }
        let token_file = std::iter::once(&mut config.metrics.token_file);
        for path in config.notify.paths().chain(token_file) {
            *path = path.take().map(|path| folder.join(path));
        }
        config.store.url_file = config.store.url_file.take().map(|path| folder.join(path));
        config.oauth.key_file = config.oauth.key_file.take().map(|path| folder.join(path));
        for connection in config.connections.values_mut() {
            connection.client_ca = connection.client_ca.take().map(|path| folder.join(path));
            let keys = connection.federation.as_mut().map(|federation| &mut federation.keys);
            if let Some(KeySource::File(path)) = keys {
                *path = folder.join(&path);
            }
        }
        if let Some(oidc) = &mut config.console.oidc {
            oidc.client_secret_file = folder.join(&oidc.client_secret_file);
            oidc.ca_file = oidc.ca_file.take().map(|path| folder.join(path));
        }
        for webhook in config.webhooks.values_mut() {
            webhook.secret_file = folder.join(&webhook.secret_file);
            webhook.ca_file = webhook.ca_file.take().map(|path| folder.join(path));
        }
        config.sources = sources;
        Ok(config)
    }

    /// Returns the error that the configured schemas can't be added, with the line of each problem.
    pub fn schema_error(&self, problems: Vec<SchemaProblem>) -> ConfigError {
        let located =
            problems.into_iter().map(|problem| SchemaLines::locate(&self.schema_lines, problem));
        ConfigError::Invalid { problems: located.collect() }
    }
}

/// The first place that exists; `None` if there is none.
///
/// # Errors
///
/// [`ConfigError::Foreign`].
fn locate_among(places: &[&Path]) -> Result<Option<PathBuf>, ConfigError> {
    // The link itself is examined: a dangling link is an error, not an absent file. The working
    // folder may be inaccessible, as with `sudo -u scimd` in /root.
    let absent = |file: &Path| match fs::symlink_metadata(file).map_err(|error| error.kind()) {
        Err(io::ErrorKind::NotFound) => true,
        Err(io::ErrorKind::PermissionDenied) => file.is_relative(),
        _ => false,
    };
    let found = places.iter().find(|file| !absent(file)).map(|file| (*file).to_owned());
    match &found {
        Some(file) => check_owner(file)?,
        None => check_owner(&Config::default().data_dir)?,
    }
    Ok(found)
}

/// Checks that what was found in the working folder belongs to this user or to root.
fn check_owner(file: &Path) -> Result<(), ConfigError> {
    let owners = [fs::symlink_metadata(file), fs::metadata(file)];
    let us = rustix::process::geteuid().as_raw();
    for owner in owners.into_iter().flatten().map(|found| found.uid()) {
        if file.is_relative() && owner != us && owner != 0 {
            return Err(ConfigError::Foreign { file: file.to_owned(), owner });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own for each test, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("scimd-load-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, content: impl AsRef<[u8]>) -> PathBuf {
            let file = self.0.join(FILE_NAME);
            fs::write(&file, content).unwrap();
            file
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn relative_paths_start_at_the_file() {
        let folder = Folder::new("paths");
        let file = folder.write("[listen]\ncertificate = 'c.pem'\nprivate_key = '/k.pem'");
        let config = Config::load(&file).unwrap();
        assert_eq!(config.data_dir, folder.0.join("scimd-data"));
        assert_eq!(config.listen.certificate, Some(folder.0.join("c.pem")));
        assert_eq!(config.listen.private_key, Some(PathBuf::from("/k.pem")));
        assert_eq!(config.file, Some(file));
    }

    #[test]
    fn an_absent_file_means_defaults_unless_it_is_named() {
        let folder = Folder::new("absent");
        let places = ["config.toml", "x.toml"].map(|name| folder.0.join(name));
        let level = || {
            let found = locate_among(&[&places[0], &places[1]]).unwrap();
            let config = found.map_or_else(Config::default, |file| Config::load(&file).unwrap());
            config.log.level.as_str().to_owned()
        };
        assert_eq!(level(), Config::default().log.level.as_str());
        let error = Config::find(Some(&places[1])).unwrap_err();
        assert!(matches!(error, ConfigError::Unreadable { .. }), "{error}");
        fs::write(&places[1], "log.level = 'trace'").unwrap();
        assert_eq!(level(), "trace");
        folder.write("log.level = 'debug'");
        assert_eq!(level(), "debug");
    }

    #[test]
    fn odd_files_are_clear_errors() {
        let folder = Folder::new("odd");
        let file = folder.write("#".repeat(1 << 20));
        assert!(Config::load(&file).is_ok());
        let file = folder.write("#".repeat((1 << 20) + 1));
        assert!(matches!(Config::load(&file), Err(ConfigError::TooLarge { .. })));
        let file = folder.write(b"# a\n# \xff");
        let error = Config::load(&file).unwrap_err().to_string();
        assert!(
            error.ends_with("config.toml:2:3: not UTF-8; expected a text file in UTF-8"),
            "{error}"
        );
        assert!(matches!(Config::load(&folder.0), Err(ConfigError::Unreadable { .. })));
    }

    #[test]
    fn a_file_that_others_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = Folder::new("open");
        let file = folder.write("");
        for (mode, expected) in [(0o600, true), (0o644, true), (0o664, false), (0o646, false)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let loaded = Config::load(&file);
            assert_eq!(loaded.is_ok(), expected, "{mode:o}");
            assert!(expected || loaded.unwrap_err().to_string().contains("run `chmod go-w "));
        }
    }

    #[test]
    fn the_error_has_one_line_for_each_problem() {
        let text = "colour = 1\n[connections.okta]\nmethod = \"octa\"\n";
        let error = Config::parse(text, Path::new("etc/config.toml")).unwrap_err().to_string();
        let lines: Vec<&str> = error.lines().collect();
        assert_eq!(lines.len(), 2, "{error}");
        assert!(lines[0].starts_with("etc/config.toml:1:1: unknown key \"colour\"; known keys: "));
        assert_eq!(
            lines[1],
            "etc/config.toml:3:1: connections.okta.method: unknown method \"octa\"; expected one of \
             okta, okta-custom, entra, generic, custom (did you mean \"okta\"?)"
        );
    }
}
