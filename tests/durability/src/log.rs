//! The log by itself, without a server: a driver appends groups through the library's `Log`, is killed,
//! failed or cut off, and the log is read again.
//!
//! Each group that was acknowledged must be there, whole and as it was appended; a group whose append
//! returned `Moved` must not be there; of any other group at most a prefix may be there, at the end. The
//! chain must be whole, and `wait_beyond` may have returned durable heads only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::finding::{Finding, Harm};
use crate::image::{self, Op, Record, Unsynced};
use crate::journal;
use crate::report::{Row, Tally};
use crate::server::Place;
use crate::session::{Cycle, Session};

/// The faults that the driver meets.
const FAULTS: [&str; 4] = ["kill", "torn", "eio", "enospc"];
/// How many groups the driver tries to append.
const GROUPS: &str = "40";
/// As in `powercut`: an answer that does not wait for the sync comes well before it.
const SYNC_MICROS: &str = "1500";
/// The number of the mark for a head that `wait_beyond` returned is this plus its sequence.
const WAIT: usize = 1 << 40;
/// The attempt of the group that the driver appends when it reads.
const AFTERWARDS: usize = 1 << 30;

/// What the driver marked.
#[derive(Debug, Default)]
struct Marks {
    sent: BTreeSet<usize>,
    /// The first and the last sequence of each acknowledged attempt, with the last hash.
    done: BTreeMap<usize, (usize, String)>,
    moved: BTreeSet<usize>,
    /// Heads that `wait_beyond` returned.
    waited: Vec<String>,
}

impl Marks {
    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let mut marks = Self::default();
        // A kill may have cut off the last mark, which then says nothing.
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |word: &str| word.parse().unwrap_or(usize::MAX);
            match words[..] {
                ["Ms", attempt] => drop(marks.sent.insert(number(attempt))),
                ["Mm", attempt] => drop(marks.moved.insert(number(attempt))),
                ["Ma", _, "-", head] => marks.waited.push(head.to_owned()),
                ["Ma", attempt, first, last] => {
                    marks.done.insert(number(attempt), (number(first), last.to_owned()));
                }
                _ => {}
            }
        }
        marks
    }

    /// What had been marked before a power cut: `whole` are the marks of the whole run.
    fn before(whole: &Self, record: &Record, cut: usize) -> Self {
        let (mut sent, mut acknowledged) = (BTreeSet::new(), BTreeSet::new());
        for op in record.ops.iter().take(cut) {
            match op {
                Op::Sent(attempt) => drop(sent.insert(*attempt)),
                Op::Acknowledged(number) => drop(acknowledged.insert(*number)),
                _ => {}
            }
        }
        let done = whole.done.iter().filter(|(attempt, _)| acknowledged.contains(attempt));
        let waited = whole.waited.iter().filter(|head| {
            let sequence = head.split_once(':').and_then(|(sequence, _)| sequence.parse().ok());
            sequence.is_some_and(|sequence: usize| acknowledged.contains(&(WAIT + sequence)))
        });
        Self {
            sent,
            done: done.map(|(attempt, place)| (*attempt, place.clone())).collect(),
            moved: whole.moved.clone(),
            waited: waited.cloned().collect(),
        }
    }

    /// Compares the frames that the driver printed with what was marked.
    fn check(&self, printed: &str) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut find = |harm, text: String| findings.push(Finding::new(harm, text));
        let mut heads: Vec<&str> = Vec::new();
        // The positions of each attempt's entries: (index, sequence).
        let mut there: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
        let mut before = None;
        for line in printed.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [head, previous, attempt, index, state] = words[..] else {
                find(Harm::Chain, line.to_owned());
                continue;
            };
            let numbers = (attempt.parse().ok()).zip(index.parse().ok());
            let Some((attempt, index)) = numbers.filter(|_| state == "ok") else {
                find(Harm::Half, format!("the frame at {head} is not as it was appended"));
                continue;
            };
            if before.is_some_and(|before| before != previous) {
                find(Harm::Chain, format!("{head} does not follow {before:?}"));
            }
            before = Some(head);
            heads.push(head);
            there.entry(attempt).or_default().push((index, heads.len()));
        }
        for (attempt, (first, last)) in &self.done {
            let size = attempt * 7 % 4 + 1;
            let expected: Vec<_> = (0..size).map(|index| (index, first + index)).collect();
            match there.get(attempt) {
                None => find(Harm::Lost, format!("the acknowledged group {attempt} is not there")),
                Some(found) if *found != expected => {
                    find(Harm::Half, format!("of group {attempt} there is {found:?}"));
                }
                Some(_) if heads.get(first + size - 2) != Some(&last.as_str()) => {
                    find(Harm::Chain, format!("group {attempt} does not end with {last}"));
                }
                Some(_) => {}
            }
        }
        let mut unacknowledged = 0;
        for (attempt, found) in there.iter().filter(|(attempt, _)| **attempt != AFTERWARDS) {
            if self.done.contains_key(attempt) {
                continue;
            }
            unacknowledged += 1;
            let first = found.first().map_or(0, |(_, sequence)| *sequence);
            let is_prefix = found.iter().enumerate().all(|(at, one)| *one == (at, first + at));
            // Its writer may have been stopped before it could mark it: then it is whole, and the other
            // writer's groups may follow. Behind a prefix stands only what was appended afterwards.
            let is_whole = found.len() == attempt * 7 % 4 + 1;
            let is_last = found.last().is_some_and(|(_, last)| last + 1 >= heads.len());
            if self.moved.contains(attempt) || !self.sent.contains(attempt) {
                find(Harm::CameBack, format!("group {attempt} was not appended, and is there"));
            } else if !is_prefix || !(is_whole || is_last) || unacknowledged > 2 {
                find(Harm::Half, format!("of group {attempt}, never answered, there is {found:?}"));
            }
        }
        for head in self.waited.iter().filter(|head| !heads.contains(&head.as_str())) {
            find(Harm::Lost, format!("wait_beyond returned {head}, which is not there"));
        }
        findings
    }
}

/// Fails, or ends with, every call of the driver.
pub(crate) fn every_call(session: &Session) -> Row {
    let tally = session.tally("log-every-call", false);
    let limit = Duration::from_secs(60);
    // About 60 calls; later ones meet nothing.
    session.share_out("log-every-call", 64 * FAULTS.len(), limit, &tally, meet);
    tally.row()
}

fn meet(cycle: &mut Cycle<'_>) -> Result<(), String> {
    let place = Place::empty(&cycle.session.template, cycle.folder)?;
    let fault = format!("{}:{}", FAULTS[cycle.number % 4], cycle.number / 4 + 1);
    let marks = append(cycle.session, &place, &[("SHIM_FAULT", &fault)])?.1;
    let mut findings = read(cycle.session, &place, &marks);
    findings.iter_mut().for_each(|one| one.text.push_str(&format!(" [{fault}]")));
    cycle.tally.found(cycle.number, &findings, &place, "");
    cycle.tally.cycle(1, marks.done.len());
    Ok(())
}

/// Cuts the power before every call of the driver.
pub(crate) fn cuts(session: &Session) -> Row {
    let tally = session.tally("log-power-cut", false);
    run_cuts(session, "log-power-cut", 300 * session.factor, false, &tally);
    tally.row()
}

/// The same, noted where the caller says.
pub(crate) fn run_cuts(
    session: &Session,
    method: &str,
    count: usize,
    sync_lies: bool,
    tally: &Tally,
) {
    let folder = session.work.join(format!("{method}-recorded"));
    let recorded = Place::empty(&session.template, &folder).and_then(|place| {
        let sync = if sync_lies { "lie" } else { "" };
        let told = [("SHIM_DATA", "yes"), ("SHIM_SYNC_MICROS", SYNC_MICROS), ("SHIM_SYNC", sync)];
        let (ok, marks) = append(session, &place, &told)?;
        if !ok || marks.done.is_empty() || marks.moved.is_empty() {
            return Err(format!("the recording is of no use: {marks:?}"));
        }
        Ok((Record::read(&calls(&place), &place.data())?, marks))
    });
    let (record, whole) = match recorded {
        Ok(recorded) => recorded,
        Err(error) => return tally.broken(error),
    };
    let base = folder.join("base");
    if let Err(error) = fs::create_dir_all(&base) {
        return tally.broken(error.to_string());
    }
    session.share_out(method, count, Duration::from_secs(60), tally, |cycle| {
        let place = Place::empty(&session.template, cycle.folder)?;
        fs::create_dir_all(place.data()).map_err(|error| error.to_string())?;
        let cut = cycle.random.below(record.ops.len() + 1);
        let unsynced = *cycle.random.pick(&Unsynced::ALL).unwrap_or(&Unsynced::Dropped);
        image::build(&record, &base, cut, unsynced, &mut cycle.random, &place.data())
            .map_err(|error| error.to_string())?;
        let marks = Marks::before(&whole, &record, cut);
        let mut findings = read(session, &place, &marks);
        let what = format!(" [power cut before call {cut}, unsynced: {unsynced:?}]");
        findings.iter_mut().for_each(|one| one.text.push_str(&what));
        cycle.tally.found(cycle.number, &findings, &place, "");
        cycle.tally.cycle(1, marks.done.len());
        Ok(())
    });
}

fn calls(place: &Place) -> PathBuf {
    place.folder().join("calls.log")
}

/// Runs the driver under the shim: whether it ended well, and what it marked.
fn append(
    session: &Session,
    place: &Place,
    told: &[(&str, &str)],
) -> Result<(bool, Marks), String> {
    let (data, calls) = (place.data(), calls(place));
    fs::create_dir_all(&data).map_err(|error| error.to_string())?;
    let mut driver = Command::new(&session.template.driver);
    driver.arg("append").arg(data.join("journal")).arg(&calls).arg(GROUPS);
    driver.env("LD_PRELOAD", &session.template.shim).env("SHIM_ROOT", &data);
    driver.env("SHIM_LOG", &calls).envs(told.iter().copied());
    let output = driver.output().map_err(|error| format!("can't run the driver: {error}"))?;
    Ok((output.status.success(), Marks::read(&calls)))
}

/// Opens the log again and compares; also reads its files independently of scimd.
fn read(session: &Session, place: &Place, marks: &Marks) -> Vec<Finding> {
    let mut driver = Command::new(&session.template.driver);
    let output = driver.arg("read").arg(place.data().join("journal")).output();
    match output {
        Ok(output) if output.status.success() => {
            let mut findings = marks.check(&String::from_utf8_lossy(&output.stdout));
            findings.extend(journal::check(&place.data(), std::iter::empty()));
            findings
        }
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            vec![Finding::new(Harm::Unserved, format!("the log can't be opened: {text}"))]
        }
        Err(error) => vec![Finding::new(Harm::Unserved, error.to_string())],
    }
}
