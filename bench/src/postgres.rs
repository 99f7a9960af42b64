//! A PostgreSQL on this machine, with a synchronous standby if wanted; stopped when dropped.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::process;

/// Where Debian has the programs, in a folder for each version.
const PROGRAMS: &str = "/usr/lib/postgresql";

/// The servers of one database.
pub struct Postgres {
    folder: PathBuf,
    programs: PathBuf,
    primary: Server,
    standby: Option<Server>,
}

/// One server.
struct Server {
    data: PathBuf,
    address: SocketAddr,
}

impl Postgres {
    /// Makes a database in a folder, with the settings that PostgreSQL has by itself: each commit is synced.
    pub fn start(parent: &Path, with_standby: bool) -> Result<Self> {
        let folder = std::path::absolute(parent.join(format!("postgres-{}", std::process::id())))?;
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        if is_root() {
            let id = |flag| -> Result<u32> {
                let output = Command::new("id").args([flag, "postgres"]).output()?;
                Ok(String::from_utf8(output.stdout)?.trim().parse()?)
            };
            let ids = id("-u").and_then(|user| Ok((user, id("-g")?)));
            let (user, group) = ids.context("there is no user postgres")?;
            chown(&folder, Some(user), Some(group))?;
        }
        let server = |name: &str| -> Result<Server> {
            Ok(Server { data: folder.join(name), address: process::free_address()? })
        };
        let primary = server("primary")?;
        let standby = if with_standby { Some(server("standby")?) } else { None };
        let postgres = Self { folder, programs: programs()?, primary, standby };
        let data = postgres.primary.data.as_os_str();
        postgres.call("initdb", &["--auth=trust", "--username=postgres", "-D"], &[data])?;
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nwal_level = replica\nwal_keep_size = '512MB'\n",
            postgres.folder.display()
        );
        let file = postgres.primary.data.join("postgresql.conf");
        fs::File::options().append(true).open(file)?.write_all(settings.as_bytes())?;
        postgres.run(&postgres.primary)?;
        postgres.query("CREATE ROLE scimd LOGIN", "postgres")?;
        postgres.query("CREATE DATABASE scimd OWNER scimd", "postgres")?;
        if let Some(standby) = &postgres.standby {
            postgres.follow(standby)?;
        }
        Ok(postgres)
    }

    /// What nodes have in their `url_file`.
    pub fn url(&self) -> String {
        let servers = [Some(&self.primary), self.standby.as_ref()];
        let hosts: Vec<String> =
            servers.into_iter().flatten().map(|server| server.address.to_string()).collect();
        format!("postgres://scimd@{}/scimd?sslmode=disable\n", hosts.join(","))
    }

    /// Stops it and removes its folder.
    pub fn discard(self) -> Result<()> {
        let folder = self.folder.clone();
        drop(self);
        Ok(fs::remove_dir_all(folder)?)
    }

    /// Has the standby follow the primary, and the primary wait for it with each commit.
    fn follow(&self, standby: &Server) -> Result<()> {
        let port = self.primary.address.port();
        let from = format!("host=127.0.0.1 port={port} user=postgres application_name=standby");
        let arguments = ["-R", "-X", "stream", "--checkpoint=fast", "-d", &from, "-D"];
        self.call("pg_basebackup", &arguments, &[standby.data.as_os_str()])?;
        self.run(standby)?;
        self.query("ALTER SYSTEM SET synchronous_standby_names = 'standby'", "postgres")?;
        self.query("SELECT pg_reload_conf()", "postgres")?;
        let state = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        for _ in 0..100 {
            if self.query(state, "postgres")? == "1" {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        anyhow::bail!("the standby does not follow")
    }

    fn run(&self, server: &Server) -> Result<()> {
        let port = format!("-p {}", server.address.port());
        let log = server.data.with_extension("log");
        let arguments = ["start", "-w", "-t", "60", "-o", &port, "-l"];
        self.call("pg_ctl", &arguments, &[log.as_os_str(), "-D".as_ref(), server.data.as_os_str()])
    }

    fn query(&self, statement: &str, database: &str) -> Result<String> {
        let port = self.primary.address.port().to_string();
        let output = Command::new(self.programs.join("psql"))
            .args(["-X", "-A", "-t", "-h", "127.0.0.1", "-U", "postgres", "-p", &port])
            .args(["-d", database, "-c", statement])
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Runs a program of PostgreSQL, which refuses to be run by root.
    fn call(&self, program: &str, arguments: &[&str], more: &[&std::ffi::OsStr]) -> Result<()> {
        let program = self.programs.join(program);
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("runuser");
                command.args(["-u", "postgres", "--"]).arg(&program);
                command
            }
            false => Command::new(&program),
        };
        command.args(arguments).args(more).current_dir(&self.folder);
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = status.status().with_context(|| format!("can't run {}", program.display()))?;
        ensure!(status.success(), "{} ended with {status}", program.display());
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        for server in [self.standby.as_ref(), Some(&self.primary)].into_iter().flatten() {
            let arguments = ["stop", "-m", "immediate", "-w", "-D"];
            let _ = self.call("pg_ctl", &arguments, &[server.data.as_os_str()]);
        }
    }
}

/// The programs of the newest version.
fn programs() -> Result<PathBuf> {
    let versions = fs::read_dir(PROGRAMS).into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|version| Some((version.file_name().to_str()?.parse::<u32>().ok()?, version)))
        .max_by_key(|(number, _)| *number);
    let (_, version) = newest.with_context(|| format!("there is no PostgreSQL in {PROGRAMS}"))?;
    Ok(version.path().join("bin"))
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout == b"0\n")
}
