//! What operators look up beside resources: names, operators' deactivations, and the state of the brakes.

use crate::connection::token::{Token, TokenOwner};
use crate::directory::brake::{BrakeStatus, WithheldChanges};
use crate::directory::deactivation::Deactivation;
use crate::directory::error::DirectoryError;
use crate::directory::{Directory, membership};
use crate::scim::resource::ResourceId;

impl Directory {
    /// The valid tokens of a connection, oldest first.
    pub fn valid_tokens(&self, connection: &str) -> Vec<Token> {
        self.valid_tokens_of(&TokenOwner::Connection(connection.to_owned()))
    }

    /// Whether there is a token with this id that has not expired.
    pub fn is_token_valid(&self, id: &str) -> bool {
        self.shared.tokens.is_valid(id, self.time_for_expiry())
    }

    /// The change up to which what is read has all changes of the log.
    pub fn applied(&self) -> u64 {
        self.shared.store.applied().sequence
    }

    /// The valid tokens of a connection or an application, oldest first.
    pub fn valid_tokens_of(&self, owner: &TokenOwner) -> Vec<Token> {
        let now = self.time_for_expiry();
        let mut tokens = self.tokens();
        tokens.retain(|token| token.owner == *owner && !token.is_expired(now));
        tokens
    }

    /// The state of the brake of each configured connection, and of each one that is held.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub fn brakes(&self) -> Result<Vec<BrakeStatus>, DirectoryError> {
        self.shared.brakes.status(self.view(), self.now())
    }

    /// The userName of a user, or the displayName of a group; `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub fn name_of(&self, id: ResourceId) -> Result<Option<String>, DirectoryError> {
        membership::name_of(self.shared.store.as_ref(), self.registry(), id)
    }

    /// The changes of a connection that were refused in its last hold since the start.
    pub fn withheld(&self, connection: &str) -> WithheldChanges {
        self.shared.brakes.withheld(connection)
    }

    /// The operator's deactivation of an account, if it is in force.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub fn deactivation(&self, id: ResourceId) -> Result<Option<Deactivation>, DirectoryError> {
        Ok(Deactivation::find(self.shared.store.as_ref(), id)?)
    }
}
