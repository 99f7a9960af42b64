//! The checks: name, certificate, port, files, server, and what connects.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use jiff::SignedDuration;

use super::outcome::CheckOutcome;
use crate::app::{self, Certificate};
use crate::cli::operator::OperatorClient;
use crate::cli::{output, requests};
use crate::clock::Clock;
use crate::config::Config;
use crate::operator::{OperatorReply, OperatorRequest, ServerStatus};
use crate::request_log::RequestQuery;

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
            "scimd does not run",
            "start it with `systemctl start scimd` or `scimd serve`",
        )),
        Err(error) => outcomes.push(CheckOutcome::failed(
            "server",
            format!("{error:#}"),
            "run this as the user that runs scimd, or as root",
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
        Ok(Some(certificate)) => certificate,
        Ok(None) => {
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
    vec![names(config, &certificate), chain(&certificate), expiry(&certificate)]
}

fn names(config: &Config, certificate: &Certificate) -> CheckOutcome {
    let host = config.public_url.host().trim_start_matches('[').trim_end_matches(']');
    match certificate.is_for(host) {
        true => CheckOutcome::ok("certificate name", format!("it is for {host}")),
        false if !config.listen.trusted_proxies.is_empty() => CheckOutcome::note(
            "certificate name",
            format!("it is not for {host}"),
            "the proxy in front must have a certificate that is",
        ),
        false => CheckOutcome::failed(
            "certificate name",
            format!("it is not for {host}, the host of public_url"),
            "get a certificate for this name, or correct public_url in config.toml",
        ),
    }
}

fn chain(certificate: &Certificate) -> CheckOutcome {
    if certificate.self_signed {
        return CheckOutcome::note(
            "certificate chain",
            "scimd made the certificate itself",
            "Okta, Entra and other cloud services accept only certificates of a public CA",
        );
    }
    match certificate.chain_length() {
        0 | 1 => CheckOutcome::note(
            "certificate chain",
            "the file has one certificate and no intermediate ones",
            "add the intermediate certificates of the CA behind it, unless the CA has none",
        ),
        length => CheckOutcome::ok("certificate chain", format!("{length} certificates")),
    }
}

fn expiry(certificate: &Certificate) -> CheckOutcome {
    let end = certificate.not_after();
    let found = format!("it expires on {}", output::moment(Some(end), ""));
    match end.duration_since(Clock::System.now()) < NEAR_END {
        true => CheckOutcome::failed(
            "certificate expiry",
            found,
            "put a new certificate in place of the files; no restart is needed",
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
            format!("can't look at {folder} ({error})"),
            "run this as the user that runs scimd, or as root",
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
        false => CheckOutcome::failed("changes", "refused", "check the disk and the log"),
    };
    let least = u64::from(config.store.min_free_mib);
    let disk = status.disk_free_bytes.map(|free| free / MIB).map(|free| {
        let found = format!("{free} MiB are free");
        match free < 2 * least {
            true => {
                let action = format!("free disk space: below {least} MiB changes are refused");
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
            format!("the running server does not know {name}"),
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

/// Whether requests with a token of the connection were denied lately, because of their address or otherwise.
fn denied(config: &Config, name: &str) -> CheckOutcome {
    let since = Clock::System.now().checked_sub(LATELY).ok();
    let query = RequestQuery {
        connection: Some(name.to_owned()),
        failed: true,
        since,
        limit: 1_000,
        ..RequestQuery::default()
    };
    let found = requests::find(config, &query).map(|page| page.entries).unwrap_or_default();
    let reasons: BTreeSet<String> = found.into_iter().filter_map(|entry| entry.reason).collect();
    match reasons.len() {
        0 => {
            CheckOutcome::ok("denied requests", format!("none with a token of {name} in 24 hours"))
        }
        _ => CheckOutcome::failed(
            "denied requests",
            reasons.into_iter().collect::<Vec<_>>().join("; "),
            format!(
                "correct the client, or ip_allowlist, service_origin or client_ca of {name} in config.toml"
            ),
        ),
    }
}
