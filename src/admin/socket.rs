//! The server's side of the admin socket: reads one line of JSON, answers one line.
//!
//! The socket lies in the data folder, which only its owner may enter; the peer's user id is checked
//! as well.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::SOCKET;
use crate::operator::{OperatorContext, OperatorMessage, OperatorReply, actor, execute};

/// The maximum size of a request, in bytes.
const MAX_REQUEST_BYTES: u64 = 4 * 1024 * 1024;
/// The maximum time for a peer to send a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The listening admin socket. Dropping it removes its file.
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    owner: u32,
}

impl AdminSocket {
    /// Listens in the data folder, which this process must have locked: an existing socket is therefore
    /// a left-over, and is removed.
    ///
    /// # Errors
    ///
    /// The error of the operating system, with a sentence that says what to do.
    pub fn bind(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(SOCKET);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!(
                    "can't listen on {}: {error}; the path may have at most 107 bytes, choose a shorter data_dir",
                    path.display()
                ),
            )
        })?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        let owner = fs::metadata(&path)?.uid();
        Ok(Self { listener, path, owner })
    }

    /// Answers requests until dropped, each with the context of its time.
    pub async fn serve(&self, context: Arc<ArcSwap<OperatorContext>>) {
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the admin socket can't accept connections; retrying");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            };
            let context = context.load_full();
            let owner = self.owner;
            tokio::spawn(async move {
                let exchange = answer(stream, owner, context);
                if let Err(error) = exchange.await {
                    tracing::warn!(%error, "a command on the admin socket was not answered");
                }
            });
        }
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = fs::remove_file(&self.path);
    }
}

async fn answer(stream: UnixStream, owner: u32, context: Arc<OperatorContext>) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let (reader, mut writer) = stream.into_split();
    let reply = if uid == owner || uid == 0 {
        let mut line = String::new();
        let mut reader = BufReader::new(reader.take(MAX_REQUEST_BYTES));
        tokio::time::timeout(REQUEST_TIMEOUT, reader.read_line(&mut line)).await??;
        match serde_json::from_str::<OperatorMessage>(&line) {
            Ok(OperatorMessage { request, sudo }) => {
                // The writer is waited for, and a file is read: not on a thread that serves clients.
                tokio::task::spawn_blocking(move || {
                    let actor = actor::over_socket(uid, sudo);
                    execute(&context, actor, request)
                })
                .await
                .map_err(io::Error::other)?
            }
            Err(error) => OperatorReply::Failed(format!(
                "the running server does not know this command ({error}); it may be another version"
            )),
        }
    } else {
        tracing::warn!(uid, "denied on the admin socket");
        OperatorReply::Denied(format!(
            "the server runs as user {owner}; run this command as that user, or with sudo"
        ))
    };
    let mut line = serde_json::to_vec(&reply)?;
    line.push(b'\n');
    writer.write_all(&line).await?;
    writer.shutdown().await
}
