//! Live views of the console, open in browsers that have signed in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, interval, sleep};

use crate::client::{Ask, Connection, Target};
use crate::console::{LIVE, PAUSE, live, signed_in};
use crate::scimd::CommandLine;

/// How many live views are open, each in a browser of its own.
pub const VIEWS: usize = 10;
/// After how many looks of its script, which keep no session, a page is loaded again.
const LOOKS: usize = 20;
/// How long a session is used.
const SESSION: Duration = Duration::from_secs(60 * 60);

/// Keeps one live view open.
pub async fn view(
    console: Target,
    commands: CommandLine,
    number: usize,
    views: Arc<AtomicUsize>,
) -> Result<()> {
    sleep(PAUSE * number as u32 / VIEWS as u32).await;
    let path = LIVE[number % LIVE.len()];
    loop {
        let link = commands.run_beside(&["console", "link"]).await?;
        let browser = signed_in(&console, &link).await?;
        let mut connection = Connection::open(&live(&browser)?).await?;
        let (mut due, begun) = (interval(PAUSE), Instant::now());
        while begun.elapsed() < SESSION {
            Connection::open(&browser).await?.ask(Ask::get(path)).await?.success()?;
            for _ in 0..LOOKS {
                due.tick().await;
                connection.ask(Ask::get(path)).await?.success()?;
                views.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
