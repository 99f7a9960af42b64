//! Proof that nothing acknowledged is lost: hurts the real scimd in every way that a disk, a power
//! supply or an operator can, and asks one oracle what is left.
//!
//! - What should be there: [`model`] says what changes do, [`script`] draws them, [`perform`] sends
//!   them, [`history`] keeps what was sent and acknowledged.
//! - What is there: [`seen`] looks at a server by every way that leads to its data, [`journal`] reads
//!   the audit trail, [`oracle`] holds both against what should be. [`received`] and [`target`] do the same for the
//!   change feed and for a webhook.
//! - How it is hurt: one file for each method.
//! - How it is told: [`report`].

mod base;
mod canary;
mod client;
mod damage;
mod environment;
mod feed;
mod filesystem;
mod finding;
mod history;
mod image;
mod journal;
mod kill;
mod log;
mod model;
mod oracle;
mod perform;
mod powercut;
mod random;
mod received;
mod recovery;
mod report;
mod script;
mod seen;
mod server;
mod session;
mod syscalls;
mod target;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use report::{Row, Verdict};
use server::Template;
use session::Session;

/// A way to hurt a server.
struct Method {
    name: &'static str,
    run: fn(&Session) -> Row,
}

/// Every way, in the order in which they are tried.
const METHODS: &[Method] = &[
    Method { name: "kill", run: kill::server },
    Method { name: "kill-command", run: kill::commands },
    Method { name: "every-call", run: syscalls::every },
    Method { name: "every-call-new-file", run: syscalls::every_at_new_file },
    Method { name: "every-call-first-boot", run: syscalls::every_of_first_boot },
    Method { name: "power-cut", run: powercut::cuts },
    Method { name: "power-cut-new-file", run: powercut::cuts_at_new_file },
    Method { name: "feed-kill", run: feed::kills },
    Method { name: "feed-power-cut", run: feed::power_cuts },
    Method { name: "log-every-call", run: log::every_call },
    Method { name: "log-power-cut", run: log::cuts },
    Method { name: "ext4-shutdown", run: filesystem::shut_down },
    Method { name: "damage", run: damage::at_rest },
    Method { name: "disk-full", run: environment::full_disk },
    Method { name: "few-descriptors", run: environment::few_descriptors },
    Method { name: "clock-jumps", run: environment::jumping_clock },
    Method { name: "canary-no-sync", run: canary::no_sync },
    Method { name: "canary-log-no-sync", run: canary::log_no_sync },
    Method { name: "canary-early-answer", run: canary::early_answer },
    Method { name: "canary-no-checksum", run: canary::no_checksum },
    Method { name: "canary-skipped-event", run: canary::skipped_event },
    Method { name: "canary-swapped-events", run: canary::swapped_events },
];

const USAGE: &str = "usage: tests/durability/run [--nightly [MINUTES]] [--only METHOD] [--seed SEED] [--cycle CYCLE]";

/// What is asked for.
#[derive(Debug, Default)]
struct Asked {
    nightly: Option<Duration>,
    only: Option<String>,
    seed: Option<u64>,
    cycle: Option<usize>,
}

impl Asked {
    fn read(args: impl Iterator<Item = String>) -> Option<Self> {
        let mut asked = Self::default();
        let mut args = args.peekable();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--nightly" => {
                    let minutes = args.next_if(|next| !next.starts_with('-'));
                    let minutes = minutes.map_or(Some(120), |minutes| minutes.parse().ok())?;
                    asked.nightly = Some(Duration::from_secs(60 * minutes));
                }
                "--only" => asked.only = Some(args.next()?),
                "--seed" => asked.seed = Some(args.next()?.parse().ok()?),
                "--cycle" => asked.cycle = Some(args.next()?.parse().ok()?),
                _ => return None,
            }
        }
        Some(asked)
    }
}

fn main() -> ExitCode {
    let Some(asked) = Asked::read(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let wanted: Vec<&Method> = METHODS
        .iter()
        .filter(|method| asked.only.as_deref().is_none_or(|only| only == method.name))
        .collect();
    if wanted.is_empty() {
        let names: Vec<&str> = METHODS.iter().map(|method| method.name).collect();
        eprintln!("there is no such method; there are {}", names.join(", "));
        return ExitCode::from(2);
    }
    match run(&asked, &wanted) {
        Ok(code) => code,
        Err(error) => {
            println!("HARNESS-BROKEN: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Where things are: the environment says, because `tests/durability/run` has built them.
fn path_in(variable: &str) -> Result<PathBuf, String> {
    std::env::var_os(variable)
        .map(PathBuf::from)
        .ok_or_else(|| format!("{variable} is not set; use tests/durability/run"))
}

fn run(asked: &Asked, wanted: &[&Method]) -> Result<ExitCode, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = asked.seed.unwrap_or(u64::from(now.subsec_nanos()) ^ now.as_secs());
    let target = path_in("DURABILITY_TARGET")?;
    let work = work_folder(&target)?;
    let template = Template::make(
        &path_in("DURABILITY_SCIMD")?,
        &path_in("DURABILITY_DRIVER")?,
        &path_in("DURABILITY_SHIM")?,
        &work,
    )?;
    let workers = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
    println!("seed {seed}, {workers} servers at once, in {}", work.display());
    let session = Session {
        seed,
        factor: if asked.nightly.is_some() { 5 } else { 1 },
        cycle: asked.cycle,
        template,
        work: work.clone(),
        kept: target.join("kept"),
        workers,
    };
    let end = asked.nightly.map(|length| Instant::now() + length);
    let mut rows: Vec<Row> = Vec::new();
    for round in 0.. {
        let session = Session { seed: seed.wrapping_add(round), ..session.clone() };
        for (place, method) in wanted.iter().enumerate() {
            println!("=== {}", method.name);
            let row = (method.run)(&session);
            match rows.get_mut(place) {
                Some(present) => present.absorb(row),
                None => rows.push(row),
            }
        }
        if end.is_none_or(|end| Instant::now() > end) {
            break;
        }
    }
    // What was found is kept elsewhere.
    let _ = std::fs::remove_dir_all(&work);
    report::print(&rows, seed);
    let path = target.join("report.json");
    let json = report::json(&rows, seed, &commit());
    std::fs::write(&path, format!("{json:#}\n")).map_err(|error| error.to_string())?;
    println!("the same for programs: {}", path.display());
    Ok(verdict(&rows))
}

/// 0 if all is green; 3 if nothing is worse than not measured; else 1.
fn verdict(rows: &[Row]) -> ExitCode {
    if rows.iter().all(|row| row.verdict.is_green()) {
        println!("GREEN");
        return ExitCode::SUCCESS;
    }
    let unmeasured = |row: &Row| matches!(row.verdict, Verdict::NotMeasured(_));
    if rows.iter().all(|row| row.verdict.is_green() || unmeasured(row)) {
        println!("NOT GREEN: not everything was measured");
        return ExitCode::from(3);
    }
    println!("RED");
    ExitCode::FAILURE
}

/// A folder in memory if there is room for it: nothing here depends on a real disk but what says so.
fn work_folder(target: &Path) -> Result<PathBuf, String> {
    let name = format!("scimd-durability-{}", std::process::id());
    let memory = Path::new("/dev/shm");
    let free = Command::new("df").args(["--output=avail", "-k"]).arg(memory).output().ok();
    let kib = free.and_then(|free| {
        String::from_utf8_lossy(&free.stdout).lines().nth(1)?.trim().parse::<u64>().ok()
    });
    let parent = if kib.is_some_and(|kib| kib > 1024 * 1024) { memory } else { target };
    let folder = parent.join(name);
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    folder.canonicalize().map_err(|error| error.to_string())
}

fn commit() -> String {
    let asked = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    asked.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
