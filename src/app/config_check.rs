//! Whether a start or a reload would take a configuration: files, certificate, addresses, and the data in use.
//!
//! Every check calls the function that a start calls.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use anyhow::Result;

use super::certificate::check_certificate;
use super::credential_warnings::{missing_tokens, tokens_without_owner, unexpired};
use super::data_folder::open_directory_read_only;
use super::grant_warnings::missed_grants;
use super::open_files::check_open_files;
use super::settings::{check_access, vocabulary};
use super::site::Site;
use super::webhooks::webhook_settings;
use crate::access::Catalogue;
use crate::config::Config;
use crate::connection::setup::{Setup, SetupVia};
use crate::connection::token::TokenOwner;
use crate::http::metrics::read_scrape_token;
use crate::notify;

/// Where the kernel says which ports need a privilege.
const FIRST_FREE_PORT: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

/// What was found in a configuration that can be read.
#[derive(Default)]
pub struct ConfigFindings {
    /// What a start or a reload would refuse.
    pub errors: Vec<String>,
    /// What a start takes, and what may keep clients from being served.
    pub warnings: Vec<String>,
}

impl ConfigFindings {
    fn error<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.errors.push(format!("{error:#}"))).ok()
    }
}

/// Checks a configuration that has been read; with `with_data` also against the data directory.
pub fn check_config(config: &Config, with_data: bool) -> ConfigFindings {
    let mut findings = ConfigFindings::default();
    findings.error(vocabulary(config).map_err(Into::into));
    findings.error(check_open_files(config).map_err(Into::into));
    if let Some(warnings) = findings.error(check_certificate(config)) {
        findings.warnings.extend(warnings);
    }
    let addresses = [
        ("listen.address", Some(config.listen.address)),
        ("metrics.listen", config.metrics.listen),
    ];
    for (key, address) in addresses {
        if let Some(address) = address {
            check_address(&mut findings, key, address);
        }
    }
    if let Some(file) =
        config.metrics.token_file.as_ref().filter(|_| config.metrics.listen.is_some())
    {
        findings.error(read_scrape_token(file).map(drop).map_err(Into::into));
    }
    findings.warnings.extend(notify::problems(&config.notify));
    findings.error(webhook_settings(config));
    check_connections(&mut findings, config);
    if config.grants.iter().any(|grant| grant.managers.is_some())
        && let Ok(directory) = open_directory_read_only(config)
        && let Some(missed) = findings.error(missed_grants(&directory).map_err(Into::into))
    {
        findings.warnings.extend(missed);
    }
    if with_data && findings.errors.is_empty() {
        check_data(&mut findings, config);
    }
    findings
}

/// Checks that the address is one of this machine, and that the port needs no privilege.
fn check_address(findings: &mut ConfigFindings, key: &str, address: SocketAddr) {
    // Another port: that of the address may be in use by the server that runs.
    if let Err(error) = TcpListener::bind((address.ip(), 0)) {
        findings.errors.push(format!("{key}: can't listen on {}: {error}", address.ip()));
    }
    let first: u16 = fs::read_to_string(FIRST_FREE_PORT)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(1024);
    if address.port() != 0 && address.port() < first {
        findings.warnings.push(format!(
            "{key}: port {} needs the privilege CAP_NET_BIND_SERVICE, or scimd.socket; the packaged service has neither \
             unless you enable it",
            address.port()
        ));
    }
}

/// Collects what `scimd setup` warns of.
fn check_connections(findings: &mut ConfigFindings, config: &Config) {
    let site = Site::of(config);
    let catalogue = Catalogue::new(&config.access_settings());
    for (name, connection) in &config.connections {
        let reachability = site.reachability();
        let connections = &config.connections;
        let setup =
            Setup::new(connections, name, connection, &catalogue, reachability, SetupVia::Direct);
        let warnings = setup.into_iter().flat_map(|setup| setup.warnings);
        findings.warnings.extend(warnings.map(|warning| format!("connection {name}: {warning}")));
    }
}

/// Checks what accounts hold against the catalogue, and tokens against the configuration.
fn check_data(findings: &mut ConfigFindings, config: &Config) {
    let Some(directory) = findings.error(open_directory_read_only(config)) else { return };
    findings.error(check_access(config, &directory));
    findings.warnings.extend(token_warnings(config, &unexpired(&directory)));
}

/// What to warn of, given the ids and owners of all tokens that have not expired.
pub fn token_warnings(config: &Config, tokens: &[(String, TokenOwner)]) -> Vec<String> {
    let mut warnings = Vec::new();
    for owner in missing_tokens(config, tokens) {
        let (kind, name) = (owner.kind(), owner.name());
        warnings.push(format!(
            "{owner} has no valid token; run `scimd token generate --{kind} {name}`"
        ));
    }
    for (id, owner) in tokens_without_owner(config, tokens) {
        warnings.push(format!(
            "token {id} opens nothing: its {owner} is not in the configuration; run `scimd token revoke {id}`"
        ));
    }
    warnings
}

/// The files of a configuration, for messages.
pub fn config_files(config: &Config) -> Vec<&Path> {
    config.sources.paths().collect()
}
