//! The command line's side of the admin socket.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::SOCKET;
use crate::operator::{OperatorReply, OperatorRequest, actor};

/// The maximum time for the server to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The maximum time for the server to answer a request that reads everything.
const LONG_ANSWER_TIMEOUT: Duration = Duration::from_secs(2 * 60 * 60);

/// Sends a request to the server that runs on a data folder; `None` if none does.
///
/// # Errors
///
/// The error of the operating system, if a server runs and can't be reached.
pub fn ask(data_dir: &Path, request: &OperatorRequest) -> io::Result<Option<OperatorReply>> {
    let mut stream = match UnixStream::connect(data_dir.join(SOCKET)) {
        Ok(stream) => stream,
        Err(error) => {
            return match error.kind() {
                // No socket, a left-over one, or a path that no socket can have.
                io::ErrorKind::NotFound
                | io::ErrorKind::ConnectionRefused
                | io::ErrorKind::InvalidInput => Ok(None),
                _ => Err(error),
            };
        }
    };
    check_peer(&stream, data_dir)?;
    let timeout = match request.reads_everything() {
        true => LONG_ANSWER_TIMEOUT,
        false => ANSWER_TIMEOUT,
    };
    stream.set_read_timeout(Some(timeout))?;
    let message = json!({"request": request, "sudo": actor::sudo_user()});
    let mut line = serde_json::to_vec(&message)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    if answer.is_empty() {
        let reason = "the server stopped before it answered";
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
    }
    serde_json::from_str(&answer).map(Some).map_err(io::Error::from)
}

/// Checks who answers: this user, root, or the owner of the data folder. Another user's server would be believed
/// whatever it says.
fn check_peer(stream: &UnixStream, data_dir: &Path) -> io::Result<()> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?.uid.as_raw();
    let us = rustix::process::geteuid().as_raw();
    if peer == us || peer == 0 || peer == fs::metadata(data_dir)?.uid() {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "user {peer} answers, who does not own the data directory; find out which process that is"
    )))
}
