//! The types of events.

use std::fmt;

/// The type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventType {
    /// An account was created.
    UserCreated,
    /// Attributes of an account changed.
    UserUpdated,
    /// An account became active; other attributes may have changed, too.
    UserActivated,
    /// An account became inactive; other attributes may have changed, too.
    UserDeactivated,
    /// An account was deleted.
    UserDeleted,
    /// A group was created.
    GroupCreated,
    /// Attributes or members of a group changed.
    GroupUpdated,
    /// A group was deleted.
    GroupDeleted,
    /// The effective access of an account changed.
    AccessChanged,
}

impl EventType {
    /// Every type, with the byte that stands for it in the files of the feed, and its description.
    pub const CATALOGUE: [(Self, u8, &'static str); 9] = [
        (Self::UserCreated, 1, "an account was created"),
        (Self::UserUpdated, 2, "attributes of an account changed"),
        (
            Self::UserActivated,
            3,
            "an account became active; other attributes may have changed, too",
        ),
        (
            Self::UserDeactivated,
            4,
            "an account became inactive; other attributes may have changed, too",
        ),
        (Self::UserDeleted, 5, "an account was deleted"),
        (Self::GroupCreated, 6, "a group was created"),
        (Self::GroupUpdated, 7, "attributes or members of a group changed"),
        (Self::GroupDeleted, 8, "a group was deleted"),
        (Self::AccessChanged, 9, "the effective access of an account changed"),
    ];

    /// The type as it is written in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UserCreated => "user.created",
            Self::UserUpdated => "user.updated",
            Self::UserActivated => "user.activated",
            Self::UserDeactivated => "user.deactivated",
            Self::UserDeleted => "user.deleted",
            Self::GroupCreated => "group.created",
            Self::GroupUpdated => "group.updated",
            Self::GroupDeleted => "group.deleted",
            Self::AccessChanged => "access.changed",
        }
    }

    /// The byte that stands for it in the files of the feed.
    pub(super) fn code(self) -> u8 {
        Self::CATALOGUE.iter().find(|(one, ..)| *one == self).map_or(0, |(_, code, _)| *code)
    }

    /// The type that a byte stands for.
    pub(super) fn of_code(code: u8) -> Option<Self> {
        Self::CATALOGUE.iter().find(|(_, known, _)| *known == code).map(|(one, ..)| *one)
    }

    /// Whether it says which attributes have changed.
    pub(super) fn names_attributes(self) -> bool {
        matches!(
            self,
            Self::UserUpdated | Self::UserActivated | Self::UserDeactivated | Self::GroupUpdated
        )
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
