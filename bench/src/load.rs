//! Many connections that ask one thing after the other for a while.
//!
//! The connections are spread over as many threads as there are processors, each with a runtime of
//! its own: nothing passes between threads while it is measured.

use std::sync::Barrier;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::Instant;

use crate::client::{Ask, Connection, Target};
use crate::process;

/// What a connection asks next.
pub type Asking = Box<dyn FnMut() -> Ask + Send>;

/// How a case is run.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Before measuring begins.
    pub warm_up: Duration,
    /// While measuring.
    pub measured: Duration,
}

/// What came of a run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub requests: usize,
    pub requests_per_second: f64,
    /// The median and the 99th percentile of the times from request to whole answer.
    pub p50: Duration,
    pub p99: Duration,
    /// Processor time of the server for each request.
    pub processor: Duration,
}

/// Has each connection ask its questions of a server that is one process, until the time is over.
pub fn run(target: &Target, pid: u32, askings: Vec<Asking>, times: Times) -> Result<Run> {
    run_of(target, || process::processor_time(pid), askings, times)
}

/// The same with any server whose processor time can be read.
pub fn run_of(
    target: &Target,
    processor_time: impl Fn() -> Result<Duration>,
    askings: Vec<Asking>,
    times: Times,
) -> Result<Run> {
    let threads = std::thread::available_parallelism()?.get().min(askings.len());
    let mut shares: Vec<Vec<Asking>> = (0..threads).map(|_| Vec::new()).collect();
    for (number, asking) in askings.into_iter().enumerate() {
        shares[number % threads].push(asking);
    }
    let barrier = Barrier::new(threads + 1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = shares
            .into_iter()
            .map(|share| scope.spawn(|| work(target, share, &barrier, times)))
            .collect();
        barrier.wait();
        std::thread::sleep(times.warm_up);
        let processor = processor_time()?;
        let begun = Instant::now();
        let mut latencies = Vec::new();
        for worker in workers {
            let outcome = worker.join().map_err(|_| anyhow::anyhow!("a load thread panicked"))?;
            latencies.append(&mut outcome?);
        }
        let elapsed = begun.elapsed();
        let processor = processor_time()?.saturating_sub(processor);
        summary(latencies, elapsed, processor)
    })
}

/// One thread: opens its connections, waits for the others, asks.
fn work(
    target: &Target,
    share: Vec<Asking>,
    barrier: &Barrier,
    times: Times,
) -> Result<Vec<Duration>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connections = Vec::new();
        let mut problem = None;
        for asking in share {
            match Connection::open(target).await {
                Ok(connection) => connections.push((connection, asking)),
                Err(error) => problem = Some(error),
            }
        }
        // Also after a failure: the others wait.
        barrier.wait();
        if let Some(error) = problem {
            return Err(error.context("can't connect"));
        }
        let from = Instant::now() + times.warm_up;
        let until = from + times.measured;
        let tasks: Vec<_> = connections
            .into_iter()
            .map(|(connection, asking)| {
                tokio::spawn(converse(target.clone(), connection, asking, from, until))
            })
            .collect();
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.append(&mut task.await??);
        }
        Ok(latencies)
    })
}

/// One connection at a time; how long each request took that was sent while it was measured, with connecting if each
/// has its own connection.
async fn converse(
    target: Target,
    mut connection: Connection,
    mut asking: Asking,
    from: Instant,
    until: Instant,
) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    loop {
        let ask = asking();
        let begun = Instant::now();
        if begun >= until {
            return Ok(latencies);
        }
        if target.connects_each_time {
            connection = Connection::open(&target).await?;
        }
        let reply = connection.ask(ask).await?;
        if begun >= from {
            latencies.push(begun.elapsed());
        }
        reply.success()?;
    }
}

fn summary(mut latencies: Vec<Duration>, elapsed: Duration, processor: Duration) -> Result<Run> {
    latencies.sort_unstable();
    let requests = latencies.len();
    let at = |share: f64| {
        let place = (requests as f64 * share) as usize;
        latencies.get(place.min(requests.saturating_sub(1))).copied()
    };
    let (p50, p99) = at(0.50).zip(at(0.99)).context("no request was answered in time")?;
    Ok(Run {
        requests,
        requests_per_second: requests as f64 / elapsed.as_secs_f64(),
        p50,
        p99,
        processor: processor.div_f64(requests as f64),
    })
}
