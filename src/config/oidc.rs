//! `[console.oidc]`: operators sign in at an OpenID provider.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::reader::Section;
use crate::credential::OperatorRole;

/// The OpenID provider at which operators sign in to the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcConfig {
    /// The issuer: an https URL, below which the discovery document is.
    pub issuer: String,
    /// The client identifier that the provider has given scimd.
    pub client_id: String,
    /// The file with the secret of the client.
    pub client_secret_file: PathBuf,
    /// The claim of ID tokens whose values give roles.
    pub role_claim: String,
    /// The role that each value gives; never empty.
    pub roles: BTreeMap<String, OperatorRole>,
    /// The PEM file with the CA of the provider; `None` for the public CAs that this machine trusts.
    pub ca_file: Option<PathBuf>,
}

impl OidcConfig {
    /// Reads the provider of the console, if there is one.
    pub(super) fn of_console(console: &mut Section<'_, '_>) -> Option<Self> {
        let is_written = console.is_written("oidc");
        console.table("oidc", |section| match is_written {
            true => Self::read(section),
            false => None,
        })
    }

    /// Reads a provider; `None` where the table lacks something.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let issuer: Option<String> = section.required(
            "issuer",
            "the issuer of the provider, such as \"https://login.example.com\"",
        );
        let client_id: Option<String> =
            section.required("client_id", "the client identifier from the provider");
        let client_secret_file = section.path("client_secret_file");
        if !section.is_written("client_secret_file") {
            section.missing(
                "client_secret_file",
                "missing; expected the path of a file with the client's secret",
            );
        }
        let role_claim = section.parsed("role_claim", "roles".to_owned());
        let roles = section.words("roles");
        if roles.as_ref().is_none_or(BTreeMap::is_empty) {
            section.missing("roles", "missing; expected such as { \"scimd-admins\" = \"admin\" }");
        }
        let ca_file = section.path("ca_file");
        let issuer = issuer?;
        if !is_issuer(&issuer) {
            let message = format!(
                "{issuer:?} is no issuer; expected an https URL without query and fragment, such as \
                 \"https://login.example.com\""
            );
            section.problem("issuer", message);
        }
        Some(Self {
            issuer,
            client_id: client_id?,
            client_secret_file: client_secret_file?,
            role_claim,
            roles: roles?,
            ca_file,
        })
    }

    /// The files that are read for sign-ins, with the key of each.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let secret = [("console.oidc.client_secret_file", &self.client_secret_file)];
        secret.into_iter().chain(self.ca_file.iter().map(|file| ("console.oidc.ca_file", file)))
    }

    /// The port of the provider.
    pub fn port(&self) -> u16 {
        let authority = self.issuer.split('/').nth(2).unwrap_or_default();
        let after_host = authority.rsplit(']').next().unwrap_or_default();
        after_host.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(443)
    }

    /// The role that the values of the claim give: the highest of those that the configuration has.
    pub fn role_of<'a>(
        &self,
        groups: impl IntoIterator<Item = &'a String>,
    ) -> Option<OperatorRole> {
        groups.into_iter().filter_map(|group| self.roles.get(group).copied()).max()
    }
}

fn is_issuer(text: &str) -> bool {
    let rest = text.strip_prefix("https://").unwrap_or_default();
    let host = rest.split('/').next().unwrap_or_default();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    !host.is_empty() && !host.contains('@') && !text.contains(['?', '#', '"', '\\']) && is_plain
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    const WHOLE: &str = "[console.oidc]\nissuer = 'https://idp:8080/x'\nclient_id = 'c'\n\
        client_secret_file = 's'\nca_file = 'ca'\nroles = { 'Scimd admins' = 'admin', staff = 'viewer' }\n";

    fn read(text: &str) -> Result<OidcConfig, String> {
        let config = Config::parse(text, Path::new("/etc/scimd/config.toml"));
        config.map(|config| config.console.oidc.unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_provider_is_read_with_paths_beside_the_file() {
        let oidc = read(WHOLE).unwrap();
        assert_eq!((oidc.port(), oidc.role_claim.as_str()), (8_080, "roles"));
        let files: Vec<_> = oidc.files().map(|(_, file)| file.to_str().unwrap()).collect();
        assert_eq!(files, ["/etc/scimd/s", "/etc/scimd/ca"]);
        let role = |groups: &[&str]| {
            oidc.role_of(&groups.iter().map(|group| (*group).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(role(&["staff", "Scimd admins", "x"]), Some(OperatorRole::Admin));
        assert_eq!(role(&["staff"]), Some(OperatorRole::Viewer));
        assert_eq!(role(&["Staff", ""]), None);
        assert_eq!(Config::parse("", Path::new("")).unwrap().console.oidc, None);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (from, to, words) in [
            ("issuer = 'https://idp:8080/x'\n", "", "console.oidc.issuer: missing"),
            ("'https://idp:8080/x'", "'http://idp'", "is no issuer"),
            ("'https://idp:8080/x'", "'https://u@idp'", "is no issuer"),
            ("'https://idp:8080/x'", "'https://idp/?a'", "is no issuer"),
            ("client_id = 'c'\n", "", "console.oidc.client_id: missing"),
            ("client_secret_file = 's'\n", "", "console.oidc.client_secret_file: missing"),
            ("'admin'", "'root'", "unknown role \"root\""),
            ("{ 'Scimd admins' = 'admin', staff = 'viewer' }", "{}", "console.oidc.roles: missing"),
            ("{ 'Scimd admins' = 'admin', staff = 'viewer' }", "'admin'", "expected a table"),
        ] {
            let error = read(&WHOLE.replace(from, to)).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
