//! What operators can ask about access, and what they are answered.

use serde::{Deserialize, Serialize};

use crate::directory::AccessPath;

/// A question about the access of users. All only read.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessRequest {
    /// What a user may do, with every path that gives it.
    Why {
        /// The user, as for `ShowResource`.
        user: String,
        /// Only this: an entitlement, `role:NAME`, or the name of a permission, permission set, role, team or
        /// workspace.
        of: Option<String>,
    },
    /// Who has some access, one part of all users.
    Who {
        /// The access: an entitlement, `role:NAME`, or one of those names.
        of: String,
        /// The last user of the part before, from an earlier reply.
        after: Option<String>,
    },
    /// What would change for a user.
    WhatIf {
        /// The user, as for `ShowResource`.
        user: String,
        /// The groups that it would join.
        joined: Vec<String>,
        /// The groups that it would leave.
        left: Vec<String>,
        /// What it would be granted: entitlements and `role:NAME`.
        given: Vec<String>,
    },
}

/// The reply to an [`AccessRequest`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessReply {
    /// What a user may do, and why.
    Why(AccessExplanation),
    /// Who has some access.
    Who(AccessHolderPage),
    /// What would change.
    WhatIf(AccessChanges),
}

/// The user that a question is about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessUser {
    /// The id.
    pub id: String,
    /// The userName.
    pub name: String,
    /// Whether the user is active. A user that is not has no access.
    pub active: bool,
}

/// What a user may do, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessExplanation {
    /// The user.
    pub user: AccessUser,
    /// The roles and pieces of access, in order.
    pub access: Vec<ExplainedItem>,
}

/// A role or a piece of access, and every path that gives it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainedItem {
    /// `role:NAME`, or the entitlement.
    pub value: String,
    /// The same in words.
    pub meaning: String,
    /// The paths, at most 100.
    pub paths: Vec<AccessPath>,
    /// Whether there are more paths.
    #[serde(default)]
    pub has_more: bool,
}

/// The users with some access, of one part of all users.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessHolderPage {
    /// The users, in the order of their creation.
    pub users: Vec<HolderInfo>,
    /// How many users were examined for this part.
    pub examined: usize,
    /// The start of the next part; `None` after the last one.
    pub next: Option<String>,
}

/// A user with some access.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HolderInfo {
    /// The id.
    pub id: String,
    /// The userName.
    pub name: String,
    /// What the user has of what was asked for.
    pub access: Vec<HeldAccess>,
}

/// A role or a piece of access that a user has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HeldAccess {
    /// `role:NAME`, or the entitlement.
    pub value: String,
    /// The same in words.
    pub meaning: String,
    /// What gives it, as in `group "Engineers", role "Developer"`.
    pub sources: Vec<String>,
}

/// What would change for a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessChanges {
    /// The user.
    pub user: AccessUser,
    /// The roles and pieces of access whose paths would change.
    pub changes: Vec<AccessDifference>,
}

/// What would change of a role or a piece of access.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessDifference {
    /// `role:NAME`, or the entitlement.
    pub value: String,
    /// The same in words.
    pub meaning: String,
    /// The paths now; none if it would be gained.
    pub before: Vec<AccessPath>,
    /// The paths then; none if it would be lost.
    pub after: Vec<AccessPath>,
}
