//! What an operator types into the identity provider, step by step, with the values of this place.
//!
//! What is the same everywhere is data, a file for each provider. The menu words are the providers'.

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

/// Everything that is told of one connection.
#[derive(Clone, Debug, Serialize)]
pub struct Setup {
    /// The connection's name.
    pub connection: String,
    /// Its method.
    pub method: &'static str,
    /// The names of the other connections.
    pub others: Vec<String>,
    /// What will not work as it is configured.
    pub warnings: Vec<String>,
    /// What has to be there first.
    pub prerequisites: &'static [&'static str],
    /// What to type where.
    pub fields: Vec<SetupField>,
    /// Which of the provider's attributes become which of ours, for accounts.
    pub mapping: &'static [AttributeMapping],
    /// The same for groups.
    pub group_mapping: &'static [AttributeMapping],
    /// The values that are taken here.
    pub accepted: AcceptedValues,
    /// What to do, in the provider's menu words.
    pub steps: &'static [SetupStage],
    /// How to see that it works.
    pub test: SetupTest,
}

/// A field to fill in.
#[derive(Clone, Debug, Serialize)]
pub struct SetupField {
    /// What it is called there.
    pub name: &'static str,
    /// What belongs in it.
    pub value: String,
    /// What else to know; may be empty.
    pub note: String,
}

impl SetupField {
    fn new(name: &'static str, value: impl Into<String>, note: impl Into<String>) -> Self {
        Self { name, value: value.into(), note: note.into() }
    }
}

/// How an attribute comes over.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AttributeMapping {
    /// What the provider has.
    pub source: &'static str,
    /// What it is sent as.
    pub attribute: &'static str,
    /// What it means here.
    pub meaning: &'static str,
}

/// Steps that belong together.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SetupStage {
    /// What they are for.
    pub title: &'static str,
    /// The steps.
    pub steps: &'static [&'static str],
}

/// How to see that it works.
#[derive(Clone, Debug, Serialize)]
pub struct SetupTest {
    /// What to do at the provider.
    pub step: &'static str,
    /// What is seen if it works.
    pub success: &'static str,
    /// What is seen if not, and what to do.
    pub failure: &'static str,
    /// A command that asks the same from a shell, with the token in `$TOKEN`.
    pub curl: String,
}

/// What is the same for every connection of a method.
struct ProviderGuide {
    /// Who speaks.
    provider: &'static str,
    /// Whether it is a service on the internet, which sends no headers of the operator's choice.
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

/// What is special to one connection in one place.
struct SetupContext<'a> {
    name: &'a str,
    connection: &'a ConnectionSettings,
    endpoint: &'a str,
}

impl SetupContext<'_> {
    /// The command that makes a token, for a note beside the field that takes it.
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

/// How clients reach this scimd: what a setup guide depends on beside the connection itself.
#[derive(Clone, Copy, Debug)]
pub struct Reachability<'a> {
    /// The address under which clients reach scimd.
    pub public_url: &'a PublicUrl,
    /// The URL below which resources are served.
    pub endpoint: &'a str,
    /// The address of the listener.
    pub listen: SocketAddr,
    /// Whether the listener speaks TLS.
    pub tls: bool,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: &'a AddressSet,
    /// The certificate that scimd made itself, if clients are shown that one.
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

/// A command for a shell that reads a user.
///
/// `token` is the token itself, or a variable of the shell.
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

/// A word for a shell.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
