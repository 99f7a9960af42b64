//! Setup guides: the steps and values for configuring an identity provider.
//!
//! Each provider has a file with its fixed texts as data. Menu items are spelled as the provider
//! spells them.

mod accepted;
mod custom;
mod entra;
mod generic;
mod guide;
mod okta;
mod reachability;
mod warning;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

pub use accepted::{AcceptedItem, AcceptedValues, AcceptedWorkspace};
pub use guide::{AttributeMapping, SetupField, SetupStage};
pub use reachability::Reachability;

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

fn guide(method: ConnectionMethod) -> &'static ProviderGuide {
    match method {
        ConnectionMethod::Okta => &okta::CATALOGUE_APP,
        ConnectionMethod::OktaCustom => &okta::CUSTOM_APP,
        ConnectionMethod::Entra => &entra::GUIDE,
        ConnectionMethod::Generic => &generic::GUIDE,
        ConnectionMethod::Custom => &custom::GUIDE,
    }
}

impl Setup {
    /// Returns the guide for the connection `name`, one of `connections`.
    pub fn new(
        connections: &BTreeMap<String, ConnectionSettings>,
        name: &str,
        connection: &ConnectionSettings,
        catalogue: &Catalogue,
        reachability: Reachability<'_>,
    ) -> Self {
        let Reachability { endpoint, self_signed, .. } = reachability;
        let guide = guide(connection.method);
        let place = SetupContext { name, connection, endpoint };
        Self {
            connection: name.to_owned(),
            method: connection.method.as_str(),
            others: connections.keys().filter(|other| *other != name).cloned().collect(),
            warnings: warning::warnings(reachability, connection, guide),
            prerequisites: guide.prerequisites,
            fields: (guide.fields)(&place),
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
        }
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
