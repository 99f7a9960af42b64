//! Workload identity federation: which trust an assertion is of, and whether it proves it.

use crate::config::Config;
use crate::connection::assertion::{Assertion, AssertionKind, BadAssertion, ExpectedClaims};
use crate::connection::federation::{Federation, KeySetUrl, KeySource, MAX_LIFE};
use crate::connection::token::TokenOwner;
use crate::directory::ProvenClient;
use crate::http::denial::{DenyReason, KnownToken};

use super::keys::IssuerKeys;

/// The trusts of a configuration.
pub(in crate::http) struct Trusts(Vec<Trust>);

/// The trust of a connection in an issuer.
struct Trust {
    client: ProvenClient,
    client_id: String,
    federation: Federation,
}

impl Trusts {
    pub(in crate::http) fn new(config: &Config) -> Self {
        let trust = |(name, settings): (&String, &crate::connection::ConnectionSettings)| {
            let federation = settings.federation.clone()?;
            let owner = TokenOwner::Connection(name.clone());
            let client = ProvenClient { id: federation.trust_id(name), owner };
            let client_id = federation.client_id(name).to_owned();
            Some(Trust { client, client_id, federation })
        };
        Self(config.connections.iter().filter_map(trust).collect())
    }

    /// Forgets the keys of issuers that are not trusted.
    pub(in crate::http) fn retain(&self, keys: &IssuerKeys) {
        let url = |trust: &'_ Trust| match &trust.federation.keys {
            KeySource::Url(url) => Some(url.clone()),
            KeySource::File(_) => None,
        };
        let urls: Vec<KeySetUrl> = self.0.iter().filter_map(url).collect();
        keys.retain(&urls.iter().collect::<Vec<_>>());
    }

    /// Whether a connection has a trust.
    pub(in crate::http) fn has(&self, connection: &str) -> bool {
        self.0.iter().any(|trust| trust.client.owner.name() == connection)
    }

    /// Whether a client identifier is that of a trust.
    pub(in crate::http) fn names(&self, client_id: &str) -> bool {
        self.0.iter().any(|trust| trust.client_id == client_id)
    }

    /// Finds out which trust an assertion proves.
    ///
    /// # Errors
    ///
    /// The reason of the denial: claim by claim, what was expected and what came.
    pub(in crate::http) async fn prove(
        &self,
        id: Option<&str>,
        assertion: &Assertion,
        keys: &IssuerKeys,
        now: i64,
    ) -> Result<ProvenClient, DenyReason> {
        let Trust { client, federation, .. } = self.find(id, assertion)?;
        let owner = || Some(KnownToken { owner: client.owner.clone(), id: client.id.clone() });
        let bad = |error: &dyn std::fmt::Display| DenyReason::Assertion(error.to_string(), owner());
        let expected = ExpectedClaims {
            kind: AssertionKind::Federated,
            issuer: &federation.issuer,
            subject: &federation.subject,
            audiences: &federation.audiences,
            max_life: MAX_LIFE,
        };
        assertion.check_claims(&expected, now).map_err(|error| bad(&error))?;
        let keys = keys.of(&federation.keys, assertion).await.map_err(|error| bad(&error))?;
        let signed = assertion.check_signature(&keys, &federation.algorithms);
        signed.map_err(|error: BadAssertion| bad(&error))?;
        Ok(client.clone())
    }

    /// The trust that a request names, or else the only one whose issuer and subject are those of the assertion.
    fn find(&self, id: Option<&str>, assertion: &Assertion) -> Result<&Trust, DenyReason> {
        let denied = |why: String| Err(DenyReason::Assertion(why, None));
        match id {
            Some(id) => match self.0.iter().find(|trust| trust.client_id == id) {
                Some(trust) => Ok(trust),
                None => denied(format!(
                    "client_id: no connection has a federation with the client_id \"{}\"",
                    crate::text::excerpt(id, 100)
                )),
            },
            None => {
                let is_from = |trust: &&Trust| {
                    assertion.is_from(&trust.federation.issuer, &trust.federation.subject)
                };
                let mut fitting = self.0.iter().filter(is_from);
                match (fitting.next(), fitting.next()) {
                    (Some(only), None) => Ok(only),
                    (None, _) => denied(format!(
                        "no client_id was sent, and no connection has a federation with {}",
                        assertion.shown_origin()
                    )),
                    (Some(_), Some(_)) => denied(format!(
                        "no client_id was sent, and several connections have a federation with {}",
                        assertion.shown_origin()
                    )),
                }
            }
        }
    }
}
