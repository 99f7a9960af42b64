//! The change feed: how soon a change is delivered, what consumers cost, how fast the feed is read.
//!
//! A delivery is timed from the moment that the event names, which is before the change is written to disk, to the moment
//! at which the consumer has the page with it, by one clock.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, ensure};
use hyper::Method;
use tokio::time::{Instant, sleep_until};

use crate::client::{Ask, Connection, Target};
use crate::process;
use crate::scimd::Scimd;
use crate::seed;

/// How many connections create users.
const CREATORS: usize = 32;
/// Creates a second while the cost of consumers is measured, and how many there are.
const RATE: f64 = 1_000.0;
const CONSUMERS: usize = 10;
const IDLE: usize = 100;
/// An application may have 64 consumers that wait.
const APPLICATIONS: [&str; 2] = ["first", "second"];
/// The threads that do the same whether there are consumers or not. What they take differs by more from run to run than
/// consumers cost.
const UNSHARED: [&str; 4] = ["writer", "sled", "log", "request-log"];
/// How long consumers may take to connect.
const PATIENCE: Duration = Duration::from_secs(60);
const MILLISECONDS_OF_DAY: u64 = 24 * 60 * 60 * 1_000;

#[derive(clap::Args)]
pub struct Feed {
    /// The scimd binary
    #[arg(long)]
    scimd: PathBuf,
    /// Where the data folder is made
    #[arg(long)]
    dir: PathBuf,
    /// How many users are created before the feed is read from the start
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    users: u32,
    /// How long each case is measured, in each round
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// How many times each case is measured; the medians are shown
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Only this part
    #[arg(long, value_enum)]
    only: Option<Part>,
}

/// A part of what is measured.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Reading,
    Delivery,
    Cost,
}

/// What is measured with.
struct Bench {
    scimd: Scimd,
    targets: Vec<Target>,
    /// The number of the next user.
    next: Arc<AtomicUsize>,
    time: Duration,
}

/// What consumers do while users are created.
#[derive(Clone, Copy)]
enum Consumers {
    None,
    /// The consumers that follow everything.
    Following(usize),
    /// The consumers that wait for events that do not happen.
    Waiting(usize),
}

/// What came of creating users.
struct Created {
    per_second: f64,
    /// Processor time of the server for each, of all its threads, and of those whose work depends on consumers.
    processor: Duration,
    shared: Duration,
    /// How long each event was under way to the consumers, in milliseconds.
    latencies: Vec<u64>,
}

impl Feed {
    pub fn run(self) -> Result<()> {
        let mut more = String::from("\n[limits]\nmax_connections_per_address = 500\n");
        for name in APPLICATIONS {
            more.push_str(&format!("\n[applications.{name}]\nscopes = [\"events\"]\n"));
        }
        let scimd = Scimd::first_boot_with(&self.scimd, &self.dir, &more)?;
        let target = scimd.target()?;
        let tokens = APPLICATIONS.iter().map(|name| scimd.application_token(name));
        let targets = tokens.map(|token| target.with_token(&token?)).collect::<Result<_>>()?;
        let time = Duration::from_secs_f64(self.seconds);
        let mut bench = Bench { scimd, targets, next: Arc::default(), time };
        bench.measure(self.users as usize, self.rounds as usize, self.only)?;
        // After a failure its log is worth reading.
        bench.scimd.discard()
    }
}

impl Bench {
    fn measure(&mut self, users: usize, rounds: usize, only: Option<Part>) -> Result<()> {
        let is_wanted = |part| only.is_none_or(|only| only == part);
        eprintln!("filling with {users} users");
        seed::users(&self.scimd.target()?, users)?;
        self.next.store(users, Ordering::Relaxed);
        println!("| case | found | target | |\n| --- | --- | --- | --- |");
        if is_wanted(Part::Reading) {
            self.reading(rounds)?;
        }
        if is_wanted(Part::Delivery) {
            self.deliveries(rounds)?;
        }
        if is_wanted(Part::Cost) {
            self.costs(rounds)?;
        }
        Ok(())
    }

    /// Reading the feed from the start.
    fn reading(&self, rounds: usize) -> Result<()> {
        eprintln!("reading the feed from the start");
        let mut rates = (0..rounds).map(|_| self.read_all()).collect::<Result<Vec<f64>>>()?;
        let rate = median(&mut rates);
        row(
            "reading from the start, one consumer",
            &format!("{rate:.0} events/s"),
            "at least 100000",
            rate >= 100_000.0,
        );
        Ok(())
    }

    /// How long events are under way.
    fn deliveries(&self, rounds: usize) -> Result<()> {
        eprintln!("delivery");
        let mut full = self.delivery(None, rounds)?;
        let (p50, p99) =
            (percentile(&mut full.latencies, 0.5), percentile(&mut full.latencies, 0.99));
        let found = format!("{:.0} creates/s, p50 {p50} ms, p99 {p99} ms", full.per_second);
        row("delivery at the full create rate", &found, "p99 below 100 ms", p99 < 100);
        let mut half = self.delivery(Some(full.per_second / 2.0), rounds)?;
        let (p50, p99) =
            (percentile(&mut half.latencies, 0.5), percentile(&mut half.latencies, 0.99));
        let found = format!("{:.0} creates/s, p50 {p50} ms, p99 {p99} ms", half.per_second);
        row("delivery at half of that", &found, "p99 below 20 ms", p99 < 20);
        Ok(())
    }

    /// Processor time for each create, with consumers and without, in turn.
    fn costs(&self, rounds: usize) -> Result<()> {
        eprintln!("cost of consumers");
        let cases = [Consumers::None, Consumers::Following(CONSUMERS), Consumers::Waiting(IDLE)];
        let mut costs: [Vec<f64>; 3] = Default::default();
        let mut wholes = Vec::new();
        for _ in 0..rounds {
            for (case, costs) in cases.into_iter().zip(&mut costs) {
                let created = self.create(Some(RATE), case)?;
                costs.push(created.shared.as_secs_f64() * 1e6);
                if matches!(case, Consumers::None) {
                    wholes.push(created.processor.as_secs_f64() * 1e6);
                }
            }
        }
        let ([least, following, waiting], none) =
            (costs.map(|mut costs| median(&mut costs)), median(&mut wholes));
        let share = |with: f64| 100.0 * (with - least) / none;
        println!("| CPU for each create at 1,000 a second, no consumer | {none:.0} us | | |");
        let line = |case: &str, cost: f64, most: f64| {
            let found = format!("{:+.0} us, {:+.1} %", cost - least, share(cost));
            row(case, &found, &format!("below {most:.0} % more"), share(cost) < most);
        };
        line("the same with 10 consumers that follow everything", following, 10.0);
        line("the same with 100 long polls for events that do not happen", waiting, 2.0);
        let stop = Arc::new(AtomicBool::new(false));
        let idle = self.consume(Consumers::Waiting(IDLE), &stop)?;
        let before = process::processor_time(self.scimd.pid()?)?;
        std::thread::sleep(self.time);
        let spent = process::processor_time(self.scimd.pid()?)? - before;
        stop.store(true, Ordering::SeqCst);
        idle.join().map_err(|_| anyhow!("a consumer panicked"))??;
        let share = 100.0 * spent.as_secs_f64() / self.time.as_secs_f64();
        row(
            "100 long polls, no changes",
            &format!("{share:.1} % of a core"),
            "below 2 %",
            share < 2.0,
        );
        Ok(())
    }

    /// Creates with one consumer that follows by long polls; rates and costs are medians of the rounds.
    fn delivery(&self, rate: Option<f64>, rounds: usize) -> Result<Created> {
        let runs = (0..rounds).map(|_| self.create(rate, Consumers::Following(1)));
        let runs = runs.collect::<Result<Vec<Created>>>()?;
        let mut rates: Vec<f64> = runs.iter().map(|run| run.per_second).collect();
        let mut costs: Vec<f64> = runs.iter().map(|run| run.processor.as_secs_f64()).collect();
        Ok(Created {
            per_second: median(&mut rates),
            processor: Duration::from_secs_f64(median(&mut costs)),
            shared: Duration::ZERO,
            latencies: runs.into_iter().flat_map(|run| run.latencies).collect(),
        })
    }

    /// Creates users at a rate, or as fast as may be, beside consumers.
    fn create(&self, rate: Option<f64>, consumers: Consumers) -> Result<Created> {
        let stop = Arc::new(AtomicBool::new(false));
        let consuming = self.consume(consumers, &stop)?;
        let (target, pid) = (self.scimd.target()?, self.scimd.pid()?);
        let before = process::processor_time(pid)?;
        let unshared_before = process::thread_time(pid, &UNSHARED)?;
        let begun = Instant::now();
        let pause = rate.map(|rate| Duration::from_secs_f64(CREATORS as f64 / rate));
        let created = create(&target, &self.next, pause, self.time)?;
        let elapsed = begun.elapsed();
        // What the last creates cost the feed and its consumers belongs to them.
        std::thread::sleep(Duration::from_millis(100));
        let spent = process::processor_time(pid)? - before;
        let unshared = process::thread_time(pid, &UNSHARED)?.saturating_sub(unshared_before);
        stop.store(true, Ordering::SeqCst);
        let latencies = consuming.join().map_err(|_| anyhow!("a consumer panicked"))??;
        ensure!(created > 0, "no user was created in time");
        Ok(Created {
            per_second: created as f64 / elapsed.as_secs_f64(),
            processor: spent.div_f64(created as f64),
            shared: spent.saturating_sub(unshared).div_f64(created as f64),
            latencies,
        })
    }

    /// Starts consumers on a thread of their own, and waits until each has connected and sent its first poll: that is not
    /// measured. They end once all is read after `stop` is set.
    fn consume(
        &self,
        consumers: Consumers,
        stop: &Arc<AtomicBool>,
    ) -> Result<std::thread::JoinHandle<Result<Vec<u64>>>> {
        let (count, wait, filter) = match consumers {
            Consumers::None => (0, 1, ""),
            Consumers::Following(count) => (count, 1, ""),
            Consumers::Waiting(count) => (count, 60, "&types=group.deleted"),
        };
        let (targets, stop) = (self.targets.clone(), Arc::clone(stop));
        let (ready, begun) = (Arc::<AtomicUsize>::default(), Instant::now());
        let polling = Arc::clone(&ready);
        let consuming = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let following: Vec<_> = (0..count)
                    .map(|number| {
                        let target = targets[number % targets.len()].clone();
                        tokio::spawn(follow(
                            target,
                            wait,
                            filter,
                            Arc::clone(&stop),
                            Arc::clone(&polling),
                        ))
                    })
                    .collect();
                if matches!(consumers, Consumers::Waiting(_)) {
                    while !stop.load(Ordering::SeqCst) {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    // They end with their connections.
                    return Ok(Vec::new());
                }
                let mut latencies = Vec::new();
                for one in following {
                    latencies.append(&mut one.await??);
                }
                Ok(latencies)
            })
        });
        while ready.load(Ordering::SeqCst) < count && !consuming.is_finished() {
            ensure!(begun.elapsed() < PATIENCE, "consumers can't connect");
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(300));
        Ok(consuming)
    }

    /// Reads everything with one consumer; events a second.
    fn read_all(&self) -> Result<f64> {
        let target = self.targets.first().context("there is no application")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut connection = Connection::open(target).await?;
            let (begun, mut events, mut after) = (Instant::now(), 0, String::new());
            loop {
                let page = connection.ask(Ask::get(format!("/events?limit=1000{after}"))).await?;
                page.success()?;
                let text = std::str::from_utf8(&page.body)?;
                let count = times(text).count();
                if count == 0 {
                    break;
                }
                events += count;
                after = format!("&after={}", field(text, "next")?);
            }
            Ok(events as f64 / begun.elapsed().as_secs_f64())
        })
    }
}

/// Follows the feed from its present end; how long each event was under way.
#[expect(clippy::disallowed_methods, reason = "events have the time of the clock")]
async fn follow(
    target: Target,
    wait: u8,
    filter: &str,
    stop: Arc<AtomicBool>,
    polling: Arc<AtomicUsize>,
) -> Result<Vec<u64>> {
    let mut connection = Connection::open(&target).await?;
    let page = connection.ask(Ask::get("/events?limit=1")).await?;
    page.success()?;
    let mut after = field(std::str::from_utf8(&page.body)?, "head")?.to_owned();
    let mut latencies = Vec::new();
    polling.fetch_add(1, Ordering::SeqCst);
    loop {
        // Read before asking: what came before it is in the page.
        let is_last = stop.load(Ordering::SeqCst);
        let path = format!("/events?limit=1000&wait={wait}&after={after}{filter}");
        let page = connection.ask(Ask::get(path)).await?;
        page.success()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
        let text = std::str::from_utf8(&page.body)?;
        let before = latencies.len();
        for time in times(text) {
            let since = now % MILLISECONDS_OF_DAY + MILLISECONDS_OF_DAY - time?;
            latencies.push(since % MILLISECONDS_OF_DAY);
        }
        after = field(text, "next")?.to_owned();
        if is_last && latencies.len() == before {
            return Ok(latencies);
        }
    }
}

/// Creates users for a time; each connection sends a request every `pause`, or one after the other. How many were created.
fn create(
    target: &Target,
    next: &Arc<AtomicUsize>,
    pause: Option<Duration>,
    time: Duration,
) -> Result<usize> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connections = Vec::new();
        for _ in 0..CREATORS {
            connections.push(Connection::open(target).await?);
        }
        let begun = Instant::now();
        let creating: Vec<_> = connections
            .into_iter()
            .enumerate()
            .map(|(number, mut connection)| {
                let next = Arc::clone(next);
                tokio::spawn(async move {
                    let (mut created, mut due) = (0, begun);
                    if let Some(pause) = pause {
                        due += pause * number as u32 / CREATORS as u32;
                    }
                    while due < begun + time {
                        sleep_until(due).await;
                        let user = seed::user(next.fetch_add(1, Ordering::Relaxed)).to_string();
                        let ask = Ask::send(Method::POST, "/scim/v2/Users", user);
                        connection.ask(ask).await?.success()?;
                        created += 1;
                        due = pause.map_or_else(Instant::now, |pause| due + pause);
                    }
                    anyhow::Ok(created)
                })
            })
            .collect();
        let mut created = 0;
        for one in creating {
            created += one.await??;
        }
        Ok(created)
    })
}

/// When each event of a page was made, in milliseconds of the day.
fn times(page: &str) -> impl Iterator<Item = Result<u64>> {
    const NAME: &str = "\"time\":\"";
    page.match_indices(NAME).map(move |(place, _)| {
        // 2026-11-29T21:58:44.091Z
        let time = page.get(place + NAME.len() + 11..place + NAME.len() + 23);
        let time = time.context("an event ends in its time")?;
        let number = |range: std::ops::Range<usize>| -> Result<u64> {
            Ok(time.get(range).context("a time is too short")?.parse()?)
        };
        Ok(((number(0..2)? * 60 + number(3..5)?) * 60 + number(6..8)?) * 1_000 + number(9..12)?)
    })
}

/// What a page says of itself, behind its events.
fn field<'a>(page: &'a str, name: &str) -> Result<&'a str> {
    let (_, rest) =
        page.rsplit_once(&format!("\"{name}\":\"")).context("a page without a cursor")?;
    Ok(rest.split('"').next().unwrap_or_default())
}

fn row(case: &str, found: &str, target: &str, met: bool) {
    println!("| {case} | {found} | {target} | {} |", if met { "met" } else { "**NOT MET**" });
}

fn percentile(latencies: &mut [u64], share: f64) -> u64 {
    latencies.sort_unstable();
    let place = (latencies.len() as f64 * share) as usize;
    latencies.get(place.min(latencies.len().saturating_sub(1))).copied().unwrap_or(u64::MAX)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
