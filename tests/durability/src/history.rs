//! What each client sent and what was acknowledged: the journals kept outside the fault zone.

use std::collections::BTreeMap;

use crate::model::{Answer, Change, Model};
use crate::random::Random;
use crate::script::Script;

/// A client: what it will do, and what it did.
#[derive(Debug)]
pub(crate) struct Player {
    /// What it will do.
    pub(crate) script: Script,
    /// What it did.
    pub(crate) history: History,
}

impl Player {
    /// So many clients, whose scripts come from `random`.
    pub(crate) fn several(count: u64, random: &mut Random, with_tokens: bool) -> Vec<Self> {
        let one = |client| Self {
            script: Script::new(client, Random::new(random.next(), &[client]), with_tokens),
            history: History::default(),
        };
        (1..=count).map(one).collect()
    }
}

/// What one client did, in order. It sends a change only after the answer to the one before.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    change: Change,
    outcome: Outcome,
}

#[derive(Clone, Debug)]
enum Outcome {
    /// Sent, and no answer that says whether it was done.
    Open,
    /// Acknowledged, or found to be there.
    Made(Answer),
    /// Found not to be there.
    NotMade,
}

/// What an event must report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The change of this number wrote its texts.
    Wrote(u64),
    /// The user of this id was deactivated.
    Deactivated(String),
    /// The resource of this id was deleted.
    Deleted(String),
}

/// What ought to be there of one client, and the change of which nobody knows.
#[derive(Clone, Debug)]
pub(crate) struct Expectation {
    /// With everything that was acknowledged.
    pub(crate) model: Model,
    /// Sent, and not acknowledged: may be there, but not by half.
    pub(crate) pending: Option<Change>,
}

impl History {
    /// How many changes were sent.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Notes that a change is being sent.
    pub(crate) fn sent(&mut self, change: Change) {
        self.entries.push(Entry { change, outcome: Outcome::Open });
    }

    /// Notes that the last change was acknowledged.
    pub(crate) fn acknowledged(&mut self, answer: Answer) {
        if let Some(last) = self.entries.last_mut() {
            last.outcome = Outcome::Made(answer);
        }
    }

    /// Notes whether the last change, if nobody knew of it, was found to be there.
    pub(crate) fn settle(&mut self, found: Option<Answer>) {
        if let Some(last) = self.entries.last_mut()
            && matches!(last.outcome, Outcome::Open)
        {
            last.outcome = found.map_or(Outcome::NotMade, Outcome::Made);
        }
    }

    /// What ought to be there now.
    pub(crate) fn expectation(&self) -> Expectation {
        self.expectation_at(self.len(), self.len())
    }

    /// What ought to be there when the first `acknowledged` changes had been answered and the first
    /// `sent` had been sent.
    pub(crate) fn expectation_at(&self, acknowledged: usize, sent: usize) -> Expectation {
        let mut model = Model::default();
        let mut pending = None;
        for (place, entry) in self.entries.iter().take(sent).enumerate() {
            match &entry.outcome {
                Outcome::Made(answer) if place < acknowledged => model.apply(&entry.change, answer),
                Outcome::NotMade => {}
                Outcome::Made(_) | Outcome::Open => pending = Some(entry.change.clone()),
            }
        }
        Expectation { model, pending }
    }

    /// What the events of the first `acknowledged` changes must report, in order.
    pub(crate) fn marks(&self, acknowledged: usize) -> Vec<Mark> {
        let (mut marks, mut model) = (Vec::new(), Model::default());
        for entry in self.entries.iter().take(acknowledged) {
            let Outcome::Made(answer) = &entry.outcome else { continue };
            marks.extend(mark(&entry.change, &model));
            model.apply(&entry.change, answer);
        }
        marks
    }

    /// How many events of each kind the audit trail must have, by verb and subject.
    pub(crate) fn events(&self, acknowledged: usize) -> BTreeMap<(&'static str, String), usize> {
        let mut events = BTreeMap::new();
        let mut model = Model::default();
        for entry in self.entries.iter().take(acknowledged) {
            let Outcome::Made(answer) = &entry.outcome else { continue };
            let (verb, subject) = event(&entry.change, answer, &model);
            if let Some(subject) = subject {
                *events.entry((verb, subject)).or_default() += 1;
            }
            model.apply(&entry.change, answer);
        }
        events
    }
}

fn event(change: &Change, answer: &Answer, model: &Model) -> (&'static str, Option<String>) {
    let user = |name: &str| model.users.get(name).and_then(|known| known.id.clone());
    let group = |name: &str| model.groups.get(name).and_then(|known| known.id.clone());
    match change {
        Change::CreateUser { .. } | Change::CreateGroup { .. } => ("created", answer.id.clone()),
        Change::PutUser { user: name, .. } => ("replaced", user(name)),
        Change::PatchUser { user: name, .. } => ("patched", user(name)),
        // An account that is inactive already is not changed.
        Change::Deactivate { .. } => ("patched", None),
        Change::DeleteUser { user: name } => ("deleted", user(name)),
        Change::PutGroup { group: name, .. } => ("replaced", group(name)),
        Change::PatchGroup { group: name, .. } => ("patched", group(name)),
        Change::DeleteGroup { group: name } => ("deleted", group(name)),
        Change::GenerateToken => ("generated", answer.id.clone()),
        Change::RevokeToken { token } => ("revoked", Some(token.clone())),
    }
}

/// What the event of a change must report, given what was there before.
fn mark(change: &Change, model: &Model) -> Option<Mark> {
    match change {
        Change::CreateUser { number, .. }
        | Change::PutUser { number, .. }
        | Change::PatchUser { number, .. }
        | Change::CreateGroup { number, .. }
        | Change::PutGroup { number, .. }
        | Change::PatchGroup { number, .. } => Some(Mark::Wrote(*number)),
        Change::Deactivate { user } => {
            let known = model.users.get(user).filter(|known| known.state.active)?;
            known.id.clone().map(Mark::Deactivated)
        }
        Change::DeleteUser { user } => model.users.get(user)?.id.clone().map(Mark::Deleted),
        Change::DeleteGroup { group } => model.groups.get(group)?.id.clone().map(Mark::Deleted),
        Change::GenerateToken | Change::RevokeToken { .. } => None,
    }
}
