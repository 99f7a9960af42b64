//! Half an hour of everything at once: what a server holds must not grow while its directory does not, and nothing that
//! it sends may be lost.
//!
//! - [`stage`]: the server before the load begins;
//! - [`clients`]: SCIM requests; [`consumers`]: the change feed; [`receiver`]: webhooks; [`console`]: live views;
//! - [`upkeep`]: backups, reloads, access tokens;
//! - [`ledger`]: what arrived; [`holdings`]: memory and descriptors.

mod clients;
mod console;
mod consumers;
mod holdings;
mod ledger;
mod receiver;
mod stage;
mod upkeep;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::time::{Instant, interval_at, sleep};

use self::clients::{CONNECTIONS, Client, Heard};
use self::console::VIEWS;
use self::holdings::{Holdings, Sample, mib};
use self::ledger::Ledger;
use self::receiver::Receiver;
use self::stage::Stage;
use crate::bare;
use crate::oauth;
use crate::process;

/// How many consumers follow the change feed by long polls.
const FOLLOWERS: usize = 4;
/// The time between two looks at memory and descriptors.
const SAMPLE: Duration = Duration::from_secs(5);
const SAMPLES_PER_MINUTE: u64 = 12;
/// The time between two backups, if the whole is long enough for it.
const UPKEEP: Duration = Duration::from_secs(5 * 60);
/// How long the last events may be under way, with all retries.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// How many problems are printed.
const MAX_PRINTED: usize = 50;

#[derive(clap::Args)]
pub struct Soak {
    /// The scimd binary
    #[arg(long)]
    scimd: PathBuf,
    /// Where the data folder is made
    #[arg(long)]
    dir: PathBuf,
    /// How many users there are
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(200..=10_000_000))]
    users: u32,
    /// How long
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: u64,
    /// SCIM requests a second, of all connections together
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(16..=100_000))]
    rate: u32,
}

/// What has gone wrong. The soak goes on, and fails at its end.
#[derive(Default)]
pub struct Problems(Mutex<Vec<String>>);

impl Problems {
    /// Notes and prints one.
    pub fn add(&self, whose: &str, error: &anyhow::Error) {
        let mut problems = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let problem = format!("{whose}: {error:#}");
        if problems.len() < MAX_PRINTED {
            eprintln!("PROBLEM {problem}");
        }
        problems.push(problem);
    }

    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// How often things were done.
#[derive(Default)]
struct Counts {
    streams: Arc<AtomicUsize>,
    passes: Arc<AtomicUsize>,
    views: Arc<AtomicUsize>,
    tokens: Arc<AtomicUsize>,
    upkeep: Arc<AtomicUsize>,
}

/// A load that runs, and what is seen of it.
#[derive(Default)]
struct Load {
    problems: Arc<Problems>,
    heard: Arc<Heard>,
    counts: Counts,
    /// Those that get everything from the beginning of the load on, by name.
    following: Vec<(String, Arc<Ledger>)>,
    /// The one that reads from the start of the feed.
    reading: Arc<Ledger>,
    receivers: Vec<Arc<Receiver>>,
    holdings: Holdings,
}

impl Soak {
    /// Puts a mixed load on scimd and prints each minute what it holds.
    pub fn run(self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut load = Load::default();
        let mut stage = Stage::set(&self, &runtime, &load.problems)?;
        println!(
            "{} users; {CONNECTIONS} connections, {} requests a second; {FOLLOWERS} long polls, a stream, a reader from the \
             start; {} webhooks; {VIEWS} live views; {} minutes",
            self.users,
            self.rate,
            stage.receivers.len(),
            self.minutes
        );
        let secret = oauth::basic(&stage.scimd, "default")?;
        runtime.block_on(async {
            load.start_beside(&mut stage, secret, self.upkeep_every())?;
            self.ask(&stage, &mut load).await?;
            load.check(&stage).await
        })?;
        load.check_counts(Duration::from_secs(60 * self.minutes), self.upkeep_every());
        load.holdings.check(&load.problems);
        let problems = load.problems.count();
        // After a failure its log is worth reading.
        ensure!(problems == 0, "FAILED: {problems} problems");
        println!("PASSED");
        drop(runtime);
        stage.scimd.discard()
    }

    /// Also a short run has a backup or two.
    fn upkeep_every(&self) -> Duration {
        UPKEEP.min(Duration::from_secs(60 * self.minutes) * 2 / 5)
    }

    /// Has SCIM clients ask for the time that is wanted.
    async fn ask(&self, stage: &Stage, load: &mut Load) -> Result<()> {
        println!(
            "{:>6} {:>9} {:>9} {:>6} {:>8} {:>8} {:>8} {:>11} {:>7} {:>11} {:>9}",
            "minute",
            "requests",
            "events",
            "views",
            "p50 ms",
            "p99 ms",
            "RSS MiB",
            "descriptors",
            "threads",
            "journal MiB",
            "state MiB"
        );
        let begun = Instant::now();
        // The last look is while they still ask.
        let until = begun + Duration::from_secs(60 * self.minutes) + SAMPLE / 5;
        let pause = Duration::from_secs(1) * CONNECTIONS as u32 / self.rate;
        let target = stage.scimd.target()?;
        let mut clients = Vec::new();
        for number in 0..CONNECTIONS {
            let client =
                Client::new(&target, &stage.users, &stage.groups, stage.next(), &load.heard);
            let first = begun + pause * number as u32 / CONNECTIONS as u32;
            let problems = Arc::clone(&load.problems);
            clients.push(tokio::spawn(client.work(first, pause, until, problems)));
        }
        let mut ticks = interval_at(begun + SAMPLE, SAMPLE);
        for number in 1..=self.minutes * SAMPLES_PER_MINUTE {
            ticks.tick().await;
            let sample = load.holdings.sample(&stage.scimd)?;
            if number % SAMPLES_PER_MINUTE == 0 {
                load.print_minute(number / SAMPLES_PER_MINUTE, stage, sample)?;
            }
        }
        for client in clients {
            client.await?.context("a SCIM client")?;
        }
        Ok(())
    }
}

impl Load {
    /// Starts what runs beside the SCIM clients, until the runtime ends.
    fn start_beside(&mut self, stage: &mut Stage, secret: String, upkeep: Duration) -> Result<()> {
        let (application, begin) = (&stage.application, &stage.begin);
        for number in 0..FOLLOWERS {
            let (name, ledger) = self.following(format!("long poll {number}"));
            self.spawn(name, consumers::follow(application.clone(), begin.clone(), ledger));
        }
        let (name, ledger) = self.following("stream".to_owned());
        let streams = Arc::clone(&self.counts.streams);
        self.spawn(name, consumers::stream(application.clone(), begin.clone(), ledger, streams));
        let (reading, passes) = (Arc::clone(&self.reading), Arc::clone(&self.counts.passes));
        self.spawn(
            "reader from the start",
            consumers::read_again(application.clone(), reading, passes),
        );
        let tls = bare::acceptor(&stage.scimd.certificate(), &stage.scimd.key())?;
        for (receiver, listener) in stage.receivers.drain(..) {
            let name = format!("webhook {}", receiver.name());
            self.following.push((name.clone(), receiver.ledger()));
            self.receivers.push(Arc::clone(&receiver));
            self.spawn(name, receiver.serve(listener, tls.clone()));
        }
        let commands = stage.scimd.command_line();
        for number in 0..VIEWS {
            let (console, views) = (stage.console.clone(), Arc::clone(&self.counts.views));
            let view = console::view(console, commands.clone(), number, views);
            self.spawn(format!("live view {number}"), view);
        }
        let user = stage.users.ids.first().context("there is no user")?;
        let (user, tokens) = (format!("/scim/v2/Users/{user}"), Arc::clone(&self.counts.tokens));
        self.spawn("OAuth", upkeep::sign_in(stage.scimd.target()?, secret, user, tokens));
        self.spawn("operator", upkeep::operate(commands, upkeep, Arc::clone(&self.counts.upkeep)));
        Ok(())
    }

    /// One more that gets everything from now on.
    fn following(&mut self, name: String) -> (String, Arc<Ledger>) {
        let ledger = Arc::default();
        self.following.push((name.clone(), Arc::clone(&ledger)));
        (name, ledger)
    }

    /// Runs a task that does not end by itself.
    fn spawn(
        &self,
        name: impl Into<String>,
        task: impl Future<Output = Result<()>> + Send + 'static,
    ) {
        let (name, problems) = (name.into(), Arc::clone(&self.problems));
        tokio::spawn(async move {
            if let Err(error) = task.await {
                problems.add(&name, &error);
            }
        });
    }

    /// Whether that was done about as often as it was due which nothing else here is compared with: half of it at least.
    fn check_counts(&self, time: Duration, upkeep: Duration) {
        let counts = &self.counts;
        for (what, count, due) in [
            ("streams", &counts.streams, 1),
            ("readings from the start", &counts.passes, 1),
            ("live views", &counts.views, VIEWS as u64 * time.as_secs() / 3),
            ("access tokens", &counts.tokens, time.as_secs()),
            ("backups and reloads", &counts.upkeep, (time.as_secs() / upkeep.as_secs()).max(1)),
        ] {
            let done = count.load(Ordering::Relaxed) as u64;
            if done < due.div_ceil(2) {
                let error = anyhow::anyhow!("{done}, of {due} that were due");
                self.problems.add(what, &error);
            }
        }
    }

    fn print_minute(&self, number: u64, stage: &Stage, sample: Sample) -> Result<()> {
        let [p50, p99] = self.heard.percentiles();
        let data = stage.scimd.data();
        println!(
            "{number:>6} {:>9} {:>9} {:>6} {p50:>8.2} {p99:>8.2} {:>8.1} {:>11} {:>7} {:>11.1} {:>9.1}",
            self.heard.requests.load(Ordering::Relaxed),
            self.following.iter().map(|(_, ledger)| ledger.len()).sum::<usize>(),
            self.counts.views.load(Ordering::Relaxed),
            mib(sample.resident),
            sample.descriptors,
            process::entries(stage.scimd.pid()?, "task")?,
            mib(process::disk(&data.join("journal"))?),
            mib(process::disk(&data.join("state"))?),
        );
        Ok(())
    }

    /// Waits until the last event has arrived everywhere, and compares what arrived with the feed.
    async fn check(&self, stage: &Stage) -> Result<()> {
        let whole = stage.whole_feed().await?;
        let following =
            self.following.iter().map(|(name, ledger)| (name.as_str(), ledger, stage.events));
        let all: Vec<_> = following.chain([("reader from the start", &self.reading, 0)]).collect();
        let begun = Instant::now();
        while all.iter().any(|(_, ledger, _)| ledger.last() != whole.last()) {
            if begun.elapsed() > PATIENCE {
                break;
            }
            sleep(Duration::from_millis(250)).await;
        }
        println!(
            "\nevents of the feed: {}, {} of them under load",
            whole.len(),
            whole.len() - stage.events
        );
        for (name, ledger, first) in all {
            match ledger.compare(&whole, first) {
                Ok(()) => println!("{name}: all, in order"),
                Err(error) => self.problems.add(name, &error),
            }
        }
        for receiver in &self.receivers {
            println!("webhook {}: {}", receiver.name(), receiver.summary());
        }
        let of = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        println!(
            "streams begun {}; read from the start {} times; access tokens {}; backups and reloads {}",
            of(&self.counts.streams),
            of(&self.counts.passes),
            of(&self.counts.tokens),
            of(&self.counts.upkeep)
        );
        Ok(())
    }
}
