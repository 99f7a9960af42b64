//! One run: first boot, filling, every case, starts and ends.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::time::Instant;

use crate::cases::{self, Case};
use crate::client::{Connection, Reply};
use crate::load::{self, Run, Times};
use crate::process::{self, Memory};
use crate::scimd::Scimd;
use crate::seed;
use crate::{bare, journal};

/// How many connections each case is measured with.
const CONNECTIONS: [usize; 2] = [1, 32];
/// What takes longer alone is not measured with many connections: they would only wait for each other.
const TOO_SLOW_FOR_MANY: Duration = Duration::from_millis(100);

/// What is measured also with the server on a core of its own, and what is added to the names.
const PINNED: [&str; 2] = [cases::RETRIEVE, cases::USER_NAME_EQ];
pub const ON_ONE_CORE: &str = ", server on one core";

/// How long the files must have stayed as large as they are to be trimmed: the change feed looks once a minute.
const SETTLED: Duration = Duration::from_secs(75);

/// What the case of retrieves beside creates is called, and how many connections create.
const BESIDE: &str = "retrieve beside creates";
const CREATING: usize = 16;

/// What is wanted.
pub struct Options {
    pub scimd: PathBuf,
    pub dir: PathBuf,
    pub users: usize,
    pub time: Duration,
    pub rounds: usize,
    pub only: Option<String>,
}

/// What was found.
pub struct Results {
    pub users: usize,
    pub time: Duration,
    pub rounds: usize,
    /// How many users were created a second while filling.
    pub seed_rate: f64,
    pub cases: Vec<CaseResult>,
    /// From start to the first answer, after SIGTERM and after SIGKILL under load.
    pub start_after_stop: Duration,
    pub start_after_kill: Duration,
    /// Memory after filling, after a start, after all cases but creating, and after that.
    pub memory_filled: Memory,
    pub memory_started: Memory,
    pub memory_measured: Memory,
    pub memory_created: Memory,
    /// How many users there are at the end, when space is measured.
    pub users_at_end: u64,
    pub disk_journal: u64,
    pub disk_state: u64,
    pub disk_total: u64,
    /// The same once no more of the log is kept than is needed.
    pub disk_trimmed: u64,
    /// Changes and syncs while users were created with 32 connections.
    pub create_groups: journal::Groups,
    /// Creates a second, if the log alone were written in those groups; 0 if there were none.
    pub raw_log_rate: f64,
    /// The 99th percentile of a retrieve alone, and while others create users.
    pub beside_creates: Option<(Duration, Duration)>,
}

/// One case with so many connections.
pub struct CaseResult {
    pub name: String,
    pub connections: usize,
    pub answer_bytes: usize,
    pub scimd: Run,
    pub bare: Option<Run>,
    /// The median of the rounds' ratios of requests a second, scimd's to the bare server's.
    pub ratio: Option<f64>,
}

/// Measures.
pub fn run(options: &Options) -> Result<Results> {
    let mut scimd = Scimd::first_boot(&options.scimd, &options.dir)?;
    let results = measure(options, &mut scimd)?;
    // After a failure its log is worth reading.
    scimd.discard()?;
    Ok(results)
}

fn measure(options: &Options, scimd: &mut Scimd) -> Result<Results> {
    eprintln!("filling with {} users", options.users);
    let users = Arc::new(seed::users(&scimd.target()?, options.users)?);
    let memory_filled = process::memory(scimd.pid()?)?;
    let wanted = |name: &str| options.only.as_ref().is_none_or(|only| name.contains(only.as_str()));

    eprintln!("starting after a clean stop");
    let mut starts = Vec::new();
    for _ in 0..options.rounds {
        scimd.stop()?;
        starts.push(scimd.start()?);
    }
    let start_after_stop = median(&mut starts);
    let memory_started = process::memory(scimd.pid()?)?;

    let mut results = Vec::new();
    for case in cases::of_users(&users).iter().filter(|case| wanted(&case.name)) {
        measure_case(options, scimd, case, &mut results)?;
    }
    for case in cases::of_users(&users) {
        let name = format!("{}{ON_ONE_CORE}", case.name);
        if PINNED.contains(&case.name.as_str()) && wanted(&name) {
            on_one_core(options, scimd, &Case { name, ..case }, &mut results)?;
        }
    }
    let groups = seed::groups(&scimd.target()?, &users)?;
    for case in cases::of_groups(&users, &groups).iter().filter(|case| wanted(&case.name)) {
        measure_case(options, scimd, case, &mut results)?;
    }
    let memory_measured = process::memory(scimd.pid()?)?;

    eprintln!("starting after SIGKILL");
    let active = cases::of_users(&users).into_iter().find(|case| case.name == cases::ACTIVE);
    let active = active.context("there is no case that changes users")?;
    let mut starts = Vec::new();
    for _ in 0..options.rounds {
        let times = Times { warm_up: Duration::ZERO, measured: options.time };
        load::run(&scimd.target()?, scimd.pid()?, askings(&active, 32), times)?;
        scimd.kill()?;
        starts.push(scimd.start()?);
    }
    let start_after_kill = median(&mut starts);

    let journal = scimd.data().join("journal");
    let create = cases::create(&users);
    let beside_creates = match wanted(BESIDE) {
        true => Some(beside_creates(options, scimd, &users, &create)?),
        false => None,
    };
    let mut create_groups = journal::Groups::default();
    if wanted(&create.name) {
        let mut last = journal::groups_after(&journal, 0)?.last;
        for connections in CONNECTIONS {
            measure_with(options, scimd, &create, connections, &mut results)?;
            create_groups = journal::groups_after(&journal, last)?;
            last = create_groups.last;
        }
    }
    let raw_log_rate = match create_groups.groups {
        0 => 0.0,
        groups => {
            let bytes = (create_groups.bytes / groups) as usize;
            let rate = journal::raw_groups_per_second(&options.dir, bytes, options.time)?;
            rate * create_groups.changes as f64 / groups as f64
        }
    };
    let memory_created = process::memory(scimd.pid()?)?;
    let users_at_end = total_users(scimd)?;
    let (disk_journal, disk_state) =
        (process::disk(&journal)?, process::disk(&scimd.data().join("state"))?);
    let disk_total = process::disk(&scimd.data())?;
    let disk_trimmed = trimmed(scimd, &users)?;
    Ok(Results {
        users: options.users,
        time: options.time,
        rounds: options.rounds,
        seed_rate: options.users as f64 / users.took.as_secs_f64(),
        cases: results,
        start_after_stop,
        start_after_kill,
        memory_filled,
        memory_started,
        memory_measured,
        memory_created,
        users_at_end,
        disk_journal,
        disk_state,
        disk_total,
        disk_trimmed,
        create_groups,
        raw_log_rate,
        beside_creates,
    })
}

/// The 99th percentile of a retrieve on one connection, alone and while 16 connections create users; medians of the
/// rounds.
fn beside_creates(
    options: &Options,
    scimd: &Scimd,
    users: &Arc<seed::Users>,
    create: &Case,
) -> Result<(Duration, Duration)> {
    eprintln!("{BESIDE}");
    let cases = cases::of_users(users);
    let retrieve = cases.iter().find(|case| case.name == cases::RETRIEVE);
    let retrieve = retrieve.context("there is no case that retrieves users")?;
    let (target, pid) = (scimd.target()?, scimd.pid()?);
    let times = Times { warm_up: options.time / 5, measured: options.time };
    let p99 = || Ok::<_, anyhow::Error>(load::run(&target, pid, askings(retrieve, 1), times)?.p99);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        alone.push(p99()?);
        let creating = askings(create, CREATING);
        // Begins before and ends after what is measured beside it.
        let longer = Times { warm_up: Duration::ZERO, measured: options.time * 2 };
        beside.push(std::thread::scope(|scope| {
            let creates = scope.spawn(|| load::run(&target, pid, creating, longer));
            let measured = p99();
            creates.join().map_err(|_| anyhow::anyhow!("the thread that creates panicked"))??;
            measured
        })?);
    }
    Ok((median(&mut alone), median(&mut beside)))
}

/// A case with one connection, and with many unless it is slow.
fn measure_case(
    options: &Options,
    scimd: &Scimd,
    case: &Case,
    results: &mut Vec<CaseResult>,
) -> Result<()> {
    for connections in CONNECTIONS {
        let slow = results
            .last()
            .is_some_and(|alone| alone.name == case.name && alone.scimd.p50 > TOO_SLOW_FOR_MANY);
        if !slow {
            measure_with(options, scimd, case, connections, results)?;
        }
    }
    Ok(())
}

/// A case with the server on the first core and the load on the others; left out where there is one alone.
fn on_one_core(
    options: &Options,
    scimd: &Scimd,
    case: &Case,
    results: &mut Vec<CaseResult>,
) -> Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    if cores == 1 {
        return Ok(());
    }
    let all = format!("0-{}", cores - 1);
    process::pin(scimd.pid()?, "0")?;
    let measured = measure_with(options, scimd, case, CONNECTIONS[1], results);
    process::pin(std::process::id(), &all)?;
    process::pin(scimd.pid()?, &all)?;
    measured
}

/// A case in rounds, in each of which both servers are measured one after the other.
fn measure_with(
    options: &Options,
    scimd: &Scimd,
    case: &Case,
    connections: usize,
    results: &mut Vec<CaseResult>,
) -> Result<()> {
    eprintln!("{}, {connections} connections", case.name);
    let (target, sample) = (scimd.target()?, sample(scimd, case)?);
    let client = (case.client)(&target);
    let bare = case
        .compared
        .then(|| bare::Running::start(scimd.certificate(), scimd.key(), sample.body.len()))
        .transpose()?;
    if let Some(bare) = bare.as_ref().filter(|_| case.name.ends_with(ON_ONE_CORE)) {
        // It was started on all cores, so that it has as many threads as scimd.
        process::pin(bare.pid(), "0")?;
        let cores = std::thread::available_parallelism()?.get();
        process::pin(std::process::id(), &format!("1-{}", cores - 1))?;
    }
    let times = Times { warm_up: options.time / 5, measured: options.time };
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        if let Some(bare) = &bare {
            let target = (case.client)(&target.at(bare.address));
            theirs.push(load::run(&target, bare.pid(), askings(case, connections), times)?);
        }
        let run = load::run(&client, scimd.pid()?, askings(case, connections), times)?;
        ours.push(run);
        if let Some(bare) = theirs.last() {
            ratios.push(run.requests_per_second / bare.requests_per_second);
        }
    }
    results.push(CaseResult {
        name: case.name.clone(),
        connections,
        answer_bytes: sample.body.len(),
        scimd: typical(&ours),
        bare: bare.map(|_| typical(&theirs)),
        ratio: (!ratios.is_empty()).then(|| median_by(&mut ratios, f64::total_cmp)),
    });
    Ok(())
}

/// One answer, looked at: errors or empty lists are not worth measuring.
fn sample(scimd: &Scimd, case: &Case) -> Result<Reply> {
    let target = scimd.target()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ask = (case.asking)()();
    let reply = runtime.block_on(async { Connection::open(&target).await?.ask(ask).await })?;
    ensure!((case.holds)(&reply.json()?), "{}: the answer is not what was asked for", case.name);
    Ok(reply)
}

/// The bytes on disk once no more of the log is kept than is needed: it is as if the clock had moved on by as long as it
/// is kept.
fn trimmed(scimd: &mut Scimd, users: &Arc<seed::Users>) -> Result<u64> {
    eprintln!("keeping little of the log");
    scimd.stop()?;
    scimd.keep_little()?;
    scimd.start()?;
    let active = cases::of_users(users).into_iter().find(|case| case.name == cases::ACTIVE);
    let active = active.context("there is no case that changes users")?;
    let (mut least, mut since) = (u64::MAX, Instant::now());
    while since.elapsed() < SETTLED {
        // Without a change there is no snapshot.
        let times = Times { warm_up: Duration::ZERO, measured: Duration::from_millis(100) };
        load::run(&scimd.target()?, scimd.pid()?, askings(&active, 1), times)?;
        std::thread::sleep(Duration::from_secs(1));
        // Snapshots are added meanwhile, until there are as many as are kept.
        let bytes = process::disk(&scimd.data().join("journal"))?
            + process::disk(&scimd.data().join("feed"))?;
        if bytes < least {
            (least, since) = (bytes, Instant::now());
        }
    }
    process::disk(&scimd.data())
}

fn total_users(scimd: &Scimd) -> Result<u64> {
    let target = scimd.target()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ask = crate::client::Ask::get("/scim/v2/Users?count=0");
    let reply = runtime.block_on(async { Connection::open(&target).await?.ask(ask).await })?;
    reply.json()?["totalResults"].as_u64().context("a list without a total")
}

/// What each connection of a case asks.
pub fn askings(case: &Case, connections: usize) -> Vec<load::Asking> {
    (0..connections).map(|_| (case.asking)()).collect()
}

/// The median of each figure.
pub fn typical(runs: &[Run]) -> Run {
    let time = |of: fn(&Run) -> Duration| median(&mut runs.iter().map(of).collect::<Vec<_>>());
    let mut rates: Vec<f64> = runs.iter().map(|run| run.requests_per_second).collect();
    Run {
        requests: runs.iter().map(|run| run.requests).sum(),
        requests_per_second: median_by(&mut rates, f64::total_cmp),
        p50: time(|run| run.p50),
        p99: time(|run| run.p99),
        processor: time(|run| run.processor),
    }
}

fn median(values: &mut [Duration]) -> Duration {
    median_by(values, Duration::cmp)
}

fn median_by<T: Copy>(values: &mut [T], compare: fn(&T, &T) -> std::cmp::Ordering) -> T {
    values.sort_by(compare);
    values[values.len() / 2]
}
