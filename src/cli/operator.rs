//! The command line's way to the operator API: through the running server, or on the data folder itself.

use std::io::ErrorKind;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};

use super::exit::{CliError, ExitKind};
use crate::admin::client;
use crate::app;
use crate::config::Config;
use crate::operator::{OperatorContext, OperatorReply, OperatorRequest, actor, execute};

/// Sends requests to the running server; without one, executes them on the data folder.
pub(super) struct OperatorClient<'a> {
    config: &'a Config,
    /// The data folder, once this process has opened it.
    opened: Option<Opened>,
}

/// A data folder that this process has opened.
struct Opened {
    context: OperatorContext,
    is_read_only: bool,
}

impl<'a> OperatorClient<'a> {
    pub(super) fn new(config: &'a Config) -> Self {
        Self { config, opened: None }
    }

    /// The configuration that it goes by.
    pub(super) fn config(&self) -> &'a Config {
        self.config
    }

    /// Has a request executed; what was done or found.
    ///
    /// # Errors
    ///
    /// Why it was not done, or why the server or the data folder could not be used.
    pub(super) fn ask(&mut self, request: OperatorRequest) -> Result<OperatorReply> {
        checked(self.reply(request)?)
    }

    fn reply(&mut self, request: OperatorRequest) -> Result<OperatorReply> {
        if self.opened.is_none()
            && let Some(reply) = self.reply_of_server(&request)?
        {
            return Ok(reply);
        }
        let context = self.open(request.is_read_only())?;
        Ok(execute(context, actor::offline(), request))
    }

    /// The data folder, opened for reading, unless something is to be changed.
    fn open(&mut self, is_read_only: bool) -> Result<&OperatorContext> {
        let opened = match self.opened.take() {
            Some(opened) if is_read_only || !opened.is_read_only => opened,
            _ => {
                let directory = match is_read_only {
                    true => app::open_directory_read_only(self.config)?,
                    false => {
                        // Only a start and a restore create it.
                        app::check_exists(self.config)?;
                        app::open_directory(self.config)?
                    }
                };
                let site = app::site_info(self.config, &directory);
                let context =
                    OperatorContext { directory: Arc::new(directory), site, server: None };
                Opened { context, is_read_only }
            }
        };
        Ok(&self.opened.insert(opened).context)
    }

    /// Sends a request to the running server; `None` if none runs.
    ///
    /// # Errors
    ///
    /// A server runs and can't be asked, or why it did not do what it was asked for.
    pub(super) fn ask_server(&self, request: &OperatorRequest) -> Result<Option<OperatorReply>> {
        self.reply_of_server(request)?.map(checked).transpose()
    }

    /// Like [`OperatorClient::ask_server`], with failures among the replies.
    ///
    /// # Errors
    ///
    /// A server runs and can't be asked.
    pub(super) fn reply_of_server(
        &self,
        request: &OperatorRequest,
    ) -> Result<Option<OperatorReply>> {
        let folder = self.config.data_dir.display();
        let has_stopped = |kind| {
            use ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
            matches!(kind, BrokenPipe | ConnectionReset | UnexpectedEof)
        };
        match client::ask(&self.config.data_dir, request) {
            // What only reads can be asked again, of the next server or of the data folder.
            Err(error) if request.is_read_only() && has_stopped(error.kind()) => Ok(None),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let reason = format!(
                    "permission denied on the data directory {folder}; run this with sudo, or as the user that runs scimd"
                );
                Err(CliError::of_kind(ExitKind::NoPermission, reason))
            }
            Err(error) => Err(anyhow!("can't ask the server that runs on {folder}: {error}")),
            Ok(reply) => Ok(reply),
        }
    }
}

/// A reply, unless it says that the request failed.
fn checked(reply: OperatorReply) -> Result<OperatorReply> {
    let (kind, reason) = match reply {
        OperatorReply::Failed(reason) => (ExitKind::Failure, reason),
        OperatorReply::NotFound(reason) => (ExitKind::NotFound, reason),
        OperatorReply::Denied(reason) => (ExitKind::NoPermission, reason),
        reply => return Ok(reply),
    };
    Err(CliError::of_kind(kind, reason))
}

/// The error of a reply that does not fit its request.
///
/// # Errors
///
/// Always.
pub(super) fn unexpected<T>() -> Result<T> {
    bail!("unexpected answer from the running server; it may be another version")
}
