//! Files that the server may read and write, and ports that it may connect to, enforced by Landlock (`landlock(7)`).
//!
//! Files that are open already stay open, so that a backup may be written to wherever the operator asked: the
//! command that asks opens that file. Landlock looks at where a path leads, so a link out of an allowed folder opens
//! nothing.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, PathBeneath, PathFd,
    PathFdError, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus,
};
use thiserror::Error;

use super::programs::{Outgoing, Programs};
use crate::app::database;
use crate::config::{Config, OidcConfig, SYSTEM_FILE, WebhookConfig};
use crate::connection::federation::KeySource;

/// The rights of this version are refused unless a rule gives them; later ones are not known.
const VERSION: ABI = ABI::V5;
/// What the process reads of the system: names of users, the limits of its control group, its own figures, and random
/// numbers, which a static binary reads from a file.
const SYSTEM: [&str; 5] = ["/etc", "/proc", "/sys/fs/cgroup", "/dev/random", "/dev/urandom"];
/// The folder beside the configuration file with its further parts.
const PARTS: &str = "conf.d";

/// Why the rules can't be enforced.
#[derive(Debug, Error)]
pub(super) enum FileRulesError {
    /// The kernel refuses what it says it can do.
    #[error(transparent)]
    Kernel(#[from] RulesetError),
    /// A folder or file is there and can't be opened: without its rule, every later use of it would be refused.
    #[error(transparent)]
    Path(#[from] PathFdError),
}

/// The folders and files that the server needs.
pub(super) struct FileRules {
    /// May be changed.
    written: Vec<PathBuf>,
    /// May be read.
    read: Vec<PathBuf>,
    /// May have sockets.
    sockets: Vec<PathBuf>,
    programs: Programs,
    outgoing: Outgoing,
}

impl FileRules {
    /// What a configuration needs, also to be read again.
    pub(super) fn of(config: &Config, programs: Programs) -> Self {
        let outgoing = Outgoing::of(config);
        let file = config.file.clone();
        let places = file.map_or_else(
            || vec![PathBuf::from("config.toml"), PathBuf::from(SYSTEM_FILE)],
            |file| vec![file],
        );
        let mut written = vec![config.data_dir.clone()];
        written.extend(places.iter().map(|file| folder_of(file).join(PARTS)));
        let mut files = places;
        files.extend(certificate_files(config).into_iter().map(|(_, file)| file.to_owned()));
        files.extend(config.notify.files().map(|(_, file)| file.clone()));
        files.extend(config.metrics.token_file.clone());
        files.extend(
            config.console.oidc.iter().flat_map(OidcConfig::files).map(|(_, file)| file.clone()),
        );
        files.extend(database::files(config));
        files.extend(config.webhooks.values().flat_map(WebhookConfig::files).cloned());
        // A link, where a service of the system writes the addresses of name servers.
        files.push(PathBuf::from("/etc/resolv.conf"));
        // A link may lead to another folder.
        files.extend(files.clone().into_iter().filter_map(|file| file.canonicalize().ok()));
        let mut read: Vec<PathBuf> = files.iter().map(|file| folder_of(file)).collect();
        read.extend(SYSTEM.map(PathBuf::from));
        if programs == Programs::Allowed {
            read.push(PathBuf::from("/"));
        }
        let sockets = config.listen.unix.iter().map(|socket| folder_of(socket)).collect();
        Self { written, read, sockets, programs, outgoing }
    }

    /// Creates `conf.d` beside a configuration file of this user: a folder that is made later is outside the rules.
    pub(super) fn create_parts(config: &Config) {
        let Some(folder) = config.file.as_deref().map(folder_of) else { return };
        let us = rustix::process::geteuid().as_raw();
        if fs::metadata(&folder).is_ok_and(|found| found.uid() == us) {
            // Without it, no connection can be added while the server runs, which then says so.
            let _ = fs::DirBuilder::new().mode(0o700).create(folder.join(PARTS));
        }
    }

    /// Enforces the rules for this thread and those that it starts. Returns what is in force, for the log, and
    /// whether anything is.
    ///
    /// # Errors
    ///
    /// [`FileRulesError`]; nothing is in force then.
    pub(super) fn enforce(&self) -> Result<(String, bool), FileRulesError> {
        let reading = AccessFs::ReadFile | AccessFs::ReadDir;
        let writing = AccessFs::WriteFile
            | AccessFs::Truncate
            | AccessFs::MakeReg
            | AccessFs::MakeDir
            | AccessFs::MakeSock
            | AccessFs::RemoveFile
            | AccessFs::RemoveDir
            | AccessFs::Refer;
        let of_sockets: BitFlags<AccessFs> = AccessFs::MakeSock | AccessFs::RemoveFile;
        let of_programs: BitFlags<AccessFs> = match self.programs {
            Programs::Refused => BitFlags::empty(),
            Programs::Allowed => AccessFs::Execute.into(),
        };
        let ruleset = Ruleset::default().handle_access(AccessFs::from_all(VERSION))?;
        let ports = match &self.outgoing {
            Outgoing::Any => None,
            Outgoing::Ports(ports) => Some(ports),
        };
        let ruleset = match ports {
            Some(_) => ruleset.handle_access(AccessNet::ConnectTcp)?,
            None => ruleset,
        };
        let ports = ports.into_iter().flatten();
        let status =
            ruleset
                .create()?
                .add_rules(ports.map(|port| {
                    Ok::<_, FileRulesError>(NetPort::new(*port, AccessNet::ConnectTcp))
                }))?
                .add_rules(rules_below(&self.written, reading | writing))?
                .add_rules(rules_below(&self.read, reading | of_programs))?
                .add_rules(rules_below(&self.sockets, of_sockets))?
                .add_rules(rules_below(["/dev/null"], AccessFs::ReadFile | AccessFs::WriteFile))?
                .restrict_self()?;
        Ok(match (status.ruleset, status.landlock) {
            (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => {
                ("not restricted: Landlock is not enabled".to_owned(), false)
            }
            (RulesetStatus::NotEnforced, _) => {
                ("not restricted: the kernel lacks Landlock or denies its use".to_owned(), false)
            }
            (_, LandlockStatus::Available { effective_abi, .. }) => {
                (format!("Landlock {}", effective_abi as i32), true)
            }
            (_, _) => ("Landlock".to_owned(), true),
        })
    }

    /// Everything that may be read, without links.
    pub(super) fn readable(&self) -> Vec<PathBuf> {
        let all = self.written.iter().chain(&self.read);
        all.filter_map(|path| path.canonicalize().ok()).collect()
    }
}

/// A rule for each path, and for what is below it. What is not there, or not for this user, has none.
fn rules_below<P: AsRef<Path>>(
    paths: impl IntoIterator<Item = P>,
    access: impl Into<BitFlags<AccessFs>>,
) -> impl Iterator<Item = Result<PathBeneath<PathFd>, FileRulesError>> {
    let access = access.into();
    paths.into_iter().filter_map(move |path| match PathFd::new(&path) {
        Ok(opened) => {
            let is_file = fs::metadata(&path).is_ok_and(|found| !found.is_dir());
            let possible = if is_file { access & AccessFs::from_file(VERSION) } else { access };
            Some(Ok(PathBeneath::new(opened, possible)))
        }
        Err(PathFdError::OpenCall { source, .. })
            if [ErrorKind::NotFound, ErrorKind::PermissionDenied].contains(&source.kind()) =>
        {
            None
        }
        Err(error) => Some(Err(error.into())),
    })
}

/// The files of certificates and keys that the configuration names, with the setting of each.
pub(super) fn certificate_files(config: &Config) -> Vec<(String, &Path)> {
    let listen = &config.listen;
    let of_listener =
        [("listen.certificate", &listen.certificate), ("listen.private_key", &listen.private_key)];
    let of_listener =
        of_listener.into_iter().filter_map(|(key, path)| Some((key.to_owned(), path.as_deref()?)));
    let of_clients = config.connections.iter().filter_map(|(name, connection)| {
        Some((format!("connections.{name}.client_ca"), connection.client_ca.as_deref()?))
    });
    let key = config.oauth.key_file.as_deref().map(|path| ("oauth.key_file".to_owned(), path));
    let of_issuers = config.connections.iter().filter_map(|(name, connection)| {
        match &connection.federation.as_ref()?.keys {
            KeySource::File(path) => {
                Some((format!("connections.{name}.federation.jwks_file"), path.as_path()))
            }
            KeySource::Url(_) => None,
        }
    });
    of_listener.chain(of_clients).chain(key).chain(of_issuers).collect()
}

/// The folder of a file.
fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {

    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_that_is_there_and_does_not_open_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        symlink(&link, &link).unwrap();
        let rules = |path: &Path| -> Vec<_> { rules_below([path], AccessFs::ReadFile).collect() };
        assert!(matches!(rules(&link)[..], [Err(FileRulesError::Path(_))]));
        assert!(matches!(rules(folder.path())[..], [Ok(_)]));
        assert!(rules(&folder.path().join("none")).is_empty());
    }

    /// What comes of it on a thread that the rules restrict, which ends with it.
    fn restricted<T: Send>(rules: &FileRules, then: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let (status, restricted) = rules.enforce().unwrap();
                assert!(restricted, "{status}: this test needs a kernel with Landlock");
                then()
            });
            thread.join().unwrap()
        })
    }

    fn refused<T: std::fmt::Debug>(result: std::io::Result<T>) {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::PermissionDenied);
    }

    fn config_in(folder: &Path) -> Config {
        for name in ["etc/conf.d", "data", "elsewhere"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        fs::write(folder.join("elsewhere/file"), "").unwrap();
        let text = "data_dir = '../data'\n[listen]\nunix = '../run/socket'";
        Config::parse(text, &folder.join("etc/config.toml")).unwrap()
    }

    #[test]
    fn the_data_directory_is_written_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let rules = FileRules::of(&config_in(folder.path()), Programs::Refused);
        symlink(path("elsewhere"), path("data/link")).unwrap();
        restricted(&rules, || {
            fs::create_dir(path("data/a")).unwrap();
            fs::write(path("data/a/file"), "x").unwrap();
            fs::rename(path("data/a/file"), path("data/file")).unwrap();
            fs::write(path("etc/conf.d/one.toml"), "x").unwrap();
            refused(fs::write(path("file"), "x"));
            refused(fs::write(path("etc/config.toml"), "x"));
            refused(fs::write(path("data/link/file"), "x"));
            refused(fs::remove_file(path("elsewhere/file")));
            refused(fs::rename(path("data/file"), path("elsewhere/file")));
        });
    }

    #[test]
    fn the_configuration_is_read_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let rules = FileRules::of(&config_in(folder.path()), Programs::Refused);
        fs::write(path("etc/config.toml"), "").unwrap();
        let readable = rules.readable();
        assert!(readable.contains(&path("etc").canonicalize().unwrap()), "{readable:?}");
        restricted(&rules, || {
            fs::read(path("etc/config.toml")).unwrap();
            fs::read("/etc/passwd").unwrap();
            refused(fs::read(path("elsewhere/file")));
            refused(fs::read_dir(path("elsewhere")));
        });
    }

    #[test]
    fn the_socket_of_a_proxy_is_made_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("run")).unwrap();
        let rules = FileRules::of(&config_in(folder.path()), Programs::Refused);
        let socket = folder.path().join("run/socket");
        restricted(&rules, || {
            drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
            fs::remove_file(&socket).unwrap();
            refused(fs::write(&socket, ""));
        });
    }

    #[test]
    fn programs_start_only_if_they_may() {
        let folder = tempfile::tempdir().unwrap();
        let config = config_in(folder.path());
        for programs in [Programs::Refused, Programs::Allowed] {
            let rules = FileRules::of(&config, programs);
            let started = restricted(&rules, || std::process::Command::new("true").status());
            assert_eq!(started.is_ok(), programs == Programs::Allowed, "{started:?}");
        }
    }
}
