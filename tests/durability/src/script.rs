//! What a client does: changes of every kind, drawn from a seed.

use std::collections::BTreeSet;

use crate::model::{Change, Model};
use crate::random::Random;

/// How many users and groups a client has at most: few, so that looking at all of them is quick, and
/// each is changed often.
const USERS: usize = 10;
const GROUPS: usize = 3;
const TOKENS: usize = 2;

/// A client's next change, given what it has.
#[derive(Debug)]
pub(crate) struct Script {
    client: u64,
    random: Random,
    /// The number of the last change.
    number: u64,
    /// Whether tokens are among the changes: each costs a process.
    with_tokens: bool,
}

impl Script {
    /// The script of one client.
    pub(crate) fn new(client: u64, random: Random, with_tokens: bool) -> Self {
        Self { client, random, number: 0, with_tokens }
    }

    /// The script of a client that has made so many changes already.
    pub(crate) fn resumed(client: u64, random: Random, made: usize) -> Self {
        Self { client, random, number: made as u64, with_tokens: true }
    }

    /// The next change. Numbers are this client's alone and never come again.
    pub(crate) fn next(&mut self, model: &Model) -> Change {
        self.number += 1;
        let number = self.client * 10_000_000 + self.number;
        let users: Vec<&String> = model.users.keys().collect();
        let groups: Vec<&String> = model.groups.keys().collect();
        let roll = self.random.below(100);
        if users.len() < 3 || (roll < 20 && users.len() < USERS) {
            // Names of deleted users are taken again.
            let user = self.free("u", USERS, &|name| !model.users.contains_key(name));
            return Change::CreateUser { user, number };
        }
        let user = self.random.pick(&users).map(|name| (*name).clone()).unwrap_or_default();
        let group = self.random.pick(&groups).map(|name| (*name).clone()).unwrap_or_default();
        match roll {
            0..30 => Change::PutUser { user, number },
            30..45 => Change::PatchUser { user, number },
            45..53 => Change::Deactivate { user },
            53..63 => Change::DeleteUser { user },
            63..66 if self.with_tokens => self.token(model),
            _ if groups.is_empty() || (roll < 75 && groups.len() < GROUPS) => {
                let group = self.free("g", GROUPS, &|name| !model.groups.contains_key(name));
                Change::CreateGroup { group, number, members: self.some(&users) }
            }
            63..72 => Change::DeleteGroup { group },
            72..80 => Change::PutGroup { group, number, members: self.some(&users) },
            _ => self.group_patch(group, number, &users, model),
        }
    }

    fn group_patch(
        &mut self,
        group: String,
        number: u64,
        users: &[&String],
        model: &Model,
    ) -> Change {
        let present = model.groups.get(&group).map(|known| known.state.members.clone());
        let present = present.unwrap_or_default();
        let mut add = self.some(users);
        add.retain(|name| !present.contains(name));
        let remove = present.into_iter().filter(|_| self.random.chance(40)).collect();
        Change::PatchGroup { group, number, add, remove }
    }

    fn token(&mut self, model: &Model) -> Change {
        let live: Vec<&String> =
            model.tokens.iter().filter(|(_, token)| !token.revoked).map(|(id, _)| id).collect();
        if live.len() < TOKENS {
            return Change::GenerateToken;
        }
        let token = self.random.pick(&live).map(|id| (*id).clone()).unwrap_or_default();
        Change::RevokeToken { token }
    }

    fn free(&mut self, kind: &str, most: usize, is_free: &dyn Fn(&String) -> bool) -> String {
        let names = (0..most).map(|place| format!("c{}{kind}{place}", self.client));
        let free: Vec<String> = names.filter(is_free).collect();
        self.random.pick(&free).cloned().unwrap_or_default()
    }

    fn some(&mut self, users: &[&String]) -> BTreeSet<String> {
        users.iter().filter(|_| self.random.chance(40)).map(|name| (*name).clone()).collect()
    }
}
