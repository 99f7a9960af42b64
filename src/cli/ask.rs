//! Having something done: by the server that runs on the data folder, or here if none does.

use anyhow::{Context as _, Result, bail};

use crate::admin::{Reply, Request, client, execute};
use crate::app;
use crate::config::Config;
use crate::event::Actor;

/// Asks the running server, or does it here if none runs.
///
/// # Errors
///
/// A server runs and can't be asked, or none does and the data folder can't be opened.
pub(super) fn ask(config: &Config, request: Request) -> Result<Reply> {
    if let Some(reply) = ask_server(config, &request)? {
        return Ok(reply);
    }
    let directory = app::open_directory(config)?;
    let connections: Vec<String> = config.connections.keys().cloned().collect();
    Ok(execute(&directory, &connections, Actor::Operator { uid: None }, request))
}

/// Asks the running server; `None` if none runs.
///
/// # Errors
///
/// A server runs and can't be asked.
pub(super) fn ask_server(config: &Config, request: &Request) -> Result<Option<Reply>> {
    client::ask(&config.data_dir, request)
        .with_context(|| format!("can't ask the server that runs on {}", config.data_dir.display()))
}

/// The error for an answer that is none to what was asked.
///
/// # Errors
///
/// Always.
pub(super) fn unexpected<T>(reply: Reply) -> Result<T> {
    match reply {
        Reply::Failed(reason) => bail!("{reason}"),
        _ => bail!("the running server answered something else; is it of another version?"),
    }
}
