//! What must not be found.

use std::fmt;

/// A kind of harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Harm {
    /// An acknowledged change is not there.
    Lost,
    /// A change is there by half.
    Half,
    /// What was revoked, deactivated or deleted is back.
    CameBack,
    /// Two ways of looking show different things.
    Inconsistent,
    /// A version is lower than it was.
    VersionBack,
    /// The audit trail has a gap, or lacks a change.
    Chain,
    /// It does not serve, and does not say why.
    Unserved,
    /// A request was answered otherwise than it should have been.
    WrongAnswer,
}

/// One thing that must not be.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// Of which kind.
    pub(crate) harm: Harm,
    /// What exactly.
    pub(crate) text: String,
}

impl Finding {
    /// A finding.
    pub(crate) fn new(harm: Harm, text: impl Into<String>) -> Self {
        Self { harm, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.harm, self.text)
    }
}
