//! The Unix socket for a proxy on this machine, which names its clients by PROXY protocol v2.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::Value;

use crate::harness::{Server, client_config};

const CONFIG: &str = "[listen]\ntls = false\nunix = \"scim.sock\"\n\
    [connections.okta]\nmethod = \"okta\"\nip_allowlist = \"192.0.2.0/24\"\n\
    [limits]\nmax_connections_per_address = 2\nhandshake_timeout = \"1s\"\n";

const CLIENT: [u8; 4] = [192, 0, 2, 7];

fn path(server: &Server) -> PathBuf {
    server.folder().join("scim.sock")
}

/// A server and a token.
fn start() -> (Server, String) {
    let mut server = Server::configure_with_data(CONFIG);
    let token = server.succeed(&["token", "generate"]).trim().to_owned();
    server.boot(&[]);
    (server, token)
}

fn connect(server: &Server) -> UnixStream {
    let stream = UnixStream::connect(path(server)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// The header that names a client over IPv4.
fn header(client: [u8; 4]) -> Vec<u8> {
    let proxy = Ipv4Addr::LOCALHOST.octets();
    let rest = [&client[..], &proxy, &[0xc0, 0x01, 0x01, 0xbb]].concat();
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &rest].concat()
}

fn request(token: &str, connection: &str) -> Vec<u8> {
    let head = "GET /scim/v2/Users?count=0 HTTP/1.1\r\nHost: x\r\n";
    format!("{head}Authorization: Bearer {token}\r\nConnection: {connection}\r\n\r\n").into_bytes()
}

/// The status of the answer to what is sent; 0 if the connection is closed without one.
fn status(server: &Server, parts: &[&[u8]]) -> u16 {
    let mut stream = connect(server);
    for part in parts {
        // It may be closed already.
        let _ = stream.write_all(part);
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    text.get(9..12).map_or(0, |status| status.parse().unwrap())
}

#[test]
fn the_client_that_the_header_names_is_the_one_that_counts() {
    let (mut server, token) = start();
    let ask = request(&token, "close");
    assert_eq!(status(&server, &[&header(CLIENT), &ask]), 200);
    let whole = [header(CLIENT), ask.clone()].concat();
    assert_eq!(status(&server, &[&whole[..9], &whole[9..]]), 200, "cut within the header");
    assert_eq!(status(&server, &[&header([198, 51, 100, 1]), &ask]), 401);
    server.stop();
    let log = server.succeed(&["audit", "--json"]);
    let records = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let refused: Vec<Value> =
        records.filter_map(|record| record["refusals"].as_array().cloned()).flatten().collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0]["address"], "198.51.100.1");
}

#[test]
fn tls_that_the_proxy_passes_through_begins_behind_the_header() {
    let mut server = Server::configure_with_data(&CONFIG.replace("tls = false\n", ""));
    let token = server.succeed(&["token", "generate"]).trim().to_owned();
    server.boot(&[]);
    let mut stream = connect(&server);
    stream.write_all(&header(CLIENT)).unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let tls = ClientConnection::new(client_config(&server, None), name).unwrap();
    let mut tls = StreamOwned::new(tls, stream);
    tls.write_all(&request(&token, "close")).unwrap();
    let mut first = [0; 12];
    tls.read_exact(&mut first).unwrap();
    assert_eq!(&first[9..], b"200");
}

#[test]
fn a_connection_without_a_valid_header_in_time_is_closed_without_an_answer() {
    let (server, token) = start();
    let ask = request(&token, "close");
    let mut unknown = header(CLIENT);
    unknown[13] = 0x31;
    for parts in [
        vec![ask.as_slice()],
        vec![&unknown, &ask],
        vec![&header(CLIENT)[..15]],
        vec![b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n", &ask],
        vec![],
    ] {
        assert_eq!(status(&server, &parts), 0, "{parts:?}");
    }
    assert_eq!(status(&server, &[&header(CLIENT), &ask]), 200);
}

#[test]
fn limits_of_one_address_count_the_named_client() {
    let (server, token) = start();
    let hold = || {
        let mut stream = connect(&server);
        stream.write_all(&[header(CLIENT), request(&token, "keep-alive")].concat()).unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first[9..], b"200");
        stream
    };
    let held = [hold(), hold()];
    let ask = request(&token, "close");
    assert_eq!(status(&server, &[&header(CLIENT), &ask]), 0);
    assert_eq!(status(&server, &[&header([192, 0, 2, 8]), &ask]), 200);
    drop(held);
}

#[test]
fn the_socket_is_for_owner_and_group_and_goes_with_the_server() {
    let (mut server, token) = start();
    let mode = fs::metadata(path(&server)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    server.kill();
    assert!(path(&server).exists(), "SIGKILL leaves it");
    server.boot(&[]);
    assert_eq!(status(&server, &[&header(CLIENT), &request(&token, "close")]), 200);
    server.stop();
    assert!(!path(&server).exists());

    let other = UnixListener::bind(path(&server)).unwrap();
    let refused = |server: &Server| {
        let output = server.run(&["serve"]);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused(&server).contains("another process listens on"));
    drop(other);
    fs::remove_file(path(&server)).unwrap();
    fs::write(path(&server), "precious").unwrap();
    assert!(refused(&server).contains("is not a socket"));
    assert_eq!(fs::read_to_string(path(&server)).unwrap(), "precious");
}
