//! The sandbox: the server gives up files (Landlock) and system calls (seccomp) that it does not need.
//!
//! What the kernel can't enforce is left out: the log says at the start what is in force. A unit of systemd may be
//! stricter still; it then applies as well.
//!
//! | file | contents |
//! | --- | --- |
//! | `files` | which files may be read and written |
//! | `programs` | whether programs may be started, and which ports may be connected to |
//! | `system_calls` | which system calls are refused |

mod files;
mod programs;
mod system_calls;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::config::{Config, WebhookConfig};
use files::{FileRules, certificate_files};
use programs::{Outgoing, Programs};

/// The restrictions of this process.
pub struct Sandbox {
    /// What may be read; `None` if reading is not restricted.
    readable: Option<Vec<PathBuf>>,
    /// What restricts files, for the log.
    files: String,
    programs: Programs,
    outgoing: Outgoing,
    is_wanted: bool,
}

impl Sandbox {
    /// Restricts the files of this thread and of those that it starts: call this before there are others. The data
    /// directory must exist.
    ///
    /// # Errors
    ///
    /// The kernel refuses what it says it can do.
    pub fn enter(config: &Config) -> Result<Self> {
        let (programs, outgoing) = (Programs::of(config), Outgoing::of(config));
        let is_wanted = config.process.sandbox;
        if !is_wanted {
            let files = String::new();
            return Ok(Self { readable: None, files, programs, outgoing, is_wanted });
        }
        FileRules::create_parts(config);
        let rules = FileRules::of(config, programs);
        let (files, restricted) = rules.enforce()?;
        let readable = restricted.then(|| rules.readable());
        Ok(Self { readable, files, programs, outgoing, is_wanted })
    }

    /// Restricts the system calls of all threads, and logs what is in force. Call this once everything is open.
    pub(super) fn restrict_system_calls(&self) {
        if !self.is_wanted {
            tracing::info!("sandbox disabled: process.sandbox is false");
            return;
        }
        let system_calls = match system_calls::restrict(self.programs) {
            Ok(()) => "seccomp".to_owned(),
            Err(error) => format!("not restricted: {error}"),
        };
        tracing::info!(files = self.files, system_calls, "sandbox enabled");
    }

    /// Checks that the sandbox lets this process read the certificates and keys that a configuration names, and fetch
    /// the keys of its issuers.
    ///
    /// # Errors
    ///
    /// It does not: the message names the setting.
    pub(super) fn check_readable(&self, config: &Config) -> Result<()> {
        if self.readable.is_some() && !self.outgoing.covers(&Outgoing::of_federation(config)) {
            bail!(
                "federation.jwks_url: the sandbox lets the running server connect to port 443 of other machines, and not \
                 to this port; restart scimd to apply, or set process.sandbox = false"
            );
        }
        let Some(readable) = &self.readable else { return Ok(()) };
        for (key, path) in certificate_files(config) {
            // A file that is missing is another error, which its reader reports.
            if let Some(target) = unreadable(readable, path) {
                bail!(
                    "{key}: the sandbox does not let the running server read {}; restart scimd to apply, or set \
                     process.sandbox = false",
                    target.display()
                );
            }
        }
        Ok(())
    }

    /// Whether notifications can be delivered as a configuration says. What could not be delivered at the start
    /// can't be until the next one.
    pub(super) fn lets_notify(&self, config: &Config) -> bool {
        if !self.is_wanted {
            return true;
        }
        let readable = self.readable.as_deref();
        let reads = |file| readable.is_none_or(|readable| unreadable(readable, file).is_none());
        config.notify.files().all(|(_, file)| reads(file))
            && (self.programs == Programs::Allowed || Programs::of(config) == Programs::Refused)
            && self.outgoing.covers(&Outgoing::of(config))
    }

    /// Whether the OpenID provider of the console can be used as a configuration says; see [`Sandbox::lets_notify`].
    pub(super) fn lets_reach_provider(&self, config: &Config) -> bool {
        let Some(oidc) = config.console.oidc.as_ref().filter(|_| self.is_wanted) else {
            return true;
        };
        let readable = self.readable.as_deref();
        let reads = |file| readable.is_none_or(|readable| unreadable(readable, file).is_none());
        oidc.files().all(|(_, file)| reads(file))
            && (self.readable.is_none() || self.outgoing.covers(&Outgoing::of(config)))
    }

    /// Whether webhooks can be delivered as a configuration says; see [`Sandbox::lets_notify`].
    pub(super) fn lets_deliver(&self, config: &Config) -> bool {
        let readable = self.readable.as_deref();
        let reads = |file| readable.is_none_or(|readable| unreadable(readable, file).is_none());
        !self.is_wanted
            || config.webhooks.values().flat_map(WebhookConfig::files).all(|file| reads(file))
                && self.outgoing.covers(&Outgoing::of(config))
    }
}

/// Where a path leads that exists, if that is not in one of these folders.
fn unreadable(readable: &[PathBuf], path: &Path) -> Option<PathBuf> {
    let target = path.canonicalize().ok()?;
    (!readable.iter().any(|allowed| target.starts_with(allowed))).then_some(target)
}
