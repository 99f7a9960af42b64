//! Connections, as operators change them in `conf.d`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A change of a connection in `conf.d`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionChange {
    /// Add a connection.
    Add {
        /// Its name.
        name: String,
        /// Its settings, by their keys in the configuration.
        settings: Map<String, Value>,
    },
    /// Change some settings of a connection.
    Set {
        /// Its name.
        name: String,
        /// The settings to change, by their keys in the configuration.
        settings: Map<String, Value>,
        /// The keys to remove.
        unset: Vec<String>,
    },
    /// Remove a connection.
    Remove {
        /// Its name.
        name: String,
        /// Whether to remove it although it has valid tokens or manages accounts.
        confirmed: bool,
    },
}

impl ConnectionChange {
    /// The name of the connection.
    pub fn name(&self) -> &str {
        match self {
            Self::Add { name, .. } | Self::Set { name, .. } | Self::Remove { name, .. } => name,
        }
    }
}

/// A connection that was changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConnectionChanged {
    /// The name of the connection.
    pub name: String,
    /// The file that was written or removed.
    pub file: String,
    /// The settings before; `None` if it is new.
    pub before: Option<Map<String, Value>>,
    /// The settings now; `None` if it was removed.
    pub after: Option<Map<String, Value>>,
    /// Whether a running server has put the change in force.
    pub in_force: bool,
}

/// Why a connection was not changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionRefusal {
    /// The command is wrong, or the configuration that it would make.
    Usage(String),
    /// There is no such connection.
    NotFound(String),
    /// The change could not be carried out, and everything is as it was.
    Failed(String),
}
