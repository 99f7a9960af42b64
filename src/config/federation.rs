//! `[connections.NAME.federation]`: an issuer whose assertions stand for a client secret.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::str::FromStr;

use super::merge::CONNECTIONS;
use super::reader::Section;
use crate::connection::ConnectionSettings;
use crate::connection::assertion::AssertionAlgorithm;
use crate::connection::federation::{Federation, KeySetUrl, KeySource};

/// The audiences: one text, or an array of them.
struct Audiences(Vec<String>);

impl FromStr for Audiences {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(vec![text.to_owned()]))
    }
}

impl FromIterator<Self> for Audiences {
    fn from_iter<I: IntoIterator<Item = Self>>(all: I) -> Self {
        Self(all.into_iter().flat_map(|Self(one)| one).collect())
    }
}

impl Federation {
    /// Reads a trust; `None` where the table lacks something.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let issuer: Option<String> = section.required("issuer", "the iss of the assertions");
        let subject: Option<String> = section.required("subject", "the sub of the assertions");
        let audiences = section.list("audiences").map(|Audiences(all)| all);
        let audiences = audiences.filter(|all| !all.is_empty());
        if audiences.is_none() {
            section.missing("audiences", "missing; expected such as [\"api://APP-ID\"]");
        }
        let client_id = section.optional("client_id");
        let url: Option<KeySetUrl> = section.optional("jwks_url");
        let file = section.path("jwks_file");
        let keys = match (url, file) {
            (Some(url), None) => Some(KeySource::Url(url)),
            (None, Some(file)) => Some(KeySource::File(file)),
            (Some(_), Some(_)) => {
                section.problem("jwks_file", "expected either jwks_url or jwks_file, not both");
                None
            }
            (None, None) if section.is_written("jwks_url") => None,
            (None, None) => {
                section.missing(
                    "jwks_url",
                    "missing; expected jwks_url = \"https://…\" or jwks_file = \"…\"",
                );
                None
            }
        };
        let algorithms = section.array("algorithms");
        let algorithms = algorithms.unwrap_or_else(|| vec![AssertionAlgorithm::Rs256]);
        if algorithms.is_empty() {
            section.problem("algorithms", "empty; expected such as [\"RS256\"]");
        }
        let (issuer, subject, audiences) = (issuer?, subject?, audiences?);
        Some(Self { issuer, subject, audiences, client_id, keys: keys?, algorithms })
    }
}

/// Records a problem where two connections have trusts that no assertion, or no client identifier, could tell
/// apart.
pub(super) fn check_trusts(
    root: &mut Section<'_, '_>,
    connections: &BTreeMap<String, ConnectionSettings>,
) {
    let trusts: Vec<(&str, &Federation)> = connections
        .iter()
        .filter_map(|(name, settings)| Some((name.as_str(), settings.federation.as_ref()?)))
        .collect();
    for (index, (name, one)) in trusts.iter().enumerate() {
        for (other_name, other) in trusts.iter().skip(index + 1) {
            let same = if one.equals(other) {
                "have a federation with the same issuer, subject and audience"
            } else if one.client_id(name) == other.client_id(other_name) {
                "have a federation with the same client_id"
            } else {
                continue;
            };
            let message =
                format!("connections {name} and {other_name} {same}; expected different ones");
            root.problem(CONNECTIONS, message);
        }
    }
}
