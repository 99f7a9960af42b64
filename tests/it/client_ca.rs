//! Mutual TLS: which certificate opens which connection.

use std::fs;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber,
    date_time_ymd,
};
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;

use crate::harness::{Identity, Raw, Server};

const CONFIG: &str = "[connections.one]\nmethod = \"okta\"\nclient_ca = \"one.pem\"\n\
    [connections.two]\nmethod = \"okta\"\nclient_ca = \"two.pem\"\n\
    [connections.open]\nmethod = \"okta\"\n\
    [limits]\nmax_refusals_per_minute = 0\n";

/// A CA that signs certificates of clients.
struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate with its key that is valid from 2001 to a year.
    fn client(&self, until: i32, purpose: ExtendedKeyUsagePurpose) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["client".to_owned()]).unwrap();
        (params.not_before, params.not_after) =
            (date_time_ymd(2001, 1, 1), date_time_ymd(until, 1, 1));
        params.extended_key_usages = vec![purpose];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        (vec![certificate.der().clone()], key)
    }

    /// A certificate with a serial number.
    fn numbered(&self, number: u64) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["client".to_owned()]).unwrap();
        params.serial_number = Some(SerialNumber::from(number));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        (vec![certificate.der().clone()], key)
    }

    /// A list, long out of date, of the certificates that are revoked, by their numbers.
    fn revocation_list(&self, numbers: &[u64]) -> String {
        let day = date_time_ymd(2002, 1, 1);
        let revoked = |number: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*number),
            revocation_time: day,
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: day,
            next_update: date_time_ymd(2002, 2, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: numbers.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    fn good(&self) -> Identity {
        self.client(2200, ExtendedKeyUsagePurpose::ClientAuth)
    }
}

/// The status that a client with this certificate gets for this token.
fn status(server: &Server, identity: Option<&Identity>, token: &str) -> u16 {
    let mut raw = match identity {
        Some(identity) => Raw::connect_as(server, identity),
        None => Raw::connect(server),
    };
    let bearer = format!("Bearer {token}");
    raw.ask("GET", "/scim/v2/Users?count=0", &[("Authorization", &bearer)]).status
}

/// A server, its CAs, and a token for each of `one`, `two` and `open`.
fn start() -> (Server, [Ca; 2], [String; 3]) {
    let cas = [Ca::new("one"), Ca::new("two")];
    let mut server = Server::configure_with_data(CONFIG);
    for (ca, file) in cas.iter().zip(["one.pem", "two.pem"]) {
        fs::write(server.folder().join(file), &ca.pem).unwrap();
    }
    let tokens = ["one", "two", "open"].map(|connection| {
        server.succeed(&["token", "generate", "--connection", connection]).trim().to_owned()
    });
    server.boot(&[]);
    (server, cas, tokens)
}

/// How many requests of a connection the trail has as refused for their certificate.
fn refused(server: &Server, connection: &str) -> u64 {
    let log = server.succeed(&["audit", "--json"]);
    let records = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let refusals = records.filter_map(|record| record["refusals"].as_array().cloned()).flatten();
    let of = refusals
        .filter(|one| one["reason"] == "client_certificate" && one["connection"] == connection);
    of.map(|one| one["count"].as_u64().unwrap()).sum()
}

#[test]
fn a_certificate_opens_the_connection_of_its_own_ca_alone() {
    let (mut server, [ca_one, ca_two], [one, two, open]) = start();
    let (of_one, of_two, of_none) = (ca_one.good(), ca_two.good(), Ca::new("other").good());
    let expired = ca_one.client(2002, ExtendedKeyUsagePurpose::ClientAuth);
    let of_server = ca_one.client(2200, ExtendedKeyUsagePurpose::ServerAuth);
    for (identity, token, expected) in [
        (Some(&of_one), &one, 200),
        (None, &one, 401),
        (Some(&of_two), &one, 401),
        (Some(&of_none), &one, 401),
        (Some(&expired), &one, 401),
        (Some(&of_server), &one, 401),
        (Some(&of_two), &two, 200),
        (Some(&of_one), &two, 401),
        (None, &open, 200),
        (Some(&of_none), &open, 200),
        (Some(&expired), &open, 200),
    ] {
        assert_eq!(status(&server, identity, token), expected);
    }
    server.stop();
    assert_eq!(["one", "two", "open"].map(|name| refused(&server, name)), [5, 1, 0]);
}

#[test]
fn a_session_that_is_resumed_keeps_its_certificate() {
    let (server, [ca_one, _], [one, ..]) = start();
    let mut raw = Raw::connect_as(&server, &ca_one.good());
    let bearer = format!("Bearer {one}");
    let headers = [("Authorization", bearer.as_str()), ("Connection", "close")];
    for _ in 0..3 {
        assert_eq!(raw.ask("GET", "/scim/v2/Users?count=0", &headers).status, 200);
    }
}

#[test]
fn a_reload_takes_over_another_ca_and_refuses_one_that_is_none() {
    let (mut server, [ca_one, _], [one, _, open]) = start();
    let (before, next) = (ca_one.good(), Ca::new("next"));
    assert_eq!(status(&server, Some(&before), &one), 200);
    fs::write(server.folder().join("one.pem"), "nothing").unwrap();
    assert!(server.reload().contains("contains no certificate"));
    assert_eq!(status(&server, Some(&before), &one), 200);

    fs::write(server.folder().join("one.pem"), &next.pem).unwrap();
    assert!(server.reload().contains("configuration reloaded"));
    assert_eq!(status(&server, Some(&before), &one), 401);
    assert_eq!(status(&server, Some(&next.good()), &one), 200);
    // A connection that begins to need a certificate needs it at once.
    assert_eq!(status(&server, None, &open), 200);
    fs::write(server.folder().join("open.pem"), &next.pem).unwrap();
    server.reconfigure(|text| {
        text.replace("[connections.open]\n", "[connections.open]\nclient_ca = \"open.pem\"\n")
    });
    assert_eq!(status(&server, None, &open), 401);
    assert_eq!(status(&server, Some(&next.good()), &open), 200);
}

#[test]
fn where_certificates_can_not_be_checked_the_configuration_is_refused() {
    for listen in ["tls = false", "trusted_proxies = \"10.0.0.1\""] {
        let server = Server::configure(&format!("[listen]\n{listen}\n{CONFIG}"));
        let said = server.fail(&["config", "check"], 2);
        assert!(said.contains("connection one has a client_ca"), "{said}");
    }
}

#[test]
fn a_revoked_certificate_is_refused_once_the_list_is_beside_the_ca() {
    let (mut server, [ca_one, ca_two], [one, two, _]) = start();
    let (kept, lost, of_two) = (ca_one.numbered(7), ca_one.numbered(8), ca_two.numbered(8));
    let file = server.folder().join("one.pem");
    let write = |lists: &str| fs::write(&file, format!("{}{lists}", ca_one.pem)).unwrap();
    let statuses = |server: &Server| {
        [(&kept, &one), (&lost, &one), (&of_two, &two)]
            .map(|(identity, token)| status(server, Some(identity), token))
    };
    assert_eq!(statuses(&server), [200, 200, 200]);
    write(&ca_one.revocation_list(&[8]));
    assert!(server.reload().contains("configuration reloaded"));
    assert_eq!(statuses(&server), [200, 401, 200]);
    // A list of another CA covers no certificate of this one, and what is not covered is refused.
    write(&ca_two.revocation_list(&[]));
    assert!(server.reload().contains("configuration reloaded"));
    assert_eq!(statuses(&server), [401, 401, 200]);
    let good = ca_one.revocation_list(&[]);
    write(&good.replace("M", "?"));
    assert!(server.reload().contains("one.pem"), "a damaged list is refused by the reload");
    assert_eq!(statuses(&server), [401, 401, 200]);
    write(&good);
    assert!(server.reload().contains("configuration reloaded"));
    assert_eq!(statuses(&server), [200, 200, 200]);
}
