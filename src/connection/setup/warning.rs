//! Warnings about settings that prevent provisioning.

use std::net::IpAddr;

use super::guide::{ProviderGuide, ProviderPlace};
use super::reachability::Reachability;
use crate::connection::{AddressSet, ConnectionSettings, Scope};

/// Returns the settings that prevent requests of the provider from succeeding, each with a remedy.
pub(super) fn warnings(
    reachability: Reachability<'_>,
    connection: &ConnectionSettings,
    guide: &ProviderGuide,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let (url, provider) = (reachability.public_url, guide.provider);
    let only_this_machine = !url.is_loopback()
        && reachability.tls
        && reachability.listen.ip().is_loopback()
        && reachability.trusted_proxies.is_empty();
    if only_this_machine {
        warnings.push(format!(
            "listen.address is {}, which only this machine can reach. Listen on every interface with \
             \"0.0.0.0:8443\", or list your proxy in listen.trusted_proxies.",
            reachability.listen
        ));
    }
    let is_cloud = match guide.place {
        ProviderPlace::Network => return warnings,
        ProviderPlace::Agent => false,
        ProviderPlace::Cloud => true,
    };
    if is_cloud && is_private(url.host()) {
        warnings.push(format!(
            "public_url is {url}, which {provider} can't reach. Set it to a public name or address of this server."
        ));
    }
    if !url.is_https() {
        warnings.push(format!(
            "public_url is {url}, but {provider} requires https. Serve TLS, or use a proxy that does, and set \
             public_url to the public URL."
        ));
    }
    if is_cloud && reachability.self_signed.is_some() {
        warnings.push(format!(
            "The certificate is self-signed, but {provider} accepts only certificates from a public CA. Set \
             listen.certificate and listen.private_key."
        ));
    }
    if let Some(origin) = &connection.service_origin {
        warnings.push(format!(
            "service_origin is \"{origin}\", but {provider} sends no X-Request-Origin: every request would be \
             denied. Remove service_origin from this connection."
        ));
    }
    if connection.ip_allowlist == Some(AddressSet::loopback()) {
        warnings.push(format!(
            "ip_allowlist allows this machine only: every request of {provider} would be denied. Remove it, or list \
             the addresses of {provider}."
        ));
    }
    warnings.extend(of_sign_in(connection, guide));
    warnings
}

/// Returns the ways to sign in that a connection has and its provider does not know.
fn of_sign_in(connection: &ConnectionSettings, guide: &ProviderGuide) -> Vec<String> {
    let provider = guide.provider;
    let mut warnings = Vec::new();
    if connection.federation.is_some() && guide.oauth.is_none() {
        warnings.push(format!(
            "The connection has a federation, but {provider} is not known to send assertions: use the token, and \
             remove the federation from this connection."
        ));
    }
    if connection.basic && !guide.sends_basic {
        warnings.push(format!(
            "basic is true, but {provider} does not sign in with HTTP Basic. Remove basic from this connection."
        ));
    }
    if connection.client_ca.is_some() && guide.place == ProviderPlace::Cloud {
        warnings.push(format!(
            "client_ca is set, but {provider} presents no client certificate: every request would be denied. Remove \
             client_ca, unless an agent of your own sends the requests."
        ));
    }
    if connection.scope == Scope::Read {
        warnings.push(format!(
            "scope is \"read\", so {provider} can create and change nothing. Set scope to \"all\" or \"own\", unless it \
             shall only read."
        ));
    }
    warnings
}

/// Whether a host is known to be unreachable from the internet.
fn is_private(host: &str) -> bool {
    match host.parse().map(|ip: IpAddr| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => {
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified()
        }
        Ok(IpAddr::V6(ip)) => {
            ip.is_loopback()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || ip.is_unspecified()
        }
        Err(_) => host == "localhost" || !host.contains('.'),
    }
}
