//! Measures scimd under load, against a bare hyper server on the same machine in the same run.
//!
//! - [`scimd`]: the server under test, its folder, its starts and ends; [`bare`]: what it is compared with;
//! - [`process`], [`journal`]: what a server uses: memory, processor time, disk, syncs;
//! - [`client`], [`load`]: one connection, and many that ask for a while;
//! - [`seed`]: the users and groups that are there; [`cases`]: what is asked;
//! - [`feed`]: the change feed and its consumers; [`oauth`]: signing in by OAuth; [`console`]: pages and live views;
//! - [`soak`]: everything at once, for long; [`pair`]: two binaries side by side; [`nodes`], [`postgres`]: several nodes;
//! - [`peer`]: another SCIM server;
//! - [`measure`]: one run from first boot to last figure; [`targets`], [`report`]: what it comes to.

mod bare;
mod cases;
mod client;
mod console;
mod feed;
mod journal;
mod load;
mod measure;
mod nodes;
mod oauth;
mod pair;
mod peer;
mod postgres;
mod process;
mod random;
mod report;
mod scimd;
mod seed;
mod soak;
mod targets;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

/// scimd's own allocator, for the bare server's sake.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Measures scimd against a bare hyper server")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure, print a table, say which targets are met
    Measure(Measure),
    /// Put everything on it at once for long, and print each minute what it holds
    Soak(soak::Soak),
    /// Measure the change feed: delivery, the cost of consumers, reading from the start
    Feed(feed::Feed),
    /// Measure token requests on one core, and SCIM requests with an access token
    #[command(name = "oauth")]
    OAuth(oauth::OAuth),
    /// Measure the console: how long each page takes, and what open live views cost
    Console(console::Console),
    /// Compare two binaries side by side, in alternating rounds
    Pair(pair::Pair),
    /// Compare several nodes on a PostgreSQL of this machine with a server that has local files
    Nodes(nodes::Nodes),
    /// Fill and measure a SCIM server that runs already: scimd or another
    Peer(peer::Peer),
    /// Serve one fixed answer to every request: what scimd is compared with
    Bare(bare::Bare),
}

#[derive(clap::Args)]
struct Measure {
    /// The scimd binary
    #[arg(long)]
    scimd: PathBuf,
    /// Where data folders are made; on the disk that is to be measured
    #[arg(long)]
    dir: PathBuf,
    /// How many users there are
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(200..=10_000_000))]
    users: u32,
    /// How long each case is measured, in each round
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// How many times each case is measured; the medians are shown
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Runs of 0.4 seconds: about a minute at 1,000 users
    #[arg(long)]
    quick: bool,
    /// Only the cases whose name contains this text
    #[arg(long)]
    only: Option<String>,
    /// Where to write the figures as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// The JSON of a run with fewer users, to compare with
    #[arg(long)]
    baseline: Option<PathBuf>,
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Bare(bare) => bare.serve(),
        Command::Pair(pair) => pair.run(),
        Command::Peer(peer) => peer.run(),
        Command::Nodes(nodes) => nodes.run(),
        Command::OAuth(oauth) => oauth.run(),
        Command::Feed(feed) => feed.run(),
        Command::Console(console) => console.run(),
        Command::Measure(options) => options.run(),
        Command::Soak(soak) => soak.run(),
    }
}

impl Measure {
    fn run(self) -> Result<()> {
        let baseline = match &self.baseline {
            None => None,
            Some(path) => {
                let text =
                    fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
                Some(serde_json::from_slice(&text).context("the baseline is not JSON")?)
            }
        };
        let seconds = if self.quick { 0.4 } else { self.seconds };
        let results = measure::run(&measure::Options {
            scimd: self.scimd,
            dir: self.dir,
            users: self.users as usize,
            time: std::time::Duration::from_secs_f64(seconds),
            rounds: self.rounds as usize,
            only: self.only,
        })?;
        let targets = targets::check(&results, baseline.as_ref());
        print!("{}", report::text(&results, &targets));
        if let Some(path) = &self.json {
            let json = report::json(&results, &targets);
            fs::write(path, format!("{json:#}\n"))
                .with_context(|| format!("can't write {}", path.display()))?;
        }
        Ok(())
    }
}
