//! Who may do what in the console.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::credential::OperatorRole;

/// An operator of the console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The name, for the audit log.
    pub name: String,
    /// The role.
    pub role: OperatorRole,
}

/// The console of a running server.
pub trait ConsoleControl: Send + Sync {
    /// Makes a link by which an operator signs in once; its URL.
    ///
    /// # Errors
    ///
    /// Why there is none.
    fn create_link(&self, identity: Identity, valid_for: Duration) -> Result<String, String>;
}
