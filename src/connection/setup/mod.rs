//! Setup guides: the steps and values for configuring an identity provider.
//!
//! Each provider has a file with its fixed texts as data. Menu items are spelled as the provider
//! spells them.

mod accepted;
mod custom;
mod entra;
mod okta;
mod warning;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use serde::Serialize;

pub use accepted::{AcceptedItem, AcceptedValues, AcceptedWorkspace};

use super::{AddressSet, ConnectionMethod, ConnectionSettings, PublicUrl};
use crate::access::Catalogue;

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

/// A field to fill in.
#[derive(Clone, Debug, Serialize)]
pub struct SetupField {
    /// The provider's name of the field.
    pub name: &'static str,
    /// The value to enter.
    pub value: String,
    /// A note on the value; may be empty.
    pub note: String,
}

impl SetupField {
    fn new(name: &'static str, value: impl Into<String>, note: impl Into<String>) -> Self {
        Self { name, value: value.into(), note: note.into() }
    }
}

/// The mapping of one attribute.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AttributeMapping {
    /// The provider's attribute.
    pub source: &'static str,
    /// The SCIM attribute.
    pub attribute: &'static str,
    /// The meaning of the attribute in scimd.
    pub meaning: &'static str,
}

/// A titled group of steps.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SetupStage {
    /// The purpose of the steps.
    pub title: &'static str,
    /// The steps.
    pub steps: &'static [&'static str],
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

/// The fixed part of a guide: the same for every connection of a method.
struct ProviderGuide {
    /// The name of the provider.
    provider: &'static str,
    /// Whether the provider is a cloud service, which cannot send custom headers.
    is_cloud: bool,
    prerequisites: &'static [&'static str],
    fields: fn(&SetupContext<'_>) -> Vec<SetupField>,
    mapping: &'static [AttributeMapping],
    group_mapping: &'static [AttributeMapping],
    steps: &'static [SetupStage],
    step: &'static str,
    success: &'static str,
    failure: &'static str,
}

/// The variable part of a guide: one connection and its endpoint.
struct SetupContext<'a> {
    name: &'a str,
    connection: &'a ConnectionSettings,
    endpoint: &'a str,
}

impl SetupContext<'_> {
    /// Returns the note for a token field: the command that generates the token.
    fn token_note(&self) -> String {
        format!(
            "made with `scimd token generate --connection {}`, which shows it this once",
            self.name
        )
    }
}

fn guide(method: ConnectionMethod) -> &'static ProviderGuide {
    match method {
        ConnectionMethod::Okta => &okta::CATALOGUE_APP,
        ConnectionMethod::OktaCustom => &okta::CUSTOM_APP,
        ConnectionMethod::Entra => &entra::GUIDE,
        ConnectionMethod::Custom => &custom::GUIDE,
    }
}

/// The address under which clients reach scimd, and the listener behind it.
#[derive(Clone, Copy, Debug)]
pub struct Reachability<'a> {
    /// The address under which clients reach scimd.
    pub public_url: &'a PublicUrl,
    /// The URL below which resources are served.
    pub endpoint: &'a str,
    /// The address of the listener.
    pub listen: SocketAddr,
    /// Whether the listener uses TLS.
    pub tls: bool,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: &'a AddressSet,
    /// The self-signed certificate, if the listener presents it.
    pub self_signed: Option<&'a Path>,
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
