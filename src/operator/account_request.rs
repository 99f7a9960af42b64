//! What can be asked about named operators of the console, and what is answered.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::credential::{OperatorRole, PasswordHash};

/// A request about named operators of the console. Names count in any letter case.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountRequest {
    /// Add an operator. Changes.
    Add {
        /// The name.
        name: String,
        /// What the operator may do.
        role: OperatorRole,
        /// The password. With it, one-time codes are enrolled at once, and the reply has their secret; without it,
        /// the operator chooses both by a sign-in link.
        password: Option<PasswordHash>,
    },
    /// List all operators. Reads.
    List,
    /// Give an operator another role; it ends their sessions. Changes.
    SetRole {
        /// The name.
        name: String,
        /// The role.
        role: OperatorRole,
    },
    /// Remove an operator; it ends their sessions. Changes.
    Remove {
        /// The name.
        name: String,
    },
    /// Begin to enrol one-time codes: makes a secret, which counts once a code of it confirms it. Needs a running
    /// server.
    BeginEnrolment {
        /// The name.
        name: String,
    },
    /// Show the secret of an enrolment that has begun. Reads; needs the running server that began it.
    ShowEnrolment {
        /// The name.
        name: String,
    },
    /// End the enrolment of one-time codes, and set the password; it ends the sessions of the operator. Changes; needs
    /// the running server that began it.
    FinishEnrolment {
        /// The name.
        name: String,
        /// The password; `None` to keep the one that is set.
        password: Option<PasswordHash>,
        /// A code of the secret.
        code: String,
    },
    /// Set the password of an operator; it ends their sessions. Changes.
    SetPassword {
        /// The name.
        name: String,
        /// The password.
        password: PasswordHash,
    },
    /// End all sessions of an operator. Changes.
    EndSessions {
        /// The name.
        name: String,
    },
}

impl AccountRequest {
    /// Whether the request only reads.
    pub(super) fn is_read_only(&self) -> bool {
        matches!(self, Self::List | Self::ShowEnrolment { .. })
    }
}

/// The reply to an [`AccountRequest`]. It has no `Debug`: it may carry a secret.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountReply {
    /// An operator was added.
    Added {
        /// The operator.
        operator: OperatorInfo,
        /// The secret of their one-time codes, if they were enrolled; shown only here.
        code: Option<CodeEnrolment>,
    },
    /// All operators, by name.
    Operators(Vec<OperatorInfo>),
    /// The operator was changed, or was so already.
    Changed(OperatorInfo),
    /// The operator was removed.
    Removed(OperatorInfo),
    /// A secret of one-time codes, to be confirmed by a code; `None` if no enrolment has begun.
    Enrolling(Option<CodeEnrolment>),
    /// The code is not one of the secret; a sentence that says what to do.
    WrongCode(String),
}

/// The secret of one-time codes.
#[derive(Serialize, Deserialize)]
pub struct CodeEnrolment {
    /// The secret in base32, as people enter it in an app.
    pub secret: String,
    /// The URI that an app reads from a QR code.
    pub uri: String,
}

/// A named operator, without secrets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OperatorInfo {
    /// The name.
    pub name: String,
    /// What the operator may do.
    pub role: OperatorRole,
    /// When it was added.
    pub created: Timestamp,
    /// The time of the last sign-in by password and code.
    pub last_sign_in: Option<Timestamp>,
    /// Whether the operator can sign in by password and code.
    pub status: OperatorStatus,
}

/// Whether an operator can sign in by password and code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperatorStatus {
    /// The operator can.
    Ready,
    /// The operator has to enrol first, by a sign-in link.
    NotEnrolled,
}

impl OperatorStatus {
    /// The status in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotEnrolled => "not enrolled",
        }
    }
}
