//! Hundreds of connections that take their time, and one client that does not.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use scimd::clock::Stopwatch;

use crate::harness::{Client, Raw, Server, create, user};

const SLOW: usize = 500;
const THREADS: usize = 10;

/// Asks one thing after the other for so long; the sorted times of the answers.
fn measure(client: &Client, path: &str, time: Duration) -> Vec<Duration> {
    let mut times = Vec::new();
    let watch = Stopwatch::start();
    while watch.elapsed() < time {
        let one = Stopwatch::start();
        client.get(path).expect(200);
        times.push(one.elapsed());
        std::thread::sleep(Duration::from_millis(10));
    }
    times.sort();
    times
}

fn p99(times: &[Duration]) -> Duration {
    times[times.len() * 99 / 100]
}

/// A connection that takes its time in one of four ways: silent before its handshake, silent after it,
/// or sending a head or a body byte by byte.
enum Slow {
    Silent { _socket: TcpStream },
    Tls(Box<Raw>, bool),
}

impl Slow {
    fn begin(server: &Server, number: usize) -> Option<Self> {
        if number.is_multiple_of(4) {
            let socket = TcpStream::connect(("127.0.0.1", server.port())).ok()?;
            return Some(Self::Silent { _socket: socket });
        }
        let mut raw = Raw::try_connect(server).ok()?;
        match number % 4 {
            1 => return Some(Self::Tls(Box::new(raw), false)),
            2 => raw.try_write("GET /scim/v2/Users HTTP/1.1\r\nHost: x\r\nX: ").ok()?,
            _ => {
                let head =
                    "POST /scim/v2/Users HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n";
                raw.try_write(head).ok()?;
            }
        }
        Some(Self::Tls(Box::new(raw), true))
    }

    /// Another byte; whether the connection still stands.
    fn trickle(&mut self) -> bool {
        match self {
            Self::Silent { _socket: socket } => {
                // Not TLS, and one byte of it: the handshake goes on.
                socket.write_all(&[0x16]).is_ok()
            }
            Self::Tls(raw, true) => raw.try_write("x").is_ok(),
            Self::Tls(raw, false) => raw.try_write("").is_ok(),
        }
    }
}

#[test]
#[ignore = "takes a minute and a half, and a machine that has nothing else to do"]
fn five_hundred_slow_connections_for_a_minute_harm_nobody() {
    let server = Server::start_with("[limits]\nmax_connections_per_address = 600\n");
    let client = server.client();
    let (path, _) = create(&client, "/Users", &user("a"));
    let before = measure(&client, &path, Duration::from_secs(20));
    let (stop, begun) = (AtomicBool::new(false), AtomicUsize::new(0));
    let during = std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (server, stop, begun) = (&server, &stop, &begun);
            scope.spawn(move || {
                let mut held: Vec<Option<Slow>> = (0..SLOW / THREADS).map(|_| None).collect();
                while !stop.load(Ordering::Relaxed) {
                    for (number, slow) in held.iter_mut().enumerate() {
                        if !slow.as_mut().is_some_and(Slow::trickle) {
                            *slow = Slow::begin(server, number + thread);
                            begun.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    std::thread::sleep(Duration::from_millis(500));
                }
            });
        }
        while begun.load(Ordering::Relaxed) < SLOW {
            std::thread::sleep(Duration::from_millis(100));
        }
        let during = measure(&client, &path, Duration::from_secs(60));
        stop.store(true, Ordering::Relaxed);
        during
    });
    println!(
        "p99 of {} requests before: {:?}; of {} with {SLOW} slow connections, {} in all: {:?}",
        before.len(),
        p99(&before),
        during.len(),
        begun.into_inner(),
        p99(&during)
    );
    // What a scheduler does to a few milliseconds is no matter of ours.
    let usual = p99(&before).max(Duration::from_millis(10));
    assert!(p99(&during) <= usual * 2, "{:?} and {:?}", p99(&before), p99(&during));
}
