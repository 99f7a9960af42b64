//! Reload: replaces the configuration and the certificate while requests are answered.
//!
//! A new configuration is checked whole before any of it applies. Then the writer puts it in force between two changes
//! (`directory/writer/settings_change.rs`), for the HTTP door and the admin socket at once: earlier requests finish under
//! the old one, later requests see only the new one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use arc_swap::ArcSwap;
use tokio::signal::unix::Signal;

use super::certificate::{Certificate, Stamps, certificate};
use super::credential_warnings::warn_of_missing_tokens;
use super::grant_warnings::warn_of_missed_grants;
use super::listen::server_limits;
use super::open_files::check_open_files;
use super::sandbox::Sandbox;
use super::settings::{local_settings, request_log_limits, site_info, vocabulary};
use super::supervisor;
use crate::access::{AccessNames, Catalogue};
use crate::clock::Stopwatch;
use crate::config::{Config, Widening};
use crate::directory::Directory;
use crate::http::ScimService;
use crate::http::server;
use crate::logging::LevelSwitch;
use crate::operator::{OperatorContext, RunningServer};

/// How often the files of the certificate are checked for changes.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(10);
/// How often requests under the previous configuration are checked for, and how long beyond the request
/// timeout they are waited for.
const OLD_REQUESTS_EVERY: Duration = Duration::from_millis(20);
const OLD_REQUESTS_GRACE: Duration = Duration::from_secs(5);

/// The configuration in force, and where it is put in force.
pub(super) struct Reloader {
    pub(super) config: Config,
    pub(super) certificate: Option<Certificate>,
    pub(super) directory: Arc<Directory>,
    pub(super) levels: LevelSwitch,
    pub(super) live: LiveConfig,
    pub(super) sandbox: Sandbox,
    /// Whether the server has begun to stop: accounts then follow a new catalogue at the next start.
    pub(super) stopping: Arc<AtomicBool>,
}

/// What the doors read their settings from; a reload replaces it.
#[derive(Clone)]
pub(super) struct LiveConfig {
    pub(super) door: Arc<ScimService>,
    pub(super) context: Arc<ArcSwap<OperatorContext>>,
    pub(super) listener: Arc<ArcSwap<server::ListenerConfig>>,
}

/// Reloads the configuration at each SIGHUP, and the certificate whenever its files have changed, until
/// dropped.
pub(super) async fn keep_up(reloader: Reloader, mut hangup: Signal) {
    let reloader = Arc::new(Mutex::new(reloader));
    let mut refused = None;
    loop {
        let asked = tokio::select! {
            received = hangup.recv() => received.is_some(),
            () = tokio::time::sleep(CERTIFICATE_EVERY) => false,
        };
        let reloader = Arc::clone(&reloader);
        let work = tokio::task::spawn_blocking(move || {
            let mut reloader = reloader.lock().unwrap_or_else(PoisonError::into_inner);
            if asked {
                reloader.reload_and_tell();
                None
            } else {
                reloader.renew_certificate(refused)
            }
        });
        refused = work.await.unwrap_or_default();
    }
}

impl Reloader {
    fn reload_and_tell(&mut self) {
        supervisor::reloading();
        let watch = Stopwatch::start();
        match self.reload() {
            Ok(Reloaded { kept, wider }) => {
                warn_of_missing_tokens(&self.config, &self.directory);
                warn_of_missed_grants(&self.directory);
                for Widening { key, before, now } in wider {
                    tracing::warn!(
                        key,
                        before,
                        now,
                        "{key} allows more than before the reload, or has come or gone: see that this is meant"
                    );
                }
                for key in kept {
                    tracing::warn!(
                        key,
                        "{key} has changed and can't while scimd runs: restart scimd to apply"
                    );
                }
                let ms = watch.elapsed().as_millis();
                tracing::info!(ms, "SIGHUP: the configuration was read again and is in force");
                supervisor::ready("serving; the configuration was read again");
            }
            Err(error) => {
                let reason = format!("{error:#}").replace('\n', "; ");
                tracing::error!(
                    reason,
                    "SIGHUP: the new configuration is refused, and the one before stays in force"
                );
                supervisor::ready("serving; the new configuration was refused, the log says why");
            }
        }
    }

    /// Puts the configuration file in force.
    ///
    /// # Errors
    ///
    /// The configuration is wrong or may not be whole; nothing has changed then.
    fn reload(&mut self) -> Result<Reloaded> {
        let mut config = Config::find_again(&self.config)?;
        vocabulary(&config)?;
        check_open_files(&config)?;
        let kept = keep_fixed(&mut config, &self.config);
        let reloaded = Reloaded { kept, wider: config.wider_than(&self.config) };
        self.sandbox.check_readable(&config)?;
        let certificate = certificate(&config, self.certificate.as_ref())?;
        let before = self.directory.names_in_use()?;
        let wanted = Catalogue::new(&config.access_settings());
        if let Some(name) = wanted.taken_over(&before) {
            bail!(
                "the name \"{name}\" now means another than before, and accounts that have it can't follow \
                 while requests are answered; restart scimd to apply"
            );
        }
        let is_renamed = wanted.clone().remembering(&before) != wanted;
        let has_changed = wanted.names() != before;

        let request_timeout = self.config.limits.request_timeout;
        let old_requests = self.put_in_force(config, certificate, Some(&before))?;
        if has_changed && !self.follow(old_requests.as_ref(), request_timeout) {
            return Ok(reloaded);
        }
        if is_renamed {
            let _ = self.put_in_force(self.config.clone(), self.certificate.clone(), None)?;
        }
        Ok(reloaded)
    }

    /// Puts a configuration in force at both doors and in the log; `former` names of access are understood
    /// as well. The result says whether requests under
    /// the previous one are still being answered.
    ///
    /// # Errors
    ///
    /// Accounts hold access that the configuration does not have; nothing has changed then.
    fn put_in_force(
        &mut self,
        config: Config,
        certificate: Option<Certificate>,
        former: Option<&AccessNames>,
    ) -> Result<OldRequests> {
        let tls = certificate.as_ref().map(|certificate| certificate.tls.clone());
        let terms = server::ListenerConfig { tls, limits: server_limits(&config) };
        let (live, for_doors) = (self.live.clone(), config.clone());
        let (tell, told) = channel();
        let (shared, local) = (config.shared_settings(), local_settings(&config));
        self.directory.change_settings(&shared, former, local, move |directory| {
            let directory = Arc::new(directory);
            let old_requests = live.door.reconfigure(Arc::clone(&directory), &for_doors);
            let site = site_info(&for_doors, &directory);
            let server = live.context.load().server.clone();
            if let Some(RunningServer { requests, .. }) = &server {
                requests.set_limits(request_log_limits(&for_doors));
            }
            let context = OperatorContext { directory: Arc::clone(&directory), site, server };
            live.context.store(Arc::new(context));
            live.listener.store(Arc::new(terms));
            let _ = tell.send((directory, old_requests));
        })?;
        let (directory, old_requests) = told.recv().context("the writer has stopped")?;
        self.directory = directory;
        self.levels.set(config.log.level);
        if let Some(certificate) = &certificate
            && self.certificate.as_ref().is_none_or(|before| !before.is_same(certificate))
        {
            certificate.tell("another certificate is shown from here on");
        }
        self.config = config;
        self.certificate = certificate;
        Ok(Box::new(old_requests))
    }

    /// Migrates accounts to the catalogue in force, once no request is left under the previous one, which
    /// does not know the new names. Returns whether all accounts were migrated.
    fn follow(&self, old_requests: &dyn Fn() -> bool, request_timeout: Duration) -> bool {
        let watch = Stopwatch::start();
        let go_on = || !self.stopping.load(Ordering::Relaxed);
        while old_requests() && go_on() && watch.elapsed() < request_timeout + OLD_REQUESTS_GRACE {
            std::thread::sleep(OLD_REQUESTS_EVERY);
        }
        match self.directory.migrate_accounts(&go_on) {
            Ok(()) => go_on(),
            Err(error) => {
                tracing::error!(
                    %error, "the new access catalogue is in force, but not all accounts carry its names yet: \
                             they do after the next start"
                );
                false
            }
        }
    }

    /// Puts a changed certificate in force. One that can't be used is logged once, and the previous one
    /// stays; returns the state of such files, to be passed to the next call.
    fn renew_certificate(&mut self, refused: Option<Stamps>) -> Option<Stamps> {
        let present = self.certificate.as_ref()?;
        let found = present.changed()?;
        if refused.as_ref() == Some(&found) {
            return refused;
        }
        let again = self.sandbox.check_readable(&self.config).and_then(|()| Ok(present.again()?));
        match again {
            Ok(certificate) => {
                let limits = server_limits(&self.config);
                let terms = server::ListenerConfig { tls: Some(certificate.tls.clone()), limits };
                self.live.listener.store(Arc::new(terms));
                certificate.tell("the certificate was renewed");
                self.certificate = Some(certificate);
                None
            }
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the certificate's files have changed and can't be used: the one before is shown on"
                );
                Some(found)
            }
        }
    }
}

/// What a reload has to say.
struct Reloaded {
    /// The keys that need a restart and stay as they were.
    kept: Vec<&'static str>,
    /// What allows more than before.
    wider: Vec<Widening>,
}

/// Returns whether requests under the previous configuration are still being answered.
type OldRequests = Box<dyn Fn() -> bool>;

/// Resets what can't change while scimd runs to the present settings; returns the keys that differed.
fn keep_fixed(wanted: &mut Config, present: &Config) -> Vec<&'static str> {
    // The URL follows from the listener in force, unless it is configured.
    if wanted.listen.tls != present.listen.tls {
        wanted.public_url = present.public_url.clone();
    } else if wanted.public_url == wanted.listen.public_url() {
        wanted.public_url = present.listen.public_url();
    }
    let mut kept = Vec::new();
    let mut keep = |key, differs: bool| {
        if differs {
            kept.push(key);
        }
    };
    keep("data_dir", wanted.data_dir != present.data_dir);
    keep("listen.address", wanted.listen.address != present.listen.address);
    keep("listen.unix", wanted.listen.unix != present.listen.unix);
    keep("listen.tls", wanted.listen.tls != present.listen.tls);
    keep("log.format", wanted.log.format != present.log.format);
    keep("metrics", wanted.metrics != present.metrics);
    keep("store", wanted.store != present.store);
    keep("process", wanted.process != present.process);
    keep("schemas", wanted.schemas != present.schemas);
    wanted.data_dir.clone_from(&present.data_dir);
    wanted.listen.address = present.listen.address;
    wanted.listen.tls = present.listen.tls;
    wanted.listen.unix.clone_from(&present.listen.unix);
    wanted.log.format = present.log.format;
    wanted.metrics = present.metrics.clone();
    wanted.store = present.store.clone();
    wanted.process = present.process.clone();
    wanted.schemas.clone_from(&present.schemas);
    wanted.schema_lines.clone_from(&present.schema_lines);
    kept
}
