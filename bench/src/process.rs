//! What a process uses, as the kernel tells it.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// How long a tick of `/proc/PID/stat` is: the kernel's USER_HZ, 100 on Linux everywhere.
const TICK: Duration = Duration::from_millis(10);

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// What it holds now (VmRSS).
    pub resident: u64,
    /// The most that it ever held (VmHWM).
    pub peak: u64,
}

/// What a process holds in memory.
pub fn memory(pid: u32) -> Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kilobytes.map(|kilobytes| kilobytes * 1024).with_context(|| format!("no {name} in status"))
    };
    Ok(Memory { resident: field("VmRSS:")?, peak: field("VmHWM:")? })
}

/// The processor time that all threads of a process have taken, exact to a tick.
pub fn processor_time(pid: u32) -> Result<Duration> {
    let [user, system, ..] = times(pid)?;
    Ok(TICK * (user + system))
}

/// The processor time of a process and its descendants, exact to a tick of each. What children that have ended took
/// counts once their parent has waited for them.
pub fn tree_time(pid: u32) -> Result<Duration> {
    let mut time = TICK * times(pid)?.iter().sum();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread or a child may end meanwhile.
        let children = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        let children = children.split_ascii_whitespace().filter_map(|child| child.parse().ok());
        time += children.map(|child| tree_time(child).unwrap_or_default()).sum::<Duration>();
    }
    Ok(time)
}

/// The ticks of a process in user mode and in the kernel, and those of the children that it has waited for.
fn times(pid: u32) -> Result<[u32; 4]> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold anything; behind it stand numbers.
    let (_, numbers) = stat.rsplit_once(')').context("stat has no name")?;
    let numbers = numbers.split_ascii_whitespace().skip(11).take(4);
    let ticks: Vec<u32> = numbers.map_while(|number| number.parse().ok()).collect();
    ticks.try_into().ok().context("stat has no times")
}

/// The processor time that the threads have taken whose names begin with one of these.
pub fn thread_time(pid: u32, names: &[&str]) -> Result<Duration> {
    let mut time = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = task?.path();
        // A thread may end meanwhile.
        let Ok(name) = fs::read_to_string(path.join("comm")) else { continue };
        if names.iter().any(|beginning| name.starts_with(beginning)) {
            let times = fs::read_to_string(path.join("schedstat")).unwrap_or_default();
            let nanoseconds = times.split(' ').next().and_then(|field| field.parse().ok());
            time += Duration::from_nanos(nanoseconds.unwrap_or_default());
        }
    }
    Ok(time)
}

/// Has all threads of a process run on some cores alone, as taskset names them: `0`, `1-3`.
pub fn pin(pid: u32, cores: &str) -> Result<()> {
    let output = Command::new("taskset").args(["-a", "-c", "-p", cores, &pid.to_string()]).output();
    let output = output.context("taskset can't be run")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// How many descriptors (`fd`) or threads (`task`) a process has.
pub fn entries(pid: u32, kind: &str) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/{kind}"))?.count())
}

/// The space that the files below a folder take on disk, in bytes.
pub fn disk(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A file may go away meanwhile: the database removes its own.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { disk(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}

/// A loopback address with a port that nobody uses.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
