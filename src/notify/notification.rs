//! What can be notified of.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock::rfc3339;

/// The kind of a notification. Its name is part of what programs receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotificationKind {
    /// A connection exceeded the limit of its brake.
    Alarmed,
    /// A connection is paused.
    Paused,
    /// A connection's requests are denied again and again.
    Denied,
    /// The disk of the data directory is nearly full.
    DiskLow,
    /// The disk is so full that changes are refused.
    DiskFull,
    /// A change could not be written, and no further ones are accepted.
    WritesStopped,
    /// A webhook is parked: it gets nothing until an operator says so.
    WebhookParked,
    /// The certificate expires soon.
    CertificateExpiring,
    /// The last valid token of a connection expires soon.
    TokenExpiring,
    /// An operator tests delivery.
    Test,
}

impl NotificationKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Alarmed,
        Self::Paused,
        Self::Denied,
        Self::DiskLow,
        Self::DiskFull,
        Self::WritesStopped,
        Self::WebhookParked,
        Self::CertificateExpiring,
        Self::TokenExpiring,
        Self::Test,
    ];

    /// Its name; where the audit log has the event, the name that it has there.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alarmed => "connection.alarmed",
            Self::Paused => "connection.held",
            Self::Denied => "connection.denied",
            Self::DiskLow => "disk.low",
            Self::DiskFull => "disk.full",
            Self::WritesStopped => "writes.stopped",
            Self::WebhookParked => "webhook.parked",
            Self::CertificateExpiring => "certificate.expiring",
            Self::TokenExpiring => "token.expiring",
            Self::Test => "test",
        }
    }
}

/// Something that an operator must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// What kind it is of.
    pub kind: NotificationKind,
    /// What it is about: the name of a connection, or of a file or folder.
    pub subject: String,
    /// What happened, as a sentence.
    pub message: String,
    /// What to do, as a sentence.
    pub action: String,
    /// When it happened.
    pub time: Timestamp,
}

/// A notification as it is delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DueNotification {
    pub(super) notification: Notification,
    /// How often it happened since the last one that was delivered, beside this one.
    pub(super) repeated: u64,
}

impl DueNotification {
    /// The event that a program receives.
    pub(super) fn to_json(&self, endpoint: &str) -> Value {
        let Notification { kind, subject, message, action, time } = &self.notification;
        json!({
            "type": kind.as_str(),
            "time": rfc3339(*time),
            "subject": subject,
            "message": message,
            "action": action,
            "repeated": self.repeated,
            "endpoint": endpoint,
        })
    }

    /// The subject line of a mail.
    pub(super) fn title(&self) -> String {
        let Notification { kind, subject, .. } = &self.notification;
        format!("[scimd] {}: {}", kind.as_str(), subject)
    }

    /// The text of a mail.
    pub(super) fn text(&self, endpoint: &str) -> String {
        let Notification { message, action, time, .. } = &self.notification;
        let repeated = match self.repeated {
            0 => String::new(),
            1 => "\n\nThis happened once more since the last mail about it.".to_owned(),
            count => format!("\n\nThis happened {count} more times since the last mail about it."),
        };
        format!("{message}\n\n{action}{repeated}\n\nTime: {time:.0}\nscimd at {endpoint}\n")
    }
}
