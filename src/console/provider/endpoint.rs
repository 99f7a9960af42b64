//! The OpenID provider: its discovery document, its keys, and the ID tokens that it gives for codes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use data_encoding::BASE64;
use form_urlencoded::Serializer;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::clock::Stopwatch;
use crate::config::OidcConfig;
use crate::connection::assertion::KeySet;
use crate::credential::IdToken;
use crate::fetch::{self, FetchRequest, exchange};
use crate::file;
use crate::text::excerpt;

/// The age from which on document and keys are fetched again.
const OLD: Duration = Duration::from_secs(60 * 60);
/// The time from one attempt to fetch them to the next.
const ATTEMPTS: Duration = Duration::from_secs(30);
const JSON: &str = "application/json";

/// A provider as it describes itself, and its keys.
pub(in crate::console) struct Provider {
    pub(in crate::console) document: Discovery,
    pub(in crate::console) keys: KeySet,
    config: OidcConfig,
    since: Stopwatch,
}

/// What is used of a discovery document (OpenID Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
pub(in crate::console) struct Discovery {
    issuer: String,
    pub(in crate::console) authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    code_challenge_methods_supported: Option<Vec<String>>,
    /// Whether answers name their issuer (RFC 9207).
    #[serde(default)]
    pub(in crate::console) authorization_response_iss_parameter_supported: bool,
}

/// The provider, kept for an hour.
#[derive(Default)]
pub(in crate::console) struct ProviderCache {
    provider: ArcSwapOption<Provider>,
    /// When the last attempt began, and why it failed; locked during one.
    attempt: Mutex<Option<(Stopwatch, Option<String>)>>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: Option<String>,
}

#[derive(Deserialize)]
struct TokenError {
    error: String,
}

impl ProviderCache {
    /// The provider of a configuration. Waits for it, on a thread that may.
    ///
    /// # Errors
    ///
    /// Why it can't be used, for the log.
    pub(in crate::console) fn get(&self, config: &OidcConfig) -> Result<Arc<Provider>, String> {
        self.get_unless(config, |provider| provider.since.elapsed() >= OLD)
    }

    /// The provider with the key of an ID token, if it has it by now.
    ///
    /// # Errors
    ///
    /// As [`Self::get`].
    pub(in crate::console) fn get_for(
        &self,
        config: &OidcConfig,
        token: &IdToken,
    ) -> Result<Arc<Provider>, String> {
        self.get_unless(config, |provider| !token.has_key_in(&provider.keys))
    }

    fn get_unless(
        &self,
        config: &OidcConfig,
        is_outdated: impl Fn(&Provider) -> bool,
    ) -> Result<Arc<Provider>, String> {
        let kept = self.provider.load_full().filter(|provider| provider.config == *config);
        if let Some(provider) = kept.as_ref().filter(|provider| !is_outdated(provider)) {
            return Ok(Arc::clone(provider));
        }
        let busy = || "the provider is being asked; try again in a few seconds".to_owned();
        // Others do not wait behind an attempt: it may take ten seconds.
        let mut attempt = match self.attempt.try_lock() {
            Ok(attempt) => attempt,
            Err(std::sync::TryLockError::Poisoned(error)) => error.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => return kept.ok_or_else(busy),
        };
        let is_new = self.provider.load().as_ref().is_none_or(|known| known.config != *config);
        if let Some((since, failure)) = attempt.as_ref()
            && since.elapsed() < ATTEMPTS
            && (!is_new || failure.is_some())
        {
            let failure = failure.clone();
            return kept.ok_or_else(|| failure.unwrap_or_else(busy));
        }
        let begun = Stopwatch::start();
        let fetched = wait(discover(config));
        *attempt = Some((begun, fetched.as_ref().err().cloned()));
        match fetched {
            Ok(provider) => {
                let provider = Arc::new(provider);
                self.provider.store(Some(Arc::clone(&provider)));
                Ok(provider)
            }
            Err(error) => {
                tracing::warn!(issuer = config.issuer, error, "the OpenID provider can't be used");
                kept.ok_or(error)
            }
        }
    }

    /// Forgets that the last attempt failed: another configuration may do better.
    pub(in crate::console) fn forget_failure(&self) {
        *self.attempt.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Provider {
    /// Redeems a code for an ID token. Waits for the provider, on a thread that may.
    ///
    /// # Errors
    ///
    /// Why there is none, for the log.
    pub(in crate::console) fn redeem(
        &self,
        code: &str,
        redirect_uri: &str,
        verifier: &str,
    ) -> Result<IdToken, String> {
        let secret = secret(&self.config)?;
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("code_verifier", verifier);
        let methods = self.document.token_endpoint_auth_methods_supported.as_deref();
        let by_basic = methods.is_none_or(|all| all.iter().any(|one| one == "client_secret_basic"));
        let authorization = by_basic.then(|| {
            // Both parts are form-urlencoded first (RFC 6749, section 2.3.1).
            let encoded = |text: &str| -> String {
                form_urlencoded::byte_serialize(text.as_bytes()).collect()
            };
            let pair = format!("{}:{}", encoded(&self.config.client_id), encoded(&secret));
            Zeroizing::new(format!("Basic {}", BASE64.encode(pair.as_bytes())))
        });
        if !by_basic {
            form.append_pair("client_id", &self.config.client_id)
                .append_pair("client_secret", &secret);
        }
        let form = Zeroizing::new(form.finish());
        let request = FetchRequest {
            url: &self.document.token_endpoint,
            accept: JSON,
            form: Some((&form, authorization.as_ref().map(|text| text.as_str()))),
            tls: tls(&self.config)?,
        };
        let (status, body) = wait(exchange(&request))?;
        if status != 200 {
            let error = serde_json::from_slice::<TokenError>(&body).map(|answer| answer.error);
            let error = error.unwrap_or_else(|_| "no error code".to_owned());
            return Err(format!(
                "the token endpoint answered {status}: {}",
                excerpt(&error, 100).to_string().escape_debug()
            ));
        }
        let answer: TokenAnswer = serde_json::from_slice(&body)
            .map_err(|_| "the token endpoint answered no JSON object".to_owned())?;
        IdToken::read(&answer.id_token.ok_or("the token endpoint answered without an ID token")?)
    }
}

/// Waits for something asynchronous on a thread where that is allowed.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Handle::current().block_on(future)
}

async fn discover(config: &OidcConfig) -> Result<Provider, String> {
    let tls = tls(config)?;
    let get = async |url: &str| {
        let request = FetchRequest { url, accept: JSON, form: None, tls: tls.clone() };
        match exchange(&request).await {
            Ok((200, body)) => Ok(body),
            Ok((status, _)) => Err(format!("{url} answered {status}")),
            Err(error) => Err(format!("{url}: {error}")),
        }
    };
    let issuer = config.issuer.strip_suffix('/').unwrap_or(&config.issuer);
    let document = get(&format!("{issuer}/.well-known/openid-configuration")).await?;
    let document = Discovery::read(&document, &config.issuer)?;
    let keys = get(&document.jwks_uri).await?;
    let keys = KeySet::parse(&keys).map_err(|error| format!("{}: {error}", document.jwks_uri))?;
    Ok(Provider { document, keys, config: config.clone(), since: Stopwatch::start() })
}

impl Discovery {
    /// Reads a document, which must be that of an issuer.
    fn read(text: &[u8], issuer: &str) -> Result<Self, String> {
        let document: Self = serde_json::from_slice(text)
            .map_err(|error| format!("the discovery document can't be read: {error}"))?;
        if document.issuer != issuer {
            return Err(format!(
                "the discovery document is of issuer {:?}, and the configuration has {issuer:?}",
                excerpt(&document.issuer, 200).to_string()
            ));
        }
        for url in [&document.authorization_endpoint, &document.token_endpoint, &document.jwks_uri]
        {
            let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic());
            if !url.starts_with("https://") || url.contains('#') || !is_plain {
                return Err(format!("{:?} is no https URL", excerpt(url, 200).to_string()));
            }
        }
        let methods = document.code_challenge_methods_supported.as_deref();
        if methods.is_some_and(|all| all.iter().all(|one| one != "S256")) {
            return Err("the provider does not support PKCE with S256".to_owned());
        }
        Ok(document)
    }
}

/// The secret of the client.
fn secret(config: &OidcConfig) -> Result<Zeroizing<String>, String> {
    let path = &config.client_secret_file;
    let shown = path.display();
    let found = file::read(path)
        .map_err(|error| format!("client_secret_file: can't read {shown}: {error}"))?;
    if !found.is_private() {
        return Err(format!(
            "client_secret_file: others may read {shown}; run `chmod 600 {shown}`"
        ));
    }
    let text = Zeroizing::new(String::from_utf8(found.bytes).unwrap_or_default());
    match text.trim() {
        "" => Err(format!("client_secret_file: {shown} has no secret")),
        secret => Ok(Zeroizing::new(secret.to_owned())),
    }
}

/// What is trusted: the CA of the configuration, if it names one.
fn tls(config: &OidcConfig) -> Result<Option<Arc<ClientConfig>>, String> {
    let Some(path) = &config.ca_file else { return Ok(None) };
    let shown = path.display();
    let found =
        file::read(path).map_err(|error| format!("ca_file: can't read {shown}: {error}"))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&found.bytes) {
        let added = certificate
            .map_err(|error| error.to_string())
            .and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()));
        added.map_err(|error| format!("ca_file: {shown}: {error}"))?;
    }
    if roots.is_empty() {
        return Err(format!("ca_file: {shown} has no certificate"));
    }
    fetch::trusting(roots).map(Some)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn document() -> Value {
        json!({
            "issuer": "https://idp", "authorization_endpoint": "https://idp/auth",
            "token_endpoint": "https://idp/token", "jwks_uri": "https://idp/jwks",
            "code_challenge_methods_supported": ["plain", "S256"],
        })
    }

    fn read(document: &Value) -> Result<Discovery, String> {
        Discovery::read(document.to_string().as_bytes(), "https://idp")
    }

    #[test]
    fn a_discovery_document_is_of_its_issuer_and_names_https_alone() {
        assert!(read(&document()).is_ok());
        for (key, value, words) in [
            ("issuer", json!("https://idp/"), "of issuer"),
            ("issuer", json!(null), "can't be read"),
            ("authorization_endpoint", json!("http://idp/auth"), "no https URL"),
            ("authorization_endpoint", json!("javascript:alert(1)"), "no https URL"),
            ("token_endpoint", json!("http://idp/token"), "no https URL"),
            ("jwks_uri", json!("https://idp/\r\nx"), "no https URL"),
            ("code_challenge_methods_supported", json!(["plain"]), "S256"),
        ] {
            let mut changed = document();
            changed[key] = value;
            let why = read(&changed).err().unwrap();
            assert!(why.contains(words), "{key}: {why}");
        }
    }
}
