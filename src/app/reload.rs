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
use tokio::sync::mpsc::UnboundedReceiver;

use super::capture;
use super::certificate::{Certificate, Stamps, certificate};
use super::connection_files::with_pending;
use super::console;
use super::credential_warnings::warn_of_missing_tokens;
use super::file_settings::check_other_nodes;
use super::fixed_settings::keep_fixed;
use super::grant_warnings::warn_of_missed_grants;
use super::issuer_trusts::trust_issuers;
use super::listen::{listener_tls, metrics_terms, server_limits};
use super::notifications::{log_problems, notify_settings};
use super::open_files::check_open_files;
use super::sandbox::Sandbox;
use super::settings::{check_access, local_settings, request_log_limits, site_info, vocabulary};
use super::supervisor;
use super::webhooks::webhook_settings;
use crate::access::{AccessNames, Catalogue};
use crate::clock::Stopwatch;
use crate::config::{Config, ConfigError, Widening};
use crate::console::ConsoleService;
use crate::directory::Directory;
use crate::http::ScimService;
use crate::logging::LevelSwitch;
use crate::notify::Notifier;
use crate::operator::{
    ConfigurationJob, ConfigurationTask, OperatorContext, OperatorReply, ReloadReport,
    RunningServer, WideningInfo,
};
use crate::settings::SharedSettings;
use crate::transport;
use crate::webhook::Webhooks;

/// How often the files of the certificate are checked for changes.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(10);
/// After which time the settings of another node are tried again.
const FOLLOW_AGAIN: Duration = Duration::from_secs(1);
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
    /// What was last logged of the connections that other nodes have changed.
    pub(super) told: (Option<String>, Option<String>),
    /// Whether the server has begun to stop: accounts then follow a new catalogue at the next start.
    pub(super) stopping: Arc<AtomicBool>,
}

/// What the configuration files of other nodes have to do with a reload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OtherFiles {
    /// They must not differ.
    MustAgree,
    /// They may differ.
    MayDiffer,
    /// This node follows a change of another one: the settings that all share stay.
    Follow,
}

/// Where the settings that all nodes share come from.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// From the configuration: they go into the log.
    Configuration(&'a SharedSettings),
    /// From the log.
    Log,
}

/// What the doors read their settings from; a reload replaces it.
#[derive(Clone)]
pub(super) struct LiveConfig {
    pub(super) door: Arc<ScimService>,
    pub(super) context: Arc<ArcSwap<OperatorContext>>,
    pub(super) listener: Arc<ArcSwap<transport::ListenerConfig>>,
    /// The same for metrics.
    pub(super) metrics: Arc<ArcSwap<transport::ListenerConfig>>,
    pub(super) notifier: Arc<Notifier>,
    pub(super) webhooks: Arc<Webhooks>,
    /// The console and how it is served.
    pub(super) console: Option<(Arc<ConsoleService>, Arc<ArcSwap<transport::ListenerConfig>>)>,
}

impl LiveConfig {
    /// Has the console go by a configuration and a certificate.
    fn renew_console(&self, config: &Config, certificate: Option<&Certificate>) {
        if let (Some((console, terms)), Some(present)) = (&self.console, certificate) {
            terms.store(Arc::new(console::terms(config, present)));
            console.reconfigure(console::settings(config, certificate));
        }
    }
}

/// Reloads the configuration at each SIGHUP and whenever an operator asks for it, and the certificate whenever its files have changed, until
/// dropped.
pub(super) async fn keep_up(
    reloader: Reloader,
    mut hangup: Signal,
    mut jobs: UnboundedReceiver<ConfigurationJob>,
) {
    let directory = Arc::clone(&reloader.directory);
    let reloader = Arc::new(Mutex::new(reloader));
    let mut refused = None;
    loop {
        let (asked, job) = tokio::select! {
            received = hangup.recv() => (received.is_some(), None),
            job = jobs.recv() => (false, job),
            () = directory.settings_followed() => {
                let reloader = Arc::clone(&reloader);
                let follow = move || {
                    reloader.lock().unwrap_or_else(PoisonError::into_inner).follow_other_node()
                };
                if !tokio::task::spawn_blocking(follow).await.unwrap_or(false) {
                    tokio::time::sleep(FOLLOW_AGAIN).await;
                    directory.ring_settings();
                }
                continue;
            }
            () = directory.connections_followed() => {
                let reloader = Arc::clone(&reloader);
                let follow = move || {
                    reloader.lock().unwrap_or_else(PoisonError::into_inner).follow_connections()
                };
                if !tokio::task::spawn_blocking(follow).await.unwrap_or(false) {
                    tokio::time::sleep(FOLLOW_AGAIN).await;
                    directory.ring_connections();
                }
                continue;
            }
            () = tokio::time::sleep(CERTIFICATE_EVERY) => (false, None),
        };
        let reloader = Arc::clone(&reloader);
        let work = tokio::task::spawn_blocking(move || {
            let mut reloader = reloader.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(ConfigurationJob { task, reply }) = job {
                // What was done stands, also if the operator has gone.
                let _ = reply.send(reloader.carry_out(task));
                refused
            } else if asked {
                let _ = reloader.reload_and_tell("SIGHUP", false, Config::find_again);
                None
            } else {
                reloader.renew_certificate(refused)
            }
        });
        refused = work.await.unwrap_or_default();
        if directory.warning().is_some() {
            // Perhaps `conf.d` can be written by now.
            directory.ring_connections();
        }
    }
}

impl Reloader {
    fn carry_out(&mut self, task: ConfigurationTask) -> OperatorReply {
        match task {
            ConfigurationTask::Reload { force } => self.reload_for_operator(force),
            ConfigurationTask::Check => match self.check_files() {
                Ok(()) => OperatorReply::ConfigurationChecked,
                Err(error) => OperatorReply::Failed(format!("{error:#}")),
            },
            ConfigurationTask::ChangeConnection { actor, change } => {
                match self.change_connection(&actor, *change) {
                    Ok(changed) => OperatorReply::ConnectionChanged(changed),
                    Err(refusal) => OperatorReply::ConnectionRefused(refusal),
                }
            }
        }
    }

    /// Checks the files as they are now against the accounts.
    fn check_files(&self) -> Result<()> {
        check_access(&Config::find(self.config.file.as_deref())?, &self.directory)
    }

    fn reload_for_operator(&mut self, force: bool) -> OperatorReply {
        match self.reload_and_tell("scimd reload", force, Config::find_again) {
            Ok(Reloaded { kept, wider }) => OperatorReply::Reloaded(ReloadReport {
                restart: kept.into_iter().map(ToOwned::to_owned).collect(),
                wider: wider
                    .into_iter()
                    .map(|Widening { key, before, now }| WideningInfo { key, before, now })
                    .collect(),
            }),
            Err(error) => OperatorReply::Failed(format!("{error:#}")),
        }
    }

    /// Puts the configuration files in force, and logs the outcome; `asked_by` says what the reload came from,
    /// `force` whether the files of other nodes may differ.
    pub(super) fn reload_and_tell(
        &mut self,
        asked_by: &str,
        force: bool,
        read: impl FnOnce(&Config) -> Result<Config, ConfigError>,
    ) -> Result<Reloaded> {
        supervisor::reloading();
        let watch = Stopwatch::start();
        let read = read(&self.config).map_err(Into::into);
        let others = if force { OtherFiles::MayDiffer } else { OtherFiles::MustAgree };
        let read = read.and_then(|config| with_pending(config, &self.directory));
        let outcome = read.and_then(|config| self.reload(config, others));
        match &outcome {
            Ok(Reloaded { kept, wider }) => {
                warn_of_missing_tokens(&self.config, &self.directory);
                warn_of_missed_grants(&self.directory);
                log_problems(&self.config);
                for Widening { key, before, now } in wider {
                    tracing::warn!(
                        key,
                        before,
                        now,
                        "{key} allows more than before, or was added or removed; check that this is intended"
                    );
                }
                for key in kept {
                    tracing::warn!(key, "{key} changed; restart scimd to apply");
                }
                let ms = watch.elapsed().as_millis();
                tracing::info!(ms, "configuration reloaded ({asked_by})");
                supervisor::ready("serving; configuration reloaded");
            }
            Err(error) => {
                let reason = format!("{error:#}").replace('\n', "; ");
                tracing::error!(
                    reason,
                    "reload failed, keeping the previous configuration ({asked_by})"
                );
                supervisor::ready("serving; reload failed, the log says why");
            }
        }
        outcome
    }

    /// Puts the settings in force that another node has put into the log; the rest of the configuration stays. Returns
    /// whether it is done: until then the node is not ready.
    fn follow_other_node(&mut self) -> bool {
        let outcome = self.directory.names_in_use().map_err(Into::into).and_then(|former| {
            let (config, certificate) = (self.config.clone(), self.certificate.clone());
            self.put_in_force(config, Source::Log, certificate, Some(&former)).map(drop)
        });
        if let Err(error) = &outcome {
            let reason = format!("{error:#}");
            tracing::warn!(
                reason,
                "the settings that another node has changed can't be put in force; trying again"
            );
            self.directory.note_problem(Some(format!(
                "another node has changed the settings, and they can't be put in force here yet: {reason}"
            )));
            return false;
        }
        self.directory.note_problem(None);
        tracing::info!("another node has changed the settings; they are in force here, too");
        // What the file says now, which need not be in force.
        let config = Config::find(self.config.file.as_deref());
        let shared = config.as_ref().unwrap_or(&self.config).shared_settings();
        if let Ok(keys) = self.directory.differing_settings(&shared)
            && !keys.is_empty()
        {
            let keys = keys.join(", ");
            tracing::warn!(
                keys,
                "the settings in force on all nodes differ from the configuration file of this one"
            );
        }
        true
    }

    /// Puts a configuration that was read in force.
    ///
    /// # Errors
    ///
    /// The configuration is wrong, or the file of another node differs; nothing has changed then.
    pub(super) fn reload(&mut self, mut config: Config, others: OtherFiles) -> Result<Reloaded> {
        vocabulary(&config)?;
        if others == OtherFiles::MustAgree {
            check_other_nodes(&self.directory, &config.shared_settings())?;
        }
        check_open_files(&config)?;
        let mut kept = keep_fixed(&mut config, &self.config);
        if config.notify != self.config.notify && !self.sandbox.lets_notify(&config) {
            config.notify = self.config.notify.clone();
            kept.push("notify");
        }
        if config.webhooks != self.config.webhooks && !self.sandbox.lets_deliver(&config) {
            config.webhooks = self.config.webhooks.clone();
            kept.push("webhooks");
        }
        let console = &self.config.console;
        if config.console.oidc != console.oidc && !self.sandbox.lets_reach_provider(&config) {
            config.console.oidc.clone_from(&console.oidc);
            kept.push("console.oidc");
        }
        let webhooks = webhook_settings(&config)?;
        let reloaded = Reloaded { kept, wider: config.wider_than(&self.config) };
        self.sandbox.check_readable(&config)?;
        let certificate = certificate(&config, self.certificate.as_ref())?;
        let before = self.directory.names_in_use()?;
        let wanted = Catalogue::new(&config.access_settings());
        let follows = others == OtherFiles::Follow;
        if let Some(name) = wanted.taken_over(&before).filter(|_| !follows) {
            bail!(
                "the name \"{name}\" now refers to another entry, and accounts that have it can't be updated while \
                 scimd serves; restart scimd to apply"
            );
        }
        let is_renamed = wanted.clone().remembering(&before) != wanted;
        let has_changed = wanted.names() != before && !follows;

        let request_timeout = self.config.limits.request_timeout;
        let captures_anew = config.requests.bodies_for != self.config.requests.bodies_for;
        let shared = config.shared_settings();
        let wanted = if follows { Source::Log } else { Source::Configuration(&shared) };
        let old_requests = self.put_in_force(config, wanted, certificate, Some(&before))?;
        if !follows {
            self.directory.note_problem(None);
        }
        if captures_anew
            && let Some(RunningServer { requests, .. }) = &self.live.context.load().server
        {
            capture::begin(&self.config, &self.directory, requests);
        }
        self.live.webhooks.set(webhooks);
        if has_changed && !self.follow(old_requests.as_ref(), request_timeout) {
            return Ok(reloaded);
        }
        if is_renamed {
            let (config, certificate) = (self.config.clone(), self.certificate.clone());
            // Unless another node has changed the settings since.
            let _ = self.put_in_force(config, Source::Log, certificate, None);
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
        source: Source<'_>,
        certificate: Option<Certificate>,
        former: Option<&AccessNames>,
    ) -> Result<OldRequests> {
        let tls = listener_tls(&config, certificate.as_ref());
        let for_metrics = metrics_terms(&config, tls.as_ref());
        let terms = transport::ListenerConfig { tls, limits: server_limits(&config) };
        let (live, for_doors) = (self.live.clone(), config.clone());
        let for_console = certificate.clone();
        let (tell, told) = channel();
        let local = local_settings(&config);
        let publish = move |directory| {
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
            live.metrics.store(Arc::new(for_metrics));
            live.notifier.set(notify_settings(&for_doors));
            live.renew_console(&for_doors, for_console.as_ref());
            let _ = tell.send((directory, old_requests));
        };
        match source {
            Source::Configuration(shared) => {
                self.directory.change_settings(shared, former, local, publish)?;
            }
            Source::Log => self.directory.follow_settings(former, local, publish)?,
        }
        let (directory, old_requests) = told.recv().context("the writer has stopped")?;
        self.directory = directory;
        self.levels.set(config.log.level);
        trust_issuers(&config, &self.directory);
        let lifetime = config.oauth.access_token_lifetime;
        if lifetime != self.config.oauth.access_token_lifetime {
            self.directory.set_access_token_lifetime(lifetime);
        }
        if let Some(certificate) = &certificate
            && self.certificate.as_ref().is_none_or(|before| !before.is_same(certificate))
        {
            certificate.tell("new certificate in use");
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
                    %error, "the new access catalogue is in use, but some accounts still have old names; they are \
                        updated at the next start"
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
                let tls = listener_tls(&self.config, Some(&certificate));
                let for_metrics = metrics_terms(&self.config, tls.as_ref());
                let terms = transport::ListenerConfig { tls, limits };
                self.live.renew_console(&self.config, Some(&certificate));
                self.live.metrics.store(Arc::new(for_metrics));
                self.live.listener.store(Arc::new(terms));
                certificate.tell("certificate renewed");
                self.certificate = Some(certificate);
                None
            }
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the certificate files changed and can't be used; serving the previous certificate"
                );
                Some(found)
            }
        }
    }
}

/// What a reload has to say.
pub(super) struct Reloaded {
    /// The keys that need a restart and stay as they were.
    kept: Vec<&'static str>,
    /// What allows more than before.
    wider: Vec<Widening>,
}

/// Returns whether requests under the previous configuration are still being answered.
type OldRequests = Box<dyn Fn() -> bool>;
