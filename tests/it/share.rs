//! What one client leaves for the others: connections, memory and turns.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::harness::{Raw, Server, head, total};

/// A figure of the server's process in KiB, as the kernel counts it.
fn kib(server: &Server, figure: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(figure)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

/// How many MiB more the process needs for some work, at most.
fn mib_for(server: &Server, work: impl FnOnce()) -> usize {
    // Sets the peak back to the present.
    fs::write(format!("/proc/{}/clear_refs", server.pid()), "5").unwrap();
    let before = kib(server, "VmRSS");
    work();
    kib(server, "VmHWM").saturating_sub(before) / 1024
}

/// The headers of a client with the token.
fn credentials(server: &Server) -> Vec<(&'static str, String)> {
    vec![
        ("Authorization", format!("Bearer {}", server.token())),
        ("X-Request-Origin", "localhost".to_owned()),
    ]
}

#[test]
fn a_body_in_chunks_of_one_byte_takes_no_more_memory_than_it_has_bytes() {
    const CLIENTS: usize = 4;
    let server = Server::start();
    total(&server.client());
    let mut headers = credentials(&server);
    headers.push(("Content-Type", "application/scim+json".to_owned()));
    headers.push(("Transfer-Encoding", "chunked".to_owned()));
    // The whole limit, but for the end.
    let chunks = "1\r\n \r\n".repeat(1024 * 1024 - 30);
    let mut clients: Vec<Raw> = (0..CLIENTS).map(|_| Raw::connect(&server)).collect();
    let taken = mib_for(&server, || {
        for raw in &mut clients {
            raw.write(head("POST", "/scim/v2/Users", &headers));
            raw.write(&chunks);
        }
    });
    assert!(taken <= 4 * CLIENTS, "{taken} MiB for {CLIENTS} bodies of 1 MiB");
    for (number, mut raw) in clients.into_iter().enumerate() {
        raw.write(format!("11\r\n{{\"userName\":\"u{number}\"}}\r\n0\r\n\r\n"));
        assert_eq!(raw.reply().status, 201);
    }
}

/// A TCP connection from an address of this machine.
fn connect_from(server: &Server, address: [u8; 4]) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(IpAddr::from(address), 0)).unwrap();
        let to = SocketAddr::new(IpAddr::from([127, 0, 0, 1]), server.port());
        let stream = socket.connect(to).await.unwrap().into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream
    })
}

#[test]
fn sockets_of_strangers_keep_no_client_with_a_token_out() {
    let mut server = Server::start();
    let mut known = Raw::known(&server);
    // More than max_connections, none from an address beyond max_connections_per_address.
    let strangers: Vec<TcpStream> =
        (0..820).map(|number| connect_from(&server, [127, 0, 0, 2 + (number % 4) as u8])).collect();
    for _ in 0..5 {
        assert_eq!(total(&server.client()), 0);
    }
    let headers = credentials(&server);
    assert_eq!(known.ask("GET", "/scim/v2/Users", &headers).status, 200, "it was never displaced");
    drop(strangers);
    let log = server.stop();
    assert!(log.contains("closed to admit others"), "{log}");
    assert!(!log.contains("too many connections are open"), "{log}");
}

#[test]
fn when_all_connections_are_known_the_next_is_refused() {
    let server = Server::start_with("[limits]\nmax_connections = 3");
    let mut known: Vec<Raw> = (0..3).map(|_| Raw::known(&server)).collect();
    assert!(Raw::try_connect(&server).is_err());
    let headers = credentials(&server);
    for raw in &mut known {
        assert_eq!(raw.ask("GET", "/scim/v2/Users", &headers).status, 200);
    }
}

#[test]
fn a_connection_ends_with_the_answer_to_a_stranger_and_stays_for_a_known_client() {
    let server = Server::start();
    let right = credentials(&server);
    let wrong = vec![("Authorization", "Bearer nonsense".to_owned())];
    for (path, headers) in [("/healthz", &vec![]), ("/scim/v2/Users", &wrong)] {
        let mut raw = Raw::connect(&server);
        let reply = raw.ask("GET", path, headers);
        assert_eq!(reply.header("connection"), Some("close"), "{path}");
        assert_eq!(raw.rest(), "");
    }
    let mut raw = Raw::connect(&server);
    for path in ["/scim/v2/Users", "/healthz", "/scim/v2/nothing"] {
        assert_eq!(raw.ask("GET", path, &right).header("connection"), None, "{path}");
    }
    assert_eq!(raw.ask("GET", "/scim/v2/Users", &wrong).header("connection"), Some("close"));
}

#[test]
fn a_new_connection_has_five_seconds_for_its_first_byte() {
    let server = Server::start();
    let (mut silent, mut late) = (Raw::connect(&server), Raw::connect(&server));
    let watch = scimd::clock::Stopwatch::start();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(late.ask::<&str>("GET", "/healthz", &[]).status, 200);
    assert_eq!(silent.rest(), "");
    // Fewer than header_timeout, which is 10 seconds.
    assert!((4_500..9_000).contains(&watch.elapsed().as_millis()), "{:?}", watch.elapsed());
}
