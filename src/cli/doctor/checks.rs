//! The checks: name, certificate, port, files, server, and what connects.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use jiff::SignedDuration;

use super::outcome::CheckOutcome;
use crate::app::{self, Certificate, CertificateTrust};
use crate::cli::operator::OperatorClient;
use crate::cli::output;
use crate::clock::Clock;
use crate::config::Config;
use crate::event::Reason;
use crate::operator::audit::{AuditFilter, AuditQuery, AuditReply};
use crate::operator::{OperatorReply, OperatorRequest, ServerStatus};

/// How long a connection to a port may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// The time before an expiry from which on it is reported.
const NEAR_END: SignedDuration = SignedDuration::from_hours(14 * 24);
/// How far back denied requests are looked for.
const LATELY: SignedDuration = SignedDuration::from_hours(24);
const MIB: u64 = 1024 * 1024;

pub(super) fn all(config: &Config, connections: &[String]) -> Vec<CheckOutcome> {
    let mut outcomes = vec![dns(config)];
    outcomes.extend(certificate(config));
    outcomes.push(data_directory(config));
    match OperatorClient::new(config).ask_server(&OperatorRequest::ShowStatus) {
        Ok(Some(OperatorReply::Status(status))) => {
            outcomes.push(CheckOutcome::ok("server", format!("version {}", status.version)));
            outcomes.push(port(config));
            outcomes.extend(server(config, &status));
            outcomes.extend(connections.iter().flat_map(|name| traffic(config, &status, name)));
        }
        Ok(_) => outcomes.push(CheckOutcome::failed(
            "server",
            "scimd is not running",
            "start it with `systemctl start scimd` or `scimd serve`",
        )),
        Err(error) => outcomes.push(CheckOutcome::failed(
            "server",
            format!("{error:#}"),
            "run as root or as the user that runs scimd",
        )),
    }
    outcomes
}

/// Whether the name in `public_url` resolves.
fn dns(config: &Config) -> CheckOutcome {
    let host = config.public_url.host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<IpAddr>().is_ok() {
        return CheckOutcome::ok("DNS", format!("public_url has the address {bare}"));
    }
    match (bare, 0).to_socket_addrs() {
        Ok(found) => {
            let found: BTreeSet<String> = found.map(|found| found.ip().to_string()).collect();
            let listed = found.into_iter().collect::<Vec<_>>().join(", ");
            CheckOutcome::ok("DNS", format!("{bare} is {listed}"))
        }
        Err(error) => CheckOutcome::failed(
            "DNS",
            format!("{bare} does not resolve here ({error})"),
            "add the name to DNS, or correct public_url in config.toml",
        ),
    }
}

fn certificate(config: &Config) -> Vec<CheckOutcome> {
    let certificate = match app::certificate(config, None) {
        Ok(Some(certificate)) if config.listen.tls => certificate,
        Ok(_) => {
            return vec![CheckOutcome::note(
                "certificate",
                "scimd serves without TLS",
                "check the certificate of the proxy in front of it",
            )];
        }
        Err(error) => {
            return vec![CheckOutcome::failed(
                "certificate",
                format!("{error:#}"),
                "correct [listen] in config.toml, or the files",
            )];
        }
    };
    vec![names(config, &certificate), chain(config, &certificate), expiry(&certificate)]
}

fn names(config: &Config, certificate: &Certificate) -> CheckOutcome {
    let host = config.public_url.host().trim_start_matches('[').trim_end_matches(']');
    match certificate.is_for(host) {
        true => CheckOutcome::ok("certificate name", format!("it is for {host}")),
        false if !config.listen.trusted_proxies.is_empty() => CheckOutcome::note(
            "certificate name",
            format!("it is not for {host}"),
            "the proxy in front of scimd needs a certificate for this name",
        ),
        false => CheckOutcome::failed(
            "certificate name",
            format!("it is not for {host}, the host of public_url"),
            "get a certificate for this name, or correct public_url in config.toml",
        ),
    }
}

/// Whether clients accept the chain, and which connections have clients that insist on a public CA.
fn chain(config: &Config, certificate: &Certificate) -> CheckOutcome {
    const CHECK: &str = "certificate chain";
    let strict: Vec<&str> = config
        .connections
        .iter()
        .filter(|(_, connection)| connection.method.needs_public_ca())
        .map(|(name, _)| name.as_str())
        .collect();
    let is_behind_proxy = !config.listen.trusted_proxies.is_empty();
    let untrusted = |found: String| {
        if is_behind_proxy {
            return CheckOutcome::note(
                CHECK,
                found,
                "the proxy in front must show a certificate that clients accept",
            );
        }
        // Reached from this machine alone, it is a trial.
        if strict.is_empty() || config.public_url.is_loopback() {
            return CheckOutcome::note(
                CHECK,
                found,
                "have the clients trust this certificate, or its CA",
            );
        }
        let action = format!(
            "Okta and Entra accept only certificates of a public CA (connection {}): get one, and put the intermediate \
             certificates behind it in its file; or use Entra's provisioning agent, which trusts what its machine trusts",
            strict.join(", ")
        );
        CheckOutcome::failed(CHECK, found, action)
    };
    if certificate.self_signed {
        return untrusted("the certificate is self-signed, created by scimd".to_owned());
    }
    let host = config.public_url.host().trim_start_matches('[').trim_end_matches(']');
    match certificate.trust(host) {
        Ok(CertificateTrust::Trusted) => CheckOutcome::ok(
            CHECK,
            format!(
                "{}, and leads to a CA that this machine trusts",
                output::counted(certificate.chain_length(), "certificate", "certificates")
            ),
        ),
        Ok(CertificateTrust::Refused(why)) => untrusted(why),
        Ok(CertificateTrust::Unknown) => CheckOutcome::note(
            CHECK,
            "this machine has no list of public CAs to check it against",
            "install the package ca-certificates",
        ),
        Err(error) => {
            CheckOutcome::failed(CHECK, format!("{error:#}"), "correct [listen] in config.toml")
        }
    }
}

fn expiry(certificate: &Certificate) -> CheckOutcome {
    let end = certificate.not_after();
    let found = format!("it expires on {}", output::moment(Some(end), ""));
    match end.duration_since(Clock::System.now()) < NEAR_END {
        true => CheckOutcome::failed(
            "certificate expiry",
            found,
            "replace the certificate and key files; no restart is needed",
        ),
        false => CheckOutcome::ok("certificate expiry", found),
    }
}

fn data_directory(config: &Config) -> CheckOutcome {
    let folder = config.data_dir.display();
    match config.data_dir.metadata() {
        Ok(found) if found.mode() & 0o077 != 0 => CheckOutcome::failed(
            "data directory",
            format!("other users may enter {folder} (mode {:o})", found.mode() & 0o777),
            format!("run `chmod 700 {folder}`"),
        ),
        Ok(_) => CheckOutcome::ok("data directory", format!("{folder} is closed to other users")),
        Err(error) => CheckOutcome::failed(
            "data directory",
            format!("can't read {folder} ({error})"),
            "run as root or as the user that runs scimd",
        ),
    }
}

/// Whether the port accepts connections on this machine.
fn port(config: &Config) -> CheckOutcome {
    let listen = config.listen.address;
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let address = SocketAddr::new(ip, listen.port());
    match TcpStream::connect_timeout(&address, PATIENCE) {
        Ok(_) => CheckOutcome::ok(
            "port",
            format!(
                "{address} accepts connections; a firewall in front can't be checked from here"
            ),
        ),
        Err(error) => CheckOutcome::failed(
            "port",
            format!("{address} accepts no connection ({error})"),
            "check [listen] in config.toml, scimd.socket and the firewall of this machine",
        ),
    }
}

fn server(config: &Config, status: &ServerStatus) -> Vec<CheckOutcome> {
    let clock = match status.clock_trusted {
        true => CheckOutcome::ok("clock", "trusted"),
        false => CheckOutcome::failed("clock", "not trusted", "run `scimd clock`"),
    };
    let changes = match status.ready {
        true => CheckOutcome::ok("changes", "accepted"),
        false => CheckOutcome::failed("changes", "rejected", "check the disk and the log"),
    };
    let least = u64::from(config.store.min_free_mib);
    let disk = status.disk_free_bytes.map(|free| free / MIB).map(|free| {
        let found = format!("{free} MiB are free");
        match free < 2 * least {
            true => {
                let action = format!("free disk space: below {least} MiB scimd rejects changes");
                CheckOutcome::failed("disk space", found, action)
            }
            false => CheckOutcome::ok("disk space", found),
        }
    });
    [Some(clock), Some(changes), disk].into_iter().flatten().collect()
}

/// What a connection has, and what came from it.
fn traffic(config: &Config, status: &ServerStatus, name: &str) -> Vec<CheckOutcome> {
    let Some(connection) = status.connections.iter().find(|known| known.name == *name) else {
        return vec![CheckOutcome::failed(
            "connection",
            format!("the running server does not have connection {name}"),
            "reload scimd",
        )];
    };
    let mut outcomes = Vec::new();
    outcomes.push(match connection.tokens.len() {
        0 => CheckOutcome::failed(
            "token",
            format!("{name} has no valid token"),
            format!("run `scimd token generate --connection {name}`"),
        ),
        count => CheckOutcome::ok("token", format!("{name} has {count} valid")),
    });
    outcomes.push(match (connection.traffic.last_request, connection.traffic.last_success) {
        (None, _) => CheckOutcome::note(
            "requests",
            format!("none of {name} so far"),
            format!(
                "run `scimd doctor --wait --connection {name}` and test at the identity provider"
            ),
        ),
        (Some(_), None) => CheckOutcome::failed(
            "requests",
            format!("every request of {name} failed"),
            format!("run `scimd requests --failed --connection {name}`"),
        ),
        (_, success) => CheckOutcome::ok(
            "requests",
            format!("last success of {name}: {}", output::moment(success, "")),
        ),
    });
    outcomes.push(denied(config, name));
    outcomes
}

/// How many requests with each token of the connection were denied lately, and why; also those with tokens that have
/// expired or were revoked.
fn denied(config: &Config, name: &str) -> CheckOutcome {
    const CHECK: &str = "denied requests";
    let since = Clock::System.now().checked_sub(LATELY).ok();
    let filter =
        AuditFilter { since, events: vec!["request.refused".to_owned()], ..AuditFilter::default() };
    let mut counts: BTreeMap<(String, Reason), u64> = BTreeMap::new();
    let mut after = None;
    let mut operator = OperatorClient::new(config);
    loop {
        let query = AuditQuery::After { after, filter: filter.clone(), wait: None };
        let Ok(OperatorReply::Audit(AuditReply::Part { changes, reached, whole, .. })) =
            operator.ask(OperatorRequest::Audit(query))
        else {
            return CheckOutcome::note(
                CHECK,
                "the audit log can't be read",
                "run `scimd audit --verify`",
            );
        };
        for refusal in changes.into_iter().flat_map(|change| change.details.refusals) {
            if refusal.connection.as_deref() == Some(name)
                && let Some(token) = refusal.token
            {
                *counts.entry((token, refusal.reason)).or_default() += refusal.count;
            }
        }
        if whole {
            break;
        }
        after = Some(reached);
    }
    if counts.is_empty() {
        return CheckOutcome::ok(CHECK, format!("none with a token of {name} in 24 hours"));
    }
    let found = counts.iter().map(|((token, reason), count)| {
        format!("{count} with token {token}: {}", reason.meaning())
    });
    let found = format!("in 24 hours {}", found.collect::<Vec<_>>().join("; "));
    let is_old = |(_, reason): &(String, Reason)| {
        matches!(reason, Reason::ExpiredToken | Reason::UnknownToken)
    };
    let action = match counts.keys().all(is_old) {
        true => format!(
            "enter a valid token in the client, or generate one with `scimd token generate --connection {name}`"
        ),
        false => format!(
            "correct the client, or ip_allowlist, service_origin or client_ca of {name} in config.toml"
        ),
    };
    CheckOutcome::failed(CHECK, found, action)
}
