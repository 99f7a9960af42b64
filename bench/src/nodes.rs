//! Several nodes on a PostgreSQL of this machine, against a server with local files, in one run.
//!
//! In each round the local server and the nodes answer the same kind of requests one after the other, and the ratio
//! of the rates is kept. All share the processors of this machine: nodes, PostgreSQL, standby and load.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::cases::{self, CREATE, Case, RETRIEVE, USER_NAME_EQ};
use crate::client::Connection;
use crate::load::{self, Run, Times};
use crate::pair::median;
use crate::postgres::Postgres;
use crate::report;
use crate::scimd::Scimd;
use crate::seed;

/// What is promised of one node, as shares of the rate of the local server.
const CREATES: f64 = 0.40;
const READS_LOCAL: f64 = 0.97;
const READS_LATEST: f64 = 0.60;

/// What to measure.
#[derive(clap::Args)]
pub struct Nodes {
    /// The scimd binary
    #[arg(long)]
    scimd: PathBuf,
    /// The folder for the data folders, on the disk to measure
    #[arg(long)]
    dir: PathBuf,
    /// The number of users
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(200..=1_000_000))]
    users: u32,
    /// The largest number of nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=8))]
    nodes: u32,
    /// Have a synchronous standby on this machine too
    #[arg(long)]
    standby: bool,
    /// The number of connections to each server
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=64))]
    connections: u32,
    /// The seconds that each side is measured in each round
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// The number of rounds; medians are shown
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// The file to write the figures to as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What all is measured with.
struct Bench {
    local: Scimd,
    local_cases: Vec<Case>,
    nodes: Vec<Scimd>,
    cases: Vec<Case>,
    options: Nodes,
}

/// One line of the table.
struct Line {
    name: String,
    reads: &'static str,
    local: Run,
    /// Of each node.
    rates: Vec<f64>,
    p50: Duration,
    p99: Duration,
    /// The median of the ratios of the rounds.
    ratio: f64,
}

impl Nodes {
    /// Fills both, measures all cases, prints the table.
    pub fn run(self) -> Result<()> {
        let postgres = Postgres::start(&self.dir, self.standby)?;
        let url_file = std::path::absolute(self.dir.join("nodes-url"))?;
        fs::write(&url_file, postgres.url())?;
        fs::set_permissions(&url_file, fs::Permissions::from_mode(0o600))?;
        let store = format!(
            "\n[store]\nengine = \"postgres\"\nurl_file = \"{}\"\nreads = \"latest\"\n",
            url_file.display()
        );
        let users = self.users as usize;
        eprintln!("filling the local server with {users} users");
        let local = Scimd::first_boot(&self.scimd, &self.dir.join("local"))?;
        let local_cases = filled(&local, users)?;
        eprintln!("filling the database with {users} users");
        let first = Scimd::first_boot_with(&self.scimd, &self.dir.join("node1"), &store)?;
        let cases = filled(&first, users)?;
        let mut bench = Bench { local, local_cases, nodes: vec![first], cases, options: self };
        let lines = bench.measure(&store)?;
        if let Some(path) = &bench.options.json {
            let lines: Vec<Value> = lines.iter().map(Line::json).collect();
            let json = json!({
                "machine": report::machine(),
                "date": report::today(),
                "users": users,
                "standby": bench.options.standby,
                "connections": bench.options.connections,
                "rounds": bench.options.rounds,
                "seconds": bench.options.seconds,
                "cases": lines,
            });
            fs::write(path, format!("{json:#}\n"))?;
        }
        // After a failure their logs are worth reading.
        bench.local.discard()?;
        bench.nodes.into_iter().try_for_each(Scimd::discard)?;
        fs::remove_file(url_file)?;
        postgres.discard()
    }
}

/// Fills a server; what is asked of it.
fn filled(server: &Scimd, users: usize) -> Result<Vec<Case>> {
    let users = Arc::new(seed::users(&server.target()?, users)?);
    let mut cases = cases::of_users(&users);
    cases.retain(|case| [RETRIEVE, USER_NAME_EQ].contains(&case.name.as_str()));
    cases.push(cases::create(&users));
    Ok(cases)
}

impl Bench {
    fn measure(&mut self, store: &str) -> Result<Vec<Line>> {
        let standby = if self.options.standby { "with a synchronous standby" } else { "alone" };
        println!(
            "\n{} users; {} connections to each server; PostgreSQL {standby}; {}; {}\n",
            self.options.users,
            self.options.connections,
            report::machine(),
            report::today()
        );
        println!(
            "{:<16} {:<7} {:>5} | {:>9} | {:>9} {:<26} {:>8} {:>8} | ratio",
            "case", "reads", "nodes", "local", "in sum", "each", "p50 ms", "p99 ms"
        );
        let mut lines = Vec::new();
        for count in 1..=self.options.nodes as usize {
            if count > self.nodes.len() {
                let folder = self.options.dir.join(format!("node{count}"));
                let first = self.nodes.first().context("there is no node")?;
                self.nodes.push(Scimd::join(&self.options.scimd, &folder, store, first)?);
            }
            for reads in ["latest", "local"] {
                for node in &mut self.nodes {
                    node.stop()?;
                    node.set_reads(reads)?;
                    node.start()?;
                }
                for number in 0..self.cases.len() {
                    // The setting is of no importance to changes.
                    if reads == "local" && self.cases[number].name == CREATE {
                        continue;
                    }
                    let line = self.line(number, reads)?;
                    println!("{}", line.row());
                    lines.push(line);
                }
            }
        }
        Ok(lines)
    }

    fn line(&self, number: usize, reads: &'static str) -> Result<Line> {
        let (local_case, case) = (&self.local_cases[number], &self.cases[number]);
        for (server, case) in
            self.nodes.iter().map(|node| (node, case)).chain([(&self.local, local_case)])
        {
            check(server, case)?;
        }
        let (mut locals, mut all, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..self.options.rounds {
            let mut local = None;
            // Which one begins changes with each round.
            if round % 2 == 0 {
                local = Some(self.load(&[&self.local], local_case)?);
            }
            let nodes: Vec<&Scimd> = self.nodes.iter().collect();
            let runs = self.load(&nodes, case)?;
            let local = match local {
                Some(local) => local,
                None => self.load(&[&self.local], local_case)?,
            };
            let local = *local.first().context("the local server was not measured")?;
            let sum: f64 = runs.iter().map(|run| run.requests_per_second).sum();
            ratios.push(sum / local.requests_per_second);
            locals.push(local);
            all.push(runs);
        }
        let of = |figure: &dyn Fn(&Run) -> f64, node: usize| {
            median(&mut all.iter().map(|runs| figure(&runs[node])).collect::<Vec<_>>())
        };
        let nodes = 0..self.nodes.len();
        let slowest = |figure: &dyn Fn(&Run) -> f64| {
            nodes.clone().map(|node| of(figure, node)).fold(0.0, f64::max)
        };
        locals.sort_by(|a, b| a.requests_per_second.total_cmp(&b.requests_per_second));
        Ok(Line {
            name: case.name.clone(),
            reads,
            local: locals[locals.len() / 2],
            rates: nodes.clone().map(|node| of(&|run| run.requests_per_second, node)).collect(),
            p50: Duration::from_secs_f64(slowest(&|run| run.p50.as_secs_f64())),
            p99: Duration::from_secs_f64(slowest(&|run| run.p99.as_secs_f64())),
            ratio: median(&mut ratios),
        })
    }

    /// Has all these servers answer at the same time.
    fn load(&self, servers: &[&Scimd], case: &Case) -> Result<Vec<Run>> {
        let measured = Duration::from_secs_f64(self.options.seconds);
        let times = Times { warm_up: measured / 5, measured };
        let mut jobs = Vec::new();
        for server in servers {
            let askings = (0..self.options.connections).map(|_| (case.asking)()).collect();
            jobs.push((server.target()?, server.pid()?, askings));
        }
        std::thread::scope(|scope| {
            let threads: Vec<_> = jobs
                .into_iter()
                .map(|(target, pid, askings)| {
                    scope.spawn(move || load::run(&target, pid, askings, times))
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| {
                    thread.join().map_err(|_| anyhow::anyhow!("a load thread panicked"))?
                })
                .collect()
        })
    }
}

/// One answer, looked at: nobody measures errors or empty lists.
fn check(server: &Scimd, case: &Case) -> Result<()> {
    let target = server.target()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ask = (case.asking)()();
    let reply = runtime.block_on(async { Connection::open(&target).await?.ask(ask).await })?;
    ensure!((case.holds)(&reply.json()?), "{}: the answer is not what was asked for", case.name);
    Ok(())
}

impl Line {
    /// What is promised of this case, if anything is.
    fn wanted(&self) -> Option<f64> {
        match (self.name.as_str(), self.reads) {
            _ if self.rates.len() > 1 => None,
            (CREATE, _) => Some(CREATES),
            (_, "local") => Some(READS_LOCAL),
            _ => Some(READS_LATEST),
        }
    }

    fn row(&self) -> String {
        let each: Vec<String> = self.rates.iter().map(|rate| format!("{rate:.0}")).collect();
        let verdict = match self.wanted() {
            Some(wanted) if self.ratio >= wanted => format!(", at least {wanted:.2}: met"),
            Some(wanted) => format!(", at least {wanted:.2}: NOT MET"),
            None => String::new(),
        };
        format!(
            "{:<16} {:<7} {:>5} | {:>9.0} | {:>9.0} {:<26} {:>8.2} {:>8.2} | {:.2}{verdict}",
            self.name,
            self.reads,
            self.rates.len(),
            self.local.requests_per_second,
            self.rates.iter().sum::<f64>(),
            each.join(" + "),
            self.p50.as_secs_f64() * 1e3,
            self.p99.as_secs_f64() * 1e3,
            self.ratio
        )
    }

    fn json(&self) -> Value {
        json!({
            "case": self.name,
            "reads": self.reads,
            "nodes": self.rates.len(),
            "local_requests_per_second": self.local.requests_per_second,
            "local_p50_ms": self.local.p50.as_secs_f64() * 1e3,
            "requests_per_second_of_each": self.rates,
            "p50_ms": self.p50.as_secs_f64() * 1e3,
            "p99_ms": self.p99.as_secs_f64() * 1e3,
            "ratio": self.ratio,
            "wanted": self.wanted(),
        })
    }
}
