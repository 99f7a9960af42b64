//! Drives the log of the library, without a server: the durability suite hurts this program.
//!
//! | arguments | what it does |
//! | --- | --- |
//! | `append FOLDER MARKS GROUPS` | two writers append groups to one log, each behind the head that it last saw |
//! | `read FOLDER` | opens the log again, appends one group, and prints every frame |
//!
//! `append` adds lines to the file MARKS, each with one system call:
//!
//! ```text
//! Ms ATTEMPT                     a group is about to be appended
//! Ma ATTEMPT FIRST LAST:HASH     the group is durable: `Append::Done`
//! Mm ATTEMPT                     nothing was appended: `Append::Moved`
//! Ma WAIT+SEQUENCE - HEAD:HASH   `wait_beyond` returned this head
//! ```
//!
//! `read` prints `SEQUENCE HASH PREVIOUS ATTEMPT INDEX ok|altered` for each frame, and `fault TEXT` for
//! each fault that the check of the chain reports. What a frame holds follows from its attempt and index.

use std::error::Error;
use std::fs::File;
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use scimd::event::{Actor, Details, Event, Head, Verb};
use scimd::log::local::LocalLog;
use scimd::log::{Append, Frame, Log, LogEntry, LogError, Position, ReadLog as _, Write};

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// The number of the mark for a head that `wait_beyond` returned is this plus its sequence.
const WAIT: u64 = 1 << 40;
/// The attempt of the group that `read` appends.
const AFTERWARDS: u64 = 1 << 30;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match *args {
        ["append", folder, marks, groups] => append(folder.as_ref(), marks.as_ref(), groups),
        ["read", folder] => read(folder.as_ref()),
        _ => Err("usage: log-driver append FOLDER MARKS GROUPS | read FOLDER".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With standard error closed, the exit code is all that is left.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn open(folder: &Path) -> Result<LocalLog, LogError> {
    LocalLog::open(folder, [7; 16], &[])
}

fn append(folder: &Path, marks: &Path, groups: &str) -> Outcome {
    let groups: u64 = groups.parse()?;
    let log = open(folder)?;
    let marks = File::options().create(true).append(true).open(marks)?;
    let attempts = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let writer = || write_groups(&log, &marks, &attempts, groups);
        let writers = [scope.spawn(writer), scope.spawn(writer)];
        let follower = scope.spawn(|| follow(&log, &marks));
        let outcomes = writers.map(std::thread::ScopedJoinHandle::join);
        log.close();
        let followed = follower.join();
        for outcome in outcomes.into_iter().chain([followed]) {
            outcome.map_err(|_| "a thread panicked")??;
        }
        Ok(())
    })
}

/// Appends groups until there have been enough attempts; every writer keeps the head that it saw last.
fn write_groups(log: &LocalLog, mut marks: &File, attempts: &AtomicU64, groups: u64) -> Outcome {
    let mut seen = log.head();
    loop {
        let attempt = attempts.fetch_add(1, Ordering::SeqCst);
        if attempt >= groups {
            return Ok(());
        }
        marks.write_all(format!("Ms {attempt}\n").as_bytes())?;
        let mark = match log.append(group(attempt), seen)? {
            Append::Done(frames) => {
                let first = frames.first().map_or(0, |frame| frame.sequence);
                seen = frames.last().map_or(seen, |frame| frame.position());
                format!("Ma {attempt} {first} {seen}\n")
            }
            Append::Moved(head) => {
                seen = head;
                format!("Mm {attempt}\n")
            }
        };
        marks.write_all(mark.as_bytes())?;
    }
}

/// Marks every head that it is woken with, until the log is closed.
fn follow(log: &LocalLog, mut marks: &File) -> Outcome {
    let mut seen = log.head();
    loop {
        let head = log.wait_beyond(seen.sequence, Duration::from_secs(60));
        if head == seen {
            return Ok(());
        }
        seen = head;
        marks.write_all(format!("Ma {} - {head}\n", WAIT + head.sequence).as_bytes())?;
    }
}

fn read(folder: &Path) -> Outcome {
    let log = open(folder)?;
    let Append::Done(_) = log.append(group(AFTERWARDS), log.head())? else {
        return Err("the head moved with a single writer".into());
    };
    drop(log);
    let log = open(folder)?;
    let mut lines = String::new();
    log.read(0, &mut |frame| {
        lines.push_str(&line(&frame));
        lines.push('\n');
        ControlFlow::Continue(())
    })?;
    log.verify(&[], &mut |fault| lines.push_str(&format!("fault {fault}\n")))?;
    io::stdout().write_all(lines.as_bytes())?;
    Ok(())
}

fn line(frame: &Frame) -> String {
    let Position { sequence, .. } = frame.position();
    let previous = Position { sequence: sequence - 1, hash: frame.previous };
    let key = frame.writes.first().map(|write| String::from_utf8_lossy(&write.key).into_owned());
    let key = key.unwrap_or_default();
    let (attempt, index) = key.split_once('.').unwrap_or_default();
    let expected = attempt.parse().ok().zip(index.parse().ok()).map(|(at, index)| entry(at, index));
    let same =
        expected.is_some_and(|entry| entry.head == frame.head && entry.writes == frame.writes);
    let state = if same { "ok" } else { "altered" };
    format!("{} {previous} {attempt} {index} {state}", frame.position())
}

/// The group of an attempt: one to four entries of up to 1.5 KiB.
fn group(attempt: u64) -> Vec<LogEntry> {
    (0..=attempt * 7 % 4).map(|index| entry(attempt, index)).collect()
}

fn entry(attempt: u64, index: u64) -> LogEntry {
    let event =
        Event { kind: "test".to_owned(), verb: Verb::Replaced, subject: attempt.to_string() };
    let time = Timestamp::UNIX_EPOCH;
    let head = Head { time, actor: Actor::System, event, details: Details::default() };
    let size = (attempt * 389 + index * 97) % 1_500;
    let value: Vec<u8> = (0..size).map(|at| (at * 31 + attempt + index) as u8).collect();
    let write = Write { key: format!("{attempt}.{index}").into_bytes(), value: Some(value.into()) };
    LogEntry { head, writes: vec![write] }
}
