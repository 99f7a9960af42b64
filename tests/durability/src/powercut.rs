//! Power cuts, by record and replay: a run is recorded call by call, and for each prefix of it disks are
//! made on which what was not synced is missing, there in part, or torn.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::Base;
use crate::feed::{Followed, Following};
use crate::finding::{Finding, Harm};
use crate::history::Player;
use crate::image::{self, Op, Record, Unsynced};
use crate::perform::{self, Outcome};
use crate::random::Random;
use crate::report::{Row, Tally};
use crate::server::{self, Launch, Place};
use crate::session::{Cycle, Session};
use crate::{journal, oracle, recovery};

/// How much longer a sync takes while recording: as on a slow disk, so that whoever answers before it
/// is seen to.
const SYNC_MICROS: u64 = 1_500;

/// How scimd is recorded.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// What the files of this recording are called.
    pub(crate) name: &'static str,
    /// How many changes each client makes.
    pub(crate) changes: usize,
    /// Whether syncs do nothing, and say that they did.
    pub(crate) sync_lies: bool,
    /// Whether a consumer of the change feed and the target of a webhook follow.
    pub(crate) is_followed: bool,
}

/// A run that was recorded.
#[derive(Debug)]
pub(crate) struct Recording {
    base: PathBuf,
    record: Record,
    players: Vec<Player>,
    /// How many changes of each client are in the base.
    before: Vec<usize>,
    /// After how many calls power may go.
    cuts: Vec<usize>,
    /// What a consumer and a webhook got meanwhile.
    followed: Option<Followed>,
}

/// Cuts at every call of three clients' changes.
pub(crate) fn cuts(session: &Session) -> Row {
    let changes = 30 * session.factor;
    let setting = Setting { name: "power-cut", changes, sync_lies: false, is_followed: false };
    let base = |session: &Session, name: &str| Base::of_clients(session, name, 3, 10);
    run(session, &setting, base, 900, Duration::from_secs(120))
}

/// The same while the journal begins a new file.
pub(crate) fn cuts_at_new_file(session: &Session) -> Row {
    let name = "power-cut-new-file";
    let setting = Setting { name, changes: 6, sync_lies: false, is_followed: false };
    run(session, &setting, Base::before_new_file, 150, Duration::from_secs(45))
}

/// Records a run on a base, and cuts power at its calls.
pub(crate) fn run(
    session: &Session,
    setting: &Setting,
    base: impl Fn(&Session, &str) -> Result<Base, String>,
    images: usize,
    limit: Duration,
) -> Row {
    let tally = session.tally(setting.name, false);
    match base(session, setting.name).and_then(|base| record(session, setting, &base)) {
        Ok(recording) => replay(session, setting.name, &recording, images, limit, &tally),
        Err(error) => tally.broken(error),
    }
    tally.row()
}

/// Records a start, the changes of all clients at once, and a stop.
pub(crate) fn record(
    session: &Session,
    setting: &Setting,
    base: &Base,
) -> Result<Recording, String> {
    let folder = session.work.join(format!("{}-recorded", setting.name));
    let mut place = Place::fresh(&session.template, &folder)?;
    place.replace_data(&base.data)?;
    let (mut base_data, mut following) = (base.data.clone(), None);
    if setting.is_followed {
        let (prepared, with_webhook) = Following::prepare(place)?;
        (place, following) = (with_webhook, Some(prepared));
        base_data = session.work.join(format!("{}-followed", setting.name));
        server::copy(&place.data(), &base_data).map_err(|error| error.to_string())?;
    }
    let log = place.folder().join("calls.log");
    let mut told = vec![
        ("SHIM_LOG", log.display().to_string()),
        ("SHIM_DATA", "yes".to_owned()),
        ("SHIM_SYNC_MICROS", SYNC_MICROS.to_string()),
    ];
    if setting.sync_lies {
        told.push(("SHIM_SYNC", "lie".to_owned()));
    }
    let server = place.start(&Launch::under_shim(&told)).map_err(|failed| failed.to_string())?;
    let mut players = base.players();
    let before = players.iter().map(|player| player.history.len()).collect();
    let mark = File::options().append(true).open(&log).map_err(|error| error.to_string())?;
    let outcomes: Vec<Result<(), String>> = std::thread::scope(|scope| {
        let (place, mark) = (&place, &mark);
        let play = |(number, player)| {
            scope.spawn(move || play(number, player, place, mark, setting.changes))
        };
        let follow = |following| scope.spawn(|| Following::follow(following, place, &log));
        let followed = following.as_mut().map(follow);
        let playing: Vec<_> = players.iter_mut().enumerate().map(play).collect();
        place.back_up();
        let mut outcomes: Vec<_> = playing
            .into_iter()
            .map(|one| one.join().unwrap_or(Err("a client panicked".into())))
            .collect();
        // It ends with the server.
        outcomes.push(server.stop());
        outcomes
            .extend(followed.map(|one| one.join().unwrap_or(Err("a consumer panicked".into()))));
        outcomes
    });
    outcomes.into_iter().collect::<Result<(), String>>()?;
    let record = Record::read(&log, &place.data())?;
    let touching = |(at, op): (usize, &Op)| op.touches_disk().then_some(at);
    // Just before each call that touches the disk: by then everything that was answered is marked.
    let cuts = record.ops.iter().enumerate().filter_map(touching).collect();
    let followed = following.map(Following::end).transpose()?;
    let recording = Recording { base: base_data, record, players, before, cuts, followed };
    recording.check(&place, &session.work)?;
    Ok(recording)
}

/// One client's changes, each marked in the log before it is sent and after it was answered.
fn play(
    number: usize,
    player: &mut Player,
    place: &Place,
    mut mark: &File,
    changes: usize,
) -> Result<(), String> {
    let client = place.client();
    for _ in 0..changes {
        mark.write_all(format!("Ms {number}\n").as_bytes()).map_err(|error| error.to_string())?;
        match perform::step(player, &client, place) {
            Outcome::Acknowledged(_) => {}
            other => return Err(format!("recording failed: {other:?}")),
        }
        mark.write_all(format!("Ma {number}\n").as_bytes()).map_err(|error| error.to_string())?;
    }
    Ok(())
}

impl Recording {
    /// Replayed to its end with nothing missing, the record gives the folder that was recorded: else it
    /// lacks calls, and every image is worth nothing.
    fn check(&self, place: &Place, work: &Path) -> Result<(), String> {
        let whole = work.join("whole");
        let mut random = Random::new(0, &[]);
        let end = self.record.ops.len();
        image::build(&self.record, &self.base, end, Unsynced::Kept, &mut random, &whole)
            .map_err(|error| error.to_string())?;
        let listed = |folder: &Path| -> Result<Vec<(PathBuf, Vec<u8>)>, String> {
            let mut files = server::files(folder).map_err(|error| error.to_string())?;
            // The note of the last backup: the command writes it, and only the server is recorded.
            files.retain(|file| !file.ends_with("last-backup.json"));
            let read = |path: PathBuf| {
                let bytes = fs::read(&path).map_err(|error| error.to_string())?;
                Ok((path.strip_prefix(folder).unwrap_or(&path).to_owned(), bytes))
            };
            files.into_iter().map(read).collect()
        };
        let (replayed, recorded) = (listed(&whole)?, listed(&place.data())?);
        let differ = |place: usize| replayed.get(place) != recorded.get(place);
        let first = (0..replayed.len().max(recorded.len())).find(|&place| differ(place));
        fs::remove_dir_all(&whole).map_err(|error| error.to_string())?;
        match first {
            None => Ok(()),
            Some(at) => Err(format!(
                "the record lacks calls: replayed, {:?} is not as {:?} was",
                replayed.get(at).map(|(path, bytes)| (path, bytes.len())),
                recorded.get(at).map(|(path, bytes)| (path, bytes.len()))
            )),
        }
    }

    /// How many changes of a client had been sent, and how many answered, before a cut.
    fn known(&self, client: usize, cut: usize) -> (usize, usize) {
        let (mut sent, mut acknowledged) = (self.before[client], self.before[client]);
        for op in self.record.ops.iter().take(cut) {
            match op {
                Op::Sent(number) if *number == client => sent += 1,
                Op::Acknowledged(number) if *number == client => acknowledged += 1,
                _ => {}
            }
        }
        (acknowledged, sent)
    }
}

/// Makes disks from a recording, starts scimd on each, and looks.
pub(crate) fn replay(
    session: &Session,
    method: &str,
    recording: &Recording,
    images: usize,
    limit: Duration,
    tally: &Tally,
) {
    // First every cut with everything dropped, then cuts and losses as they come.
    let every = recording.cuts.len();
    let count = images.max(every + every / 2) * session.factor;
    session.share_out(method, count, limit, tally, |cycle| {
        // In no order, so that a run that is cut short has seen all parts of the recording.
        let place = cycle.number.wrapping_mul(7_919) % every.max(1);
        let (place, unsynced) = if cycle.number % 5 < 2 {
            (place, Unsynced::Dropped)
        } else {
            let drawn = cycle.random.pick(&Unsynced::ALL).copied();
            (cycle.random.below(every), drawn.unwrap_or(Unsynced::Dropped))
        };
        let cut = recording.cuts.get(place).copied().unwrap_or_default();
        cut_power(cycle, recording, cut, unsynced)
    });
}

fn cut_power(
    cycle: &mut Cycle<'_>,
    recording: &Recording,
    cut: usize,
    unsynced: Unsynced,
) -> Result<(), String> {
    let ops = recording.record.ops.get(..cut).unwrap_or_default();
    let followed = recording.followed.as_ref().map(|followed| followed.resume(ops)).transpose()?;
    let mut place = cycle.place()?;
    if let Some(followed) = &followed {
        place = place.with_webhook(&followed.url())?;
    }
    fs::remove_dir_all(place.data()).map_err(|error| error.to_string())?;
    let base = &recording.base;
    image::build(&recording.record, base, cut, unsynced, &mut cycle.random, &place.data())
        .map_err(|error| error.to_string())?;
    let known: Vec<(usize, usize)> =
        (0..recording.players.len()).map(|client| recording.known(client, cut)).collect();
    let histories = || recording.players.iter().map(|player| &player.history).zip(&known);
    let expected: Vec<_> =
        histories().map(|(history, known)| history.expectation_at(known.0, known.1)).collect();
    let (mut findings, log) = match place.start(&Launch::default()) {
        Err(failed) => (vec![Finding::new(Harm::Unserved, failed.to_string())], failed.log),
        Ok(server) => {
            let seen = oracle::inspect(&place.client(), &expected, &mut cycle.random);
            let mut findings =
                seen.unwrap_or_else(|error| vec![Finding::new(Harm::Unserved, error)]);
            let told = || histories().map(|(history, known)| (history, known.0));
            findings.extend(journal::check(&place.data(), told()));
            match followed {
                Some(followed) => findings.extend(followed.check(&place, told())),
                None => findings.extend(recovery::verify(&place)),
            }
            (findings, server.log())
        }
    };
    let what = format!(" [power cut before call {cut}, unsynced: {unsynced:?}]");
    findings.iter_mut().for_each(|one| one.text.push_str(&what));
    cycle.tally.found(cycle.number, &findings, &place, &log);
    cycle.tally.cycle(1, known.iter().map(|known| known.0).sum());
    Ok(())
}
