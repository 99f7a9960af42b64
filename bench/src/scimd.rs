//! The server under test: the real binary, its folder, its starts and ends.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::time::{Instant, sleep};

use crate::client::{Ask, Connection, Target};
use crate::process;

/// How long a server may take until it is ready.
const PATIENCE: Duration = Duration::from_secs(120);

/// scimd in a folder of its own; killed when dropped.
pub struct Scimd {
    binary: PathBuf,
    folder: PathBuf,
    public_url: String,
    token: String,
    child: Option<Child>,
    target: Option<Target>,
}

impl Scimd {
    /// Makes the folder with a configuration and starts the server for the first time.
    pub fn first_boot(binary: &Path, parent: &Path) -> Result<Self> {
        Self::first_boot_with(binary, parent, "")
    }

    /// The same with more configuration.
    pub fn first_boot_with(binary: &Path, parent: &Path, more: &str) -> Result<Self> {
        let address = process::free_address()?;
        let public_url = format!("https://{address}");
        let mut scimd = Self::in_folder(binary, parent, more, address, public_url)?;
        scimd.spawn(&["--first-boot"])?;
        let token = scimd.printed_token()?;
        scimd.target = Some(Target::new(address, &scimd.certificate(), &token)?);
        scimd.token = token;
        Ok(scimd)
    }

    /// Starts another node of the cluster that the first one belongs to.
    pub fn join(binary: &Path, parent: &Path, more: &str, first: &Self) -> Result<Self> {
        let address = process::free_address()?;
        let mut scimd = Self::in_folder(binary, parent, more, address, first.public_url.clone())?;
        scimd.token.clone_from(&first.token);
        scimd.spawn(&[])?;
        let begun = Instant::now();
        while !scimd.certificate().exists() || TcpStream::connect(address).is_err() {
            ensure!(begun.elapsed() < PATIENCE, "not ready; its log is {}", scimd.log().display());
            std::thread::sleep(Duration::from_millis(5));
        }
        scimd.target = Some(Target::new(address, &scimd.certificate(), &scimd.token)?);
        Ok(scimd)
    }

    /// Writes the folder with the configuration.
    fn in_folder(
        binary: &Path,
        parent: &Path,
        more: &str,
        address: SocketAddr,
        public_url: String,
    ) -> Result<Self> {
        let folder = parent.join(format!("scimd-bench-{}", std::process::id()));
        fs::create_dir_all(&folder)
            .with_context(|| format!("can't make the folder {}", folder.display()))?;
        let config = format!(
            "public_url = \"{public_url}\"\ndata_dir = \"data\"\n\n\
             [listen]\naddress = \"{address}\"\n\n\
             [connections.default]\nmethod = \"okta-custom\"\n{}{more}",
            if more.contains("[console]") { "" } else { console(binary) }
        );
        fs::write(folder.join("config.toml"), config)?;
        let binary = std::path::absolute(binary)?;
        Ok(Self { binary, folder, public_url, token: String::new(), child: None, target: None })
    }

    /// Starts it again; how long it takes until a request is answered.
    pub fn start(&mut self) -> Result<Duration> {
        let begun = Instant::now();
        self.spawn(&[])?;
        let target = self.target()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            while begun.elapsed() < PATIENCE {
                if let Ok(mut connection) = Connection::open(&target).await {
                    connection.ask(Ask::get("/healthz")).await?.success()?;
                    return Ok(begun.elapsed());
                }
                sleep(Duration::from_millis(1)).await;
            }
            bail!("scimd was not ready in {PATIENCE:?}; its log is {}", self.log().display())
        })
    }

    /// Has a node read the latest state, or its own copy, from the next start on.
    pub fn set_reads(&self, reads: &str) -> Result<()> {
        let file = self.folder.join("config.toml");
        let config = fs::read_to_string(&file)?;
        let other = if reads == "local" { "latest" } else { "local" };
        let config =
            config.replace(&format!("reads = \"{other}\""), &format!("reads = \"{reads}\""));
        ensure!(config.contains(&format!("reads = \"{reads}\"")), "no line for reads");
        Ok(fs::write(file, config)?)
    }

    /// Has it keep no more of the log than it needs, from the next start on.
    pub fn keep_little(&self) -> Result<()> {
        let file = self.folder.join("config.toml");
        let config = fs::read_to_string(&file)?;
        ensure!(!config.contains("[store]"), "the configuration has a [store] already");
        let more = "\n[store]\nkeep_journal = \"1s\"\nsnapshot_interval = \"1s\"\n\n[events]\nretention = \"0s\"\n";
        Ok(fs::write(file, config + more)?)
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) -> Result<()> {
        let mut child = self.child.take().context("scimd does not run")?;
        Command::new("kill").args(["-TERM", &child.id().to_string()]).status()?;
        let status = child.wait()?;
        ensure!(status.success(), "scimd ended with {status}; its log is {}", self.log().display());
        Ok(())
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("scimd does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Removes its folder.
    pub fn discard(mut self) -> Result<()> {
        self.kill()?;
        Ok(fs::remove_dir_all(&self.folder)?)
    }

    /// Whom clients ask, with the token of the first boot.
    pub fn target(&self) -> Result<Target> {
        self.target.clone().context("scimd has not been started")
    }

    /// A token for an application.
    pub fn application_token(&self, name: &str) -> Result<String> {
        self.command(&["token", "generate", "--application", name])
    }

    /// What a command prints.
    pub fn command(&self, arguments: &[&str]) -> Result<String> {
        self.command_line().run(arguments)
    }

    /// Its commands, for tasks that run beside it.
    pub fn command_line(&self) -> CommandLine {
        CommandLine { binary: self.binary.clone(), folder: self.folder.clone() }
    }

    /// Adds to the configuration, for the next start.
    pub fn configure(&self, more: &str) -> Result<()> {
        let mut file = File::options().append(true).open(self.folder.join("config.toml"))?;
        Ok(file.write_all(more.as_bytes())?)
    }

    /// Its process id.
    pub fn pid(&self) -> Result<u32> {
        Ok(self.child.as_ref().context("scimd does not run")?.id())
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Its self-signed certificate.
    pub fn certificate(&self) -> PathBuf {
        self.data().join("tls/cert.pem")
    }

    /// The key of that.
    pub fn key(&self) -> PathBuf {
        self.data().join("tls/key.pem")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Starts the process. Its log goes to a file, as it would under a service manager.
    fn spawn(&mut self, arguments: &[&str]) -> Result<()> {
        let append = |path: PathBuf| File::options().create(true).append(true).open(path);
        let child = Command::new(&self.binary)
            .arg("serve")
            .args(arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(append(self.folder.join("printed"))?)
            .stderr(append(self.log())?)
            .spawn()
            .with_context(|| format!("can't start {}", self.binary.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// The token of the first boot.
    fn printed_token(&self) -> Result<String> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let printed = fs::read_to_string(self.folder.join("printed"))?;
            // What comes after the token is printed when the line with it is whole.
            if let (true, Some(line)) =
                (printed.contains("curl "), printed.lines().find(|line| line.starts_with("Token ")))
            {
                let token = line.split_whitespace().nth(1);
                return Ok(token.context("a line without a token")?.to_owned());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("scimd printed no token; its log is {}", self.log().display())
    }
}

/// The commands of a server that runs.
#[derive(Clone)]
pub struct CommandLine {
    binary: PathBuf,
    folder: PathBuf,
}

impl CommandLine {
    /// What a command prints.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let output =
            Command::new(&self.binary).args(arguments).current_dir(&self.folder).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// The same while other tasks of the runtime go on.
    pub async fn run_beside(&self, arguments: &'static [&'static str]) -> Result<String> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || this.run(arguments)).await?
    }

    /// The folder that they run in, which has the configuration.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Scimd {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Two servers run side by side, and both would take the port of the console. An earlier binary does not know it.
fn console(binary: &Path) -> &'static str {
    let help = Command::new(binary).args(["console", "--help"]).stdin(Stdio::null()).output();
    match help.is_ok_and(|help| help.status.success()) {
        true => "[console]\nenabled = false\n",
        false => "",
    }
}
