//! A listener on a Unix socket, for a proxy on this machine. Who may connect is for the permissions of the
//! socket's file to say; the client's address comes in a PROXY header.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Mode;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::debug;

use super::proxy_header;

/// What the mode of the socket's file leaves out: owner and group may connect, which is mode 0660.
const UMASK: u32 = 0o117;

/// The socket. Dropping it removes its file.
pub struct LocalListener {
    listener: UnixListener,
    path: PathBuf,
    /// Connections whose PROXY header has not come yet.
    pending: JoinSet<Option<(UnixStream, IpAddr)>>,
}

impl LocalListener {
    /// Listens on a path. A socket that nobody listens on any more is removed first. Call this from one
    /// thread at a time: the umask of the process is another one for a moment.
    ///
    /// # Errors
    ///
    /// The path is taken or can't be used; the error says what to do.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let shown = path.display();
        match path.symlink_metadata() {
            Ok(found) if !found.file_type().is_socket() => {
                let reason =
                    format!("{shown} exists and is not a socket; remove it, or change listen.unix");
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, reason));
            }
            Ok(_) if StdUnixStream::connect(path).is_ok() => {
                let reason =
                    format!("another process listens on {shown}; stop it, or change listen.unix");
                return Err(io::Error::new(io::ErrorKind::AddrInUse, reason));
            }
            Ok(_) => fs::remove_file(path)?,
            Err(_) => {}
        }
        let before = rustix::process::umask(Mode::from_raw_mode(UMASK));
        let bound = UnixListener::bind(path);
        rustix::process::umask(before);
        let listener = bound.map_err(|error| {
            let reason = format!(
                "can't listen on {shown}: {error}; its directory must exist and be writable, and the path may have \
                 at most 107 bytes"
            );
            io::Error::new(error.kind(), reason)
        })?;
        Ok(Self { listener, path: path.to_owned(), pending: JoinSet::new() })
    }

    /// The next client whose PROXY header has come, within `patience` from its connection; at most `most`
    /// connections wait for theirs, and further ones are closed.
    ///
    /// # Errors
    ///
    /// The operating system gives out no connection.
    pub(super) async fn accept(
        &mut self,
        patience: Duration,
        most: usize,
    ) -> io::Result<(UnixStream, IpAddr)> {
        loop {
            tokio::select! {
                Some(ended) = self.pending.join_next() => {
                    if let Ok(Some(client)) = ended {
                        return Ok(client);
                    }
                }
                accepted = self.listener.accept() => {
                    let (stream, _) = accepted?;
                    if self.pending.len() < most {
                        self.pending.spawn(introduced(stream, patience));
                    } else {
                        debug!("connection on the Unix socket closed: too many wait for a PROXY header");
                    }
                }
            }
        }
    }
}

impl Drop for LocalListener {
    fn drop(&mut self) {
        // The next start removes it if this can't.
        let _ = fs::remove_file(&self.path);
    }
}

/// Reads the PROXY header of a connection; `None` if there is no valid one in time.
async fn introduced(mut stream: UnixStream, patience: Duration) -> Option<(UnixStream, IpAddr)> {
    match timeout(patience, proxy_header::read(&mut stream)).await {
        Ok(Ok(client)) => Some((stream, client)),
        Ok(Err(error)) => {
            debug!(%error, "connection on the Unix socket closed");
            None
        }
        Err(_) => {
            debug!("connection on the Unix socket closed: no PROXY header came in time");
            None
        }
    }
}
