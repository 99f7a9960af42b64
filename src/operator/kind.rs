//! The kinds of resources that operators read and change.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::directory::{Directory, DirectoryError};
use crate::scim::schema::ResourceType;
use crate::scim::schemas::{group, user};

/// A kind of resource that operators read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// Users, by id or userName.
    User,
    /// Groups, by id or displayName.
    Group,
}

impl ResourceKind {
    /// The word for one resource of the kind, in messages and commands.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
        }
    }

    /// The attribute by which operators name a resource of the kind.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::User => user::USER_NAME,
            Self::Group => group::DISPLAY_NAME,
        }
    }

    pub(super) fn resource_type(
        self,
        directory: &Directory,
    ) -> Result<Arc<ResourceType>, DirectoryError> {
        let types = directory.registry().resource_types();
        let found = types.iter().find(|one| one.name.eq_ignore_ascii_case(self.as_str()));
        found.map(Arc::clone).ok_or_else(|| DirectoryError::NotFound {
            kind: "resource type".to_owned(),
            id: self.as_str().to_owned(),
        })
    }
}
