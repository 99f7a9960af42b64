//! Damage at rest: a bit flips, a block turns to zeros or changes places, a file is cut.
//!
//! Whatever is damaged, everything that was acknowledged is served, or scimd says what is damaged and
//! serves nothing. It never serves less without a word.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::Base;
use crate::finding::{Finding, Harm};
use crate::history::Expectation;
use crate::random::Random;
use crate::report::{Row, Tally};
use crate::server::{self, Launch, Place};
use crate::session::{Cycle, Session};
use crate::{journal, oracle};

/// How often a server that asks for a restart gets one.
const STARTS: usize = 3;
/// How much stands at the end of the journal that may belong to its last group.
const LAST_GROUP: usize = 8 * 1024;

/// A kind of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    /// One bit is another.
    Bit,
    /// 512 bytes are zeros.
    ZeroSector,
    /// Two blocks of 4 KiB have changed places.
    Swap,
    /// The end is gone.
    Cut,
}

const DAMAGES: [Damage; 4] = [Damage::Bit, Damage::ZeroSector, Damage::Swap, Damage::Cut];

/// Damages every kind of file.
pub(crate) fn at_rest(session: &Session) -> Row {
    let tally = session.tally("damage", false);
    let limit = Duration::from_secs(75);
    run(session, "damage", 240 * session.factor, limit, &tally);
    tally.row()
}

/// The same, noted where the caller says.
pub(crate) fn run(session: &Session, method: &str, count: usize, limit: Duration, tally: &Tally) {
    match Base::of_clients(session, method, 3, 40) {
        Ok(base) => session.share_out(method, count, limit, tally, |cycle| hurt(cycle, &base)),
        Err(error) => tally.broken(error),
    }
}

fn hurt(cycle: &mut Cycle<'_>, base: &Base) -> Result<(), String> {
    let place = cycle.place()?;
    place.replace_data(&base.data)?;
    let random = &mut cycle.random;
    let (path, rebuilds) = choose(&place.data(), random)?;
    let damage = if rebuilds {
        // A journal that was cut is a shorter journal: without the database nobody can tell.
        DAMAGES[random.below(3)]
    } else {
        DAMAGES[random.below(4)]
    };
    let mut bytes = fs::read(&path).map_err(|error| error.to_string())?;
    let before = bytes.clone();
    let what = inflict(&mut bytes, damage, if rebuilds { LAST_GROUP } else { 0 }, random);
    fs::write(&path, &bytes).map_err(|error| error.to_string())?;
    if rebuilds {
        fs::remove_dir_all(place.data().join("state")).map_err(|error| error.to_string())?;
    }
    let players = base.players();
    let expected: Vec<Expectation> =
        players.iter().map(|player| player.history.expectation()).collect();
    let (mut findings, log, served) = look(&place, &expected, random);
    if rebuilds && served {
        // Whoever makes everything of the journal has read all of it, and must have noticed.
        let histories = players.iter().map(|player| (&player.history, player.history.len()));
        findings.extend(journal::check(&place.data(), histories));
    }
    let shown = path.strip_prefix(place.data()).unwrap_or(&path).display().to_string();
    let rebuilds = if rebuilds { ", and state/ removed" } else { "" };
    findings.iter_mut().for_each(|one| one.text.push_str(&format!(" [{shown}: {what}{rebuilds}]")));
    cycle.tally.found(cycle.number, &findings, &place, &log);
    let changes = players.iter().map(|player| player.history.len()).sum();
    cycle.tally.cycle(usize::from(bytes != before), changes);
    Ok(())
}

/// A file, and whether the database is removed so that everything comes from the journal.
fn choose(data: &Path, random: &mut Random) -> Result<(PathBuf, bool), String> {
    let files = |name: &str| server::files(&data.join(name)).map_err(|error| error.to_string());
    let journal = files("journal")?;
    let all = server::files(data).map_err(|error| error.to_string())?;
    let (from, rebuilds) = match random.below(10) {
        0..3 => (journal, false),
        3..6 => (journal, true),
        6..9 => (files("state")?, false),
        _ => (all, false),
    };
    let path = random.pick(&from).cloned().ok_or("a data folder without files")?;
    Ok((path, rebuilds))
}

/// Damages bytes, but for so many at the end of what was written; says how.
fn inflict(bytes: &mut Vec<u8>, damage: Damage, spared: usize, random: &mut Random) -> String {
    let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let end = used.saturating_sub(spared).max(1).min(bytes.len());
    let at = random.below(end);
    match damage {
        Damage::Bit => {
            let bit = random.below(8);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << bit;
            }
            format!("bit {bit} of byte {at} of {used}")
        }
        Damage::ZeroSector => {
            let from = at / 512 * 512;
            let upto = (from + 512).min(end);
            bytes[from..upto].fill(0);
            format!("zeros from byte {from} of {used}")
        }
        Damage::Swap => {
            let blocks = end / 4_096;
            let (one, other) = (random.below(blocks), random.below(blocks));
            for byte in 0..4_096.min(end.saturating_sub(one.max(other) * 4_096)) {
                bytes.swap(one * 4_096 + byte, other * 4_096 + byte);
            }
            format!("blocks {one} and {other} of {blocks} swapped")
        }
        Damage::Cut => {
            bytes.truncate(at);
            format!("cut at byte {at} of {used}")
        }
    }
}

/// Starts the server, again if it asks for that, and looks: what was found, what it logged, and whether
/// it served.
fn look(
    place: &Place,
    expected: &[Expectation],
    random: &mut Random,
) -> (Vec<Finding>, String, bool) {
    let mut log = String::new();
    for _ in 0..STARTS {
        let mut server = match place.start(&Launch::default()) {
            Ok(server) => server,
            Err(failed) => {
                let told = failed.status.code() == Some(1) && names_what_is_wrong(&failed.log);
                let text = format!("without a reason, {failed}");
                let silent = (failed.hung || !told).then(|| Finding::new(Harm::Unserved, text));
                return (silent.into_iter().collect(), failed.log, false);
            }
        };
        let seen = oracle::inspect(&place.client(), expected, random);
        server.terminate();
        server.wait();
        log = server.log();
        match seen {
            Ok(findings) => return (findings, log, true),
            // It may have met the damage only now; then it says so, and the next start rebuilds.
            Err(_) if names_what_is_wrong(&log) => {}
            Err(error) => return (vec![Finding::new(Harm::Unserved, error)], log, false),
        }
    }
    let text = format!("{STARTS} starts did not help");
    (vec![Finding::new(Harm::Unserved, text)], log, false)
}

/// Whether a log tells an operator where to look.
fn names_what_is_wrong(log: &str) -> bool {
    let names = [
        "/journal",
        "/state",
        "/tls",
        "/lock",
        "/signing",
        "/access-token.key",
        "/operator-secrets.key",
        "/used-assertions",
        "record at key",
        "data directory",
    ];
    log.lines().any(|line| names.iter().any(|name| line.contains(name)))
}
