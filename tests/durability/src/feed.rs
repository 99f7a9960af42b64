//! A consumer of the change feed and the target of a webhook while the server is killed, stopped and started again, and
//! while power goes: both get every event, in order, and always with the same bytes.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::base::Base;
use crate::finding::{Finding, Harm};
use crate::history::{History, Player};
use crate::image::Op;
use crate::powercut::{self, Setting};
use crate::received::{self, Event, Received};
use crate::report::{Row, Tally};
use crate::server::{Launch, Place};
use crate::session::{Cycle, Session};
use crate::target::{Batch, Target};
use crate::{kill, oracle};

/// How many clients change things at once.
const CLIENTS: u64 = 3;
/// How often the server of one data folder ends.
const LIVES: usize = 12;

/// Kills and stops servers under a consumer and a webhook.
pub(crate) fn kills(session: &Session) -> Row {
    let tally = session.tally("feed-kill", false);
    run_kills(session, "feed-kill", 4 * session.factor, Duration::from_secs(40), &tally);
    tally.row()
}

/// The same, noted where the caller says.
pub(crate) fn run_kills(
    session: &Session,
    method: &str,
    cycles: usize,
    limit: Duration,
    tally: &Tally,
) {
    session.share_out(method, cycles, limit, tally, lives);
}

fn lives(cycle: &mut Cycle<'_>) -> Result<(), String> {
    let target = Target::start(Vec::new())?;
    target.refuse(Some(cycle.random.clone()));
    let place = cycle.place()?.with_webhook(&target.url())?;
    let mut players = Player::several(CLIENTS, &mut cycle.random, false);
    let mut received = Received::default();
    cycle.tally.plan(LIVES - 1);
    let mut server = place.start(&Launch::default()).map_err(|failed| failed.to_string())?;
    for life in 0..LIVES {
        let load = Duration::from_micros(cycle.random.below(150_000) as u64);
        let (client, consumer, number) = (place.client(), place.consumer(), cycle.number);
        let before = kill::sent(&players);
        let mut findings: Vec<Finding> = std::thread::scope(|scope| {
            let play = |player| scope.spawn(|| kill::keep_changing(player, &client, &place));
            let playing: Vec<_> = players.iter_mut().map(play).collect();
            let following = scope.spawn(|| received.follow(&consumer, &|_| ()));
            std::thread::sleep(load);
            if cycle.random.chance(30) {
                server.terminate();
                server.wait();
            } else {
                server.kill();
            }
            let played = playing.into_iter().filter_map(|one| one.join().ok());
            let mut findings: Vec<Finding> = played.flatten().collect();
            findings.extend(following.join().unwrap_or_default());
            findings
        });
        target.restarted();
        let is_last = life + 1 == LIVES;
        if is_last {
            target.refuse(None);
        }
        server = match place.start(&Launch::default()) {
            Ok(server) => server,
            Err(failed) => {
                findings.push(Finding::new(Harm::Unserved, failed.to_string()));
                cycle.tally.found(number, &findings, &place, &failed.log);
                return Ok(());
            }
        };
        findings.extend(oracle::examine(&place.client(), &mut players, &mut cycle.random));
        let histories = players.iter().map(|player| (&player.history, player.history.len()));
        let (all, found) = received::check(&place.consumer(), &mut received, histories);
        findings.extend(found);
        findings.extend(target.check(&all, 0, is_last));
        cycle.tally.found(number, &findings, &place, &server.log());
        cycle.tally.cycle(1, kill::sent(&players) - before);
        if cycle.tally.is_caught() {
            break;
        }
    }
    Ok(())
}

/// What a consumer and a target got while calls were recorded.
#[derive(Debug)]
pub(crate) struct Followed {
    events: Vec<Event>,
    batches: Vec<Batch>,
    /// How many events there were before the webhook.
    begin: usize,
}

/// A consumer and a target beside the clients whose changes are recorded.
#[derive(Debug)]
pub(crate) struct Following {
    target: Target,
    received: Received,
    begin: usize,
}

impl Following {
    /// Adds a webhook to a place, and has the server know it.
    pub(crate) fn prepare(place: Place) -> Result<(Self, Place), String> {
        let target = Target::start(Vec::new())?;
        let place = place.with_webhook(&target.url())?;
        let server = place.start(&Launch::default()).map_err(|failed| failed.to_string())?;
        let mut received = Received::default();
        let (all, _) = received::check(&place.consumer(), &mut received, std::iter::empty());
        server.stop()?;
        Ok((Self { target, received, begin: all.len() }, place))
    }

    /// Follows until the server is gone; notes in the log of calls how far it is.
    pub(crate) fn follow(&mut self, place: &Place, log: &Path) -> Result<(), String> {
        let open = || File::options().append(true).open(log).map_err(|error| error.to_string());
        let mark = open()?;
        self.target.mark(open()?);
        let told = |count: usize| {
            // The recording is checked as a whole.
            let _ = (&mark).write_all(format!("Mc {count}\n").as_bytes());
        };
        let findings = self.received.follow(&place.consumer(), &told);
        findings.first().map_or(Ok(()), |finding| Err(format!("recording failed: {finding}")))
    }

    /// What was got; an error if that is too little to hold anything against.
    pub(crate) fn end(self) -> Result<Followed, String> {
        let (events, batches) = (self.received.events, self.target.batches());
        if events.len() < self.begin + 10 || batches.is_empty() {
            let got = format!("{} events and {} batches", events.len(), batches.len());
            return Err(format!("only {got} were received while calls were recorded"));
        }
        Ok(Followed { events, batches, begin: self.begin })
    }
}

/// A consumer and a target that go on after a power cut, with what they had got before it.
pub(crate) struct Resumed {
    received: Received,
    target: Target,
    begin: usize,
}

impl Followed {
    /// As it was before a cut, when these calls had been made.
    pub(crate) fn resume(&self, ops: &[Op]) -> Result<Resumed, String> {
        let count = |pick: fn(&Op) -> Option<usize>| ops.iter().filter_map(pick).max().unwrap_or(0);
        let got = count(|op| if let Op::Followed(count) = op { Some(*count) } else { None });
        let taken = count(|op| if let Op::Delivered(count) = op { Some(*count) } else { None });
        let events = self.events.get(..got.max(self.begin)).unwrap_or(&self.events);
        let batches = self.batches.get(..taken).unwrap_or(&self.batches);
        let target = Target::start(batches.to_vec())?;
        Ok(Resumed { received: Received::of(events), target, begin: self.begin })
    }
}

impl Resumed {
    /// The URL of its target.
    pub(crate) fn url(&self) -> String {
        self.target.url()
    }

    /// Holds a running server against what was got before, and against what was acknowledged.
    pub(crate) fn check<'a>(
        mut self,
        place: &Place,
        histories: impl Iterator<Item = (&'a History, usize)>,
    ) -> Vec<Finding> {
        let (all, mut findings) = received::check(&place.consumer(), &mut self.received, histories);
        findings.extend(self.target.check(&all, self.begin, true));
        findings
    }
}

/// Cuts power under a consumer and a webhook.
pub(crate) fn power_cuts(session: &Session) -> Row {
    let setting = Setting {
        name: "feed-power-cut",
        changes: 40 * session.factor,
        sync_lies: false,
        is_followed: true,
    };
    let base = |session: &Session, name: &str| Base::of_clients(session, name, CLIENTS, 5);
    // Most of a cycle is waiting: a webhook stores how far it is once a second.
    let session = Session { workers: 4 * session.workers, ..session.clone() };
    powercut::run(&session, &setting, base, 150, Duration::from_secs(12))
}
