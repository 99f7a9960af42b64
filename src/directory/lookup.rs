//! What operators look up beside resources: names, operators' deactivations, access
//! explained, and the state of the brakes.

use crate::access::AccessPattern;
use crate::connection::token::{Token, TokenOwner};
use crate::directory::access::explain::{Assumption, ExplainedAccess};
use crate::directory::access::holders::AccessHolders;
use crate::directory::brake::{BrakeStatus, WithheldChanges};
use crate::directory::deactivation::Deactivation;
use crate::directory::error::DirectoryError;
use crate::directory::query::part::{self, SearchPart};
use crate::directory::stored::StoredResource;
use crate::directory::{Directory, membership};
use crate::scim::filter::Filter;
use crate::scim::resource::ResourceId;
use crate::scim::schema::ResourceType;

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

    /// What an account is given under an assumption, with every path that leads to it, as far as it is `wanted`.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub fn explain_access(
        &self,
        resource_type: &ResourceType,
        stored: &StoredResource,
        assumption: &Assumption,
        wanted: Option<&AccessPattern>,
    ) -> Result<ExplainedAccess, DirectoryError> {
        self.view().explain_access(resource_type, stored, assumption, wanted)
    }

    /// The accounts that have some access, of a part of all accounts: those after one, or the first.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub fn access_holders(
        &self,
        resource_type: &ResourceType,
        wanted: &AccessPattern,
        after: Option<ResourceId>,
    ) -> Result<AccessHolders, DirectoryError> {
        self.view().access_holders(resource_type, wanted, after)
    }

    /// The groups that a resource belongs to directly.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub fn direct_groups(&self, member: ResourceId) -> Result<Vec<ResourceId>, DirectoryError> {
        Ok(membership::groups_of(self.shared.store.as_ref(), member)?)
    }

    /// Whether memberships wait to be cleared, or to show a new name: groups may have changed in a way that
    /// their versions do not say yet.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub fn is_clearing_memberships(&self) -> Result<bool, DirectoryError> {
        Ok(membership::is_pending(self.shared.store.as_ref())?)
    }

    /// The resources of a type that match a filter, of a part of them: those after one, or the first; at most
    /// `count`.
    ///
    /// # Errors
    ///
    /// `Storage`; `Invalid` with `tooMany` if one resource has more members than a search may read.
    pub fn search_part(
        &self,
        resource_type: &ResourceType,
        filter: Option<&Filter>,
        after: Option<ResourceId>,
        count: usize,
    ) -> Result<SearchPart, DirectoryError> {
        part::run(self.view(), resource_type, filter, after, count)
    }
}
