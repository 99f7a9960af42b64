//! The ways to sign in beside the token of the fields: what to enter at the provider, and what in scimd.

use serde::Serialize;

use super::guide::{OauthWords, ProviderGuide, SetupContext, SetupField};
use crate::connection::federation::{Federation, KeySource};

/// A way to sign in.
#[derive(Clone, Debug, Serialize)]
pub struct SignIn {
    /// The name of the way.
    pub name: &'static str,
    /// The fields to fill in, instead of the token.
    pub fields: Vec<SetupField>,
}

/// Returns the ways that the provider and the connection have.
pub(super) fn ways(guide: &ProviderGuide, place: &SetupContext<'_>) -> Vec<SignIn> {
    let mut ways = Vec::new();
    if let Some(words) = &guide.oauth {
        ways.push(secret(words, place));
        ways.extend(words.audience.map(|audience| key(words, audience, place)));
        let federation = place.connection.federation.as_ref();
        ways.extend(federation.map(|trust| federated(words, trust, place)));
    }
    if place.connection.basic && guide.sends_basic {
        ways.push(SignIn {
            name: "HTTP Basic",
            fields: vec![
                SetupField::new("User name", place.name, "the name of the connection"),
                SetupField::new("Password", "the token", place.token_note()),
            ],
        });
    }
    ways
}

/// The fields that all ways of OAuth begin with.
fn endpoints(words: &OauthWords, place: &SetupContext<'_>) -> Vec<SetupField> {
    vec![
        SetupField::new(words.endpoint, place.endpoint, ""),
        SetupField::new(words.token_endpoint, place.token_endpoint, ""),
    ]
}

fn secret(words: &OauthWords, place: &SetupContext<'_>) -> SignIn {
    let command = format!("created by `scimd client generate --connection {}`", place.name);
    let mut fields = endpoints(words, place);
    fields.push(SetupField::new(words.client_id, "the client id", command));
    let note = "printed with it; shown only once";
    fields.push(SetupField::new(words.client_secret, "the client secret", note));
    SignIn { name: "OAuth 2.0 client credentials", fields }
}

fn key(words: &OauthWords, audience: &'static str, place: &SetupContext<'_>) -> SignIn {
    let command = format!(
        "created by `scimd client generate --connection {} --public-key FILE`; the private key stays with the client",
        place.name
    );
    let mut fields = endpoints(words, place);
    fields.push(SetupField::new(words.client_id, "the client id", command));
    fields.push(SetupField::new(
        audience,
        place.issuer,
        "alone, or the token endpoint; at most 10 minutes of life",
    ));
    SignIn { name: "OAuth 2.0 with a key (private_key_jwt)", fields }
}

fn federated(words: &OauthWords, trust: &Federation, place: &SetupContext<'_>) -> SignIn {
    let [issuer, subject, audience] = words.federation;
    let mut fields = endpoints(words, place);
    fields.push(SetupField::new(words.client_id, trust.client_id(place.name), ""));
    let (key, source) = match &trust.keys {
        KeySource::Url(url) => ("In scimd: jwks_url", url.to_string()),
        KeySource::File(path) => ("In scimd: jwks_file", path.display().to_string()),
    };
    fields.push(SetupField::new("In scimd: issuer", &*trust.issuer, issuer));
    fields.push(SetupField::new("In scimd: subject", &*trust.subject, subject));
    fields.push(SetupField::new("In scimd: audiences", trust.audiences.join(", "), audience));
    fields.push(SetupField::new(key, source, "the keys of the issuer"));
    SignIn { name: "workload identity federation", fields }
}
