//! The oracle: holds what a server shows against what its clients were told.
//!
//! One for every way to hurt a server. A change that was acknowledged is there. A change of which
//! nobody knows is there or is not, and not by half. What was revoked, deactivated or deleted does not
//! come back. Versions do not go back.

use std::collections::BTreeSet;
use std::fmt::Debug;

use crate::client::Client;
use crate::finding::{Finding, Harm};
use crate::history::{Expectation, Player};
use crate::model::{Answer, Change, Group, Known, Model, User};
use crate::random::Random;
use crate::seen::Seen;

/// What became of the change of which nobody knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Absent,
    Present,
}

/// Looks at a server and judges; then notes for each client what became of its last change.
pub(crate) fn examine(
    client: &Client,
    players: &mut [Player],
    random: &mut Random,
) -> Vec<Finding> {
    let expected: Vec<Expectation> =
        players.iter().map(|player| player.history.expectation()).collect();
    let seen = match Seen::look(client, &expected, random) {
        Ok(seen) => seen,
        Err(error) => return vec![Finding::new(Harm::Unserved, error)],
    };
    let mut findings = seen.findings.clone();
    for (player, expectation) in players.iter_mut().zip(&expected) {
        let (fate, mut harm) = judge(&seen, expectation);
        let found = fate == Fate::Present;
        let pending = expectation.pending.as_ref();
        let answer = pending.filter(|_| found).map(|change| learned(&seen, change));
        player.history.settle(answer);
        findings.append(&mut harm);
    }
    findings.extend(strangers(&seen, &expected));
    findings
}

/// Looks at a server and judges what it shows, without noting anything.
pub(crate) fn inspect(
    client: &Client,
    expected: &[Expectation],
    random: &mut Random,
) -> Result<Vec<Finding>, String> {
    let seen = Seen::look(client, expected, random)?;
    let mut findings = seen.findings.clone();
    findings.extend(expected.iter().flat_map(|expectation| judge(&seen, expectation).1));
    findings.extend(strangers(&seen, expected));
    Ok(findings)
}

/// What the server shows of a change that turned out to be there.
fn learned(seen: &Seen, change: &Change) -> Answer {
    let user = |name: &str| seen.users.get(name).map(|user| (user.id.clone(), user.version));
    let group = |name: &str| seen.groups.get(name).map(|group| (group.id.clone(), group.version));
    let found = match change {
        Change::CreateUser { user: name, .. }
        | Change::PutUser { user: name, .. }
        | Change::PatchUser { user: name, .. }
        | Change::Deactivate { user: name } => user(name),
        Change::CreateGroup { group: name, .. }
        | Change::PutGroup { group: name, .. }
        | Change::PatchGroup { group: name, .. } => group(name),
        Change::DeleteUser { .. }
        | Change::DeleteGroup { .. }
        | Change::GenerateToken
        | Change::RevokeToken { .. } => None,
    };
    found.map_or_else(Answer::default, |(id, version)| Answer {
        id: Some(id),
        version,
        secret: None,
    })
}

/// Resources that no client made.
fn strangers(seen: &Seen, expected: &[Expectation]) -> Vec<Finding> {
    let mut known = BTreeSet::new();
    for Expectation { model, pending } in expected {
        known.extend(model.users.keys().chain(model.groups.keys()).cloned());
        if let Some(
            Change::CreateUser { user: name, .. } | Change::CreateGroup { group: name, .. },
        ) = pending
        {
            known.insert(name.clone());
        }
    }
    let shown = seen.users.keys().chain(seen.groups.keys());
    shown
        .filter(|name| !known.contains(*name))
        .map(|name| Finding::new(Harm::CameBack, format!("{name} is there and should not be")))
        .collect()
}

/// How one thing that a change may touch looks, held against what it should be.
struct Match {
    /// As it should be without the change of which nobody knows.
    without: bool,
    /// As it should be with it.
    with: bool,
}

fn judge(seen: &Seen, expected: &Expectation) -> (Fate, Vec<Finding>) {
    let without = &expected.model;
    let with = expected.pending.as_ref().map(|change| {
        let mut model = without.clone();
        model.apply(change, &Answer::default());
        model
    });
    let with = with.as_ref().unwrap_or(without);
    let mut findings = Vec::new();
    let mut matches = Vec::new();
    for name in without.users.keys().chain(with.users.keys()).collect::<BTreeSet<_>>() {
        matches.push(judge_user(seen, name, without, with, &mut findings));
    }
    for name in without.groups.keys().chain(with.groups.keys()).collect::<BTreeSet<_>>() {
        matches.push(judge_group(seen, name, without, with, &mut findings));
    }
    for (id, token) in &without.tokens {
        let Some(&accepted) = seen.tokens.get(id) else { continue };
        let revoked_with = with.tokens.get(id).is_some_and(|token| token.revoked);
        matches.push(Match { without: accepted != token.revoked, with: accepted != revoked_with });
        if accepted && token.revoked {
            findings.push(Finding::new(Harm::CameBack, format!("token {id} opens again")));
        } else if !accepted && !revoked_with {
            findings.push(Finding::new(Harm::Lost, format!("token {id} opens nothing")));
        }
    }
    let fate = if matches.iter().all(|one| one.without) {
        Fate::Absent
    } else if matches.iter().all(|one| one.with) {
        Fate::Present
    } else {
        if findings.is_empty() {
            let text = format!("{:?} is there by half", expected.pending);
            findings.push(Finding::new(Harm::Half, text));
        }
        Fate::Present
    };
    (fate, findings)
}

fn judge_user(
    seen: &Seen,
    name: &str,
    without: &Model,
    with: &Model,
    findings: &mut Vec<Finding>,
) -> Match {
    let shown = seen.users.get(name);
    let fits = |known: Option<&Known<User>>| match (shown, known) {
        (None, None) => true,
        (Some(shown), Some(known)) => {
            shown.number == Ok(known.state.number)
                && shown.active == known.state.active
                && known.id.as_ref().is_none_or(|id| *id == shown.id)
        }
        _ => false,
    };
    let (before, after) = (without.users.get(name), with.users.get(name));
    let matched = Match { without: fits(before), with: fits(after) };
    if let (Some(shown), Some(known)) = (shown, before)
        && known.id.as_ref() == Some(&shown.id)
        && shown.version < known.version
    {
        let text = format!("{name} is in version {} after {}", shown.version, known.version);
        findings.push(Finding::new(Harm::VersionBack, text));
    }
    if let Some(shown) = shown
        && without.gone.contains(&shown.id)
    {
        findings.push(Finding::new(Harm::CameBack, format!("{name} has the id of a deleted one")));
    }
    if matched.without || matched.with {
        return matched;
    }
    let inactive = |known: Option<&Known<User>>| known.is_none_or(|known| !known.state.active);
    let harm = match shown {
        None => Harm::Lost,
        Some(_) if before.is_none() && after.is_none() => Harm::CameBack,
        Some(shown) if shown.active && inactive(before) && inactive(after) => Harm::CameBack,
        Some(shown) => by_number(&shown.number, before.or(after).map(|known| known.state.number)),
    };
    findings.push(differs(harm, name, shown, before, after));
    matched
}

fn judge_group(
    seen: &Seen,
    name: &str,
    without: &Model,
    with: &Model,
    findings: &mut Vec<Finding>,
) -> Match {
    let shown = seen.groups.get(name);
    let fits = |known: Option<&Known<Group>>| match (shown, known) {
        (None, None) => true,
        (Some(shown), Some(known)) => {
            shown.number == Ok(known.state.number)
                && shown.members == known.state.members
                && known.id.as_ref().is_none_or(|id| *id == shown.id)
        }
        _ => false,
    };
    let (before, after) = (without.groups.get(name), with.groups.get(name));
    let matched = Match { without: fits(before), with: fits(after) };
    if let (Some(shown), Some(known)) = (shown, before)
        && known.id.as_ref() == Some(&shown.id)
        && shown.version < known.version
    {
        let text = format!("{name} is in version {} after {}", shown.version, known.version);
        findings.push(Finding::new(Harm::VersionBack, text));
    }
    if matched.without || matched.with {
        return matched;
    }
    let harm = match shown {
        None => Harm::Lost,
        Some(_) if before.is_none() && after.is_none() => Harm::CameBack,
        Some(shown) => by_number(&shown.number, before.or(after).map(|known| known.state.number)),
    };
    findings.push(differs(harm, name, shown, before, after));
    matched
}

/// What it means that something is in the state that a change of this number left.
fn by_number(shown: &Result<u64, String>, expected: Option<u64>) -> Harm {
    match (shown, expected) {
        (Ok(shown), Some(expected)) if *shown < expected => Harm::Lost,
        _ => Harm::Half,
    }
}

fn differs<T: Debug, K: Debug>(
    harm: Harm,
    name: &str,
    shown: Option<&T>,
    before: Option<&K>,
    after: Option<&K>,
) -> Finding {
    Finding::new(harm, format!("{name} is {shown:?}; it should be {before:?} or {after:?}"))
}
