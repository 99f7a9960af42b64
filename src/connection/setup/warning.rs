//! Warnings about settings that prevent provisioning.

use std::net::IpAddr;

use super::guide::ProviderGuide;
use super::reachability::Reachability;
use crate::connection::{AddressSet, ConnectionSettings};

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
    if !guide.is_cloud {
        return warnings;
    }
    if is_private(url.host()) {
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
    if reachability.self_signed.is_some() {
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
