//! Runs the program of `notify.command` with a notification on its standard input. No shell is involved.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

/// How long the program may take.
const TIME: Duration = Duration::from_secs(30);
/// How long what it printed is read after its end.
const LAST_OUTPUT: Duration = Duration::from_millis(200);
/// How much of what it prints is logged, in bytes; the rest is read and dropped.
const MAX_OUTPUT: usize = 2_048;
/// Where the program finds others; it gets no other variable of the server's environment.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The first part of what a program prints.
type Output = Arc<Mutex<Vec<u8>>>;

/// Runs the program; what it printed.
///
/// # Errors
///
/// Why it did not succeed, and what to do.
pub(super) async fn run(program: &Path, event: &[u8]) -> Result<String, String> {
    let shown = program.display();
    let mut child = Command::new(program)
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // What it starts ends with it, if it takes too long.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("can't run {shown}: {error}; {}", remedy(&error)))?;
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let output = Output::default();
    let readers = [
        child.stdout.take().map(|pipe| tokio::spawn(keep(pipe, Arc::clone(&output)))),
        child.stderr.take().map(|pipe| tokio::spawn(keep(pipe, Arc::clone(&output)))),
    ];
    let stdin = child.stdin.take();
    let ended = tokio::time::timeout(TIME, async {
        if let Some(mut stdin) = stdin {
            // A program need not read it.
            let _ = stdin.write_all(event).await;
        }
        child.wait().await
    });
    let ended = ended.await;
    if ended.is_err() {
        // The whole group: a shell's children keep its output open.
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
    }
    for mut reader in readers.into_iter().flatten() {
        if tokio::time::timeout(LAST_OUTPUT, &mut reader).await.is_err() {
            reader.abort();
        }
    }
    let printed = output.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let printed = String::from_utf8_lossy(&printed).trim().to_owned();
    let said = if printed.is_empty() { String::new() } else { format!(": {printed}") };
    match ended {
        Err(_) => Err(format!("{shown} did not end within {TIME:?} and was killed{said}")),
        Ok(Err(error)) => Err(format!("can't wait for {shown}: {error}")),
        Ok(Ok(status)) if status.success() => Ok(printed),
        Ok(Ok(status)) => Err(format!("{shown} failed with {status}{said}")),
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "correct notify.command, or the interpreter that its first line names"
        }
        io::ErrorKind::PermissionDenied => {
            "make it executable for the user that runs scimd (chmod +x)"
        }
        _ => "check notify.command",
    }
}

/// Reads a pipe to its end, and keeps the first part.
async fn keep(mut pipe: impl AsyncRead + Unpin, output: Output) {
    let mut buffer = [0; 8_192];
    while let Ok(count) = pipe.read(&mut buffer).await {
        let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else { return };
        let mut kept = output.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_OUTPUT.saturating_sub(kept.len());
        kept.extend(read.iter().take(room));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    async fn run_script(text: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        fs::write(&script, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        run(&script, b"{\"type\":\"test\"}").await
    }

    #[tokio::test]
    async fn a_program_gets_the_event_and_nothing_of_the_environment() {
        let printed =
            run_script("cat; echo; env | cut -d= -f1 | sort | tr '\\n' ' '").await.unwrap();
        let (event, variables) = printed.split_once('\n').unwrap();
        assert_eq!(event, "{\"type\":\"test\"}");
        assert!(!variables.contains("HOME") && variables.contains("PATH"), "{variables}");
    }

    #[tokio::test]
    async fn a_flood_of_output_is_cut_and_a_failure_says_what_was_printed() {
        let printed = run_script("head -c 104857600 /dev/zero | tr '\\0' x").await.unwrap();
        assert_eq!(printed.len(), MAX_OUTPUT);
        let error = run_script("echo no such room >&2; exit 3").await.unwrap_err();
        assert!(error.ends_with("exit status: 3: no such room"), "{error}");
        let error = run(Path::new("/no/such/program"), b"").await.unwrap_err();
        assert!(error.contains("correct notify.command"), "{error}");
    }

    #[tokio::test]
    async fn what_a_program_leaves_running_is_not_waited_for() {
        let printed = run_script("sleep 20 & echo done").await.unwrap();
        assert_eq!(printed, "done");
    }
}
