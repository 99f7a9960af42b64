//! The connections that ask by SCIM, each at its pace.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use hyper::Method;
use tokio::time::{Instant, sleep, sleep_until};

use super::Problems;
use crate::cases;
use crate::client::{Ask, Connection, Target};
use crate::load::Asking;
use crate::random::Random;
use crate::seed::{self, Groups, Users};

/// How many connections ask, each after the other's pace.
pub const CONNECTIONS: usize = 16;
/// After how many requests a connection is closed and opened again.
const REQUESTS_PER_CONNECTION: usize = 500;

/// Requests, and the times of those since they were last taken.
#[derive(Default)]
pub struct Heard {
    latencies: Mutex<Vec<Duration>>,
    pub requests: AtomicUsize,
}

impl Heard {
    /// The 50th and the 99th percentile since the last call, in milliseconds.
    pub fn percentiles(&self) -> [f64; 2] {
        let mut latencies =
            std::mem::take(&mut *self.latencies.lock().unwrap_or_else(PoisonError::into_inner));
        latencies.sort_unstable();
        [0.5, 0.99].map(|share| {
            let place = (latencies.len() as f64 * share) as usize;
            latencies.get(place).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
        })
    }
}

/// One connection and what it asks.
pub struct Client {
    target: Target,
    askings: Vec<Asking>,
    random: Random,
    /// The number of the next user that is created.
    next: Arc<AtomicUsize>,
    heard: Arc<Heard>,
}

impl Client {
    pub fn new(
        target: &Target,
        users: &Arc<Users>,
        groups: &Groups,
        next: &Arc<AtomicUsize>,
        heard: &Arc<Heard>,
    ) -> Self {
        let cases = cases::of_users(users).into_iter().chain(cases::of_groups(users, groups));
        let askings = cases
            .filter(|case| ![cases::CONTAINS, cases::GROUPS].contains(&case.name.as_str()))
            .filter(|case| !case.name.ends_with("all shown"))
            .map(|case| (case.asking)())
            .collect();
        let (target, random) = (target.clone(), Random::another());
        Self { target, askings, random, next: Arc::clone(next), heard: Arc::clone(heard) }
    }

    /// Asks at its pace until the time is over.
    pub async fn work(
        mut self,
        first: Instant,
        pause: Duration,
        until: Instant,
        problems: Arc<Problems>,
    ) -> Result<()> {
        let mut connection = Connection::open(&self.target).await?;
        let (mut due, mut asked) = (first, 0);
        while due < until {
            sleep_until(due).await;
            due = (due + pause).max(Instant::now());
            asked += 1;
            if let Err(error) = self.turn(&mut connection).await {
                problems.add("a SCIM client", &error);
                sleep(Duration::from_secs(1)).await;
                asked = 0;
            }
            if asked % REQUESTS_PER_CONNECTION == 0 {
                connection = Connection::open(&self.target).await?;
            }
        }
        Ok(())
    }

    async fn turn(&mut self, connection: &mut Connection) -> Result<()> {
        let turn = self.random.below(self.askings.len() + 1);
        let ask = match self.askings.get_mut(turn) {
            Some(asking) => asking(),
            None => self.come_and_go(connection).await?,
        };
        self.ask(connection, ask).await?;
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
