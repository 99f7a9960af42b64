//! The server that is hurt: the real binary, where it lives, and how it starts and ends.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::client::Client;

/// How long a server may take until it listens, or to its end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What every server begins with, made once: a first boot's folder, its token and certificate.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    /// The binary that is tested.
    pub(crate) binary: PathBuf,
    /// The program that drives the log of the library, built with it.
    pub(crate) driver: PathBuf,
    /// What is loaded before it, to make the disk misbehave.
    pub(crate) shim: PathBuf,
    /// A data folder after its first boot, stopped in order.
    data: PathBuf,
    /// The token of that boot.
    token: String,
    /// The token of the application that may follow the change feed.
    consumer: String,
    /// Whether the binary can verify a data folder.
    pub(crate) can_verify: bool,
}

impl Template {
    /// Boots once below `work`.
    pub(crate) fn make(
        binary: &Path,
        driver: &Path,
        shim: &Path,
        work: &Path,
    ) -> Result<Self, String> {
        let mut template = Self {
            binary: binary.to_owned(),
            driver: driver.to_owned(),
            shim: shim.to_owned(),
            data: PathBuf::new(),
            token: String::new(),
            consumer: String::new(),
            can_verify: false,
        };
        let place = Place::empty(&template, &work.join("template"))?;
        let launch = Launch { first_boot: true, ..Launch::default() };
        let server = place.start(&launch).map_err(|failed| failed.to_string())?;
        let deadline = Instant::now() + PATIENCE;
        while template.token.is_empty() {
            if Instant::now() > deadline {
                return Err(format!("no token on first boot: {}", server.log()));
            }
            template.token = server.token().unwrap_or_default();
            std::thread::sleep(Duration::from_millis(5));
        }
        server.stop()?;
        let generate = ["token", "generate", "--application", "consumer", "--expires", "never"];
        template.consumer = place.run(&generate).1.trim().to_owned();
        template.data = place.data();
        template.can_verify = place.run(&["verify", "--help"]).0;
        Ok(template)
    }

    /// The same with another binary.
    pub(crate) fn with_binary(&self, binary: &Path) -> Self {
        Self { binary: binary.to_owned(), ..self.clone() }
    }
}

/// A folder with a configuration and a data folder, and the port that its server listens on.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    template: Template,
    folder: PathBuf,
    port: Arc<AtomicU16>,
    min_free_mib: u32,
    /// What the configuration says of a webhook.
    webhook: String,
}

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Launch {
    /// Whether it makes what is missing.
    pub(crate) first_boot: bool,
    /// What the shim is told; nothing, and it is not loaded.
    pub(crate) shim: Vec<(String, String)>,
    /// How many descriptors it may have.
    pub(crate) max_files: Option<u32>,
}

impl Launch {
    /// Under the shim, which is told this.
    pub(crate) fn under_shim(told: &[(&str, String)]) -> Self {
        let shim = told.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Self { shim, ..Self::default() }
    }
}

impl Place {
    /// A folder that is made anew, with the data of a first boot.
    pub(crate) fn fresh(template: &Template, folder: &Path) -> Result<Self, String> {
        let place = Self::empty(template, folder)?;
        copy(&template.data, &place.data()).map_err(|error| format!("can't copy: {error}"))?;
        Ok(place)
    }

    /// A folder that is made anew, without data.
    pub(crate) fn empty(template: &Template, folder: &Path) -> Result<Self, String> {
        let failed = |error: io::Error| format!("can't prepare {}: {error}", folder.display());
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(failed)?;
        }
        fs::create_dir_all(folder).map_err(failed)?;
        let port = Arc::new(AtomicU16::new(0));
        let (template, folder) = (template.clone(), folder.to_owned());
        let place = Self { template, folder, port, min_free_mib: 0, webhook: String::new() };
        place.configure().map_err(|error| format!("can't write a configuration: {error}"))?;
        Ok(place)
    }

    /// Writes a configuration with a port that nobody has.
    fn configure(&self) -> io::Result<()> {
        let port = free_port();
        self.port.store(port, Ordering::Relaxed);
        let config = format!(
            "data_dir = \"data\"\n[listen]\naddress = \"127.0.0.1:{port}\"\n[console]\nenabled = false\n[connections.default]\n\
             method = \"okta-custom\"\nservice_origin = \"localhost\"\n\
             [limits]\nmax_refusals_per_minute = 0\nmax_connections = 100\n[store]\nmin_free_mib = {}\nsnapshot_interval = \"1s\"\nkeep_snapshots = 2\n\
             [applications.consumer]\nscopes = [\"events\"]\n{}",
            self.min_free_mib, self.webhook
        );
        fs::write(self.config(), config)
    }

    /// The same place, whose server takes no changes when less than this is left on the disk. Without it
    /// there is no such precaution.
    pub(crate) fn with_min_free(mut self, mib: u32) -> Result<Self, String> {
        self.min_free_mib = mib;
        self.configure().map_err(|error| error.to_string())?;
        Ok(self)
    }

    /// The same place, whose server delivers all events to a URL.
    pub(crate) fn with_webhook(mut self, url: &str) -> Result<Self, String> {
        let secret = self.folder.join("secret");
        self.webhook = format!("[webhooks.target]\nurl = \"{url}\"\nsecret_file = \"secret\"\n");
        fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
            .and_then(|()| fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)))
            .and_then(|()| self.configure())
            .map_err(|error| error.to_string())?;
        Ok(self)
    }

    /// Has a backup made, if the binary can; it may fail.
    pub(crate) fn back_up(&self) {
        let file = self.folder.join("backup");
        if self.template.can_verify {
            self.run(&["backup", &file.display().to_string()]);
            // The next one needs the name.
            let _ = fs::remove_file(file);
        }
    }

    fn port(&self) -> u16 {
        self.port.load(Ordering::Relaxed)
    }

    fn config(&self) -> PathBuf {
        self.folder.join("config.toml")
    }

    /// The folder around configuration and data.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Puts another data folder in place of the present one.
    pub(crate) fn replace_data(&self, with: &Path) -> Result<(), String> {
        let failed = |error: io::Error| format!("can't replace the data: {error}");
        if self.data().exists() {
            fs::remove_dir_all(self.data()).map_err(failed)?;
        }
        copy(with, &self.data()).map_err(failed)
    }

    /// A client with the token of the first boot.
    pub(crate) fn client(&self) -> Client {
        let certificate = self.template.data.join("tls/cert.pem");
        Client::new(&certificate, self.port(), &self.template.token)
    }

    /// A client that may follow the change feed.
    pub(crate) fn consumer(&self) -> Client {
        self.client().with_token(&self.template.consumer)
    }

    /// A client that trusts the certificate which this place made for itself.
    pub(crate) fn own_client(&self, token: &str) -> Client {
        Client::new(&self.data().join("tls/cert.pem"), self.port(), token)
    }

    /// A connection that says nothing.
    pub(crate) fn connect(&self) -> io::Result<TcpStream> {
        TcpStream::connect(("127.0.0.1", self.port()))
    }

    /// Whether the binary can verify a data folder.
    pub(crate) fn can_verify(&self) -> bool {
        self.template.can_verify
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.template.binary);
        command.args(args).arg("--config").arg(self.config()).stdin(Stdio::null());
        command
    }

    /// Runs a command of the binary: whether it succeeded, and what it printed on both outputs.
    pub(crate) fn run(&self, args: &[&str]) -> (bool, String, String) {
        self.run_for(args, None)
    }

    /// The same; it is killed if it lives longer than `life`.
    pub(crate) fn run_for(&self, args: &[&str], life: Option<Duration>) -> (bool, String, String) {
        let mut command = self.command(args);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("scimd can be started: it was built a moment ago");
        if let Some(life) = life {
            std::thread::sleep(life);
            // It may have ended by itself.
            let _ = child.kill();
        }
        let output = child.wait_with_output().expect("a child of this process");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    }

    /// Starts the server, and waits until it listens.
    pub(crate) fn start(&self, launch: &Launch) -> Result<Server, Failed> {
        loop {
            match self.try_start(launch) {
                // Somebody else has taken the port meanwhile: no fault of the server.
                Err(failed) if failed.log.contains("Address already in use") => {
                    self.configure().expect("the configuration was written before");
                }
                tried => return tried,
            }
        }
    }

    fn try_start(&self, launch: &Launch) -> Result<Server, Failed> {
        let mut server = self.spawn(launch);
        match server.ready.recv_timeout(PATIENCE) {
            Ok(()) => Ok(server),
            Err(reason) => {
                if matches!(reason, RecvTimeoutError::Timeout) {
                    server.kill();
                }
                let status = server.wait();
                let hung = matches!(reason, RecvTimeoutError::Timeout);
                Err(Failed { status, hung, log: server.log() })
            }
        }
    }

    /// Starts the server, and does not wait.
    pub(crate) fn spawn(&self, launch: &Launch) -> Server {
        let mut command = self.command(&["serve"]);
        if launch.first_boot {
            command.arg("--first-boot");
        }
        if let Some(most) = launch.max_files {
            let mut limited = Command::new("sh");
            limited.args(["-c", &format!("ulimit -n {most}; exec \"$0\" \"$@\"")]);
            limited.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
            command = limited;
        }
        if !launch.shim.is_empty() {
            command.env("LD_PRELOAD", &self.template.shim);
            command.env("SHIM_ROOT", self.data());
            command.envs(launch.shim.iter().map(|(name, value)| (name, value)));
        }
        command.env("RUST_BACKTRACE", "0").process_group(0);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("scimd can be started: it was built a moment ago");
        let (printed, log) = (Arc::default(), Arc::default());
        let (sender, ready) = channel();
        let out = collect(child.stdout.take(), Arc::clone(&printed), |_| ());
        let err = collect(child.stderr.take(), Arc::clone(&log), move |line| {
            if line.contains(" listening ") {
                // Nobody may be waiting.
                let _ = sender.send(());
            }
        });
        Server { child, printed, log, ready, readers: vec![out, err] }
    }
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    printed: Arc<Mutex<String>>,
    log: Arc<Mutex<String>>,
    ready: Receiver<()>,
    readers: Vec<JoinHandle<()>>,
}

/// A server that ended, or hung, before it listened.
#[derive(Debug)]
pub(crate) struct Failed {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// Whether it had to be killed.
    pub(crate) hung: bool,
    /// What it logged.
    pub(crate) log: String,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let how = if self.hung { "it did not listen in time" } else { "it did not start" };
        write!(f, "{how} ({}): {}", self.status, self.log.trim())
    }
}

impl Server {
    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it has told that its database failed.
    pub(crate) fn database_failed(&self) -> bool {
        self.log().contains("the database can't")
    }

    /// The token that it has shown.
    pub(crate) fn token(&self) -> Option<String> {
        let printed = self.printed();
        let line = printed.lines().find_map(|line| line.strip_prefix("Token"))?;
        Some(line.trim().to_owned()).filter(|token| token.starts_with("scimd_"))
    }

    fn printed(&self) -> String {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.wait();
    }

    /// SIGTERM, and waits for the end, which must be a good one.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        self.terminate();
        let status = self.wait();
        if status.success() {
            Ok(())
        } else {
            Err(format!("it ended with {status}: {}", self.log()))
        }
    }

    /// SIGTERM alone.
    pub(crate) fn terminate(&self) {
        // A server that has ended by itself can't be told to.
        let _ =
            Command::new("kill").arg(self.child.id().to_string()).stderr(Stdio::null()).status();
    }

    /// Waits for the end, and kills what does not end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = Duration::from_micros(200);
        let status = loop {
            match self.child.try_wait().expect("a child of this process") {
                Some(status) => break status,
                None if Instant::now() > deadline => {
                    let _ = self.child.kill();
                    break self.child.wait().expect("a child of this process");
                }
                None => std::thread::sleep(pause),
            }
            pause = (pause * 2).min(Duration::from_millis(5));
        };
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        status
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(
    pipe: Option<impl Read + Send + 'static>,
    text: Arc<Mutex<String>>,
    line_came: impl Fn(&str) + Send + 'static,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let Some(pipe) = pipe else { return };
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            line_came(&line);
            let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
            text.push_str(&line);
            text.push('\n');
        }
    })
}

/// A port outside of the range from which the kernel takes those of clients.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id() * 251 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(10_000 + number % 20_000).unwrap_or(10_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Copies a folder with all that is in it, but for sockets.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Every file of a folder, at any depth, in order.
pub(crate) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            found.extend(files(&entry.path())?);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
