//! Another SCIM server, filled and measured by what every server of the protocol should answer.
//!
//! The server runs already, with TLS and below `/scim/v2`. What it does not answer as the protocol wants is left
//! out, with the reason.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cases::{self, Case};
use crate::client::{Ask, Connection, Target};
use crate::load::{self, Run, Times};
use crate::measure::{askings, typical};
use crate::seed::{self, Users};
use crate::{process, report};

/// What is asked of each server, in this order: creates last, since they make the directory larger.
const CASES: [&str; 5] =
    [cases::RETRIEVE, cases::USER_NAME_EQ, cases::ANY_PAGE, cases::ACTIVE, cases::CREATE];
/// How many connections each case is measured with.
const CONNECTIONS: [usize; 2] = [1, 32];
/// How many connections fill the server: not every server has bulk requests.
const FILLING: usize = 8;

/// What to measure.
#[derive(clap::Args)]
pub struct Peer {
    /// The address of the server
    #[arg(long)]
    address: SocketAddr,
    /// The certificate that it shows, PEM
    #[arg(long)]
    certificate: PathBuf,
    /// The bearer token that it takes
    #[arg(long)]
    token: String,
    /// A process of the server, whose CPU time counts with that of its descendants; repeat for several
    #[arg(long, required = true)]
    pid: Vec<u32>,
    /// The number of users
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(200..=1_000_000))]
    users: u32,
    /// The seconds that each case is measured in each round
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// The number of rounds; medians are shown
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// The file to write the figures to as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Peer {
    /// Fills the server, measures all cases, prints a line for each.
    pub fn run(self) -> Result<()> {
        let target = Target::new(self.address, &self.certificate, &self.token)?;
        let users = fill(&target, self.users as usize)?;
        let filled = users.ids.len() as f64 / users.took.as_secs_f64();
        println!("{} users, {filled:.0} created a second", users.ids.len());
        let users = Arc::new(users);
        let mut all = cases::of_users(&users);
        all.push(cases::create(&users));
        let mut lines = Vec::new();
        for name in CASES {
            let case = all.iter().find(|case| case.name == name).context("a case is missing")?;
            for connections in CONNECTIONS {
                let outcome = check(&target, case)
                    .and_then(|()| self.measure(&target, case, connections))
                    .map_err(|error| format!("{error:#}"));
                println!("{}", text(name, connections, &outcome));
                lines.push(line(name, connections, &outcome));
            }
        }
        if let Some(path) = &self.json {
            let json = json!({
                "machine": report::machine(),
                "date": report::today(),
                "users": self.users,
                "rounds": self.rounds,
                "seconds": self.seconds,
                "filled_users_per_second": filled,
                "cases": lines,
            });
            fs::write(path, format!("{json:#}\n"))
                .with_context(|| format!("can't write {}", path.display()))?;
        }
        Ok(())
    }

    /// The medians of the rounds. The warm-up is a run of its own, so that no request that began before a round takes
    /// time in it: where each takes long, that would count.
    fn measure(&self, target: &Target, case: &Case, connections: usize) -> Result<Run> {
        let measured = Duration::from_secs_f64(self.seconds);
        let run = |measured| {
            let processor = || self.pid.iter().map(|pid| process::tree_time(*pid)).sum();
            let times = Times { warm_up: Duration::ZERO, measured };
            load::run_of(target, processor, askings(case, connections), times)
        };
        run(measured / 5)?;
        let runs: Vec<Run> = (0..self.rounds).map(|_| run(measured)).collect::<Result<_>>()?;
        Ok(typical(&runs))
    }
}

/// Creates users over several connections.
fn fill(target: &Target, users: usize) -> Result<Users> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let begun = Instant::now();
        let tasks: Vec<_> = (0..FILLING)
            .map(|first| tokio::spawn(create(target.clone(), (first..users).step_by(FILLING))))
            .collect();
        let mut ids = vec![String::new(); users];
        for task in tasks {
            for (number, id) in task.await?? {
                ids[number] = id;
            }
        }
        Ok(Users { ids, took: begun.elapsed() })
    })
}

/// Creates the users of these numbers one after the other.
async fn create(
    target: Target,
    numbers: impl Iterator<Item = usize>,
) -> Result<Vec<(usize, String)>> {
    let mut connection = Connection::open(&target).await?;
    let mut ids = Vec::new();
    for number in numbers {
        let ask = Ask::send(Method::POST, "/scim/v2/Users", seed::user(number).to_string());
        let created = connection.ask(ask).await?.json()?;
        let id = created["id"].as_str().context("a user without an id")?;
        ids.push((number, id.to_owned()));
    }
    Ok(ids)
}

/// Looks at the answers to two requests of a case. A PATCH may be answered without a body: what it did is read.
fn check(target: &Target, case: &Case) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = Connection::open(target).await?;
        let mut asking = (case.asking)();
        for _ in 0..2 {
            let ask = asking();
            let reply = connection.ask(ask.clone()).await?;
            if ask.method != Method::PATCH {
                ensure!((case.holds)(&reply.json()?), "the answer is not what was asked for");
                continue;
            }
            reply.success()?;
            let patch: Value = serde_json::from_slice(&ask.body)?;
            let read = connection.ask(Ask::get(ask.path)).await?.json()?;
            let wanted = &patch["Operations"][0]["value"];
            ensure!(read["active"] == *wanted, "the PATCH changed nothing");
        }
        Ok(())
    })
}

fn text(name: &str, connections: usize, outcome: &Result<Run, String>) -> String {
    let figures = match outcome {
        Ok(run) => format!(
            "{:>9.1} requests/s, p50 {:.2} ms, p99 {:.2} ms, CPU {:.0} us",
            run.requests_per_second,
            run.p50.as_secs_f64() * 1e3,
            run.p99.as_secs_f64() * 1e3,
            run.processor.as_secs_f64() * 1e6
        ),
        Err(reason) => format!("- ({reason})"),
    };
    format!("{name:<24} {connections:>3} {figures}")
}

fn line(name: &str, connections: usize, outcome: &Result<Run, String>) -> Value {
    let mut line = match outcome {
        Ok(run) => report::run(run),
        Err(reason) => json!({"reason": reason}),
    };
    line["name"] = json!(name);
    line["connections"] = json!(connections);
    line
}
