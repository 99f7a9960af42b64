//! What an operator asks for: of the server that runs, or done here if none does.

use std::io::ErrorKind;

use anyhow::{Result, anyhow, bail};

use crate::admin::client;
use crate::app;
use crate::config::Config;
use crate::directory::Directory;
use crate::event::Actor;
use crate::operator::{OperatorReply, OperatorRequest, execute};

/// An operator at the admin door.
pub(super) struct OperatorClient<'a> {
    config: &'a Config,
    /// The directory, once it was opened here.
    directory: Option<Directory>,
}

impl<'a> OperatorClient<'a> {
    pub(super) fn new(config: &'a Config) -> Self {
        Self { config, directory: None }
    }

    /// Asks, and gets what was done or found.
    ///
    /// # Errors
    ///
    /// Why it was not done, or why nobody could be asked.
    pub(super) fn ask(&mut self, request: OperatorRequest) -> Result<OperatorReply> {
        match self.reply(request)? {
            OperatorReply::Failed(reason) => bail!("{reason}"),
            reply => Ok(reply),
        }
    }

    fn reply(&mut self, request: OperatorRequest) -> Result<OperatorReply> {
        if self.directory.is_none()
            && let Some(reply) = self.ask_server(&request)?
        {
            return Ok(reply);
        }
        let directory = match &mut self.directory {
            Some(directory) => directory,
            none => none.insert(app::open_directory(self.config, 0)?),
        };
        let actor = Actor::Operator { uid: None };
        Ok(execute(directory, &app::site_info(self.config), actor, request))
    }

    /// Asks the server that runs; `None` if none does.
    ///
    /// # Errors
    ///
    /// A server runs and can't be asked.
    pub(super) fn ask_server(&self, request: &OperatorRequest) -> Result<Option<OperatorReply>> {
        let folder = self.config.data_dir.display();
        client::ask(&self.config.data_dir, request).map_err(|error| {
            let denied = error.kind() == ErrorKind::PermissionDenied;
            let remedy =
                if denied { "; run this as the user that runs it, or as root" } else { "" };
            anyhow!("can't ask the server that runs on {folder}: {error}{remedy}")
        })
    }
}

/// The error of a reply that does not fit its request.
///
/// # Errors
///
/// Always.
pub(super) fn unexpected<T>() -> Result<T> {
    bail!("the running server answered something else; is it of another version?")
}
