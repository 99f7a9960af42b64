//! Setup guides: the steps and values for configuring an identity provider.
//!
//! Each provider has a file with its fixed texts as data. Menu items are spelled as the provider
//! spells them.

mod accepted;
mod custom;
mod entra;
mod entra_agent;
mod generic;
mod guide;
mod okta;
mod okta_agent;
mod reachability;
mod sign_in;
mod warning;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

pub use accepted::{AcceptedItem, AcceptedValues, AcceptedWorkspace};
pub use guide::{AttributeMapping, SetupField, SetupStage};
pub use reachability::Reachability;
pub use sign_in::SignIn;

use super::{ConnectionMethod, ConnectionSettings};
use crate::access::Catalogue;
use guide::{ProviderGuide, SetupContext};

/// The setup guide of one connection.
#[derive(Clone, Debug, Serialize)]
pub struct Setup {
    /// The connection's name.
    pub connection: String,
    /// The connection's method.
    pub method: &'static str,
    /// The names of the other connections.
    pub others: Vec<String>,
    /// The warnings about settings that prevent provisioning.
    pub warnings: Vec<String>,
    /// The prerequisites.
    pub prerequisites: &'static [&'static str],
    /// The fields to fill in.
    pub fields: Vec<SetupField>,
    /// The other ways to sign in, each with its fields.
    pub sign_in: Vec<SignIn>,
    /// The attribute mapping for users.
    pub mapping: &'static [AttributeMapping],
    /// The attribute mapping for groups.
    pub group_mapping: &'static [AttributeMapping],
    /// The accepted values for access and departments.
    pub accepted: AcceptedValues,
    /// The steps, with the provider's menu items.
    pub steps: &'static [SetupStage],
    /// The connection test.
    pub test: SetupTest,
}

/// The connection test.
#[derive(Clone, Debug, Serialize)]
pub struct SetupTest {
    /// The action at the provider.
    pub step: &'static str,
    /// The result of success.
    pub success: &'static str,
    /// The result of failure, and the remedy.
    pub failure: &'static str,
    /// A shell command that sends an equivalent request, with the token in `$TOKEN`.
    pub curl: String,
}

/// The way that requests take to scimd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetupVia {
    /// From the provider to scimd.
    #[default]
    Direct,
    /// Through an agent of the provider in this network, without an open port.
    Agent,
}

/// The guide of a method; `None` if its provider has no agent.
fn guide(method: ConnectionMethod, via: SetupVia) -> Option<&'static ProviderGuide> {
    Some(match (method, via) {
        (ConnectionMethod::Okta, SetupVia::Direct) => &okta::CATALOGUE_APP,
        (ConnectionMethod::OktaCustom, SetupVia::Direct) => &okta::CUSTOM_APP,
        (ConnectionMethod::Entra, SetupVia::Direct) => &entra::GUIDE,
        (ConnectionMethod::Generic, SetupVia::Direct) => &generic::GUIDE,
        (ConnectionMethod::Custom, SetupVia::Direct) => &custom::GUIDE,
        (ConnectionMethod::Okta | ConnectionMethod::OktaCustom, SetupVia::Agent) => {
            &okta_agent::AGENT
        }
        (ConnectionMethod::Entra, SetupVia::Agent) => &entra_agent::AGENT,
        (ConnectionMethod::Generic | ConnectionMethod::Custom, SetupVia::Agent) => return None,
    })
}

impl Setup {
    /// Returns the guide for the connection `name`, one of `connections`; `None` if its provider has no agent.
    pub fn new(
        connections: &BTreeMap<String, ConnectionSettings>,
        name: &str,
        connection: &ConnectionSettings,
        catalogue: &Catalogue,
        reachability: Reachability<'_>,
        via: SetupVia,
    ) -> Option<Self> {
        let Reachability { public_url, endpoint, token_endpoint, self_signed, .. } = reachability;
        let guide = guide(connection.method, via)?;
        let issuer = public_url.as_str();
        let place = SetupContext { name, connection, endpoint, token_endpoint, issuer };
        Some(Self {
            connection: name.to_owned(),
            method: connection.method.as_str(),
            others: connections.keys().filter(|other| *other != name).cloned().collect(),
            warnings: warning::warnings(reachability, connection, guide),
            prerequisites: guide.prerequisites,
            fields: (guide.fields)(&place),
            sign_in: sign_in::ways(guide, &place),
            mapping: guide.mapping,
            group_mapping: guide.group_mapping,
            accepted: AcceptedValues::new(connection, catalogue),
            steps: guide.steps,
            test: SetupTest {
                step: guide.step,
                success: guide.success,
                failure: guide.failure,
                curl: curl(connection, endpoint, self_signed, "$TOKEN"),
            },
        })
    }
}

/// Returns a shell command that reads a user.
///
/// `token` is the token itself or a shell variable.
pub fn curl(
    connection: &ConnectionSettings,
    endpoint: &str,
    self_signed: Option<&Path>,
    token: &str,
) -> String {
    let mut words = vec!["curl".to_owned()];
    if let Some(certificate) = self_signed {
        words.push(format!("--cacert {}", quote(&certificate.to_string_lossy())));
    }
    // Double quotes: a token is letters, digits and _, and a variable is to be filled in.
    words.push(format!("-H \"Authorization: Bearer {token}\""));
    if let Some(origin) = &connection.service_origin {
        words.push(format!("-H {}", quote(&format!("X-Request-Origin: {origin}"))));
    }
    words.push(quote(&format!("{endpoint}/Users?count=1")));
    words.join(" ")
}

/// Quotes a word for a shell.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
