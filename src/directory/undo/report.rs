//! What an undo does, as it is told to the operator.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What an undo does, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UndoReport {
    /// Since when.
    pub since: Timestamp,
    /// Through which connection, if not through any.
    pub connection: Option<String>,
    /// The number of the last change that stands.
    pub before: u64,
    /// The number of the last change that was looked at.
    pub upto: u64,
    /// Whether it was done.
    pub done: bool,
    /// The users and groups that it concerns.
    pub resources: Vec<UndoRow>,
    /// How many memberships come back.
    pub members_back: u64,
    /// How many memberships end.
    pub members_out: u64,
    /// How many memberships don't come back, because an end of theirs is not there.
    pub members_without_end: u64,
}

/// What becomes of one user or group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UndoRow {
    /// Its resource type in lower case.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// The name by which it is known.
    pub name: String,
    /// What becomes of it.
    pub action: UndoAction,
    /// Which attributes change back, and to what where that is short.
    pub changes: Vec<String>,
    /// How many members of a group come back.
    pub members_back: u64,
    /// How many members of a group leave it.
    pub members_out: u64,
    /// Who else changed it, or its members: what they did stays.
    pub also_changed_by: Vec<String>,
}

/// What becomes of a user or group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UndoAction {
    /// It was deleted and comes back, under the same id.
    Restore,
    /// It says again what it said, or has the members again that it had.
    Revert,
    /// It was created since and is removed.
    Remove,
    /// Others changed it as well, so it stays as it is.
    Skip,
}

impl UndoReport {
    /// Of how many users and groups that becomes.
    pub fn count(&self, action: UndoAction) -> usize {
        self.resources.iter().filter(|row| row.action == action).count()
    }

    /// How many users and groups it changes.
    pub fn changed(&self) -> usize {
        self.resources.len() - self.count(UndoAction::Skip)
    }
}
