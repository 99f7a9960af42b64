//! What a check has found.

use serde::Serialize;

/// What a check has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CheckVerdict {
    Ok,
    /// It may be meant, or can't be checked from here.
    Note,
    Failed,
}

/// The outcome of one check.
#[derive(Serialize)]
pub(super) struct CheckOutcome {
    pub(super) check: &'static str,
    pub(super) verdict: CheckVerdict,
    /// What was found.
    pub(super) found: String,
    /// What to do; empty if nothing.
    pub(super) action: String,
}

impl CheckOutcome {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, verdict: CheckVerdict::Ok, found: found.into(), action: String::new() }
    }

    pub(super) fn note(
        check: &'static str,
        found: impl Into<String>,
        action: impl Into<String>,
    ) -> Self {
        Self { check, verdict: CheckVerdict::Note, found: found.into(), action: action.into() }
    }

    pub(super) fn failed(
        check: &'static str,
        found: impl Into<String>,
        action: impl Into<String>,
    ) -> Self {
        Self { check, verdict: CheckVerdict::Failed, found: found.into(), action: action.into() }
    }
}
