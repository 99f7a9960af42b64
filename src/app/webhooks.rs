//! What webhooks are delivered with, from the configuration and the files that it names.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::authorities;
use crate::config::{Config, WebhookConfig};
use crate::feed::EventFilter;
use crate::file;
use crate::webhook::{Receiver, SigningKeys, WebhookSettings};

/// Reads the secrets and CAs of all webhooks.
///
/// # Errors
///
/// A file or a type of events can't be used; the message names the key.
pub(super) fn webhook_settings(config: &Config) -> Result<BTreeMap<String, WebhookSettings>> {
    let read = |(name, webhook): (&String, &WebhookConfig)| {
        let settings = settings(webhook).with_context(|| format!("webhooks.{name}"))?;
        Ok((name.clone(), settings))
    };
    config.webhooks.iter().map(read).collect()
}

fn settings(webhook: &WebhookConfig) -> Result<WebhookSettings> {
    let events = webhook.events.iter().map(String::as_str);
    let filter = EventFilter::new(events, [], []).map_err(|error| anyhow!("events: {error}"))?;
    let path = &webhook.secret_file;
    let secret = read("secret_file", path)?;
    if !secret.is_private() {
        let path = path.display();
        bail!("secret_file: others may read {path}; run `chmod 600 {path}`");
    }
    let secret = String::from_utf8(secret.bytes).unwrap_or_default();
    let keys = SigningKeys::parse(&secret)
        .map_err(|error| anyhow!("secret_file: {}: {error}", path.display()))?;
    let tls = Arc::new(client_config(webhook)?);
    Ok(WebhookSettings { receiver: Receiver { url: webhook.url.clone(), keys, tls }, filter })
}

fn client_config(webhook: &WebhookConfig) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match &webhook.ca_file {
        Some(path) => {
            let pem = read("ca_file", path)?.bytes;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let wrong =
                    || format!("ca_file: {} is no PEM file with certificates", path.display());
                roots.add(certificate.with_context(wrong)?).with_context(wrong)?;
            }
            if roots.is_empty() {
                bail!("ca_file: {} has no certificate", path.display());
            }
        }
        // Some of a machine may be unusable; a receiver of those fails, and the log says so.
        None if webhook.url.is_https => {
            roots = authorities::of_this_machine();
        }
        None => {}
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

fn read(key: &str, path: &Path) -> Result<file::SmallFile> {
    file::read(path).map_err(|error| {
        anyhow!(
            "{key}: can't read {}: {error}; check the path, and that the user that runs scimd may read it",
            path.display()
        )
    })
}
