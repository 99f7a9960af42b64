//! A data folder that many cycles begin with, and what its clients did to make it.

use std::fs;
use std::path::PathBuf;

use crate::history::{History, Player};
use crate::model::Change;
use crate::perform;
use crate::random::Random;
use crate::script::Script;
use crate::server::{self, Launch, Place};
use crate::session::Session;

/// At which size scimd begins another file of its journal.
const JOURNAL_FILE: usize = 16 * 1024 * 1024;

/// A data folder, stopped in order.
#[derive(Debug)]
pub(crate) struct Base {
    /// Where it is.
    pub(crate) data: PathBuf,
    histories: Vec<History>,
    seed: u64,
}

impl Base {
    /// A folder with a few resources of one client.
    pub(crate) fn small(session: &Session, name: &str) -> Result<Self, String> {
        Self::of_clients(session, name, 1, 25)
    }

    /// A folder in which each of so many clients has made so many changes.
    pub(crate) fn of_clients(
        session: &Session,
        name: &str,
        clients: u64,
        changes: usize,
    ) -> Result<Self, String> {
        let mut random = session.random(name, usize::MAX);
        let mut players = Player::several(clients, &mut random, true);
        let place = Place::fresh(&session.template, &session.work.join(format!("{name}-base")))?;
        let server = place.start(&Launch::default()).map_err(|failed| failed.to_string())?;
        for player in &mut players {
            let (done, how) = perform::play(player, &place.client(), &place, changes);
            if done < changes {
                return Err(format!("preparing failed: {how:?}"));
            }
        }
        server.stop()?;
        let histories = players.into_iter().map(|player| player.history).collect();
        Ok(Self { data: place.data(), histories, seed: random.next() })
    }

    /// A folder whose journal is about to begin another file.
    pub(crate) fn before_new_file(session: &Session, name: &str) -> Result<Self, String> {
        let mut base = Self::small(session, name)?;
        let place = Place::fresh(&session.template, &session.work.join(format!("{name}-grown")))?;
        place.replace_data(&base.data)?;
        let server = place.start(&Launch::default()).map_err(|failed| failed.to_string())?;
        let history = base.histories.first_mut().ok_or("a base without a client")?;
        let journal = server::files(&place.data().join("journal"))
            .ok()
            .and_then(|mut files| files.pop())
            .ok_or("a data folder without a journal")?;
        let user = history.expectation().model.users.keys().next().cloned();
        let user = user.ok_or("a base without a user")?;
        // Every one of these numbers means a large record.
        for number in (1..).map(|step| 29 * step) {
            let change = Change::PutUser { user: user.clone(), number };
            let model = history.expectation().model;
            history.sent(change.clone());
            match perform::perform(&change, &model, &place.client(), &place) {
                perform::Outcome::Acknowledged(answer) => history.acknowledged(answer),
                other => return Err(format!("growing failed: {other:?}")),
            }
            let size = fs::metadata(&journal).map_or(0, |file| file.len() as usize);
            if size >= JOURNAL_FILE && used(&journal)? + 30 * 1024 > JOURNAL_FILE {
                break;
            }
        }
        server.stop()?;
        base.data = place.data();
        Ok(base)
    }

    /// The first client, as it was when the folder was stopped.
    pub(crate) fn player(&self) -> Player {
        self.players().swap_remove(0)
    }

    /// The clients, as they were when the folder was stopped; what they do next is always the same.
    pub(crate) fn players(&self) -> Vec<Player> {
        let again = |(client, history): (u64, &History)| Player {
            script: Script::resumed(client, Random::new(self.seed, &[client]), history.len()),
            history: history.clone(),
        };
        (1..).zip(&self.histories).map(again).collect()
    }
}

/// Where the written part of a journal's file ends.
fn used(journal: &std::path::Path) -> Result<usize, String> {
    let bytes = fs::read(journal).map_err(|error| error.to_string())?;
    Ok(bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1))
}
