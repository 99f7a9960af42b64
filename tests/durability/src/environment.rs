//! What runs out or jumps: space on the disk, descriptors, the clock.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::finding::{Finding, Harm};
use crate::history::{Expectation, Player};
use crate::perform::{self, Outcome};
use crate::report::Row;
use crate::server::{Launch, Place};
use crate::session::{Cycle, Session};
use crate::{oracle, recovery};

/// A file system that is mounted, until it is dropped.
#[derive(Debug)]
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    /// Mounts with these arguments; the last is where.
    pub(crate) fn mount(args: &[&str], at: &Path) -> Result<Self, String> {
        fs::create_dir_all(at).map_err(|error| error.to_string())?;
        let asked = Command::new("mount").args(args).arg(at).output();
        match asked {
            Ok(output) if output.status.success() => Ok(Self(at.to_owned())),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ")),
            Err(error) => Err(format!("there is no mount: {error}")),
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Whoever still looks into it keeps it alive for that long.
        let unmounted = Command::new("umount").arg(&self.0).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        }
    }
}

/// A disk that is full, and then is not.
pub(crate) fn full_disk(session: &Session) -> Row {
    let tally = session.tally("disk-full", false);
    let probe = session.work.join("probe");
    match Mounted::mount(&["-t", "tmpfs", "-o", "size=1m", "none"], &probe) {
        Err(error) => tally.not_measured(format!("a small file system can't be mounted: {error}")),
        Ok(_) => {
            let limit = Duration::from_secs(40);
            session.share_out("disk-full", 6 * session.factor, limit, &tally, fill);
        }
    }
    tally.row()
}

/// Fills a disk. In every other cycle scimd stops before it is full, and goes on by itself when there is
/// room; in the others its own writes find it full, and it goes on after a restart.
fn fill(cycle: &mut Cycle<'_>) -> Result<(), String> {
    let foreseen = cycle.number.is_multiple_of(2);
    let disk = cycle.folder.with_extension("disk");
    let _mounted = Mounted::mount(&["-t", "tmpfs", "-o", "size=48m", "none"], &disk)?;
    let place = Place::fresh(&cycle.session.template, &disk.join("place"))?
        .with_min_free(if foreseen { 8 } else { 0 })?;
    let mut players = Player::several(2, &mut cycle.random, false);
    let mut server = place.start(&Launch::default()).map_err(|failed| failed.to_string())?;
    let client = place.client();
    for player in &mut players {
        perform::play(player, &client, &place, 20);
    }
    let filler = disk.join("filler");
    let mut file = File::create(&filler).map_err(|error| error.to_string())?;
    while file.write_all(&[0; 4_096]).is_ok() {}
    let mut findings = Vec::new();
    // What was laid out ahead is still there to be used; then nothing is.
    let ended = perform::play(&mut players[0], &client, &place, 5_000).1;
    match ended {
        Some(Outcome::Unknown(text)) if text.starts_with("503") || text.starts_with("507") => {}
        other => {
            let text = format!("on a full disk a change is answered otherwise: {other:?}");
            findings.push(Finding::new(Harm::WrongAnswer, text));
        }
    }
    let expected: Vec<Expectation> =
        players.iter().map(|player| player.history.expectation()).collect();
    match oracle::inspect(&client, &expected, &mut cycle.random) {
        Ok(found) => findings.extend(found),
        Err(_) if !foreseen && server.database_failed() => {}
        Err(error) => {
            let text = format!("on a full disk reading fails: {error}");
            findings.push(Finding::new(Harm::Unserved, text));
        }
    }
    drop(file);
    fs::remove_file(&filler).map_err(|error| error.to_string())?;
    if foreseen {
        let (done, how) = perform::play(&mut players[1], &client, &place, 5);
        if done < 5 {
            let text = format!("with room again, changes are not taken: {how:?}");
            findings.push(Finding::new(Harm::Unserved, text));
        }
    }
    server.terminate();
    server.wait();
    findings.extend(works_again(&place, &mut players, cycle));
    let changes = players.iter().map(|player| player.history.len()).sum();
    cycle.tally.found(cycle.number, &findings, &place, &server.log());
    cycle.tally.cycle(1, changes);
    Ok(())
}

/// After a restart everything is there, and changes are taken.
fn works_again(place: &Place, players: &mut [Player], cycle: &mut Cycle<'_>) -> Vec<Finding> {
    let (server, mut findings) = recovery::recover(place, players, &mut cycle.random);
    if server.is_some() {
        for player in players.iter_mut() {
            let (done, how) = perform::play(player, &place.client(), place, 5);
            if done < 5 {
                let text = format!("after a restart, changes are not taken: {how:?}");
                findings.push(Finding::new(Harm::Unserved, text));
            }
        }
    }
    findings
}

/// A server that may open few files, and clients that open many.
pub(crate) fn few_descriptors(session: &Session) -> Row {
    let limit = Duration::from_secs(30);
    session.cycles("few-descriptors", 10 * session.factor, limit, exhaust)
}

fn exhaust(cycle: &mut Cycle<'_>) -> Result<(), String> {
    let place = cycle.place()?;
    let mut players = Player::several(3, &mut cycle.random, false);
    // The fewest with which it starts are 200: those of its connections, and 100.
    let max_files = Some(200 + cycle.random.below(30) as u32);
    let launch = Launch { max_files, ..Launch::default() };
    let mut server = place.start(&launch).map_err(|failed| failed.to_string())?;
    let client = place.client();
    let mut findings = Vec::new();
    let mut refused = |ended: Option<Outcome>| {
        if let Some(Outcome::Refused(text)) = ended {
            findings.push(Finding::new(Harm::WrongAnswer, text));
        }
    };
    refused(perform::play(&mut players[0], &client, &place, 10).1);
    let hogs: Vec<TcpStream> = (0..100).filter_map(|_| place.connect().ok()).collect();
    // One that has its connection already, and one that does not get one.
    refused(perform::play(&mut players[0], &client, &place, 20).1);
    let late = place.client().with_patience(Duration::from_millis(500));
    refused(perform::play(&mut players[1], &late, &place, 5).1);
    drop(hogs);
    // Its own descriptors come back as soon as it notices that the others have gone.
    std::thread::sleep(Duration::from_millis(200));
    let (done, how) = perform::play(&mut players[2], &place.client(), &place, 10);
    if done < 10 {
        let text = format!("with descriptors again, changes are not taken: {how:?}");
        findings.push(Finding::new(Harm::Unserved, text));
    }
    server.kill();
    findings.extend(works_again(&place, &mut players, cycle));
    let changes = players.iter().map(|player| player.history.len()).sum();
    cycle.tally.found(cycle.number, &findings, &place, &server.log());
    cycle.tally.cycle(1, changes);
    Ok(())
}

/// What a start says of a certificate that is not valid at the time.
const NOT_VALID: [&str; 2] = [" expired ", "is not valid before"];

/// A wall clock that jumps by hours and years while changes are made, and while scimd starts.
pub(crate) fn jumping_clock(session: &Session) -> Row {
    session.cycles("clock-jumps", 20 * session.factor, Duration::from_secs(30), jump)
}

fn jump(cycle: &mut Cycle<'_>) -> Result<(), String> {
    let place = cycle.place()?;
    let mut players = Player::several(3, &mut cycle.random, false);
    let mut findings = Vec::new();
    for _ in 0..2 {
        let seed = cycle.random.next().to_string();
        let mut server = match place.start(&Launch::under_shim(&[("SHIM_CLOCK", seed)])) {
            Ok(server) => server,
            // At a moment at which its certificate is not valid, it rightly says so.
            Err(failed) if NOT_VALID.iter().any(|told| failed.log.contains(told)) => continue,
            Err(failed) => {
                findings.push(Finding::new(Harm::Unserved, failed.to_string()));
                break;
            }
        };
        for player in &mut players {
            // The token ends some day: then a request is refused, and rightly.
            let refused = match perform::play(player, &place.client(), &place, 15).1 {
                Some(Outcome::Refused(text)) if !text.contains("401") => Some(text),
                _ => None,
            };
            findings.extend(refused.map(|text| Finding::new(Harm::WrongAnswer, text)));
        }
        if server.log().contains("panicked") {
            findings.push(Finding::new(Harm::Unserved, server.log()));
        }
        server.kill();
        let (_, found) = recovery::recover(&place, &mut players, &mut cycle.random);
        findings.extend(found);
    }
    let changes = players.iter().map(|player| player.history.len()).sum();
    cycle.tally.found(cycle.number, &findings, &place, "");
    cycle.tally.cycle(2, changes);
    Ok(())
}
