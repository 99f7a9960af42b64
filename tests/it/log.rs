//! What the log holds: a line for each event, whatever clients send, and no secret.

use std::io::{PipeReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use serde_json::Value;

use crate::harness::{Raw, Server, create, encode, head, user};

/// Texts that mean something to a terminal, a log, a parser or a person.
const HOSTILE: [&str; 20] = [
    "a\nERROR all is lost",
    "a\r\nERROR all is lost",
    "\u{1b}[31mred\u{1b}[0m",
    "\u{1b}]0;title\u{7}",
    "\u{9b}31m",
    "\u{0}",
    "\u{8}\u{8}\u{8}",
    "\u{202e}txt.exe",
    "\u{2028}\u{2029}\u{85}",
    "\" status=200 x=\"",
    "\\\" \\n \\u000a",
    "{\"level\":\"ERROR\"}",
    "</script><script>alert(1)</script>",
    "%0a%0d%1b",
    "${jndi:ldap://x}",
    "%s%n%x",
    "' or 1=1 --",
    "ada.lovelace@example.com",
    "\u{feff}\u{200b}",
    "<3>priority",
];

/// Sends a text wherever it fits in a request, and reads the answer.
fn send_everywhere(raw: &mut Raw, server: &Server, text: &str) {
    let header: Vec<u8> =
        text.bytes().filter(|byte| !byte.is_ascii_control() || *byte == b'\t').collect();
    let body = serde_json::json!({"userName": text, "displayName": text, text: text}).to_string();
    let length = body.len().to_string();
    let bearer = format!("Bearer {}", server.token());
    let headers = [
        ("Authorization", bearer.as_bytes()),
        ("X-Request-Origin", b"localhost".as_slice()),
        ("User-Agent", &header),
        ("X-Request-Id", &header),
        ("If-Match", &header),
        ("Content-Type", b"application/json".as_slice()),
        ("Content-Length", length.as_bytes()),
    ];
    let text = encode(text);
    raw.write(head("PUT", &format!("/scim/v2/Users/{text}?filter={text}&{text}={text}"), &headers));
    raw.write(body);
    let status = raw.reply().status;
    assert!((400..500).contains(&status), "{status}");
}

/// A hostile text of its own for each number.
fn hostile(number: usize) -> String {
    let (first, second) = (HOSTILE[number % 20], HOSTILE[number / 20 % 20]);
    format!("{first}{}{second}", "x".repeat(number % 7 * number % 900))
}

#[test]
fn a_thousand_hostile_texts_are_a_thousand_lines() {
    for format in ["text", "json"] {
        let mut server = Server::start_with(&format!("[log]\nformat = \"{format}\""));
        let mut raw = Raw::connect(&server);
        for number in 0..500 {
            send_everywhere(&mut raw, &server, &hostile(number));
        }
        let log = server.stop();
        assert!(!log.contains(|c: char| c.is_control() && c != '\n'), "{format}");
        // The warning about a failed write repeats the sentence that the client got.
        let warned = |line: &&str| line.contains("request failed");
        let others: String = log.lines().filter(|line| !warned(line)).collect();
        assert!(!others.contains("lovelace") && !others.contains("all is lost"), "{format}");
        let requests = |line: &&str| line.contains("/scim/v2/{type}/{id}");
        assert_eq!(log.lines().filter(requests).count(), 500, "{format}");
        let others = log.lines().filter(|line| !requests(line)).count();
        assert!(others < 10, "{format}: {log}");
        for line in log.lines().filter(|_| format == "json") {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
            assert!(line["timestamp"].is_string() && line["message"].is_string(), "{line}");
        }
    }
}

#[test]
fn a_request_of_a_connection_is_a_line_with_the_id_that_its_answer_has() {
    let mut server = Server::start_with("[log]\nformat = \"json\"");
    let reply = server.client().get("/Users");
    let id = reply.header("x-request-id").to_owned();
    for (path, status) in [("/Users", 401), ("//healthz", 200)] {
        let reply = server.stranger().get(path).expect(status);
        assert_eq!(reply.headers.contains_key("x-request-id"), status == 401, "{path}");
    }
    let log = server.stop();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of =
        |message: &str| lines.iter().filter(|line| line["message"] == message).collect::<Vec<_>>();
    let [line] = of("request")[..] else { panic!("one request was let in: {log}") };
    assert_eq!(line["request"], id);
    assert_eq!(line["connection"], "default");
    assert_eq!((&line["method"], &line["route"]), (&"GET".into(), &"/scim/v2/{type}".into()));
    assert_eq!(line["status"], 200);
    assert!(line["ms"].as_f64().unwrap() > 0.0);
    assert_eq!(of("request denied").len(), 1, "{log}");
    assert!(!log.contains("healthz"), "who asks that is no one, and asks often: {log}");
}

#[test]
fn a_log_that_takes_no_line_stops_nothing() {
    let mut server = Server::start();
    let client = server.client();
    server.stop();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut serve = server.command(&["serve"]);
    let mut running = Running(serve.stdout(Stdio::null()).stderr(full).spawn().unwrap());
    let begun = Instant::now();
    while client.try_send("GET", "/Users", None).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it serves");
        std::thread::sleep(Duration::from_millis(10));
    }
    create(&client, "/Users", &user("ada"));
    server.stranger().get("/Users").expect(401);
    assert!(running.0.try_wait().unwrap().is_none(), "it lives");
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server whose standard error is a pipe that was full before its first line.
struct Stalled {
    server: Server,
    running: Running,
    pipe: PipeReader,
}

impl Stalled {
    /// Returns once the server answers requests.
    fn start() -> Self {
        let mut server = Server::start();
        server.stop();
        let (pipe, mut end) = std::io::pipe().unwrap();
        let flags = fcntl_getfl(&end).unwrap();
        fcntl_setfl(&end, flags | OFlags::NONBLOCK).unwrap();
        while end.write(b"x").is_ok() {}
        fcntl_setfl(&end, flags).unwrap();
        let mut serve = server.command(&["serve"]);
        let running = Running(serve.stdout(Stdio::null()).stderr(end).spawn().unwrap());
        let begun = Instant::now();
        while server.client().try_send("GET", "/Users", None).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "it serves");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { server, running, pipe }
    }

    /// Sends requests that are logged: changes, reads, and one that is refused.
    fn work(&self, changes: usize) {
        let client = self.server.client();
        for number in 0..changes {
            let (path, _) = create(&client, "/Users", &user(&format!("user{number}")));
            client.get(&path).expect(200);
        }
        self.server.stranger().get("/Users").expect(401);
    }

    /// SIGTERM, and waits for the end, which must be a good one. Returns how long it took.
    fn stop(&mut self) -> Duration {
        let begun = Instant::now();
        let line = format!("kill -TERM {}", self.running.0.id());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
        while begun.elapsed() < Duration::from_secs(30) {
            if let Some(status) = self.running.0.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return begun.elapsed();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it did not stop");
    }
}

#[test]
fn a_log_that_is_not_read_delays_no_answer_no_change_and_no_stop() {
    let mut stalled = Stalled::start();
    let begun = Instant::now();
    stalled.work(100);
    let worked = begun.elapsed();
    assert!(worked < Duration::from_secs(20), "{worked:?}");
    let stopped = stalled.stop();
    assert!(stopped < Duration::from_secs(10), "{stopped:?}");
}

#[test]
fn a_log_that_is_read_again_has_every_line_that_waited_in_order() {
    let mut stalled = Stalled::start();
    stalled.work(100);
    let mut pipe = stalled.pipe.try_clone().unwrap();
    let reader = std::thread::spawn(move || {
        let mut log = String::new();
        pipe.read_to_string(&mut log).map(|_| log)
    });
    stalled.stop();
    let log = reader.join().unwrap().unwrap();
    let log = log.trim_start_matches('x');
    let of = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    assert_eq!((of("method=POST"), of("dropped")), (100, 0), "{log}");
    let at = |what: &str| log.find(what).unwrap_or_else(|| panic!("no {what} in {log}"));
    assert!(at(" listening") < at("method=POST"), "{log}");
    assert!(at("method=POST") < at("SIGTERM: "), "{log}");
    assert!(log.ends_with("stopped\n"), "{log}");
}

#[test]
fn a_hundred_secrets_in_all_places_are_in_no_line() {
    let mut server = Server::start_with("[log]\nlevel = \"trace\"");
    let good = server.client();
    let secrets: Vec<String> =
        (0..100).map(|number| format!("canary{number:03}{}", "s3cr3t".repeat(4))).collect();
    for (number, secret) in secrets.iter().enumerate() {
        let token = format!("scimd_{}{}", secret, "0".repeat(49 - secret.len()));
        let bad = server.stranger();
        match number % 5 {
            0 => bad.bearer(&token).get("/Users").status,
            1 => bad.header("Cookie", secret).get(&format!("/Users?access_token={secret}")).status,
            2 => good.get(&format!("/Users/{secret}?token={secret}")).status,
            3 => {
                let mut body = user(&format!("u{number}"));
                body["password"] = secret.as_str().into();
                body["x-secret"] = secret.as_str().into();
                good.post("/Users", &body).status
            }
            _ => {
                let filter = encode(&format!("password eq \"{secret}\""));
                good.clone()
                    .header("X-Api-Key", secret)
                    .get(&format!("/Users?filter={filter}"))
                    .status
            }
        };
    }
    let log = server.stop();
    assert!(log.lines().count() > 60, "it was logged at all: {log}");
    for secret in &secrets {
        assert!(!log.contains(&secret[..9]), "{secret} is in the log");
    }
}
