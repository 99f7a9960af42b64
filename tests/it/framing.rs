//! Bytes on the wire: bodies without end, heads that are none, requests inside of others.

use crate::bad_input::{headers, start, unchanged};
use crate::harness::{Raw, RawReply, Server};

/// What comes back for bytes that are no request, and that the connection then ends.
fn malformed(server: &Server, bytes: &[u8]) -> RawReply {
    let mut raw = Raw::connect(server);
    raw.write(bytes);
    let reply = raw.try_reply().unwrap_or_else(|error| panic!("no answer ({error}) to {bytes:?}"));
    assert_eq!(raw.rest(), "", "the connection ends");
    reply
}

/// Heads that are none, and the status of their answers.
fn heads() -> Vec<(Vec<u8>, u16)> {
    let get = "GET /scim/v2/Users HTTP/1.1\r\n";
    let mut heads: Vec<(Vec<u8>, u16)> = [
        "GET /scim/v2/Users?filter=userName eq \"a\" HTTP/1.1\r\n\r\n",
        "nonsense\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nA: \u{1}\r\n\r\n",
        "GET / HTTP/1.1\r\nBad Name: x\r\n\r\n",
        "GET /\u{1} HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
    ]
    .into_iter()
    .map(|head| (head.as_bytes().to_vec(), 400))
    .collect();
    heads.push((format!("{get}X: {}\r\n\r\n", "x".repeat(20_000)).into_bytes(), 431));
    heads.push((format!("{get}{}\r\n", "X: y\r\n".repeat(200)).into_bytes(), 431));
    heads.push((format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000)).into_bytes(), 431));
    heads
}

#[test]
fn a_body_of_10_megabytes_is_refused_and_the_answer_can_be_read() {
    let (server, client, present) = start("");
    let mut raw = Raw::connect(&server);
    for _ in 0..2 {
        let more = "Content-Type: application/scim+json\r\nContent-Length: 10485760\r\n";
        raw.write(format!("POST /scim/v2/Users HTTP/1.1\r\n{}", headers(&server, more)));
        raw.write(vec![b' '; 10 * 1024 * 1024]);
        assert!(raw.reply().detail(413).contains("at most 1048576 bytes"));
    }
    let reply = client.send("POST", "/Users", Some(&vec![b'x'; 10 * 1024 * 1024]));
    reply.error(413, None);
    unchanged(&client, &present);
}

#[test]
fn a_chunked_body_without_end_is_refused_at_the_limit() {
    let (server, client, present) = start("");
    let mut raw = Raw::connect(&server);
    let more = "Content-Type: application/scim+json\r\nTransfer-Encoding: chunked\r\n";
    raw.write(format!("POST /scim/v2/Users HTTP/1.1\r\n{}", headers(&server, more)));
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..17 {
        raw.write(&chunk);
    }
    assert!(raw.reply().detail(413).contains("at most 1048576 bytes"));
    unchanged(&client, &present);
}

#[test]
fn bytes_that_are_no_request_get_an_answer_and_the_end_of_the_connection() {
    let (server, client, present) = start("");
    for (bytes, status) in heads() {
        let reply = malformed(&server, &bytes);
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
        assert_eq!(reply.status, status, "{shown:?}");
        assert_eq!(reply.header("connection"), Some("close"), "{shown:?}");
        assert!(reply.body.is_empty(), "{shown:?}");
    }
    unchanged(&client, &present);
}

#[test]
fn a_head_that_can_be_read_in_two_ways_is_refused_before_the_gate() {
    let (server, client, present) = start("");
    for (head, status) in [
        ("HTTP/1.1\r\n", 400),
        ("HTTP/1.1\r\nHost: a\r\nHost: a\r\n", 400),
        ("HTTP/1.1\r\nHost: a, b\r\n", 400),
        ("HTTP/1.1\r\nHost: a/b\r\n", 400),
        ("HTTP/1.1\r\nHost: user@a\r\n", 400),
        ("HTTP/1.1\r\nHost: a:99999\r\n", 400),
        ("HTTP/1.1\r\nHost:\r\n", 400),
        ("HTTP/1.0\r\nHost: a\r\nHost: b\r\n", 400),
        ("HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n", 501),
        ("HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n", 501),
        ("HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", 501),
        ("HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n", 501),
    ] {
        let credentials = headers(&server, "").replacen("Host: x\r\n", "", 1);
        for (path, others) in [("/scim/v2/Users", credentials.as_str()), ("/healthz", "\r\n")] {
            let mut raw = Raw::connect(&server);
            raw.write(format!("POST {path} {head}{others}"));
            let reply = raw.reply();
            reply.detail(status);
            assert_eq!(reply.header("connection"), Some("close"), "{head:?}");
            assert_eq!(raw.rest(), "", "{head:?}");
        }
    }
    unchanged(&client, &present);
    for head in [
        "GET /healthz HTTP/1.0\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: [::1]:8443\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
    ] {
        let mut raw = Raw::connect(&server);
        raw.write(head);
        assert_eq!(raw.reply().status, 200, "{head:?}");
    }
}

#[test]
fn a_request_can_not_be_hidden_in_the_body_of_another() {
    let (server, client, present) = start("[limits]\nidle_timeout = \"1s\"");
    let id = present["id"].as_str().unwrap();
    let inner = format!("DELETE /scim/v2/Users/{id} HTTP/1.1\r\n{}", headers(&server, ""));
    for framing in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5\r\nContent-Length: 0\r\n",
    ] {
        let more = headers(&server, &format!("Content-Type: application/json\r\n{framing}"));
        let mut raw = Raw::connect(&server);
        raw.write(format!("POST /scim/v2/Users HTTP/1.1\r\n{more}0\r\n\r\n{inner}"));
        let status = raw.reply().status;
        assert_eq!(status, 400, "{framing:?}");
        assert_eq!(raw.rest(), "", "{framing:?}: no second answer");
    }
    unchanged(&client, &present);
}

#[test]
fn plain_http_where_tls_is_spoken_is_told_to_use_https() {
    use std::io::{Read as _, Write as _};
    let server = Server::start();
    for request in ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "P"] {
        let mut socket = std::net::TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 ") && body.contains("https://"), "{answer}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{answer}");
    }
    assert_eq!(crate::harness::total(&server.client()), 0);
}
