//! The queue of notifications, and the task that delivers them.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use super::digest::Digest;
use super::notification::{DueNotification, Notification, NotificationKind};
use super::{command, mail};
use crate::clock::{Clock, Stopwatch};
use crate::config::NotifyConfig;

/// How many notifications may wait; further ones are dropped, with a line in the log.
const QUEUE: usize = 64;
/// The pauses before the second and each later attempt.
const PAUSES: [Duration; 3] =
    [Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(60)];
/// How often repetitions are looked at whose hour is over.
const DIGEST_EVERY: Duration = Duration::from_secs(30);

/// What notifications are delivered with.
#[derive(Clone)]
pub struct NotifySettings {
    /// The ways.
    pub config: NotifyConfig,
    /// The URL that identity providers are configured with, which says which scimd it is.
    pub endpoint: String,
}

/// What came of a delivery: the way, and the error if it failed.
pub type Delivered = (String, Option<String>);

/// Where the parts of a server hand in notifications.
pub struct Notifier {
    settings: ArcSwap<NotifySettings>,
    queue: mpsc::Sender<Notification>,
}

/// The notifications that wait.
pub struct NotificationQueue(mpsc::Receiver<Notification>);

impl Notifier {
    /// Makes a queue, which [`Notifier::run`] delivers.
    pub fn new(settings: NotifySettings) -> (Arc<Self>, NotificationQueue) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let settings = ArcSwap::from_pointee(settings);
        (Arc::new(Self { settings, queue }), NotificationQueue(waiting))
    }

    /// Replaces the settings.
    pub fn set(&self, settings: NotifySettings) {
        self.settings.store(Arc::new(settings));
    }

    /// Whether there is a way to deliver.
    pub fn is_configured(&self) -> bool {
        self.settings.load().config.is_configured()
    }

    /// Hands in a notification, without waiting.
    pub fn notify(&self, notification: Notification) {
        if let Err(error) = self.queue.try_send(notification) {
            let (kind, subject) = match error {
                mpsc::error::TrySendError::Full(lost) | mpsc::error::TrySendError::Closed(lost) => {
                    (lost.kind, lost.subject)
                }
            };
            tracing::error!(
                kind = kind.as_str(),
                subject,
                "a notification was dropped: {QUEUE} wait already; run `scimd notify test` to see why they are not delivered"
            );
        }
    }

    /// Delivers until dropped.
    pub async fn run(&self, NotificationQueue(mut waiting): NotificationQueue) {
        let (clock, mut digest) = (Stopwatch::start(), Digest::default());
        loop {
            let due = tokio::select! {
                Some(new) = waiting.recv() => digest.take(clock.elapsed(), new).into_iter().collect(),
                () = tokio::time::sleep(DIGEST_EVERY) => digest.due(clock.elapsed()),
            };
            for one in due {
                self.deliver(&one).await;
            }
        }
    }

    /// Delivers by every way, several times if need be.
    async fn deliver(&self, due: &DueNotification) {
        let settings = self.settings.load_full();
        let by_command = async {
            if settings.config.command.is_some() {
                retry("command", due, || run_command(&settings, due)).await;
            }
        };
        let by_mail = async {
            if settings.config.mail.is_some() {
                retry("mail", due, || send_mail(&settings, due)).await;
            }
        };
        tokio::join!(by_command, by_mail);
    }

    /// Delivers a test by every way, once; what came of each.
    pub async fn test(&self) -> Vec<Delivered> {
        let settings = self.settings.load_full();
        let notification = Notification {
            kind: NotificationKind::Test,
            subject: "scimd".to_owned(),
            message: "This is a test of notifications.".to_owned(),
            action: "Nothing needs to be done.".to_owned(),
            time: Clock::System.now(),
        };
        let due = DueNotification { notification, repeated: 0 };
        let by_command = async {
            let command = settings.config.command.as_ref()?;
            let way = format!("command {}", command.display());
            Some((way, run_command(&settings, &due).await.err()))
        };
        let by_mail = async {
            let mail = settings.config.mail.as_ref()?;
            let to: Vec<String> = mail.to.iter().map(ToString::to_string).collect();
            let way = format!("mail to {} by {}", to.join(", "), mail.server);
            Some((way, send_mail(&settings, &due).await.err()))
        };
        let (by_command, by_mail) = tokio::join!(by_command, by_mail);
        by_command.into_iter().chain(by_mail).collect()
    }
}

async fn run_command(settings: &NotifySettings, due: &DueNotification) -> Result<(), String> {
    let Some(program) = &settings.config.command else { return Ok(()) };
    let event = due.to_json(&settings.endpoint).to_string();
    let output = command::run(program, event.as_bytes()).await?;
    tracing::info!(command = %program.display(), output, "notify.command has run");
    Ok(())
}

async fn send_mail(settings: &NotifySettings, due: &DueNotification) -> Result<(), String> {
    match &settings.config.mail {
        Some(mail) => mail::send(mail, due, &settings.endpoint).await,
        None => Ok(()),
    }
}

/// Tries until it succeeds, a few times at most; logs the first failure, and the last.
async fn retry<F: Future<Output = Result<(), String>>>(
    way: &str,
    due: &DueNotification,
    attempt: impl Fn() -> F,
) {
    let (kind, subject) = (due.notification.kind.as_str(), &due.notification.subject);
    let Err(error) = attempt().await else { return };
    tracing::warn!(
        way,
        kind,
        subject,
        error,
        "a notification was not delivered; trying again, {} times at most",
        PAUSES.len()
    );
    let mut last = error;
    for pause in PAUSES {
        tokio::time::sleep(pause).await;
        match attempt().await {
            Ok(()) => {
                tracing::info!(way, kind, subject, "the notification was delivered");
                return;
            }
            Err(error) => last = error,
        }
    }
    tracing::error!(
        way,
        kind,
        subject,
        error = last,
        message = due.notification.message,
        "a notification was not delivered and is given up; correct the cause, and run `scimd notify test`"
    );
}

/// What keeps notifications from being delivered, as far as the files show it.
pub fn problems(config: &NotifyConfig) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(program) = &config.command {
        let shown = program.display();
        match std::fs::metadata(program) {
            Err(error) => problems.push(format!("notify.command: can't run {shown}: {error}")),
            Ok(found) if !found.is_file() || found.permissions().mode() & 0o111 == 0 => {
                problems.push(format!(
                    "notify.command: {shown} is no executable file; run `chmod +x {shown}`"
                ));
            }
            Ok(_) => {}
        }
    }
    problems.extend(config.mail.as_ref().and_then(|mail| mail::transport(mail).err()));
    problems
}
