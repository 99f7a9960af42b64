//! SIGKILL at a random moment: of a server under load over TLS and while it recovers, and of commands
//! that open the data folder themselves.

use std::time::Duration;

use crate::client::Client;
use crate::finding::{Finding, Harm};
use crate::history::Player;
use crate::model::{Answer, Change};
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
pub(crate) fn sent(players: &[Player]) -> usize {
    players.iter().map(|player| player.history.len().saturating_sub(1)).sum()
}

/// Changes things until no answer comes. A refusal is a finding.
pub(crate) fn keep_changing(
    player: &mut Player,
    client: &Client,
    place: &Place,
) -> Option<Finding> {
    match perform::play(player, client, place, usize::MAX).1 {
        Some(Outcome::Refused(text)) => Some(Finding::new(Harm::WrongAnswer, text)),
        _ => None,
    }
}

/// How many commands are killed in one data folder.
const COMMANDS: usize = 12;

/// Kills commands that open storage, make one change and close it, without a server or TLS around it:
/// tokens are made and ended, and what was ended must not come back.
pub(crate) fn commands(session: &Session) -> Row {
    session.cycles("kill-command", 12 * session.factor, Duration::from_secs(40), short_lives)
}

fn short_lives(cycle: &mut Cycle<'_>) -> Result<(), String> {
    let place = cycle.place()?;
    let mut players = Player::several(1, &mut cycle.random, true);
    cycle.tally.plan(COMMANDS - 1);
    for _ in 0..COMMANDS {
        let history = &mut players[0].history;
        let model = history.expectation().model;
        let live: Vec<&String> =
            model.tokens.iter().filter(|(_, token)| !token.revoked).map(|(id, _)| id).collect();
        let change = match cycle.random.pick(&live) {
            Some(token) if live.len() > 2 => Change::RevokeToken { token: (*token).clone() },
            _ => Change::GenerateToken,
        };
        history.sent(change.clone());
        // Most live to their end: they tell what must be there.
        let life = Duration::from_micros(cycle.random.below(150_000) as u64);
        if let Some(answer) = perform::token_change(&change, &place, Some(life)) {
            history.acknowledged(answer);
        }
        let findings = listed(&place, &mut players[0]);
        cycle.tally.found(cycle.number, &findings, &place, "");
        cycle.tally.cycle(1, 1);
    }
    let (_, findings) = recovery::recover(&place, &mut players, &mut cycle.random);
    cycle.tally.found(cycle.number, &findings, &place, "");
    Ok(())
}

/// Holds the list of tokens against what was acknowledged, and notes what became of the last change.
fn listed(place: &Place, player: &mut Player) -> Vec<Finding> {
    let (ok, stdout, stderr) = place.run(&["token", "list"]);
    if !ok {
        return vec![Finding::new(Harm::Unserved, stderr)];
    }
    let is_listed = |id: &str| stdout.lines().any(|line| line.starts_with(id));
    let expected = player.history.expectation();
    let mut findings = Vec::new();
    for (id, token) in &expected.model.tokens {
        let pending = expected.pending == Some(Change::RevokeToken { token: id.clone() });
        if token.revoked && is_listed(id) {
            findings.push(Finding::new(Harm::CameBack, format!("token {id} is listed again")));
        } else if !token.revoked && !pending && !is_listed(id) {
            findings.push(Finding::new(Harm::Lost, format!("token {id} is not listed")));
        }
    }
    // Of a token that was made and never shown nobody knows the secret: it is as if it were not there.
    let made = match &expected.pending {
        Some(Change::RevokeToken { token }) => !is_listed(token),
        _ => false,
    };
    player.history.settle(made.then(Answer::default));
    findings
}
