//! The console: how long each page takes, and what open live views cost.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hyper::header::{COOKIE, HeaderMap, HeaderName, SET_COOKIE};
use tokio::time::{Instant, interval, sleep};

use crate::cases;
use crate::client::{Ask, Connection, Target};
use crate::load::{self, Times};
use crate::process;
use crate::scimd::Scimd;
use crate::seed::{self, Groups, Users};

/// The most that a page may take, at the 99th percentile.
const MOST: Duration = Duration::from_millis(50);
/// How many live views are open, and how often each asks: as the script of the console does.
const VIEWS: usize = 50;
pub const PAUSE: Duration = Duration::from_secs(3);
/// The pages that live views are on.
pub const LIVE: [&str; 4] = ["/", "/requests", "/connections/default", "/events"];
/// How many connections SCIM clients have while views are open.
const CLIENTS: usize = 16;

#[derive(clap::Args)]
pub struct Console {
    /// The scimd binary
    #[arg(long)]
    scimd: PathBuf,
    /// Where the data folder is made
    #[arg(long)]
    dir: PathBuf,
    /// How many users there are
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(2_000..=10_000_000))]
    users: u32,
    /// How often each page is asked for
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    requests: u32,
    /// How long each round with and without live views is
    #[arg(long, default_value_t = 9.0)]
    seconds: f64,
    /// How many rounds there are; the medians are shown
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
}

/// How long a page takes.
struct Measured {
    p50: Duration,
    p99: Duration,
    /// Processor time of the server for each.
    processor: Duration,
    bytes: usize,
}

impl Console {
    pub fn run(self) -> Result<()> {
        let address = process::free_address()?;
        let more = format!("\n[console]\naddress = \"{address}\"\n");
        let mut scimd = Scimd::first_boot_with(&self.scimd, &self.dir, &more)?;
        eprintln!("filling with {} users", self.users);
        let users = Arc::new(seed::users(&scimd.target()?, self.users as usize)?);
        let groups = seed::groups(&scimd.target()?, &users)?;
        // Memory as after a start, not as after filling.
        scimd.stop()?;
        scimd.start()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let link = scimd.command(&["console", "link"])?;
        let console = runtime.block_on(signed_in(&scimd.target()?.at(address), &link))?;
        println!("| page | p50 | p99 | CPU | bytes | |\n| --- | --- | --- | --- | --- | --- |");
        for path in pages(&users, &groups) {
            let page = runtime.block_on(self.page(&scimd, &console, &path));
            let page = page.with_context(|| path.clone())?;
            let verdict = if page.p99 < MOST { "met" } else { "**NOT MET**" };
            let [p50, p99, processor] = [page.p50, page.p99, page.processor].map(milliseconds);
            let shown = path.replace(&users.ids[users.ids.len() / 2], "ID");
            println!("| `{shown}` | {p50} | {p99} | {processor} | {} | {verdict} |", page.bytes);
        }
        self.views(&scimd, &console, &users)?;
        // After a failure its log is worth reading.
        scimd.discard()
    }

    /// Asks for a page again and again, on one connection.
    async fn page(&self, scimd: &Scimd, console: &Target, path: &str) -> Result<Measured> {
        let mut connection = Connection::open(console).await?;
        let mut latencies = Vec::new();
        let mut bytes = 0;
        for _ in 0..10 {
            let reply = connection.ask(Ask::get(path)).await?;
            reply.success()?;
            bytes = reply.body.len();
        }
        let before = process::processor_time(scimd.pid()?)?;
        for _ in 0..self.requests {
            let begun = Instant::now();
            let reply = connection.ask(Ask::get(path)).await?;
            latencies.push(begun.elapsed());
            reply.success()?;
        }
        let processor = (process::processor_time(scimd.pid()?)? - before) / self.requests;
        latencies.sort_unstable();
        let at = |share: usize| latencies[latencies.len() * share / 100];
        Ok(Measured { p50: at(50), p99: at(99), processor, bytes })
    }

    /// What open live views cost: alone, and in requests of SCIM clients.
    fn views(&self, scimd: &Scimd, console: &Target, users: &Arc<Users>) -> Result<()> {
        let time = Duration::from_secs_f64(self.seconds);
        let cases = cases::of_users(users);
        let case = cases.iter().find(|case| case.name.contains("userName eq"));
        let case = case.context("no case asks for a userName")?;
        let rate = || -> Result<f64> {
            let askings = (0..CLIENTS).map(|_| (case.asking)()).collect();
            let times = Times { warm_up: time / 10, measured: time };
            Ok(load::run(&scimd.target()?, scimd.pid()?, askings, times)?.requests_per_second)
        };
        let cpu = || -> Result<f64> {
            let before = process::processor_time(scimd.pid()?)?;
            std::thread::sleep(time);
            let used = process::processor_time(scimd.pid()?)? - before;
            Ok(100.0 * used.as_secs_f64() / time.as_secs_f64())
        };
        let (mut idle, mut alone, mut shares) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            idle.push(cpu()?);
            let without = rate()?;
            let stop = Arc::new(AtomicBool::new(false));
            let viewing = {
                let (stop, console) = (Arc::clone(&stop), console.clone());
                std::thread::spawn(move || view(&console, &stop))
            };
            alone.push(cpu()?);
            let with = rate()?;
            stop.store(true, Ordering::Relaxed);
            viewing.join().map_err(|_| anyhow::anyhow!("the thread of the views panicked"))??;
            shares.push(100.0 * (without - with) / without);
        }
        let [idle, alone, share] = [idle, alone, shares].map(median);
        println!("\n{VIEWS} live views: {:.1} % of a core (idle {idle:.1} %)", alone - idle);
        let verdict = if share < 2.0 { "met" } else { "**NOT MET**" };
        println!("SCIM throughput with them: {share:.1} % less, aim 2 %: {verdict}");
        Ok(())
    }
}

/// Pages of all sections, with searches that an index answers and searches that read.
fn pages(users: &Users, groups: &Groups) -> Vec<String> {
    let middle = users.ids.len() / 2;
    let user = &users.ids[middle];
    let mut pages: Vec<String> = [
        "/",
        "/connections",
        "/connections/default",
        "/add-connection",
        "/requests",
        "/requests?failed=1",
        "/users",
        "/groups",
        "/access",
        "/access?of=company:admin",
        "/brake",
        "/undo",
        "/audit",
        "/audit?event=token",
        "/audit/verified",
        "/events",
        "/operators",
        "/account",
        "/settings",
    ]
    .map(ToOwned::to_owned)
    .into();
    pages.push(format!("/users?q={}", seed::user_name(middle)));
    pages.push(format!("/users?q=given{middle}"));
    pages.push("/users?q=active+eq+false".to_owned());
    pages.push(format!("/users/{user}"));
    pages.push(format!("/users/{user}/access"));
    pages.extend(groups.small.first().map(|group| format!("/groups/{}", group.id)));
    pages.extend(groups.large.last().map(|group| format!("/groups/{}", group.id)));
    pages
}

/// A browser that has signed in by a one-time link.
pub async fn signed_in(console: &Target, link: &str) -> Result<Target> {
    let (_, token) = link.trim().rsplit_once('/').context("no link")?;
    let mut connection = Connection::open(console).await?;
    let page = connection.ask(Ask::get(format!("/link/{token}"))).await?;
    page.success()?;
    let text = String::from_utf8_lossy(&page.body).into_owned();
    let (_, rest) = text.split_once("name=\"csrf\" value=\"").context("a page without a token")?;
    let csrf = rest.split('"').next().unwrap_or_default();
    let form = cookie(&page.headers)?;
    let sender = console.with(&[(COOKIE, &form)])?;
    let mut connection = Connection::open(&sender).await?;
    let body = format!("csrf={csrf}&token={token}");
    let reply = connection.ask(Ask::form("/link", body)).await?;
    ensure!(reply.status == 303, "the link was answered with {}", reply.status);
    console.with(&[(COOKIE, &cookie(&reply.headers)?)])
}

fn cookie(headers: &HeaderMap) -> Result<String> {
    let set = headers.get(SET_COOKIE).context("no cookie is set")?.to_str()?;
    Ok(set.split(';').next().unwrap_or_default().to_owned())
}

/// The script of a page that is open in that browser.
pub fn live(browser: &Target) -> Result<Target> {
    browser.with(&[(HeaderName::from_static("x-scimd-live"), "1")])
}

/// Keeps live views open until they are to end.
fn view(console: &Target, stop: &AtomicBool) -> Result<()> {
    let live = live(console)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for number in 0..VIEWS {
            let (live, path) = (live.clone(), LIVE[number % LIVE.len()]);
            tokio::spawn(async move {
                sleep(PAUSE * number as u32 / VIEWS as u32).await;
                let mut connection = Connection::open(&live).await?;
                let mut due = interval(PAUSE);
                loop {
                    due.tick().await;
                    connection.ask(Ask::get(path)).await?.success()?;
                }
                #[expect(unreachable_code, reason = "the type of what the task answers")]
                anyhow::Ok(())
            });
        }
        while !stop.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    })
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
