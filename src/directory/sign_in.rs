//! How clients sign in: tokens, OAuth clients, and the access tokens that they get.

use std::time::Duration;

use crate::connection::access_token::AccessTokenIssuer;
use crate::connection::assertion::{Assertion, KeySet};
use crate::connection::client::Client;
use crate::connection::token::TokenSecret;
use crate::directory::Directory;
use crate::directory::error::DirectoryError;
use crate::directory::token::client_commands::FollowTrusts;
use crate::directory::token::client_table::{
    AccessToken, InvalidClient, NoAccessToken, ProvenClient, UnusableAssertion,
};
use crate::directory::token::table::{InvalidToken, PresentedToken};
use crate::event::Actor;
use crate::store::used_assertions::UsedAssertions;

impl Directory {
    /// Finds the valid token, or access token, that a client presents. Its use is noted once the request is
    /// admitted.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`].
    pub fn authenticate(&self, presented: &TokenSecret) -> Result<PresentedToken, InvalidToken> {
        let (digest, now) = (presented.digest(), self.time_for_expiry());
        match self.shared.tokens.authenticate(&digest, now) {
            Err(InvalidToken::Unknown) => self.shared.clients.authenticate(&digest, now),
            found => found,
        }
    }

    /// Issues access tokens from now on.
    pub fn issue_access_tokens(&self, issuer: AccessTokenIssuer) {
        self.shared.clients.issue_with(issuer, self.time_for_expiry());
    }

    /// Changes the lifetime of access tokens, also of those that were issued.
    pub fn set_access_token_lifetime(&self, lifetime: Duration) {
        self.shared.clients.set_lifetime(lifetime, self.time_for_expiry());
    }

    /// Trusts these connections' issuers from now on, each by the id of the trust, and no others.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`]: new trusts don't count yet; those that went have ended, until the next start.
    pub fn trust(&self, trusts: Vec<ProvenClient>) -> Result<(), DirectoryError> {
        if self.shared.clients.trusts_are(&trusts) {
            return Ok(());
        }
        self.shared.clients.distrust_others(&trusts);
        self.submit(Actor::System, FollowTrusts(trusts)).wait()
    }

    /// Checks the secret of an OAuth client.
    ///
    /// # Errors
    ///
    /// [`InvalidClient`].
    pub fn check_client_secret(
        &self,
        id: &str,
        secret: &str,
    ) -> Result<ProvenClient, InvalidClient> {
        self.shared.clients.check_secret(id, secret, self.time_for_expiry())
    }

    /// The keys of an OAuth client, one of which must sign its assertions.
    ///
    /// # Errors
    ///
    /// [`InvalidClient`].
    pub fn client_keys(&self, id: &str) -> Result<(ProvenClient, KeySet), InvalidClient> {
        self.shared.clients.keys(id)
    }

    /// Whether a client has not expired.
    pub fn is_valid_client(&self, id: &str) -> bool {
        self.shared.clients.is_valid(id, self.time_for_expiry())
    }

    /// Keeps the assertions that clients use there from now on.
    pub fn remember_assertions(&self, used: UsedAssertions) {
        self.shared.clients.remember_in(used);
    }

    /// Uses an assertion of a client, which can't be used again. Waits for the disk.
    ///
    /// # Errors
    ///
    /// [`UnusableAssertion`].
    pub fn use_assertion(
        &self,
        client: &ProvenClient,
        assertion: &Assertion,
    ) -> Result<(), UnusableAssertion> {
        let id = assertion.id().unwrap_or_default();
        self.shared.clients.use_assertion(client, id, assertion.end(), self.time_for_expiry())
    }

    /// The access token of a client that has proved itself.
    ///
    /// # Errors
    ///
    /// [`NoAccessToken`].
    pub fn access_token(&self, client: &ProvenClient) -> Result<AccessToken, NoAccessToken> {
        self.shared.clients.issue(&client.id, self.time_for_expiry())
    }

    /// Every OAuth client, oldest first.
    pub fn clients(&self) -> Vec<Client> {
        self.shared.clients.list()
    }

    /// The valid clients of a connection, oldest first.
    pub fn valid_clients(&self, connection: &str) -> Vec<Client> {
        let now = self.time_for_expiry();
        let mut clients = self.clients();
        clients.retain(|client| client.connection == connection && !client.is_expired(now));
        clients
    }
}
