//! The errors of the directory.

use crate::scim::error::{ScimError, ScimType};
use crate::scim::resource::Version;
use crate::store::StoreError;

/// An error of the directory. It knows nothing of HTTP.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The request is invalid.
    #[error("{0}")]
    Invalid(#[from] ScimError),
    /// The resource or token does not exist.
    #[error("{kind} {id} not found")]
    NotFound {
        /// The name of the resource type, or `token`.
        kind: String,
        /// Its id, as it was given.
        id: String,
    },
    /// Another resource holds a value that must be unique.
    #[error("another {kind} already has the {attribute} {value:?}")]
    Taken {
        /// The name of the resource type.
        kind: String,
        /// The attribute.
        attribute: String,
        /// Its value, as the client gave it.
        value: String,
        /// Whether the attribute is the name of resources of the type.
        is_name: bool,
    },
    /// The resource is no longer in the version that the client knows.
    #[error("the resource is now in version {present}")]
    VersionMismatch {
        /// The version that it is in.
        present: Version,
    },
    /// The connection may not do that; a sentence that says why.
    #[error("{0}")]
    Forbidden(String),
    /// Accounts have access that the configuration no longer knows; a clause that names access and holders.
    #[error("{0}")]
    AccessInUse(String),
    /// The changes of the connection are held; a sentence that says why, and how to release it.
    #[error("{0}")]
    Held(String),
    /// An operator's request does not fit the state; a clause that says why.
    #[error("{0}")]
    Unfit(String),
    /// Storage failed; the log says how.
    #[error("storage failed")]
    Storage(#[source] StoreError),
    /// The configuration has changed since the command was prepared.
    #[error("the configuration changed meanwhile; try again")]
    Superseded,
    /// The answer exceeds the limit of the caller, which asks again with a higher one.
    #[error("the answer exceeds the caller's limit")]
    Large,
    /// The queue of the writer is full.
    #[error("too many changes are waiting")]
    Busy,
    /// The token that the request came with is no longer valid.
    #[error("the token was revoked or expired after the request was authenticated")]
    Unauthenticated,
    /// The command has a bug: it panicked, and changed nothing. The log says where.
    #[error("internal error (a bug in scimd); see the log")]
    Internal,
    /// The writer has stopped.
    #[error("scimd accepts no changes; restart it")]
    Stopped,
}

impl From<StoreError> for DirectoryError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::OverBudget(reason) => ScimError::new(ScimType::TooMany, reason).into(),
            error => Self::Storage(error),
        }
    }
}
