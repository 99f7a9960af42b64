//! After a server was hurt: it starts, and the oracle looks at all of it.

use crate::finding::{Finding, Harm};
use crate::history::Player;
use crate::random::Random;
use crate::server::{Launch, Place, Server};
use crate::{journal, oracle};

/// Starts a server that was hurt and examines it by every means there is. The server, if it started.
pub(crate) fn recover(
    place: &Place,
    players: &mut [Player],
    random: &mut Random,
) -> (Option<Server>, Vec<Finding>) {
    let server = match place.start(&Launch::default()) {
        Ok(server) => server,
        Err(failed) => return (None, vec![Finding::new(Harm::Unserved, failed.to_string())]),
    };
    let findings = examine(place, players, random);
    (Some(server), findings)
}

/// Examines a running server: the oracle, the journal, and what the server itself verifies.
pub(crate) fn examine(place: &Place, players: &mut [Player], random: &mut Random) -> Vec<Finding> {
    let mut findings = oracle::examine(&place.client(), players, random);
    let histories = players.iter().map(|player| (&player.history, player.history.len()));
    findings.extend(journal::check(&place.data(), histories));
    findings.extend(verify(place));
    findings
}

/// What `scimd verify` finds, where there is one.
pub(crate) fn verify(place: &Place) -> Option<Finding> {
    if !place.can_verify() {
        return None;
    }
    let (ok, stdout, stderr) = place.run(&["verify"]);
    (!ok).then(|| Finding::new(Harm::Inconsistent, format!("scimd verify: {stdout}{stderr}")))
}
