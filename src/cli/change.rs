//! `scimd user deactivate`, `activate` and `transfer`, `scimd group add-member` and `remove-member`.

use anyhow::Result;
use clap::Args;

use super::operator::{OperatorClient, unexpected};
use super::output;
use crate::config::Config;
use crate::operator::{ChangeReport, OperatorChange, OperatorReply, OperatorRequest};

/// The user of a change, and why it is made.
#[derive(Args)]
pub(super) struct UserChange {
    /// The user: userName or id, or externalId or email address if only one user has it
    user: String,
    /// Reason, recorded in the audit log
    #[arg(long)]
    reason: Option<String>,
}

/// A membership that is added or removed, and why.
#[derive(Args)]
pub(super) struct MemberChange {
    /// The group: displayName or id, or externalId if only one group has it
    group: String,
    #[command(flatten)]
    change: UserChange,
}

impl UserChange {
    pub(super) fn deactivate(self, config: &Config) -> Result<()> {
        let Self { user, reason } = self;
        let report = make(config, OperatorChange::SetActive { user, active: false }, reason)?;
        let ChangeReport { name, id, changed, deactivation, .. } = report;
        let since = deactivation.map(|earlier| {
            let reason = earlier.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("{} by {}{reason}", output::moment(Some(earlier.since), ""), earlier.by)
        });
        output::note(&match (changed, since) {
            (false, Some(since)) => {
                format!("User {name} ({id}) is already deactivated, since {since}.")
            }
            _ => format!(
                "Deactivated user {name} ({id}). It stays inactive, whatever its identity provider sends, until \
                 `scimd user activate {id}`. This holds for the account with this id: if the identity provider deletes it and \
                 creates another one with the same userName, that one is active."
            ),
        })
    }

    pub(super) fn activate(self, config: &Config) -> Result<()> {
        let Self { user, reason } = self;
        let report = make(config, OperatorChange::SetActive { user, active: true }, reason)?;
        let ChangeReport { name, id, changed, deactivation, .. } = report;
        output::note(&match changed {
            true => format!("Activated user {name} ({id})."),
            false => format!("User {name} ({id}) is already active."),
        })?;
        match deactivation.filter(|ended| !ended.requested_active) {
            Some(_) => output::note(
                "Note: the identity provider had deactivated this user as well, and may do so again.",
            ),
            None => Ok(()),
        }
    }

    pub(super) fn transfer(self, config: &Config, connection: &str) -> Result<()> {
        let Self { user, reason } = self;
        let change = OperatorChange::Transfer { user, connection: connection.to_owned() };
        let ChangeReport { name, id, changed, connection: before, .. } =
            make(config, change, reason)?;
        let before =
            before.map(|before| format!(", previously by \"{before}\"")).unwrap_or_default();
        output::note(&match changed {
            true => {
                format!("User {name} ({id}) is now managed by connection \"{connection}\"{before}.")
            }
            false => {
                format!("User {name} ({id}) is already managed by connection \"{connection}\".")
            }
        })
    }
}

impl MemberChange {
    pub(super) fn run(self, config: &Config, add: bool) -> Result<()> {
        let Self { group, change: UserChange { user, reason } } = self;
        let change = OperatorChange::ChangeMember { group, user, add };
        let ChangeReport { name, id, group, changed, .. } = make(config, change, reason)?;
        let group = group.unwrap_or_default();
        output::note(&match (changed, add) {
            (true, true) => format!("Added user {name} ({id}) to group {group}."),
            (true, false) => format!("Removed user {name} ({id}) from group {group}."),
            (false, true) => format!("User {name} ({id}) is already a member of group {group}."),
            (false, false) => format!("User {name} ({id}) is not a member of group {group}."),
        })
    }
}

fn make(config: &Config, change: OperatorChange, reason: Option<String>) -> Result<ChangeReport> {
    match OperatorClient::new(config).ask(OperatorRequest::Change { change, reason })? {
        OperatorReply::Changed(report) => Ok(report),
        _ => unexpected(),
    }
}
