//! Webhooks: events that are sent to applications.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use data_encoding::BASE64;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Server, create, free_port, user};
use crate::metrics::{scrape, value};

/// A request as the target got it.
struct Got {
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Got {
    fn names(&self) -> Vec<String> {
        let events: Value = serde_json::from_slice(&self.body).unwrap();
        let name =
            |event: &Value| event["data"]["resource"]["userName"].as_str().map(ToOwned::to_owned);
        events.as_array().unwrap().iter().filter_map(name).collect()
    }
}

/// An application that takes deliveries, with the files that the configuration names.
struct Target {
    folder: TempDir,
    port: u16,
    got: Receiver<Got>,
    /// What it answers, until that is changed.
    answer: Arc<Mutex<String>>,
}

const TAKEN: &str = "HTTP/1.1 204 No Content\r\n\r\n";

impl Target {
    fn start(is_https: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = signed.cert.pem();
        fs::write(folder.path().join("ca.pem"), &certificate).unwrap();
        let secret = folder.path().join("secret");
        fs::write(
            &secret,
            format!("whsec_{}\nwhsec_{}\n", BASE64.encode(&[1; 32]), BASE64.encode(&[2; 32])),
        )
        .unwrap();
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key =
            PrivateKeyDer::from_pem_slice(signed.signing_key.serialize_pem().as_bytes()).unwrap();
        let tls = rustls::ServerConfig::builder().with_no_client_auth();
        let tls = Arc::new(tls.with_single_cert(chain, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = Arc::new(Mutex::new(TAKEN.to_owned()));
        let (told, got) = channel();
        let answers = Arc::clone(&answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, tls, told, answers) =
                    (stream.unwrap(), Arc::clone(&tls), told.clone(), Arc::clone(&answers));
                std::thread::spawn(move || match is_https {
                    true => {
                        let connection = rustls::ServerConnection::new(tls).unwrap();
                        serve(rustls::StreamOwned::new(connection, stream), &told, &answers)
                    }
                    false => serve(stream, &told, &answers),
                });
            }
        });
        Self { folder, port, got, answer }
    }

    fn config(&self, scheme: &str, more: &str) -> String {
        let folder = self.folder.path().display();
        format!(
            "[webhooks.crm]\nurl = \"{scheme}://localhost:{}/hook?a=b\"\nsecret_file = \"{folder}/secret\"\n{more}\n",
            self.port
        )
    }

    fn answer(&self, answer: &str) {
        *self.answer.lock().unwrap() = answer.to_owned();
    }

    fn next(&self) -> Got {
        self.got.recv_timeout(Duration::from_secs(20)).expect("a delivery")
    }
}

fn serve(
    stream: impl Read + Write,
    told: &std::sync::mpsc::Sender<Got>,
    answers: &Mutex<String>,
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        match line.split_once(": ") {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
            None if line.is_empty() => break,
            None => headers.insert(String::new(), line.to_owned()),
        };
    }
    let length: usize = headers.get("content-length")?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let answer = answers.lock().unwrap().clone();
    told.send(Got { headers, body }).ok()?;
    let mut stream = reader.into_inner();
    if answer == "hang" {
        std::thread::sleep(Duration::from_secs(60));
    }
    stream.write_all(answer.as_bytes()).ok()?;
    while answer.contains("endless") && stream.write_all(&[b'x'; 4096]).is_ok() {}
    stream.flush().ok()
}

fn listed(server: &Server) -> Value {
    let listed: Value =
        serde_json::from_str(&server.succeed(&["webhook", "list", "--json"])).unwrap();
    listed[0].clone()
}

#[test]
fn events_arrive_in_order_and_signed_with_each_secret() {
    let target = Target::start(true);
    let ca = format!(
        "ca_file = \"{}/ca.pem\"\nevents = [\"user.created\"]",
        target.folder.path().display()
    );
    let mut server = Server::start_with(&target.config("https", &ca));
    let names: Vec<String> = (0..150).map(|number| format!("user{number}")).collect();
    for name in &names {
        create(&server.client(), "/Users", &user(name));
    }
    let mut got = Vec::new();
    while got.len() < names.len() {
        let delivery = target.next();
        let header = |name: &str| delivery.headers[name].as_str();
        assert_eq!(header(""), "POST /hook?a=b HTTP/1.1");
        assert_eq!(header("content-type"), "application/cloudevents-batch+json");
        assert!(!header("webhook-id").contains('.'));
        let mut signed =
            format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).into_bytes();
        signed.extend_from_slice(&delivery.body);
        let signature = |key: &[u8]| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, key);
            format!("v1,{}", BASE64.encode(hmac::sign(&key, &signed).as_ref()))
        };
        let both = format!("{} {}", signature(&[1; 32]), signature(&[2; 32]));
        assert_eq!(header("webhook-signature"), both);
        let of_batch = delivery.names();
        assert!(of_batch.len() <= 100);
        got.extend(of_batch);
    }
    assert_eq!(got, names);
    let list = server.succeed(&["webhook", "list"]);
    assert!(list.contains("crm   ok"), "{list}");
    // What was delivered is not sent again after a restart.
    std::thread::sleep(Duration::from_millis(1_500));
    server.stop();
    server.boot(&[]);
    create(&server.client(), "/Users", &user("last"));
    assert_eq!(target.next().names(), ["last"]);
}

#[test]
fn a_batch_stays_the_same_over_retries_and_a_restart() {
    let target = Target::start(false);
    let config = target.config("http", "events = [\"user.created\"]");
    let mut server = Server::start_with(&config);
    target.answer("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
    create(&server.client(), "/Users", &user("a"));
    let first = target.next();
    create(&server.client(), "/Users", &user("b"));
    let again = target.next();
    server.kill();
    server.boot(&[]);
    let after = target.next();
    target.answer(TAKEN);
    for other in [&again, &after] {
        assert_eq!(other.headers["webhook-id"], first.headers["webhook-id"]);
        assert_eq!(other.body, first.body);
    }
    let mut rest = Vec::new();
    while !rest.contains(&"b".to_owned()) {
        rest.extend(target.next().names());
    }
    assert!(rest.iter().all(|name| name == "a" || name == "b"), "{rest:?}");
    server
        .until("it says that all is delivered", |server| listed(server)["failing_since"].is_null());
}

#[test]
fn a_receiver_that_wants_no_more_is_parked_until_a_test_or_a_resend() {
    let target = Target::start(false);
    let mut server = Server::start_with(&target.config("http", "events = [\"user.*\"]"));
    target.answer("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n");
    create(&server.client(), "/Users", &user("a"));
    target.next();
    server.until("it is parked", |server| !listed(server)["parked"].is_null());
    let failed = server.fail(&["webhook", "test", "crm"], 1);
    assert!(failed.contains("410"), "{failed}");
    target.next();
    target.answer(TAKEN);
    server.succeed(&["webhook", "test", "crm"]);
    let test: Value = serde_json::from_slice(&target.next().body).unwrap();
    assert_eq!(test[0]["type"], "scimd.test");
    assert_eq!(target.next().names(), ["a"]);
    server.succeed(&["webhook", "resend", "crm", "--after", "oldest"]);
    assert_eq!(target.next().names(), ["a"]);
    let unknown = server.fail(&["webhook", "test", "nope"], 1);
    assert!(unknown.contains("the configuration has crm"), "{unknown}");
}

#[test]
fn a_receiver_that_fails_is_named_and_delays_no_client() {
    let target = Target::start(false);
    let mut server = Server::start_with(&target.config("http", ""));
    target.answer("HTTP/1.1 301 Moved\r\nLocation: http://localhost/\r\nContent-Length: 0\r\n\r\n");
    create(&server.client(), "/Users", &user("a"));
    target.next();
    server.until("it says why", |server| {
        listed(server)["error"]
            .as_str()
            .is_some_and(|error| error.contains("redirects are not followed"))
    });
    // Sent again only when the receiver wants it.
    target.answer("HTTP/1.1 503 Busy\r\nRetry-After: 4\r\nContent-Length: 0\r\n\r\n");
    target.next();
    let begun = Instant::now();
    target.answer("HTTP/1.1 200 OK\r\n\r\nendless");
    target.next();
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
    server.until("an endless answer is taken", |server| listed(server)["delivered"] == 1);
    target.answer("hang");
    create(&server.client(), "/Users", &user("b"));
    target.next();
    let begun = Instant::now();
    create(&server.client(), "/Users", &user("c"));
    server.client().get("/Users").expect(200);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn metrics_and_status_say_how_deliveries_go() {
    let (target, port) = (Target::start(false), free_port());
    let metrics = format!("events = [\"user.created\"]\n[metrics]\nlisten = \"127.0.0.1:{port}\"");
    let mut server = Server::start_with(&target.config("http", &metrics));
    let told = |name: &str| value(&scrape(port), &format!("scimd_webhook_{name}"));
    let well = server.succeed(&["status"]);
    assert!(well.contains("crm      ok") && well.contains("All is well."), "{well}");
    create(&server.client(), "/Users", &user("a"));
    server.until("one is taken", |_| {
        told("deliveries_total{webhook=\"crm\",result=\"taken\"}") == 1.0
    });
    assert_eq!(told("events_total{webhook=\"crm\"}"), 1.0);
    target.answer("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
    create(&server.client(), "/Users", &user("b"));
    server.until("it fails", |_| told("failing_seconds{webhook=\"crm\"}") > 0.0);
    assert!(told("deliveries_total{webhook=\"crm\",result=\"failed\"}") >= 1.0);
    assert!(told("behind_changes{webhook=\"crm\"}") >= 1.0);
    assert_eq!(told("parked{webhook=\"crm\"}"), 0.0);
    let findings = |server: &Server| {
        let output = server.run(&["status", "--json"]);
        assert_eq!(output.status.code(), Some(1));
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        status["findings"].to_string()
    };
    let failing = findings(&server);
    assert!(failing.contains("deliveries to webhook crm fail since"), "{failing}");
    target.answer("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n");
    server.until("it is parked", |_| told("parked{webhook=\"crm\"}") == 1.0);
    let parked = findings(&server);
    assert!(parked.contains("webhook crm is parked") && parked.contains("webhook test crm"));
    target.answer(TAKEN);
    server.succeed(&["webhook", "test", "crm"]);
    server.until("it goes on", |_| told("events_total{webhook=\"crm\"}") == 2.0);
    let after = server.succeed(&["status"]);
    assert!(after.contains("All is well."), "{after}");
}

#[test]
fn a_certificate_that_is_not_trusted_gets_nothing() {
    let target = Target::start(true);
    let mut server = Server::start_with(&target.config("https", ""));
    create(&server.client(), "/Users", &user("a"));
    server.until("it says why", |server| {
        listed(server)["error"]
            .as_str()
            .is_some_and(|error| error.contains("no TLS with localhost"))
    });
    assert!(target.got.try_recv().is_err());
}

/// A proxy that connects clients to servers, and notes what they asked for.
fn proxy() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, asked) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut client, told) = (stream.unwrap(), told.clone());
            std::thread::spawn(move || {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    client.read_exact(&mut byte).ok()?;
                    head.extend(byte);
                }
                let head = String::from_utf8(head).ok()?;
                let server = head.split(' ').nth(1)?.to_owned();
                told.send(head).ok()?;
                let mut server = TcpStream::connect(server).ok()?;
                client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").ok()?;
                let (mut from, mut to) = (client.try_clone().ok()?, server.try_clone().ok()?);
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                std::io::copy(&mut server, &mut client).ok()
            });
        }
    });
    (port, asked)
}

/// Starts a server whose webhook trusts what the machine trusts, with a proxy and hosts that are reached without it.
fn boot_with_proxy(target: &Target, proxy: &str, direct: &str) -> Server {
    let mut server = Server::configure(&target.config("https", ""));
    let mut serve = server.command(&["serve", "--first-boot"]);
    serve.env("SSL_CERT_FILE", target.folder.path().join("ca.pem"));
    for name in ["https_proxy", "ALL_PROXY", "all_proxy", "no_proxy"] {
        serve.env_remove(name);
    }
    serve.env("HTTPS_PROXY", proxy).env("NO_PROXY", direct);
    server.boot_as(serve, true);
    server
}

#[test]
fn deliveries_go_through_the_proxy_of_the_environment_to_a_receiver_that_the_machine_trusts() {
    let (target, (port, asked)) = (Target::start(true), proxy());
    let mut server =
        boot_with_proxy(&target, &format!("http://scimd:pass%20word@127.0.0.1:{port}"), "");
    server.succeed(&["webhook", "test", "crm"]);
    let test: Value = serde_json::from_slice(&target.next().body).unwrap();
    assert_eq!(test[0]["type"], "scimd.test");
    let head = asked.recv().unwrap();
    assert!(head.starts_with(&format!("CONNECT localhost:{} HTTP/1.1\r\n", target.port)), "{head}");
    let credentials = BASE64.encode(b"scimd:pass word");
    assert!(head.contains(&format!("Proxy-Authorization: Basic {credentials}\r\n")), "{head}");
    server.stop();
    // A port that nothing listens on: a proxy that is asked nothing.
    let direct = boot_with_proxy(&target, "http://127.0.0.1:1", "localhost");
    direct.succeed(&["webhook", "test", "crm"]);
    target.next();
    let unreachable = boot_with_proxy(&target, "http://127.0.0.1:1", "example.com");
    let failed = unreachable.fail(&["webhook", "test", "crm"], 1);
    assert!(failed.contains("can't connect to 127.0.0.1:1"), "{failed}");
}

#[test]
fn a_secret_that_is_none_or_that_others_may_read_is_refused() {
    let target = Target::start(false);
    let secret = target.folder.path().join("secret");
    let server = Server::configure(&target.config("http", "events = [\"user.made\"]"));
    let check =
        |server: &Server| String::from_utf8(server.run(&["config", "check"]).stderr).unwrap();
    let told = check(&server);
    assert!(told.contains("webhooks.crm: events: \"user.made\""), "{told}");
    server.rewrite(|text| text.replace("user.made", "user.*"));
    fs::write(&secret, "whsec_short").unwrap();
    let told = check(&server);
    assert!(told.contains("openssl rand -base64 32"), "{told}");
    fs::write(&secret, format!("whsec_{}", BASE64.encode(&[1; 24]))).unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o644)).unwrap();
    let told = check(&server);
    assert!(told.contains("others may read") && told.contains("chmod 600"), "{told}");
}
