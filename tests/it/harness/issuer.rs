//! Assertions, the keys that sign them, and an issuer that serves its keys.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::{Reply, Server, encode as url_encoded, free_port};

const FORM: &str = "application/x-www-form-urlencoded";

static KEYS: LazyLock<[KeyPair; 2]> =
    LazyLock::new(|| [1, 2].map(|_| KeyPair::generate(KeySize::Rsa2048).unwrap()));

/// The public keys of the issuer with these numbers.
pub(crate) fn jwks(numbers: &[usize]) -> String {
    let key = |&number: &usize| {
        let public = KEYS[number].public_key();
        let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        json!({
            "kty": "RSA", "use": "sig", "kid": format!("key-{number}"),
            "n": text(public.modulus().big_endian_without_leading_zero()),
            "e": text(public.exponent().big_endian_without_leading_zero()),
        })
    };
    json!({"keys": numbers.iter().map(key).collect::<Vec<_>>()}).to_string()
}

/// The claims of an assertion of Entra.
pub(crate) fn claims() -> Value {
    let now = jiff::Timestamp::now().as_second();
    json!({
        "iss": "https://login.example/tenant/v2.0", "sub": "object-id", "aud": "api://app",
        "iat": now, "nbf": now, "exp": now + 3_900, "oid": "object-id", "ver": "2.0",
    })
}

/// The public key with this number (SubjectPublicKeyInfo).
pub(crate) fn public_key(number: usize) -> PublicKeyX509Der<'static> {
    KEYS[number].public_key().as_der().unwrap()
}

/// An assertion with these claims, signed by the key with this number.
pub(crate) fn signed(number: usize, claims: &Value) -> String {
    let header = Header { kid: Some(format!("key-{number}")), ..Header::new(Algorithm::RS256) };
    let pkcs8: Pkcs8V1Der<'_> = KEYS[number].as_der().unwrap();
    encode(&header, claims, &EncodingKey::from_rsa_der(&pkcs8.as_ref()[26..])).unwrap()
}

/// A token request with an assertion, as Entra sends it.
pub(crate) fn ask(server: &Server, client_id: Option<&str>, assertion: &str) -> Reply {
    let kind = url_encoded("urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let id = client_id.map(|id| format!("&client_id={id}")).unwrap_or_default();
    let form = format!(
        "grant_type=client_credentials{id}&client_assertion_type={kind}&client_assertion={assertion}&scope=scim"
    );
    let stranger = server.stranger().header("Content-Type", FORM);
    stranger.send("POST", "//oauth2/token", Some(form.as_bytes()))
}

/// An HTTPS server with the keys of the issuer.
pub(crate) struct KeyServer {
    pub(crate) port: u16,
    requests: Arc<AtomicUsize>,
    /// The whole answer, head and body; empty for none at all.
    pub(crate) answer: Arc<Mutex<Vec<u8>>>,
    /// The answers of single paths, and the last request to each.
    paths: Arc<Mutex<BTreeMap<String, PathAnswer>>>,
}

#[derive(Default)]
struct PathAnswer {
    answer: Vec<u8>,
    request: String,
}

impl KeyServer {
    /// Starts it; its certificate goes into a file.
    pub(crate) fn start(ca: &Path) -> Self {
        let names = ["localhost", "keys.example"].map(ToOwned::to_owned);
        let certified = rcgen::generate_simple_self_signed(names).unwrap();
        fs::write(ca, certified.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .unwrap();
        let (config, port) = (Arc::new(config), free_port());
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let (requests, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (counted, given) = (Arc::clone(&requests), Arc::clone(&answer));
        let paths: Arc<Mutex<BTreeMap<String, PathAnswer>>> = Arc::default();
        let known = Arc::clone(&paths);
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::Relaxed);
                let answer = given.lock().unwrap().clone();
                let known = Arc::clone(&known);
                let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
                std::thread::spawn(move || {
                    let mut stream = StreamOwned::new(tls, socket);
                    let request = read_request(&mut stream);
                    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                    let answer = known.lock().unwrap().get_mut(&path).map_or(answer, |known| {
                        known.request = request;
                        known.answer.clone()
                    });
                    if answer.is_empty() {
                        std::thread::sleep(Duration::from_secs(20));
                    }
                    let _ = stream.write_all(&answer).and_then(|()| stream.flush());
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                });
            }
        });
        Self { port, requests, answer, paths }
    }

    pub(crate) fn answer(&self, status: &str, body: &str) {
        *self.answer.lock().unwrap() = self.whole(status, body);
    }

    /// Answers a path so from now on.
    pub(crate) fn answer_at(&self, path: &str, status: &str, body: &str) {
        let answer = self.whole(status, body);
        self.paths.lock().unwrap().entry(path.to_owned()).or_default().answer = answer;
    }

    /// The last request to a path that has an answer of its own, head and body.
    pub(crate) fn request_to(&self, path: &str) -> String {
        self.paths.lock().unwrap()[path].request.clone()
    }

    fn whole(&self, status: &str, body: &str) -> Vec<u8> {
        let head = format!(
            "HTTP/1.1 {status}\r\nLocation: https://localhost:{}/other\r\nContent-Length: {}\r\n\r\n",
            self.port,
            body.len()
        );
        [head.as_bytes(), body.as_bytes()].concat()
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

/// Reads a request with the body that its head announces.
fn read_request(stream: &mut impl std::io::Read) -> String {
    let (mut text, mut part) = (String::new(), [0; 4_096]);
    loop {
        let read = stream.read(&mut part).unwrap_or(0);
        text.push_str(&String::from_utf8_lossy(&part[..read]));
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let mut lengths = head.lines().filter_map(|line| {
                line.to_lowercase().strip_prefix("content-length: ").map(ToOwned::to_owned)
            });
            body.len() >= lengths.next().and_then(|length| length.parse().ok()).unwrap_or(0)
        });
        if read == 0 || whole {
            return text;
        }
    }
}
