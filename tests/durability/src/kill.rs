//! SIGKILL at a random moment: of a server under load over TLS, and while it recovers.

use std::time::Duration;

use crate::client::Client;
use crate::finding::{Finding, Harm};
use crate::history::Player;
use crate::perform::{self, Outcome};
use crate::recovery;
use crate::report::Row;
use crate::server::{Launch, Place};
use crate::session::{Cycle, Session};

/// How many clients change things at once.
const CLIENTS: u64 = 4;
/// How often one data folder is hurt before another is taken.
const LIVES: usize = 20;

/// Kills servers: each cycle hurts one data folder many times.
pub(crate) fn server(session: &Session) -> Row {
    session.cycles("kill", 12 * session.factor, Duration::from_secs(75), lives)
}

fn lives(cycle: &mut Cycle<'_>) -> Result<(), String> {
    let place = cycle.place()?;
    let mut players = Player::several(CLIENTS, &mut cycle.random, true);
    let mut server = Some(place.start(&Launch::default()).map_err(|failed| failed.to_string())?);
    cycle.tally.plan(LIVES - 1);
    for _ in 0..LIVES {
        let Some(mut running) = server.take() else { break };
        let (client, number) = (place.client(), cycle.number);
        let load = Duration::from_micros(cycle.random.below(80_000) as u64);
        let before = sent(&players);
        let refused = std::thread::scope(|scope| {
            let play = |player| scope.spawn(|| keep_changing(player, &client, &place));
            let playing: Vec<_> = players.iter_mut().map(play).collect();
            std::thread::sleep(load);
            running.kill();
            playing.into_iter().filter_map(|one| one.join().ok().flatten()).collect::<Vec<_>>()
        });
        cycle.tally.found(number, &refused, &place, &running.log());
        let mut faults = 1;
        while cycle.random.chance(25) {
            let mut recovering = place.spawn(&Launch::default());
            std::thread::sleep(Duration::from_micros(cycle.random.below(60_000) as u64));
            recovering.kill();
            faults += 1;
        }
        let (started, findings) = recovery::recover(&place, &mut players, &mut cycle.random);
        let log = started.as_ref().map(|server| server.log()).unwrap_or_default();
        cycle.tally.found(number, &findings, &place, &log);
        cycle.tally.cycle(faults, sent(&players) - before);
        server = started;
    }
    Ok(())
}

/// How many changes were sent; all but the last of each client were acknowledged.
fn sent(players: &[Player]) -> usize {
    players.iter().map(|player| player.history.len().saturating_sub(1)).sum()
}

/// Changes things until no answer comes. A refusal is a finding.
fn keep_changing(player: &mut Player, client: &Client, place: &Place) -> Option<Finding> {
    match perform::play(player, client, place, usize::MAX).1 {
        Some(Outcome::Refused(text)) => Some(Finding::new(Harm::WrongAnswer, text)),
        _ => None,
    }
}
