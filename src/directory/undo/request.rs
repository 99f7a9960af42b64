//! The request for an undo.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::text::keyword::keyword;

/// A request to undo changes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Undo {
    /// The moment to go back to.
    pub since: Timestamp,
    /// The end of the changes that are undone. What was changed again later stays; `None` for no end.
    pub until: Option<Timestamp>,
    /// Undo only what this connection, and no other actor, has changed since.
    pub connection: Option<String>,
    /// Undo only changes of this account and its memberships: its id, or a name that it has or had then.
    pub user: Option<String>,
    /// The kinds of changes to undo; empty for all.
    pub only: BTreeSet<UndoKind>,
    /// Whether users and groups that were created since are deleted.
    pub delete_created: bool,
    /// Whether to leave out access that the catalogue no longer has, rather than to fail.
    pub drop_unknown_access: bool,
    /// Whether to report only what would be done.
    pub dry_run: bool,
    /// The plan that was confirmed, from the report of a dry run: any other plan is refused.
    pub confirmed: Option<String>,
}

impl Undo {
    /// Whether to undo a kind of changes.
    pub(super) fn wants(&self, kind: UndoKind) -> bool {
        self.only.is_empty() || self.only.contains(&kind)
    }

    /// Whether some of the changes since the moment are left as they are.
    pub(super) fn is_partial(&self) -> bool {
        let narrowed = [&self.connection, &self.user].iter().any(|narrowed| narrowed.is_some());
        narrowed || self.until.is_some() || !self.only.is_empty()
    }
}

/// The options of `scimd undo` that narrow an undo, as they are typed; empty for none.
impl fmt::Display for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { until, connection, user, only, .. } = self;
        if let Some(until) = until {
            write!(f, " --until {until}")?;
        }
        if let Some(connection) = connection {
            write!(f, " --connection {connection}")?;
        }
        if let Some(user) = user {
            write!(f, " --user {user}")?;
        }
        if !only.is_empty() {
            let only: Vec<&str> = only.iter().map(|kind| kind.as_str()).collect();
            write!(f, " --only {}", only.join(","))?;
        }
        if self.delete_created { write!(f, " --delete-created") } else { Ok(()) }
    }
}

/// A kind of changes that an undo reverts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UndoKind {
    /// Accounts that were deactivated: they are activated.
    Deactivated,
    /// Users and groups that were deleted: they are restored, with their memberships.
    Deleted,
    /// Memberships that were added or removed.
    Memberships,
    /// Changed attributes of users and groups, also `active`.
    Attributes,
}

impl UndoKind {
    /// All kinds, in the order of the documentation.
    pub const ALL: &[Self] =
        &[Self::Deactivated, Self::Deleted, Self::Memberships, Self::Attributes];

    /// The word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deactivated => "deactivated",
            Self::Deleted => "deleted",
            Self::Memberships => "memberships",
            Self::Attributes => "attributes",
        }
    }
}

keyword!(UndoKind, "kind of change");
