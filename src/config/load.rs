//! Finds and reads the configuration file.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::problems::Problem;
use super::reader;
use super::root::Config;
use super::schema::SchemaLines;
use crate::scim::custom::SchemaProblem;

/// The file that is read from the working folder if none is named.
const FILE_NAME: &str = "config.toml";

/// The file of the installed service, which is read where the working folder has none.
pub const SYSTEM_FILE: &str = "/etc/scimd/config.toml";

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The reason why the configuration could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Unreadable {
        /// The file that was asked for.
        file: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is larger than 1 MiB.
    #[error("{}: larger than {MAX_BYTES} bytes; expected a configuration file", file.display())]
    TooLarge {
        /// The file that was asked for.
        file: PathBuf,
    },
    /// The file's content is wrong; shown with one line for each problem.
    #[error("{}", lines(file, problems))]
    Invalid {
        /// The file that was read.
        file: PathBuf,
        /// Every problem, sorted by line; never empty.
        problems: Vec<Problem>,
    },
    /// The system lets the process open too few files for the connections.
    #[error(
        "{}: limits.max_connections: {max_connections} is more than the {most} that the limit on open files allows, \
         which is {limit}, with 100 kept for other files; expected a smaller number, or a higher limit \
         (LimitNOFILE, ulimit -Hn)",
        file.display()
    )]
    OpenFiles {
        /// The file that was read.
        file: PathBuf,
        /// The configured number of connections.
        max_connections: usize,
        /// The limit on open files.
        limit: u64,
        /// The largest number of connections under that limit.
        most: u64,
    },
}

impl Config {
    /// Reads the named file, or else `config.toml` in the working folder, or else [`SYSTEM_FILE`].
    /// Returns the defaults if none of them exists.
    ///
    /// An operator's command therefore uses the service's configuration in any working folder
    /// without a `config.toml`.
    ///
    /// # Errors
    ///
    /// As for [`Config::load`].
    pub fn find(explicit: Option<&Path>) -> Result<Self, ConfigError> {
        let places = [FILE_NAME, SYSTEM_FILE].map(Path::new);
        explicit.map_or_else(|| Self::find_among(&places), Self::load)
    }

    fn find_among(places: &[&Path]) -> Result<Self, ConfigError> {
        // The link itself is examined: a dangling link is an error, not an absent file. The working
        // folder may be inaccessible, as with `sudo -u scimd` in /root.
        let absent = |file: &Path| match fs::symlink_metadata(file).map_err(|error| error.kind()) {
            Err(io::ErrorKind::NotFound) => true,
            Err(io::ErrorKind::PermissionDenied) => file.is_relative(),
            _ => false,
        };
        match places.iter().find(|file| !absent(file)) {
            Some(file) => Self::load(file),
            None => Ok(Self::default()),
        }
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    ///
    /// The file can't be read, is larger than 1 MiB, or has problems, all of which are reported.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { file: path.to_owned(), source };
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
            .map_err(unreadable)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(ConfigError::TooLarge { file: path.to_owned() });
        }
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let valid = bytes.iter().take(error.valid_up_to());
            let line = valid.filter(|&&byte| byte == b'\n').count() + 1;
            let message = "not UTF-8; expected a text file in UTF-8".to_owned();
            let problems = vec![Problem { line, key: String::new(), message }];
            ConfigError::Invalid { file: path.to_owned(), problems }
        })?;
        Self::parse(text, path)
    }

    /// Reads a configuration from its text.
    ///
    /// Relative paths in it are taken from the folder of `file`, which need not exist.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] with every problem.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let mut config = reader::read(text, Self::read)
            .map_err(|problems| ConfigError::Invalid { file: file.to_owned(), problems })?;
        let folder = file.parent().unwrap_or_else(|| Path::new(""));
        config.data_dir = folder.join(config.data_dir);
        let listen = &mut config.listen;
        for path in [&mut listen.certificate, &mut listen.private_key, &mut listen.unix] {
            *path = path.take().map(|path| folder.join(path));
        }
        for connection in config.connections.values_mut() {
            connection.client_ca = connection.client_ca.take().map(|path| folder.join(path));
        }
        config.file = Some(file.to_owned());
        Ok(config)
    }

    /// Returns the error that the configured schemas can't be added, with the line of each problem.
    pub fn schema_error(&self, problems: Vec<SchemaProblem>) -> ConfigError {
        let located =
            problems.into_iter().map(|problem| SchemaLines::locate(&self.schema_lines, problem));
        let file = self.file.clone().unwrap_or_default();
        ConfigError::Invalid { file, problems: located.collect() }
    }
}

fn lines(file: &Path, problems: &[Problem]) -> String {
    let lines: Vec<String> =
        problems.iter().map(|problem| format!("{}:{problem}", file.display())).collect();
    lines.join("\n")
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
            let found = Config::find_among(&[&places[0], &places[1]]).unwrap();
            found.log.level.as_str().to_owned()
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
            error.ends_with("config.toml:2: not UTF-8; expected a text file in UTF-8"),
            "{error}"
        );
        assert!(matches!(Config::load(&folder.0), Err(ConfigError::Unreadable { .. })));
    }

    #[test]
    fn the_error_has_one_line_for_each_problem() {
        let text = "colour = 1\n[connections.okta]\nmethod = \"octa\"\n";
        let error = Config::parse(text, Path::new("etc/config.toml")).unwrap_err().to_string();
        let lines: Vec<&str> = error.lines().collect();
        assert_eq!(lines.len(), 2, "{error}");
        assert!(lines[0].starts_with("etc/config.toml:1: unknown key \"colour\"; known keys are "));
        assert_eq!(
            lines[1],
            "etc/config.toml:3: connections.okta.method: unknown method \"octa\"; expected one of \
             okta, okta-custom, entra, custom (did you mean \"okta\"?)"
        );
    }
}
