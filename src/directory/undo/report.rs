//! The report of an undo for the operator.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What an undo does, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoReport {
    /// The moment to go back to.
    pub since: Timestamp,
    /// The end of the changes that are undone; `None` for no end.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// The connection whose changes are undone; `None` for all.
    pub connection: Option<String>,
    /// The digest of the plan: an undo that is confirmed by it does this and nothing else.
    #[serde(default)]
    pub plan: String,
    /// The sequence of the last change that stays.
    pub before: u64,
    /// The sequence of the last change that was read.
    pub upto: u64,
    /// Whether it was done.
    pub done: bool,
    /// The users and groups that it concerns.
    pub resources: Vec<UndoRow>,
    /// The number of memberships that come back.
    pub members_back: u64,
    /// The number of memberships that end.
    pub members_out: u64,
    /// The number of memberships that don't come back, because their group or member does not exist.
    pub members_without_end: u64,
}

/// The effect on one user or group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoRow {
    /// Its resource type in lower case.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What is done with it.
    pub action: UndoAction,
    /// The attributes that change back, with short values.
    pub changes: Vec<String>,
    /// The number of members that come back to a group.
    pub members_back: u64,
    /// The number of members that leave a group.
    pub members_out: u64,
    /// Other actors that changed it or its members. Their changes stay.
    pub also_changed_by: Vec<String>,
    /// Whether it or its members were changed again after the end of the changes that are undone.
    #[serde(default)]
    pub changed_later: bool,
}

/// What is done with a user or group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UndoAction {
    /// It was deleted and comes back, under the same id.
    Restore,
    /// Its attributes or members are restored.
    Revert,
    /// It was created since and is removed.
    Remove,
    /// It was created since and is kept.
    Keep,
    /// Others changed it as well, or it was changed again later, so it stays as it is.
    Skip,
}

impl UndoReport {
    /// The number of users and groups with an action.
    pub fn count(&self, action: UndoAction) -> usize {
        self.resources.iter().filter(|row| row.action == action).count()
    }

    /// The number of users and groups that change.
    pub fn changed(&self) -> usize {
        let stays = self.count(UndoAction::Skip) + self.count(UndoAction::Keep);
        self.resources.len() - stays
    }
}
