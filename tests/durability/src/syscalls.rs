//! A fault at every call that changes files: for each N, the Nth one is the last, is done by half, or
//! fails; while scimd starts, makes a fixed series of changes, begins a journal file, and stops.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::Base;
use crate::finding::{Finding, Harm};
use crate::history::{Expectation, Player};
use crate::perform::{self, Outcome};
use crate::report::Row;
use crate::server::{Failed, Launch, Place, Server};
use crate::session::{Cycle, Session};
use crate::{oracle, recovery};

/// What the Nth call meets.
const FAULTS: [&str; 4] = ["kill", "torn", "eio", "enospc"];

/// Faults at every call of a start, a series of changes and a stop.
pub(crate) fn every(session: &Session) -> Row {
    run(session, "every-call", Base::small, 30, Duration::from_secs(200))
}

/// The same where the series begins a new file of the journal.
pub(crate) fn every_at_new_file(session: &Session) -> Row {
    run(session, "every-call-new-file", Base::before_new_file, 8, Duration::from_secs(150))
}

/// The same for a first boot: once it has shown a token, that opens; and the next boot works.
pub(crate) fn every_of_first_boot(session: &Session) -> Row {
    // About 70 calls; those that are not made meet nothing.
    session.cycles("every-call-first-boot", 75 * FAULTS.len(), Duration::from_secs(45), boot)
}

fn boot(cycle: &mut Cycle<'_>) -> Result<(), String> {
    let place = Place::empty(&cycle.session.template, cycle.folder)?;
    let fault = FAULTS[cycle.number % FAULTS.len()];
    let at = cycle.number / FAULTS.len() + 1;
    let log = log_of(&place);
    let mut launch = Launch::under_shim(&[
        ("SHIM_LOG", log.display().to_string()),
        ("SHIM_FAULT", format!("{fault}:{at}")),
    ]);
    launch.first_boot = true;
    let mut findings = Vec::new();
    let (shown, mut told) = match place.start(&launch) {
        Err(failed) => {
            findings.extend(refusal(&failed, fault));
            (None, failed.log)
        }
        Ok(mut server) => {
            // It has all the time that a whole boot takes.
            std::thread::sleep(Duration::from_millis(60));
            server.terminate();
            server.wait();
            (server.token(), server.log())
        }
    };
    match place.start(&Launch { first_boot: true, ..Launch::default() }) {
        Err(failed) => findings.push(Finding::new(Harm::Unserved, failed.to_string())),
        Ok(server) => {
            if let Some(token) = shown {
                let status =
                    place.own_client(&token).get("/Users?count=0").map(|reply| reply.status);
                if status != Ok(200) {
                    let text = format!("the token that was shown is answered with {status:?}");
                    findings.push(Finding::new(Harm::Lost, text));
                }
            }
            told.push_str(&server.log());
        }
    }
    let met = lines(&log).into_iter().find(|line| line.starts_with("F ")).unwrap_or_default();
    findings.iter_mut().for_each(|one| one.text.push_str(&format!(" [{fault} at {met:?}]")));
    cycle.tally.found(cycle.number, &findings, &place, &told);
    cycle.tally.cycle(usize::from(!met.is_empty()), 0);
    Ok(())
}

fn run(
    session: &Session,
    method: &str,
    base: fn(&Session, &str) -> Result<Base, String>,
    changes: usize,
    limit: Duration,
) -> Row {
    let tally = session.tally(method, false);
    let prepared = base(session, method).and_then(|base| {
        let calls = count(session, &base, changes)?;
        Ok((base, calls))
    });
    match prepared {
        Ok((base, calls)) => {
            let planned = plan(&calls);
            session.share_out(method, planned.len(), limit, &tally, |cycle| {
                let (fault, at) = planned.get(cycle.number).copied().unwrap_or(("kill", 1));
                meet(cycle, &base, changes, fault, at)
            });
        }
        Err(error) => tally.broken(error),
    }
    tally.row()
}

/// Every fault at every call; only what writes can be done by half. How many calls there are depends a
/// little on the moment: a few more meet nothing.
fn plan(calls: &[String]) -> Vec<(&'static str, usize)> {
    let writes = |at: usize| calls.get(at - 1).is_some_and(|call| call.starts_with("W "));
    let all = (1..=calls.len() + 4).flat_map(|at| FAULTS.map(|fault| (fault, at)));
    all.filter(|(fault, at)| *fault != "torn" || writes(*at)).collect()
}

/// The calls of the series when nothing goes wrong.
fn count(session: &Session, base: &Base, changes: usize) -> Result<Vec<String>, String> {
    let place = Place::fresh(&session.template, &session.work.join("count"))?;
    place.replace_data(&base.data)?;
    let log = log_of(&place);
    let launch = Launch::under_shim(&[("SHIM_LOG", log.display().to_string())]);
    let server = place.start(&launch).map_err(|failed| failed.to_string())?;
    let mut player = base.player();
    if let Some(how) = play(&mut player, &place, changes) {
        return Err(format!("without a fault, a change failed: {how:?}"));
    }
    server.stop()?;
    Ok(lines(&log))
}

/// The series: changes, a backup, changes. How it ended, if not well.
fn play(player: &mut Player, place: &Place, changes: usize) -> Option<Outcome> {
    let client = place.client();
    perform::play(player, &client, place, changes / 2).1.or_else(|| {
        place.back_up();
        perform::play(player, &client, place, changes - changes / 2).1
    })
}

fn log_of(place: &Place) -> PathBuf {
    place.folder().join("calls.log")
}

fn lines(log: &Path) -> Vec<String> {
    let text = fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().map(ToOwned::to_owned).collect()
}

fn meet(
    cycle: &mut Cycle<'_>,
    base: &Base,
    changes: usize,
    fault: &str,
    at: usize,
) -> Result<(), String> {
    let place = cycle.place()?;
    place.replace_data(&base.data)?;
    let log = log_of(&place);
    let mut players = vec![base.player()];
    let launch = Launch::under_shim(&[
        ("SHIM_LOG", log.display().to_string()),
        ("SHIM_FAULT", format!("{fault}:{at}")),
    ]);
    let mut findings = Vec::new();
    let mut told = match place.start(&launch) {
        Err(failed) => {
            findings.extend(refusal(&failed, fault));
            failed.log
        }
        Ok(mut server) => {
            let player = &mut players[0];
            match play(player, &place, changes) {
                Some(Outcome::Refused(text)) => {
                    findings.push(Finding::new(Harm::WrongAnswer, text));
                }
                Some(_) if !kills(fault) => {
                    findings.extend(stopped_writing(&place, &server, player, cycle));
                }
                _ => {}
            }
            server.terminate();
            server.wait();
            server.log()
        }
    };
    let met = lines(&log).into_iter().find(|line| line.starts_with("F "));
    let (server, found) = recovery::recover(&place, &mut players, &mut cycle.random);
    findings.extend(found);
    if let Some(server) = server {
        let (done, how) = perform::play(&mut players[0], &place.client(), &place, 2);
        if done < 2 {
            let text = format!("after a restart, changes are not taken: {how:?}");
            findings.push(Finding::new(Harm::Unserved, text));
        }
        told.push_str(&server.log());
    }
    let met = met.unwrap_or_default();
    findings.iter_mut().for_each(|one| one.text.push_str(&format!(" [{fault} at {met:?}]")));
    cycle.tally.found(cycle.number, &findings, &place, &told);
    let changes = players[0].history.len() - base.player().history.len();
    cycle.tally.cycle(usize::from(!met.is_empty()), changes);
    Ok(())
}

fn kills(fault: &str) -> bool {
    matches!(fault, "kill" | "torn")
}

/// A server that a fault kept from starting says why; one that was killed can't.
fn refusal(failed: &Failed, fault: &str) -> Option<Finding> {
    let told = failed.status.code() == Some(1) && !failed.log.trim().is_empty();
    let harmless = !failed.hung && (kills(fault) || told);
    (!harmless).then(|| Finding::new(Harm::Unserved, failed.to_string()))
}

/// A server that could not put a change on disk takes no other. It goes on reading; or, if the database
/// failed and may hold half of a change, it says so and reads nothing.
fn stopped_writing(
    place: &Place,
    server: &Server,
    player: &Player,
    cycle: &mut Cycle<'_>,
) -> Vec<Finding> {
    let client = place.client();
    let mut findings = Vec::new();
    let probe = crate::model::user_body("probe", 1, true);
    match client.ask("POST", "/Users", Some(&probe)) {
        Ok(reply) if reply.status == 503 => {}
        Ok(reply) => {
            let text = format!("after a failed change another is answered with {}", reply.status);
            findings.push(Finding::new(Harm::WrongAnswer, text));
        }
        Err(error) => findings.push(Finding::new(Harm::Unserved, error)),
    }
    let expected: [Expectation; 1] = [player.history.expectation()];
    match oracle::inspect(&client, &expected, &mut cycle.random) {
        Ok(found) => findings.extend(found),
        Err(_) if server.database_failed() => {}
        Err(error) => {
            let text = format!("after a failed change reading fails: {error}");
            findings.push(Finding::new(Harm::Unserved, text));
        }
    }
    findings
}
