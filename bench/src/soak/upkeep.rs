//! What an operator does beside it: backups and reloads; and a client that signs in by OAuth.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::time::{Instant, interval, interval_at};

use crate::client::{Ask, Connection, Target};
use crate::oauth::TOKEN_ENDPOINT;
use crate::scimd::CommandLine;

/// The time between two requests for an access token.
const TOKEN_EVERY: Duration = Duration::from_secs(1);

/// Writes a backup and reloads the configuration, again and again.
pub async fn operate(
    commands: CommandLine,
    every: Duration,
    rounds: Arc<AtomicUsize>,
) -> Result<()> {
    let backup = commands.folder().join("backup");
    let mut due = interval_at(Instant::now() + every, every);
    loop {
        due.tick().await;
        commands.run_beside(&["backup", "backup"]).await.context("scimd backup")?;
        discard(&backup)?;
        commands.run_beside(&["reload"]).await.context("scimd reload")?;
        rounds.fetch_add(1, Ordering::Relaxed);
    }
}

fn discard(backup: &Path) -> Result<()> {
    ensure!(fs::metadata(backup)?.len() > 0, "an empty backup");
    Ok(fs::remove_file(backup)?)
}

/// Asks for an access token each second, and retrieves a user with it.
pub async fn sign_in(
    target: Target,
    secret: String,
    user: String,
    tokens: Arc<AtomicUsize>,
) -> Result<()> {
    let mut connection = Connection::open(&target.without_token()).await?;
    let mut due = interval(TOKEN_EVERY);
    loop {
        due.tick().await;
        let form = "grant_type=client_credentials&scope=scim";
        let ask = Ask::form(TOKEN_ENDPOINT, form).authorized(&secret)?;
        let answer = connection.ask(ask).await?.json()?;
        let token = answer["access_token"].as_str().context("no access token")?;
        let ask = Ask::get(user.clone()).authorized(&format!("Bearer {token}"))?;
        connection.ask(ask).await?.success()?;
        tokens.fetch_add(1, Ordering::Relaxed);
    }
}
