//! What scimd tells those who watch over it, and that the document tells of all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use crate::harness::{Client, Raw, Server, create, free_port, user};

/// A server that tells its metrics, and where.
fn start(config: &str) -> (Server, u16) {
    let port = free_port();
    (Server::start_with(&format!("{config}\n[metrics]\nlisten = \"127.0.0.1:{port}\"\n")), port)
}

/// The status, head and body of an answer of the listener for metrics.
fn ask(port: u16, method: &str, path: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), head.to_owned(), body.to_owned())
}

/// Every series with its value.
pub(crate) fn scrape(port: u16) -> BTreeMap<String, f64> {
    let (status, head, body) = ask(port, "GET", "/metrics");
    assert_eq!(status, 200);
    assert!(head.contains("text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let samples = body.lines().filter(|line| !line.starts_with('#'));
    let series = samples.map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        (series.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}")))
    });
    series.collect()
}

/// The value of a series that must be there.
#[track_caller]
pub(crate) fn value(metrics: &BTreeMap<String, f64>, series: &str) -> f64 {
    *metrics.get(series).unwrap_or_else(|| panic!("no {series} in {metrics:#?}"))
}

#[test]
fn the_document_and_the_answer_name_the_same_metrics_with_the_same_kinds() {
    let (_server, port) = start("");
    let (_, _, body) = ask(port, "GET", "/metrics");
    let told: BTreeSet<(String, String)> = body
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect();
    let document =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")).unwrap();
    let documented: BTreeSet<(String, String)> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter(|(name, _)| !name.starts_with('/'))
        .map(|(name, rest)| (name.to_owned(), rest.split(" |").next().unwrap().to_owned()))
        .collect();
    assert_eq!(told, documented);
}

#[test]
fn the_text_is_what_prometheus_reads() {
    let (server, port) = start("");
    create(&server.client(), "/Users", &user("a"));
    let (_, _, body) = ask(port, "GET", "/metrics");
    let mut family = ("", "");
    let mut last = (String::new(), 0.0);
    for line in body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family.0 = help.split_once(' ').unwrap().0;
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            family.1 = kind.strip_prefix(family.0).unwrap().trim();
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().unwrap();
            let name = series.split('{').next().unwrap();
            let suffix = name.strip_prefix(family.0).unwrap_or_else(|| panic!("{line} is stray"));
            let known: &[&str] =
                if family.1 == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(known.contains(&suffix), "{line}");
            if suffix == "_bucket" {
                let (of, _) = series.split_once("le=").unwrap();
                assert!(last.0 != of || last.1 <= value, "{line} is less than the bound before");
                last = (of.to_owned(), value);
            }
            if suffix == "_count" {
                assert_eq!(last.1, value, "+Inf and the count differ: {line}");
            }
        }
    }
    assert!(body.ends_with('\n') && !body.contains("inf\n") && !body.contains("NaN"));
}

#[test]
fn what_happens_is_counted() {
    let (server, port) = start("");
    let client = server.client();
    let before = scrape(port);
    for number in 0..3 {
        create(&client, "/Users", &user(&format!("u{number}")));
    }
    client.post("/Users", &user("u0")).error(409, Some("uniqueness"));
    client.get("/nothing/at/all").error(404, None);
    server.stranger().get("/Users").error(401, None);
    server.stranger().bearer("null").get("/Users").error(401, None);
    let after = scrape(port);
    let more = |series: &str| value(&after, series) - before.get(series).copied().unwrap_or(0.0);
    let requests = |labels: &str| more(&format!("scimd_http_requests_total{{{labels}}}"));
    let create = "connection=\"default\",method=\"POST\",route=\"/scim/v2/{type}\"";
    assert_eq!(requests(&format!("{create},status=\"2xx\",code=\"201\"")), 3.0);
    assert_eq!(requests(&format!("{create},status=\"4xx\",code=\"409\"")), 1.0);
    assert_eq!(
        requests("connection=\"default\",method=\"\",route=\"\",status=\"4xx\",code=\"404\""),
        1.0
    );
    assert_eq!(requests("connection=\"\",method=\"\",route=\"\",status=\"4xx\",code=\"401\""), 2.0);
    let of_default = "{connection=\"default\"";
    assert_eq!(
        more(&format!("scimd_scim_errors_total{of_default},scim_type=\"uniqueness\"}}")),
        1.0
    );
    let last =
        |what: &str| value(&after, &format!("scimd_last_{what}_timestamp_seconds{of_default}}}"));
    assert!(last("request") >= last("success") && last("success") > 1.7e9);
    let route = "{method=\"POST\",route=\"/scim/v2/{type}\"}";
    assert_eq!(more(&format!("scimd_http_request_duration_seconds_count{route}")), 4.0);
    assert!(more(&format!("scimd_http_request_duration_seconds_sum{route}")) > 0.0);
    assert_eq!(more("scimd_refusals_total{reason=\"no_token\"}"), 1.0);
    assert_eq!(more("scimd_refusals_total{reason=\"malformed_token\"}"), 1.0);
    assert_eq!(more("scimd_resources{type=\"Users\"}"), 3.0);
    assert_eq!(more("scimd_journal_sequence"), 3.0);
    assert_eq!(more("scimd_fdatasync_duration_seconds_count"), 3.0);
    assert_eq!(more("scimd_commit_changes_sum"), 3.0);
    assert_eq!(value(&after, "scimd_writer_waiting"), 0.0);
    assert_eq!(value(&after, "scimd_writable"), 1.0);
    assert_eq!(value(&after, "scimd_tokens_valid{connection=\"default\"}"), 1.0);
}

#[test]
fn what_lasts_is_told() {
    let (mut server, port) = start("");
    let now = jiff::Timestamp::now().as_second() as f64;
    server.succeed(&["token", "generate", "--expires", "never"]);
    let metrics = scrape(port);
    let days = |series: &str| ((value(&metrics, series) - now) / 86_400.0).round();
    let token = "scimd_token_expires_timestamp_seconds{connection=\"default\",token=";
    assert_eq!(days(&format!("{token}\"first\"}}")), 365.0);
    assert!(value(&metrics, &format!("{token}\"last\"}}")).is_infinite());
    assert_eq!(days("scimd_certificate_expires_timestamp_seconds"), 825.0);
    assert_eq!(days("process_start_time_seconds"), 0.0);
    let version = format!("scimd_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(value(&metrics, &version), 1.0);
    for series in [
        "scimd_journal_bytes",
        "scimd_disk_free_bytes",
        "process_resident_memory_bytes",
        "process_open_fds",
    ] {
        assert!(value(&metrics, series) > 0.0, "{series}");
    }
    assert!(value(&metrics, "scimd_database_bytes") >= 0.0);
    assert!(!metrics.contains_key("scimd_snapshot_timestamp_seconds"), "there is none yet");
    server.succeed(&["backup", "b.snapshot"]);
    let open = value(&scrape(port), "scimd_connections_open");
    let held = Raw::connect(&server);
    server.until("one more is open", |_| {
        value(&scrape(port), "scimd_connections_open") == open + 1.0
    });
    drop(held);
    server.until("it is gone", |_| value(&scrape(port), "scimd_connections_open") == open);
    drop(TcpStream::connect(("127.0.0.1", server.port())).unwrap());
    let failed = "scimd_tls_handshakes_failed_total{reason=\"error\"}";
    server.until("a handshake failed", |_| value(&scrape(port), failed) == 1.0);
}

#[test]
fn no_client_makes_a_series_and_nobody_is_named() {
    let (server, port) = start("[limits]\nmax_refusals_per_minute = 1\n");
    let (client, mut raw) = (server.client(), Raw::connect(&server));
    let (path, id) = create(&client, "/Users", &user("ada.lovelace@example.com"));
    for round in 0..2 {
        let before = scrape(port).len();
        for number in 0..50 {
            let name = format!("X{round}{number}");
            client.get(&format!("/{name}")).error(404, None);
            client.get(&format!("/Users/{name}?{name}={name}")).error(404, None);
            client.get(&path).expect(200);
            raw.ask(&name, &format!("/{name}"), &[("Authorization", name.as_str())]);
        }
        let after = scrape(port);
        assert!(round == 0 || after.len() == before, "{before} and {}", after.len());
        for series in after.keys() {
            assert!(!series.contains("lovelace") && !series.contains(&id), "{series}");
            assert!(!series.contains(server.token()) && !series.contains("X0"), "{series}");
        }
    }
    let throttled = scrape(port)["scimd_throttled_total{limit=\"max_refusals_per_minute\"}"];
    assert!((90.0..=99.0).contains(&throttled), "{throttled}");
}

#[test]
fn the_listener_tells_of_health_and_of_nothing_else() {
    let (server, port) = start("");
    for path in ["/healthz", "/readyz"] {
        let (status, _, body) = ask(port, "GET", path);
        assert_eq!((status, body.as_str()), (200, ""), "{path}");
    }
    assert_eq!(ask(port, "HEAD", "/metrics").0, 200);
    assert_eq!(ask(port, "POST", "/metrics").0, 405);
    assert_eq!(ask(port, "GET", "/scim/v2/Users").0, 404);
    server.client().get("//metrics").error(404, None);
    server.stranger().get("//metrics").error(401, None);
}

#[test]
fn a_connection_that_a_reload_adds_is_told_and_one_that_it_removes_is_not() {
    let (mut server, port) = start("");
    let second = "[connections.second]\nmethod = \"okta\"\n";
    let tokens = "scimd_tokens_valid{connection=\"second\"}";
    server.reconfigure(|text| format!("{text}{second}"));
    assert_eq!(value(&scrape(port), tokens), 0.0);
    server.reconfigure(|text| text.replace(second, ""));
    assert!(!scrape(port).contains_key(tokens));
}

#[test]
fn a_store_that_takes_no_changes_is_told() {
    let (mut server, port) = start("");
    server.stop();
    let file = server.folder().join("config.toml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{config}[store]\nmin_free_mib = 1000000000\n")).unwrap();
    server.boot(&[]);
    assert_eq!(value(&scrape(port), "scimd_writable"), 0.0);
    assert_eq!(ask(port, "GET", "/readyz").0, 503);
}

#[test]
fn metrics_beyond_loopback_need_tls_and_a_token_that_can_be_replaced() {
    let port = free_port();
    let mut server = Server::configure_with_data(&format!(
        "[metrics]\nlisten = \"0.0.0.0:{port}\"\ntls = true\ntoken_file = \"scrape\"\n"
    ));
    let write = |server: &Server, token: &str, mode| {
        let file = server.folder().join("scrape");
        fs::write(&file, token).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    };
    for (token, mode, words) in
        [("0123456789abcdef0123", 0o644, "chmod 600"), ("short", 0o600, "20 characters or more")]
    {
        write(&server, token, mode);
        for command in [&["config", "check"][..], &["serve"]] {
            let output = server.run(command);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && stderr.contains(words), "{stderr}");
        }
    }
    write(&server, "0123456789abcdef0123\n", 0o600);
    server.boot(&[]);
    let certificate = server.certificate();
    let scrape = |token: Option<&str>| {
        let client = Client::new(&certificate, port);
        let client = match token {
            Some(token) => client.bearer(token),
            None => client,
        };
        client.get_text("/metrics")
    };
    assert_eq!(scrape(None).0, 401);
    assert_eq!(scrape(Some("0123456789abcdef0124")).0, 401);
    let (status, body) = scrape(Some("0123456789abcdef0123"));
    assert!(status == 200 && body.contains("scimd_writable 1"), "{body}");
    write(&server, "another-token-0123456789", 0o600);
    assert_eq!(scrape(Some("0123456789abcdef0123")).0, 401);
    assert_eq!(scrape(Some("another-token-0123456789")).0, 200);
    assert_eq!(Client::new(&certificate, port).get_text("/healthz").0, 200);
}
