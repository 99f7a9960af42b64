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
            "listen.address is {}, which only this machine reaches. Listen on every interface, as in \
             \"0.0.0.0:8443\", or name the proxy in front in listen.trusted_proxies.",
            reachability.listen
        ));
    }
    if !guide.is_cloud {
        return warnings;
    }
    if is_private(url.host()) {
        warnings.push(format!(
            "public_url is {url}, which {provider} can't reach. Set it to a name or an address on the \
             internet that leads here."
        ));
    }
    if !url.is_https() {
        warnings.push(format!(
            "public_url is {url}, and {provider} speaks https alone. Serve TLS, or let a proxy do it, and \
             set public_url to what is reached from outside."
        ));
    }
    if reachability.self_signed.is_some() {
        warnings.push(format!(
            "The certificate is one that scimd made itself, and {provider} trusts none but those of public \
             authorities. Set listen.certificate and listen.private_key."
        ));
    }
    if let Some(origin) = &connection.service_origin {
        warnings.push(format!(
            "service_origin is \"{origin}\", and {provider} sends no X-Request-Origin: every request would \
             be refused. Remove service_origin from this connection."
        ));
    }
    if connection.ip_allowlist == Some(AddressSet::loopback()) {
        warnings.push(format!(
            "ip_allowlist allows this machine alone: every request of {provider} would be refused. Remove \
             it, or list the addresses that {provider} sends from."
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
