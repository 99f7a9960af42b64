//! The parts of a setup guide: what each provider's file fills in, and what depends on the connection.

use serde::Serialize;

use crate::connection::ConnectionSettings;

/// The fixed part of a guide: the same for every connection of a method.
pub(super) struct ProviderGuide {
    /// The name of the provider.
    pub(super) provider: &'static str,
    pub(super) place: ProviderPlace,
    /// Its names of the fields of OAuth 2.0; `None` if it is not known to send client credentials.
    pub(super) oauth: Option<OauthWords>,
    /// Whether it can sign in with HTTP Basic.
    pub(super) sends_basic: bool,
    pub(super) prerequisites: &'static [&'static str],
    pub(super) fields: fn(&SetupContext<'_>) -> Vec<SetupField>,
    pub(super) mapping: &'static [AttributeMapping],
    pub(super) group_mapping: &'static [AttributeMapping],
    pub(super) steps: &'static [SetupStage],
    pub(super) step: &'static str,
    pub(super) success: &'static str,
    pub(super) failure: &'static str,
}

/// The provider's names of the fields of OAuth 2.0.
pub(super) struct OauthWords {
    pub(super) endpoint: &'static str,
    pub(super) token_endpoint: &'static str,
    pub(super) client_id: &'static str,
    pub(super) client_secret: &'static str,
    /// The audience of assertions that the client signs with its own key; `None` if it can't.
    pub(super) audience: Option<&'static str>,
    /// Where the issuer, the subject and the audience of its federated assertions are found.
    pub(super) federation: [&'static str; 3],
}

/// Where the values of a federation are found, where nothing more is known.
pub(super) const FEDERATION: [&str; 3] =
    ["iss of its assertions", "sub of its assertions", "aud of its assertions"];

/// Where requests come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProviderPlace {
    /// The internet. A cloud service sends no header of scimd's.
    Cloud,
    /// An agent of a cloud service in this network. It sends what the service does.
    Agent,
    /// A client of one's own.
    Network,
}

/// The variable part of a guide: one connection and its endpoint.
pub(super) struct SetupContext<'a> {
    pub(super) name: &'a str,
    pub(super) connection: &'a ConnectionSettings,
    pub(super) endpoint: &'a str,
    /// The URL of access tokens.
    pub(super) token_endpoint: &'a str,
    /// The URL of the authorization server: `public_url`.
    pub(super) issuer: &'a str,
}

impl SetupContext<'_> {
    /// Returns the note for a token field: the command that generates the token.
    pub(super) fn token_note(&self) -> String {
        format!("created by `scimd token generate --connection {}`; shown only once", self.name)
    }
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
    pub(super) fn new(
        name: &'static str,
        value: impl Into<String>,
        note: impl Into<String>,
    ) -> Self {
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
