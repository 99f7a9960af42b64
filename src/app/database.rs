//! The database that several nodes share, and what a node keeps about itself.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use data_encoding::HEXLOWER;
use rand::TryRng;
use rand::rngs::SysRng;
use rustix::process::{getegid, geteuid};

use crate::config::{Config, EngineConfig};
use crate::file;
use crate::log::postgres::{self, PostgresSettings};

/// The file that makes a data directory that of a node: its id, as hexadecimal digits.
const NODE_FILE: &str = "node";

/// Where the log is, and who this node is.
///
/// # Errors
///
/// The file with the URL can't be read, or others may read it.
pub(super) fn settings(config: &Config) -> Result<PostgresSettings> {
    let url = url(config)?;
    let base = base(config);
    let mut process = [0; 8];
    SysRng.try_fill_bytes(&mut process).context("the operating system gives no randomness")?;
    Ok(PostgresSettings {
        url,
        base,
        node: node_id(&config.data_dir)?,
        name: host_name(),
        process,
        snapshot_interval: config.store.snapshot_interval,
    })
}

/// The ports of the database; none if the log is in files, or the URL can't be read, which is another error.
pub(super) fn ports(config: &Config) -> Vec<u16> {
    match config.store.engine {
        EngineConfig::Postgres => url(config).map(|url| postgres::ports(&url)).unwrap_or_default(),
        EngineConfig::Local => Vec::new(),
    }
}

/// The files that a connection to the database needs.
pub(super) fn files(config: &Config) -> Vec<PathBuf> {
    let url_file = config.store.url_file.clone();
    let authorities = match config.store.engine {
        EngineConfig::Postgres => {
            url(config).ok().and_then(|url| postgres::ca_file(&url, &base(config)))
        }
        EngineConfig::Local => None,
    };
    url_file.into_iter().chain(authorities).collect()
}

/// What a relative path in the URL is relative to.
fn base(config: &Config) -> PathBuf {
    config.file.as_deref().and_then(Path::parent).map(PathBuf::from).unwrap_or_default()
}

fn url(config: &Config) -> Result<String> {
    let path = config.store.url_file.as_deref().context("store.url_file is missing")?;
    let shown = path.display();
    let found = file::read(path).with_context(|| format!("store.url_file: can't read {shown}"))?;
    if !found.is_private() {
        bail!("store.url_file: others may read {shown}; run `chmod 600 {shown}`");
    }
    String::from_utf8(found.bytes).map_err(|_| anyhow!("store.url_file: {shown} is not text"))
}

/// The id of the node whose data directory this is; a new one if it has none.
fn node_id(data: &Path) -> Result<[u8; 16]> {
    let path = data.join(NODE_FILE);
    match file::read(&path) {
        Ok(found) => {
            let id = HEXLOWER.decode(found.bytes.trim_ascii()).ok();
            id.and_then(|id| id.try_into().ok()).with_context(|| {
                format!(
                    "{} holds no node id; remove it, so that the node gets a new one",
                    path.display()
                )
            })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut id = [0; 16];
            SysRng.try_fill_bytes(&mut id).context("the operating system gives no randomness")?;
            Ok(id)
        }
        Err(error) => Err(error).with_context(|| format!("can't read {}", path.display())),
    }
}

/// Makes a data directory that of a node, once its log has been opened.
///
/// # Errors
///
/// The file can't be written.
pub(super) fn keep_node(data: &Path, id: [u8; 16]) -> Result<()> {
    if is_node(data) {
        return Ok(());
    }
    let path = data.join(NODE_FILE);
    let text = format!("{}\n", HEXLOWER.encode(&id));
    let us = (geteuid().as_raw(), getegid().as_raw());
    file::replace(&path, Some(text.as_bytes()), 0o600, us)
        .with_context(|| format!("can't write {}", path.display()))
}

/// Makes the data directory of a node that of a server again, which keeps its log in files.
///
/// # Errors
///
/// The file can't be removed.
pub(super) fn forget_node(data: &Path) -> Result<()> {
    let path = data.join(NODE_FILE);
    let removed = std::fs::remove_file(&path).and_then(|()| std::fs::File::open(data)?.sync_all());
    removed.with_context(|| format!("can't remove {}", path.display()))
}

/// Whether a data directory holds the copy of a shared log.
pub(super) fn is_node(data: &Path) -> bool {
    data.join(NODE_FILE).exists()
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
