//! What one client may take of time, connections and bytes, and how the server stops.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use scimd::clock::Stopwatch;

use crate::harness::{Raw, Server, total, user};

/// The limits of time, each with the most that may be configured: more than a test waits for anything.
const TIMES: [(&str, &str); 5] = [
    ("handshake_timeout", "5m"),
    ("header_timeout", "5m"),
    ("body_timeout", "10m"),
    ("idle_timeout", "1h"),
    ("drain_timeout", "10m"),
];

/// A configuration in which one limit is so short that none but it can be what ends a connection.
fn short(limit: &str) -> String {
    assert!(TIMES.iter().any(|(name, _)| *name == limit));
    let lines = TIMES
        .iter()
        .map(|(name, most)| format!("{name} = \"{}\"\n", if *name == limit { "1s" } else { most }));
    std::iter::once("[limits]\n".to_owned()).chain(lines).collect()
}

/// Insists that a limit of a second did not end something too soon. That it did end it is in the test: no
/// other limit would have, and a busy machine may take longer.
#[track_caller]
fn not_too_soon(watch: &Stopwatch) {
    let took = watch.elapsed();
    assert!(took > Duration::from_millis(800), "{took:?}");
}

/// The head of a create request with a body of so many bytes.
fn create(server: &Server, body: usize) -> String {
    let token = server.token();
    format!(
        "POST /scim/v2/Users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         X-Request-Origin: localhost\r\nContent-Type: application/json\r\nContent-Length: {body}\r\n\r\n"
    )
}

/// Connections that are being held, as many as the server lets in.
fn fill(server: &Server, seats: usize) -> Vec<Raw> {
    (0..seats).map(|_| Raw::known(server)).collect()
}

#[test]
fn a_connection_that_shakes_no_hands_is_closed() {
    let server = Server::start_with(&short("handshake_timeout"));
    let watch = Stopwatch::start();
    let mut socket = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert!(matches!(socket.read(&mut [0; 16]), Ok(0) | Err(_)));
    not_too_soon(&watch);
}

#[test]
fn a_connection_that_asks_nothing_is_closed() {
    let server = Server::start_with(&short("header_timeout"));
    let mut raw = Raw::connect(&server);
    let watch = Stopwatch::start();
    assert_eq!(raw.rest(), "");
    not_too_soon(&watch);
}

#[test]
fn a_head_that_trickles_is_cut_however_many_bytes_come() {
    let server = Server::start_with(&short("header_timeout"));
    let mut raw = Raw::connect(&server);
    let watch = Stopwatch::start();
    let mut head = "GET /healthz HTTP/1.1\r\nX: ".bytes().chain(std::iter::repeat(b'x'));
    while watch.elapsed() < Duration::from_secs(60) && raw.try_write([head.next().unwrap()]).is_ok()
    {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(raw.rest(), "");
    not_too_soon(&watch);
}

#[test]
fn a_body_that_trickles_is_answered_with_408() {
    let server = Server::start_with(&short("body_timeout"));
    let mut raw = Raw::connect(&server);
    let watch = Stopwatch::start();
    raw.write(create(&server, 100));
    for _ in 0..12 {
        let _ = raw.try_write("{");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(raw.reply().detail(408).contains("within 1s"));
    not_too_soon(&watch);
    assert_eq!(raw.rest(), "", "the connection ends");
    assert_eq!(total(&server.client()), 0);
}

#[test]
fn a_connection_may_be_idle_for_so_long() {
    let server = Server::start_with(&short("idle_timeout"));
    let mut raw = Raw::known(&server);
    for _ in 0..5 {
        assert_eq!(raw.ask::<&str>("GET", "/healthz", &[]).status, 200);
        std::thread::sleep(Duration::from_millis(300));
    }
    let watch = Stopwatch::start();
    assert_eq!(raw.ask::<&str>("GET", "/healthz", &[]).status, 200);
    assert_eq!(raw.rest(), "");
    not_too_soon(&watch);
}

#[test]
fn an_address_has_so_many_connections_and_gets_one_back_for_each_it_closes() {
    for limit in ["max_connections_per_address", "max_connections"] {
        let mut server = Server::start_with(&format!("[limits]\n{limit} = 3"));
        let mut held = fill(&server, 3);
        for _ in 0..3 {
            assert!(Raw::try_connect(&server).is_err(), "{limit}: one too many");
        }
        assert_eq!(held[0].ask::<&str>("GET", "/healthz", &[]).status, 200, "the others go on");
        server.until("the log says so", |server| server.stderr().contains("connections denied"));
        drop(held.pop());
        let served = |server: &Server| {
            let back = Raw::try_connect(server);
            back.is_ok_and(|mut raw| raw.ask::<&str>("GET", "/healthz", &[]).status == 200)
        };
        server.until("a connection is free again", served);
        let log = server.stop();
        assert!(
            log.contains("connections denied (repeated)"),
            "{limit}: the others are counted: {log}"
        );
    }
}

#[test]
fn a_head_of_just_the_limit_is_taken_and_one_byte_more_is_431() {
    let server = Server::start_with("[limits]\nmax_header_bytes = 8192");
    let head = |bytes: usize| {
        let start = "GET /healthz HTTP/1.1\r\nHost: x\r\nX: ";
        format!("{start}{}\r\n\r\n", "x".repeat(bytes - start.len() - 4))
    };
    for (bytes, status) in [(8_191, 200), (8_192, 200), (8_193, 431), (20_000, 431)] {
        let mut raw = Raw::connect(&server);
        raw.write(head(bytes));
        assert_eq!(raw.reply().status, status, "{bytes} bytes");
    }
}

#[test]
fn a_uri_of_just_the_limit_is_taken_and_one_byte_more_is_414() {
    let server = Server::start_with("[limits]\nmax_header_bytes = 131072");
    for (bytes, status) in [(65_533, 200), (65_534, 200), (65_535, 414), (100_000, 414)] {
        let uri = format!("/healthz?{}", "x".repeat(bytes - "/healthz?".len()));
        let mut raw = Raw::connect(&server);
        raw.write(format!("GET {uri} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(raw.reply().status, status, "{bytes} bytes");
    }
}

#[test]
fn a_hundred_headers_are_taken_and_one_more_is_431() {
    let server = Server::start();
    for (headers, status) in [(99, 200), (100, 200), (101, 431), (400, 431)] {
        let others: String = (1..headers).map(|number| format!("X-{number}: x\r\n")).collect();
        let mut raw = Raw::connect(&server);
        raw.write(format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{others}\r\n"));
        assert_eq!(raw.reply().status, status, "{headers} headers");
    }
}

#[test]
fn who_takes_time_within_the_limits_is_served() {
    let server = Server::start_with(
        "[limits]\nhandshake_timeout = \"8s\"\nheader_timeout = \"8s\"\nbody_timeout = \"8s\"\nidle_timeout = \"8s\"",
    );
    let pause = || std::thread::sleep(Duration::from_millis(600));
    let socket = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    pause();
    let mut raw = Raw::over(&server, socket).unwrap();
    pause();
    let body = user("slow").to_string();
    let head = create(&server, body.len());
    for part in [&head[..20], &head[20..], &body[..5], &body[5..]] {
        raw.write(part);
        pause();
    }
    assert_eq!(raw.reply().status, 201);
    pause();
    assert_eq!(raw.ask::<&str>("GET", "/healthz", &[]).status, 200);
}

#[test]
fn an_answer_that_nobody_takes_is_cut() {
    let mut server = Server::start_with(
        "[limits]\nrequest_timeout = \"1s\"\nmax_resource_bytes = 1048576\n[log]\nlevel = \"debug\"",
    );
    let client = server.client();
    let title = "x".repeat(900_000);
    for number in 0..8 {
        let mut body = user(&format!("big{number}"));
        body["title"] = title.as_str().into();
        client.post("/Users", &body).expect(201);
    }
    let ask = format!(
        "GET /scim/v2/Users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         X-Request-Origin: localhost\r\n\r\n",
        server.token()
    );
    let mut raw = Raw::connect(&server);
    // More than the buffers of two sockets hold.
    raw.write(ask.repeat(8));
    server.until("it is cut", |server| server.stderr().contains("connection cut: the client"));
    let taken = raw.rest().len();
    assert!(taken > 0 && taken < 8 * 8 * title.len(), "it ended after {taken} bytes");
    assert_eq!(Raw::connect(&server).ask::<&str>("GET", "/healthz", &[]).status, 200);
}

#[test]
fn a_request_whose_body_is_still_arriving_is_answered_after_sigterm() {
    let mut server = Server::start();
    let body = user("late").to_string();
    let mut raw = Raw::connect(&server);
    raw.write(create(&server, body.len()));
    raw.write(&body[..10]);
    // Once the other request is answered, the first one's head has been read as well.
    assert_eq!(total(&server.client()), 0);
    server.terminate();
    server.until("it has heard it", |server| server.stderr().contains("SIGTERM"));
    raw.write(&body[10..]);
    let reply = raw.reply();
    assert_eq!((reply.status, reply.header("connection")), (201, Some("close")));
    server.ended();
    server.boot(&[]);
    assert_eq!(server.client().get("/Users").body["Resources"][0]["userName"], "late");
}

#[test]
fn every_request_that_was_sent_before_sigterm_is_answered_and_kept() {
    let mut server = Server::start();
    let mut senders = fill(&server, 30);
    for (number, raw) in senders.iter_mut().enumerate() {
        let body = user(&format!("user{number}")).to_string();
        raw.write(format!("{}{body}", create(&server, body.len())));
    }
    server.terminate();
    for raw in &mut senders {
        assert_eq!(raw.reply().status, 201);
    }
    let log = server.ended();
    assert!(log.contains("stopped") && !log.contains("ERROR"), "{log}");
    server.boot(&[]);
    assert_eq!(total(&server.client()), 30);
}

#[test]
fn idle_connections_do_not_hold_up_the_stop_and_new_ones_are_not_taken() {
    let mut server = Server::start_with("[limits]\ndrain_timeout = \"10m\"\nidle_timeout = \"1h\"");
    let mut idle = fill(&server, 20);
    server.terminate();
    for raw in &mut idle {
        assert_eq!(raw.rest(), "");
    }
    server.until("the port is closed", |server| {
        TcpStream::connect(("127.0.0.1", server.port())).is_err()
    });
    server.ended();
}

#[test]
fn what_does_not_end_in_time_is_cut_and_the_stop_is_still_a_good_one() {
    let mut server = Server::start_with(&short("drain_timeout"));
    let mut raw = Raw::connect(&server);
    raw.write(create(&server, 100));
    assert_eq!(total(&server.client()), 0);
    let watch = Stopwatch::start();
    let log = server.stop();
    not_too_soon(&watch);
    assert!(log.contains("some connections did not finish in time and were closed"), "{log}");
    assert!(log.contains("connections=1"), "{log}");
}

#[test]
fn sigint_stops_it_as_well() {
    let mut server = Server::start();
    let pid = server.pid().to_string();
    assert!(
        std::process::Command::new("sh")
            .args(["-c", &format!("kill -INT {pid}")])
            .status()
            .unwrap()
            .success()
    );
    assert!(server.ended().contains("SIGINT"));
}
