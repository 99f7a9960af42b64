//! Half an hour of everything at once: what a server holds must not grow while its directory does not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use tokio::time::{Instant, interval_at, sleep_until};

use crate::cases;
use crate::client::{Ask, Connection, Target};
use crate::load::Asking;
use crate::process;
use crate::random::Random;
use crate::scimd::Scimd;
use crate::seed;

/// How many connections ask, each after the other's pace.
const CONNECTIONS: usize = 16;
/// How often a connection is closed and opened again: after so many requests.
const REQUESTS_PER_CONNECTION: usize = 500;

/// What is wanted.
pub struct Options {
    pub scimd: std::path::PathBuf,
    pub dir: std::path::PathBuf,
    pub users: usize,
    pub minutes: u64,
    /// Requests a second, of all connections together.
    pub rate: u32,
}

/// Times of the requests since they were last told.
#[derive(Default)]
struct Heard {
    latencies: Mutex<Vec<Duration>>,
    requests: AtomicUsize,
}

/// Puts a mixed load on scimd and prints each minute what it holds.
pub fn run(options: &Options) -> Result<()> {
    let mut scimd = Scimd::first_boot(&options.scimd, &options.dir)?;
    let outcome = soak(options, &mut scimd);
    match outcome {
        // After a failure its log is worth reading.
        Ok(()) => scimd.discard(),
        Err(error) => Err(error),
    }
}

fn soak(options: &Options, scimd: &mut Scimd) -> Result<()> {
    eprintln!("filling with {} users", options.users);
    let target = scimd.target()?;
    let users = Arc::new(seed::users(&target, options.users)?);
    let groups = seed::groups(&target, &users)?;
    println!(
        "{} users, {CONNECTIONS} connections, {} requests a second for {} minutes",
        options.users, options.rate, options.minutes
    );
    println!(
        "{:>6} {:>9} {:>8} {:>8} {:>9} {:>11} {:>8} {:>12} {:>10}",
        "minute",
        "requests",
        "p50 ms",
        "p99 ms",
        "RSS MiB",
        "descriptors",
        "threads",
        "journal MiB",
        "state MiB"
    );
    let heard = Arc::new(Heard::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let begun = Instant::now();
        let until = begun + Duration::from_secs(60 * options.minutes);
        let pause = Duration::from_secs(1) * CONNECTIONS as u32 / options.rate;
        let next = Arc::new(AtomicUsize::new(options.users));
        let mut clients = Vec::new();
        for number in 0..CONNECTIONS {
            let cases =
                cases::of_users(&users).into_iter().chain(cases::of_groups(&users, &groups));
            let askings = cases
                .filter(|case| ![cases::CONTAINS, cases::GROUPS].contains(&case.name.as_str()))
                .filter(|case| !case.name.ends_with("all shown"))
                .map(|case| (case.asking)())
                .collect();
            let client = Client {
                target: target.clone(),
                askings,
                random: Random::another(),
                next: Arc::clone(&next),
                heard: Arc::clone(&heard),
            };
            let first = begun + pause * number as u32 / CONNECTIONS as u32;
            clients.push(tokio::spawn(client.work(first, pause, until)));
        }
        let minute = Duration::from_secs(60);
        let mut ticks = interval_at(begun + minute, minute);
        for number in 1..=options.minutes {
            ticks.tick().await;
            print_minute(number, scimd, &heard)?;
            ensure!(
                !clients.iter().any(|client| client.is_finished()) || number == options.minutes,
                "a client has stopped before its time"
            );
        }
        for client in clients {
            client.await??;
        }
        Ok(())
    })
}

fn print_minute(number: u64, scimd: &Scimd, heard: &Heard) -> Result<()> {
    let mut latencies =
        std::mem::take(&mut *heard.latencies.lock().unwrap_or_else(PoisonError::into_inner));
    latencies.sort_unstable();
    let at = |share: f64| {
        let place = (latencies.len() as f64 * share) as usize;
        latencies.get(place).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
    };
    let pid = scimd.pid()?;
    let mib = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
    println!(
        "{number:>6} {:>9} {:>8.2} {:>8.2} {:>9.1} {:>11} {:>8} {:>12.1} {:>10.1}",
        heard.requests.load(Ordering::Relaxed),
        at(0.5),
        at(0.99),
        mib(process::memory(pid)?.resident),
        process::entries(pid, "fd")?,
        process::entries(pid, "task")?,
        mib(process::disk(&scimd.data().join("journal"))?),
        mib(process::disk(&scimd.data().join("state"))?),
    );
    Ok(())
}

/// One connection and what it asks.
struct Client {
    target: Target,
    askings: Vec<Asking>,
    random: Random,
    /// The number of the next user that is created.
    next: Arc<AtomicUsize>,
    heard: Arc<Heard>,
}

impl Client {
    /// Asks at its pace until the time is over.
    async fn work(mut self, first: Instant, pause: Duration, until: Instant) -> Result<()> {
        let mut connection = Connection::open(&self.target).await?;
        let (mut due, mut asked) = (first, 0);
        while due < until {
            sleep_until(due).await;
            due = (due + pause).max(Instant::now());
            let turn = self.random.below(self.askings.len() + 1);
            let ask = match self.askings.get_mut(turn) {
                Some(asking) => asking(),
                None => self.come_and_go(&mut connection).await?,
            };
            self.ask(&mut connection, ask).await?;
            asked += 1;
            if asked % REQUESTS_PER_CONNECTION == 0 {
                connection = Connection::open(&self.target).await?;
            }
        }
        Ok(())
    }

    /// Creates a user; what deletes it again. The directory stays as large as it is.
    async fn come_and_go(&mut self, connection: &mut Connection) -> Result<Ask> {
        let user = seed::user(self.next.fetch_add(1, Ordering::Relaxed));
        let ask = Ask::send(Method::POST, "/scim/v2/Users", user.to_string());
        let created = self.ask(connection, ask).await?;
        let id = created["id"].as_str().context("a user without an id")?;
        Ok(Ask::send(Method::DELETE, format!("/scim/v2/Users/{id}"), ""))
    }

    async fn ask(&mut self, connection: &mut Connection, ask: Ask) -> Result<serde_json::Value> {
        let begun = Instant::now();
        let reply = connection.ask(ask).await?;
        let took = begun.elapsed();
        reply.success()?;
        self.heard.requests.fetch_add(1, Ordering::Relaxed);
        self.heard.latencies.lock().unwrap_or_else(PoisonError::into_inner).push(took);
        Ok(serde_json::from_slice(&reply.body).unwrap_or_default())
    }
}
