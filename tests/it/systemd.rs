//! What systemd is told, and the socket that it passes.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::{Server, create, total, user};

/// The other end of `$NOTIFY_SOCKET`.
struct Systemd {
    folder: TempDir,
    socket: UnixDatagram,
}

impl Systemd {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { folder, socket }
    }

    /// Starts a server, with more in its environment.
    fn start(&self, server: &mut Server, environment: &[(&str, &str)]) {
        let mut serve = server.command(&["serve"]);
        serve.env("NOTIFY_SOCKET", self.folder.path().join("notify"));
        serve.envs(environment.iter().copied());
        server.boot_as(serve, false);
    }

    /// The next message, line by line.
    fn next(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        // A process that is stopped and goes on is interrupted in a wait that has an end.
        let length = loop {
            match self.socket.recv(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                received => break received.expect("a message"),
            }
        };
        let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
        text.lines().map(ToOwned::to_owned).collect()
    }

    /// The next message that says this; none before it may say `not`.
    fn until(&self, what: &str, not: &str) -> Vec<String> {
        loop {
            let message = self.next();
            if message.iter().any(|line| line == what) {
                return message;
            }
            assert!(!message.iter().any(|line| line == not), "{not} before {what}");
        }
    }
}

#[test]
fn it_says_when_it_is_ready_reloads_and_stops() {
    let mut server = Server::start();
    server.stop();
    let systemd = Systemd::new();
    systemd.start(&mut server, &[]);
    let first = systemd.next();
    assert!(first[0].starts_with("EXTEND_TIMEOUT_USEC="), "a start may take long: {first:?}");
    let ready = systemd.until("READY=1", "STOPPING=1");
    assert!(ready.contains(&format!("STATUS=serving on 127.0.0.1:{}", server.port())), "{ready:?}");
    assert_eq!(server.stranger().get("//readyz").status, 200);
    server.succeed(&["token", "list"]);

    for (change, told) in [("", "configuration reloaded"), ("nonsense = 1\n", "reload failed")] {
        server.rewrite(|text| format!("{change}{text}"));
        server.reload();
        let reloading = systemd.until("RELOADING=1", "READY=1");
        let monotonic = reloading.iter().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let seconds = monotonic.unwrap().parse::<f64>().unwrap() / 1e6;
        assert!((seconds - uptime).abs() < 60.0, "{seconds} {uptime}");
        let ready = systemd.until("READY=1", "STOPPING=1");
        assert!(ready[1].starts_with("STATUS=") && ready[1].contains(told), "{ready:?}");
    }
    server.terminate();
    let stopping = systemd.until("STOPPING=1", "READY=1");
    assert!(stopping.contains(&"EXTEND_TIMEOUT_USEC=30000000".to_owned()), "{stopping:?}");
    server.ended();
}

#[test]
fn the_watchdog_is_fed_also_while_the_disk_is_full() {
    let mut server = Server::start();
    server.stop();
    server.rewrite(|text| format!("{text}[store]\nmin_free_mib = 1000000000\n"));
    let systemd = Systemd::new();
    systemd.start(&mut server, &[("WATCHDOG_USEC", "300000")]);
    server.client().post("/Users", &user("ada")).error(503, None);
    assert_eq!(server.stranger().get("//readyz").status, 503);
    for _ in 0..5 {
        systemd.until("WATCHDOG=1", "STOPPING=1");
    }
}

#[test]
fn without_a_watchdog_none_is_fed() {
    let mut server = Server::start();
    server.stop();
    let systemd = Systemd::new();
    systemd.start(&mut server, &[("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "1")]);
    server.stop();
    systemd.until("STOPPING=1", "WATCHDOG=1");
}

#[test]
fn a_socket_that_is_meant_for_another_process_is_left_alone() {
    let mut server = Server::start();
    server.stop();
    let mut serve = server.command(&["serve"]);
    serve.env("LISTEN_FDS", "1").env("LISTEN_PID", "1");
    server.boot_as(serve, false);
    assert_eq!(total(&server.client()), 0);
}

/// Listens as systemd does, and becomes the server.
const LAUNCHER: &str = "
import os, socket, sys
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((sys.argv[1], int(sys.argv[2])))
listener.listen()
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[3], [sys.argv[3], 'serve'])
";

fn launch(server: &Server, host: &str) -> Command {
    let mut serve = Command::new("python3");
    serve.args(["-c", LAUNCHER, host, &server.port().to_string(), env!("CARGO_BIN_EXE_scimd")]);
    serve.current_dir(server.folder()).stdin(Stdio::null());
    serve
}

#[test]
#[ignore = "needs python3; .ci/run installs it and runs this"]
fn a_socket_that_is_passed_is_served_instead_of_the_address() {
    let mut server = Server::start();
    server.stop();
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let own = format!("127.0.0.1:{}", server.port());
    server.rewrite(|text| text.replace(&own, &taken));
    let serve = launch(&server, "127.0.0.1");
    server.boot_as(serve, false);
    create(&server.client(), "/Users", &user("ada"));
    assert!(server.stderr().contains("serving the socket from systemd"));
    server.stop();
}

#[test]
#[ignore = "needs python3; .ci/run installs it and runs this"]
fn a_passed_socket_shows_no_plain_text_to_the_network() {
    let server = Server::configure("[listen]\ntls = false\n");
    let output = launch(&server, "0.0.0.0").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("allowed on a loopback address only"), "{said}");
}
