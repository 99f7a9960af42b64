//! What an operator may do in the console.

use std::fmt;

use crate::text::keyword::keyword;

/// What an operator may do in the console. Each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OperatorRole {
    /// Reads.
    Viewer,
    /// Also pauses, undoes, deactivates, resends.
    Operator,
    /// Also changes connections, tokens, clients and operators.
    Admin,
}

impl OperatorRole {
    /// Every role, from the least.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The name of the role.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

keyword!(OperatorRole, "role");

impl fmt::Display for OperatorRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
