//! What the directory ought to hold, and what each change makes of it.
//!
//! Every text of a resource carries the number of the change that wrote it. So whether a change is
//! there, is not, or is there by half shows in the resource itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// A change that a client asks for. Users are known by their `userName`, groups by their `externalId`,
/// tokens by their id; `number` is the change's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// `POST /Users`.
    CreateUser {
        /// Who.
        user: String,
        /// Written into every text.
        number: u64,
    },
    /// `PUT /Users/ID`.
    PutUser {
        /// Who.
        user: String,
        /// Written into every text.
        number: u64,
    },
    /// `PATCH /Users/ID` with one operation for each text.
    PatchUser {
        /// Who.
        user: String,
        /// Written into every text.
        number: u64,
    },
    /// `PATCH /Users/ID` with `active: false`.
    Deactivate {
        /// Who.
        user: String,
    },
    /// `DELETE /Users/ID`.
    DeleteUser {
        /// Who.
        user: String,
    },
    /// `POST /Groups`.
    CreateGroup {
        /// Which.
        group: String,
        /// Written into its name.
        number: u64,
        /// With whom.
        members: BTreeSet<String>,
    },
    /// `PUT /Groups/ID`.
    PutGroup {
        /// Which.
        group: String,
        /// Written into its name.
        number: u64,
        /// With whom.
        members: BTreeSet<String>,
    },
    /// `PATCH /Groups/ID`: renames, adds and removes in one request.
    PatchGroup {
        /// Which.
        group: String,
        /// Written into its name.
        number: u64,
        /// Who comes.
        add: BTreeSet<String>,
        /// Who goes.
        remove: BTreeSet<String>,
    },
    /// `DELETE /Groups/ID`.
    DeleteGroup {
        /// Which.
        group: String,
    },
    /// `scimd token generate`.
    GenerateToken,
    /// `scimd token revoke ID`.
    RevokeToken {
        /// Which.
        token: String,
    },
}

/// A user as it ought to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// The change that wrote its texts.
    pub(crate) number: u64,
    /// Whether the account may be used.
    pub(crate) active: bool,
}

/// A group as it ought to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// The change that wrote its name.
    pub(crate) number: u64,
    /// The names of its members.
    pub(crate) members: BTreeSet<String>,
}

/// A resource or token, with what was learned of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known<T> {
    /// How it ought to be.
    pub(crate) state: T,
    /// Its id, if an answer told it.
    pub(crate) id: Option<String>,
    /// The version that it has at least.
    pub(crate) version: u64,
}

/// A token, and whether it opens anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// What is presented.
    pub(crate) secret: String,
    /// Whether it was ended.
    pub(crate) revoked: bool,
}

/// What an answer told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The id of the resource or token.
    pub(crate) id: Option<String>,
    /// The version of the resource.
    pub(crate) version: u64,
    /// The secret of a new token.
    pub(crate) secret: Option<String>,
}

/// What the directory ought to hold of one client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    /// Users by name.
    pub(crate) users: BTreeMap<String, Known<User>>,
    /// Groups by external id.
    pub(crate) groups: BTreeMap<String, Known<Group>>,
    /// Tokens by id.
    pub(crate) tokens: BTreeMap<String, Token>,
    /// The ids of what was deleted.
    pub(crate) gone: Vec<String>,
    /// Numbers whose texts nothing has any more.
    pub(crate) stale: Vec<u64>,
}

impl Model {
    /// Makes a change, with what its answer told.
    pub(crate) fn apply(&mut self, change: &Change, answer: &Answer) {
        let version = answer.version;
        match change {
            Change::CreateUser { user, number } => {
                let state = User { number: *number, active: true };
                let known = Known { state, id: answer.id.clone(), version };
                self.users.insert(user.clone(), known);
            }
            Change::PutUser { user, number } | Change::PatchUser { user, number } => {
                if let Some(known) = self.users.get_mut(user) {
                    self.stale.push(known.state.number);
                    known.state.number = *number;
                    known.version = known.version.max(version);
                }
            }
            Change::Deactivate { user } => {
                if let Some(known) = self.users.get_mut(user) {
                    known.state.active = false;
                    known.version = known.version.max(version);
                }
            }
            Change::DeleteUser { user } => {
                if let Some(known) = self.users.remove(user) {
                    self.stale.push(known.state.number);
                    self.gone.extend(known.id);
                }
                self.groups.values_mut().for_each(|group| {
                    group.state.members.remove(user);
                });
            }
            Change::CreateGroup { group, number, members } => {
                let state = Group { number: *number, members: members.clone() };
                let known = Known { state, id: answer.id.clone(), version };
                self.groups.insert(group.clone(), known);
            }
            Change::PutGroup { group, number, members } => {
                if let Some(known) = self.groups.get_mut(group) {
                    known.state = Group { number: *number, members: members.clone() };
                    known.version = known.version.max(version);
                }
            }
            Change::PatchGroup { group, number, add, remove } => {
                if let Some(known) = self.groups.get_mut(group) {
                    known.state.number = *number;
                    known.state.members.extend(add.iter().cloned());
                    known.state.members.retain(|member| !remove.contains(member));
                    known.version = known.version.max(version);
                }
            }
            Change::DeleteGroup { group } => {
                if let Some(known) = self.groups.remove(group) {
                    self.gone.extend(known.id);
                }
            }
            Change::GenerateToken => {
                if let (Some(id), Some(secret)) = (&answer.id, &answer.secret) {
                    let token = Token { secret: secret.clone(), revoked: false };
                    self.tokens.insert(id.clone(), token);
                }
            }
            Change::RevokeToken { token } => {
                if let Some(token) = self.tokens.get_mut(token) {
                    token.revoked = true;
                }
            }
        }
    }
}

/// The external id of a user whose texts were written by that change.
pub(crate) fn external_id(number: u64) -> String {
    format!("x{number}")
}

/// The address of such a user.
pub(crate) fn address(number: u64) -> String {
    format!("m{number}@example.com")
}

/// The title of such a user: now and then one that fills many sectors of the disk.
pub(crate) fn title(number: u64) -> String {
    let repeat = if number.is_multiple_of(29) { 2_500 } else { 1 };
    format!("t{number} ").repeat(repeat)
}

/// The display name of a group.
pub(crate) fn group_name(group: &str, number: u64) -> String {
    format!("{group} {number}")
}

/// A user as it is sent.
pub(crate) fn user_body(name: &str, number: u64, active: bool) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": name,
        "displayName": number.to_string(),
        "nickName": number.to_string(),
        "title": title(number),
        "externalId": external_id(number),
        "emails": [{"value": address(number), "type": "work"}],
        "active": active,
    })
}

/// A PATCH that writes every text of a user.
pub(crate) fn user_patch(number: u64) -> Value {
    patch(vec![
        json!({"op": "replace", "path": "displayName", "value": number.to_string()}),
        json!({"op": "replace", "path": "emails", "value": [{"value": address(number), "type": "work"}]}),
        json!({"op": "replace", "path": "externalId", "value": external_id(number)}),
        json!({"op": "replace", "path": "title", "value": title(number)}),
        json!({"op": "replace", "path": "nickName", "value": number.to_string()}),
    ])
}

/// A PATCH of these operations.
pub(crate) fn patch(operations: Vec<Value>) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": operations,
    })
}
