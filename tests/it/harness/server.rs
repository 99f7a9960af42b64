//! The server under test: the real binary, its folder, its life and death.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;

use super::Client;

/// How long a server may take until it listens, and until it has stopped.
const PATIENCE: Duration = Duration::from_secs(30);

/// The connection of a server whose configuration names none: it speaks SCIM as the RFCs have it.
const CONNECTION: &str = "[connections.default]\nmethod = \"okta-custom\"\n\
    service_origin = \"localhost\"\nip_allowlist = \"127.0.0.0/8, ::1\"\n";

/// A command of the binary under test.
pub(crate) fn scimd(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scimd"));
    command.args(args).stdin(Stdio::null());
    command
}

/// A server in a folder of its own; killed when dropped.
pub(crate) struct Server {
    folder: TempDir,
    port: u16,
    /// The port of the console, where the configuration has one.
    console: u16,
    token: String,
    process: Option<Process>,
}

struct Process {
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Server {
    /// A server with the default configuration, after its first boot.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// A server whose configuration has these lines besides address and data folder. Lines before the
    /// first `[table]` are top-level keys.
    pub(crate) fn start_with(config: &str) -> Self {
        let mut server = Self::configure(config);
        server.boot(&["--first-boot"]);
        let printed = server.stdout();
        let token = printed.lines().find_map(|line| line.strip_prefix("Token        scimd_"));
        server.token = format!("scimd_{}", token.expect("a token on first boot"));
        server
    }

    /// A folder with a configuration, and no server yet.
    pub(crate) fn configure(config: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let port = free_port();
        let (top, tables) = match config.find('[') {
            Some(at) => config.split_at(at),
            None => (config, ""),
        };
        // Servers run side by side, and each would take the console's port. The key stands on a line that is empty
        // otherwise, so that the lines below keep their numbers.
        let console = free_port();
        let disabled = if tables.contains("[console]") { "" } else { "console.enabled = false" };
        let end = if top.is_empty() || top.ends_with('\n') { "" } else { "\n" };
        let mut text = format!("{top}{end}{disabled}\ndata_dir = \"data\"\n{tables}\n");
        let address = format!("address = \"127.0.0.1:{port}\"\n");
        if !text.contains("[connections.") {
            text.push_str(CONNECTION);
        }
        if text.contains("[listen]") {
            text = text.replace("[listen]", &format!("[listen]\n{address}"));
        } else {
            text.push_str(&format!("[listen]\n{address}"));
        }
        let address = format!("[console]\naddress = \"127.0.0.1:{console}\"");
        text = text.replace("[console]", &address);
        fs::write(folder.path().join("config.toml"), text).unwrap();
        Self { folder, port, console, token: String::new(), process: None }
    }

    /// A folder with a configuration and an empty data directory, and no server yet.
    pub(crate) fn configure_with_data(config: &str) -> Self {
        let server = Self::configure(config);
        fs::DirBuilder::new().mode(0o700).create(server.data()).unwrap();
        server
    }

    /// Starts it; returns once it listens.
    pub(crate) fn boot(&mut self, args: &[&str]) {
        let mut serve = self.command(&["serve"]);
        serve.args(args);
        self.boot_as(serve, args.contains(&"--first-boot"));
    }

    /// Starts it so that no file of its own may grow beyond so many KiB, as on a disk that is full.
    pub(crate) fn boot_with_files_up_to(&mut self, kib: usize) {
        // In blocks of 512 bytes; without the trap a write beyond would kill, not fail.
        let limited = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" serve", kib * 2);
        let mut serve = Command::new("sh");
        serve.args(["-c", &limited, env!("CARGO_BIN_EXE_scimd")]).stdin(Stdio::null());
        serve.current_dir(self.folder.path());
        self.boot_as(serve, false);
    }

    /// Starts it by a command of the test's own.
    pub(crate) fn boot_as(&mut self, mut serve: Command, first_boot: bool) {
        assert!(self.process.is_none(), "it runs already");
        let mut child = serve.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, out) = collect(child.stdout.take().unwrap());
        let (stderr, err) = collect(child.stderr.take().unwrap());
        self.process = Some(Process { child, stdout, stderr, readers: vec![out, err] });
        self.until("it listens", |server| {
            let printed = server.stdout();
            let told = |what: &str| printed.lines().filter(|line| line.starts_with(what)).count();
            let (connections, tokens) = (told("Connection   "), told("Token        "));
            let whole = tokens == connections && tokens > 0 && printed.ends_with("\n\n");
            let welcomed = !first_boot || whole;
            welcomed && server.stderr().contains("listening")
        });
    }

    /// Waits until something holds.
    pub(crate) fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..PATIENCE.as_millis() / 10 {
            if holds(self) {
                return;
            }
            let process = self.process.as_mut().expect("it runs");
            let ended = process.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended ({ended:?}) before {what}: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("in {PATIENCE:?} it did not come to pass that {what}: {}", self.stderr());
    }

    /// Waits until the log has a text: a line may come after the answer of which it speaks.
    pub(crate) fn logged(&self, text: &str) {
        for _ in 0..PATIENCE.as_millis() / 10 {
            if self.stderr().contains(text) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("in {PATIENCE:?} the log has no {text:?}: {}", self.stderr());
    }

    /// A command of the binary in this server's folder, with its configuration.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = scimd(args);
        command.current_dir(self.folder.path());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must succeed; what it prints on standard output.
    pub(crate) fn succeed(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?} failed: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail with a code and one line; what it says.
    #[track_caller]
    pub(crate) fn fail(&self, args: &[&str], code: i32) -> String {
        let output = self.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        stderr
    }

    /// SIGKILL: no chance to put anything in order.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.child.kill().unwrap();
        process.child.wait().unwrap();
    }

    /// SIGTERM, and waits for the end; what it printed on standard error.
    pub(crate) fn stop(&mut self) -> String {
        self.terminate();
        self.ended()
    }

    /// Waits for the end, which must be a good one; what it printed on standard error.
    pub(crate) fn ended(&mut self) -> String {
        let mut process = self.process.take().expect("it runs");
        let status = process.child.wait().unwrap();
        for reader in process.readers.drain(..) {
            reader.join().unwrap();
        }
        let stderr = process.stderr.lock().unwrap().clone();
        assert!(status.success(), "it ended with {status}: {stderr}");
        stderr
    }

    /// SIGTERM alone.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.pid());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
    }

    /// Rewrites the configuration file; the server is not told.
    pub(crate) fn rewrite(&self, change: impl FnOnce(String) -> String) {
        let file = self.folder.path().join("config.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, change(text)).unwrap();
    }

    /// SIGHUP, and waits for what comes of it; what it logged meanwhile.
    pub(crate) fn reload(&mut self) -> String {
        let before = self.stderr().len();
        self.signal("HUP");
        self.until("it has read the configuration again", |server| {
            server.stderr()[before..].contains("(SIGHUP)")
        });
        self.stderr()[before..].to_owned()
    }

    /// Rewrites the configuration file and has it taken over.
    pub(crate) fn reconfigure(&mut self, change: impl FnOnce(String) -> String) {
        self.rewrite(change);
        let log = self.reload();
        assert!(log.contains("configuration reloaded"), "{log}");
    }

    /// The processor time that the server has taken, in hundredths of a second. Other work on the machine does
    /// not make it longer.
    pub(crate) fn processor_time(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
        // The 14th and 15th field of the line: in user mode, and in the kernel.
        fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    /// Waits until the server has finished what it does beside answering, such as writing events.
    pub(crate) fn wait_until_idle(&self) {
        let mut before = self.processor_time();
        for _ in 0..600 {
            std::thread::sleep(Duration::from_millis(500));
            let now = self.processor_time();
            if now - before <= 1 {
                return;
            }
            before = now;
        }
        panic!("the server is still busy after five minutes");
    }

    /// The process id of the running server.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").child.id()
    }

    /// What it has printed on standard output since it was started.
    pub(crate) fn stdout(&self) -> String {
        self.process
            .as_ref()
            .map(|process| process.stdout.lock().unwrap().clone())
            .unwrap_or_default()
    }

    /// What it has logged since it was started.
    pub(crate) fn stderr(&self) -> String {
        self.process
            .as_ref()
            .map(|process| process.stderr.lock().unwrap().clone())
            .unwrap_or_default()
    }

    /// A client with the token of the first boot and the default origin.
    pub(crate) fn client(&self) -> Client {
        self.client_with(&self.token)
    }

    /// A client with another token.
    pub(crate) fn client_with(&self, token: &str) -> Client {
        Client::new(&self.certificate(), self.port)
            .bearer(token)
            .header("X-Request-Origin", "localhost")
    }

    /// A client that sends no credentials.
    pub(crate) fn stranger(&self) -> Client {
        Client::new(&self.certificate(), self.port)
    }

    /// The token of the first boot.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where its console listens.
    pub(crate) fn console_port(&self) -> u16 {
        self.console
    }

    /// Its data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The folder with its configuration.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its self-signed certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.data().join("tls/cert.pem")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

fn collect(pipe: impl std::io::Read + Send + 'static) -> (Arc<Mutex<String>>, JoinHandle<()>) {
    let text = Arc::new(Mutex::new(String::new()));
    let filled = Arc::clone(&text);
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut text = filled.lock().unwrap();
            text.push_str(&line);
            text.push('\n');
        }
    });
    (text, reader)
}

/// A port that nobody uses, outside of the range from which the kernel takes those of clients: it
/// stays free while its server is down, and no other test of this process gets it.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id() * 251 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(10_000 + number % 20_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
