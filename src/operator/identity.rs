//! Who may do what in the console.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::credential::{OperatorAccount, OperatorRole};

/// An operator of the console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The name, for the audit log.
    pub name: String,
    /// The role.
    pub role: OperatorRole,
    /// Who vouches for the operator.
    #[serde(default)]
    pub source: IdentitySource,
}

/// Who vouches for an operator of the console.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentitySource {
    /// The user who ran `scimd console link` on this machine.
    #[default]
    Host,
    /// scimd: a named operator.
    Named {
        /// The epoch of the account: with another one, all sessions have ended.
        epoch: String,
    },
    /// An OpenID provider.
    Provider {
        /// The issuer.
        issuer: String,
        /// The subject, which with the issuer is the identity.
        subject: String,
    },
}

impl Identity {
    /// A user of this machine.
    pub fn of_host(name: String, role: OperatorRole) -> Self {
        Self { name, role, source: IdentitySource::Host }
    }

    /// A user of an OpenID provider.
    pub fn of_provider(name: String, role: OperatorRole, issuer: &str, subject: &str) -> Self {
        let (issuer, subject) = (issuer.to_owned(), subject.to_owned());
        Self { name, role, source: IdentitySource::Provider { issuer, subject } }
    }

    /// A named operator, as the account is now.
    pub fn named(account: &OperatorAccount) -> Self {
        let source = IdentitySource::Named { epoch: account.epoch.clone() };
        Self { name: account.name.clone(), role: account.role, source }
    }
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
