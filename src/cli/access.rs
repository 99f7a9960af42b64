//! `scimd access`: why a user has access, who has some, and what would change.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::exit::CliError;
use super::list::{ListFormat, ListOutput};
use super::operator::{OperatorClient, unexpected};
use super::output;
use super::table::Cell;
use crate::config::Config;
use crate::directory::AccessPath;
use crate::operator::{
    AccessChanges, AccessDifference, AccessExplanation, AccessHolderPage, AccessReply,
    AccessRequest, AccessUser, ExplainedItem, HolderInfo, OperatorReply, OperatorRequest,
};

#[derive(Subcommand)]
pub(super) enum AccessCommand {
    /// Show what a user may do, and every path that gives it
    Why {
        /// The user: userName or id, or externalId or email address if only one user has it
        user: String,
        /// Show only this: a permission, permission set, role, team or workspace, role:NAME, or an entitlement
        #[arg(long, value_name = "NAME")]
        permission: Option<String>,
        #[command(flatten)]
        list: AccessOutput,
    },
    /// List the users who have some access
    Who {
        /// A permission, permission set, role, team or workspace, role:NAME, or an entitlement
        #[arg(value_name = "PERMISSION")]
        of: String,
        /// List at most N
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        #[command(flatten)]
        list: AccessOutput,
    },
    /// Show what membership in a group, or a grant, would change for a user; changes nothing
    WhatIf {
        /// The user: userName, id, externalId or email address
        user: String,
        /// Assume that the user is a member of this group (displayName, id or externalId)
        #[arg(long = "group", value_name = "GROUP")]
        joined: Vec<String>,
        /// Assume that the user is not a direct member of this group
        #[arg(long = "without-group", value_name = "GROUP")]
        left: Vec<String>,
        /// Assume that the user is also granted this: role:NAME or an entitlement
        #[arg(long = "grant", value_name = "ACCESS")]
        given: Vec<String>,
        #[command(flatten)]
        list: AccessOutput,
    },
}

/// The form of the output.
#[derive(Args)]
pub(super) struct AccessOutput {
    #[command(flatten)]
    output: ListOutput,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One path to a role or piece of access, for programs.
#[derive(serde::Serialize)]
struct PathRow {
    value: String,
    meaning: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<&'static str>,
    path: Option<AccessPath>,
}

impl AccessCommand {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        let mut operator = OperatorClient::new(config);
        match self {
            Self::Why { user, permission: of, list } => {
                match ask(&mut operator, AccessRequest::Why { user, of })? {
                    AccessReply::Why(explanation) => print_why(&explanation, &list),
                    _ => unexpected(),
                }
            }
            Self::Who { of, limit, list } => print_who(&mut operator, &of, limit, &list),
            Self::WhatIf { joined, left, given, .. }
                if joined.is_empty() && left.is_empty() && given.is_empty() =>
            {
                Err(CliError::usage("nothing to assume; add --group, --without-group or --grant"))
            }
            Self::WhatIf { user, joined, left, given, list } => {
                let request = AccessRequest::WhatIf { user, joined, left, given };
                match ask(&mut operator, request)? {
                    AccessReply::WhatIf(changes) => print_changes(&changes, &list),
                    _ => unexpected(),
                }
            }
        }
    }
}

fn ask(operator: &mut OperatorClient<'_>, request: AccessRequest) -> Result<AccessReply> {
    match operator.ask(OperatorRequest::Access(request))? {
        OperatorReply::Access(reply) => Ok(reply),
        _ => unexpected(),
    }
}

fn json_of(list: &AccessOutput) -> Option<ListFormat> {
    list.json.then_some(ListFormat::Json)
}

fn print_why(explanation: &AccessExplanation, list: &AccessOutput) -> Result<()> {
    let AccessExplanation { user, access } = explanation;
    let rows: Vec<PathRow> = access
        .iter()
        .flat_map(|ExplainedItem { value, meaning, paths, .. }| {
            let (value, meaning) = (value.clone(), meaning.clone());
            paths.iter().map(move |path| PathRow {
                value: value.clone(),
                meaning: meaning.clone(),
                change: None,
                path: Some(path.clone()),
            })
        })
        .collect();
    let mut printer = list.output.printer(json_of(list), ["ACCESS", "DESCRIPTION", "GRANTED BY"]);
    printer.print(
        &rows,
        |row| row,
        |row| {
            let path = row.path.as_ref().map(ToString::to_string).unwrap_or_default();
            [
                output::sanitize(&row.value).into(),
                output::sanitize(&row.meaning).into(),
                output::sanitize(&path).into(),
            ]
        },
    )?;
    printer.end(&without_access(user))?;
    for item in access.iter().filter(|item| item.has_more) {
        output::note(&format!(
            "{} has more paths than are shown. Narrow it down with --permission.",
            item.value
        ))?;
    }
    Ok(())
}

fn without_access(AccessUser { name, active, .. }: &AccessUser) -> String {
    match active {
        true => format!("{name} has none of this access: no attribute, group or grant gives it."),
        false => format!("{name} has no access: the user is not active."),
    }
}

fn print_who(
    operator: &mut OperatorClient<'_>,
    of: &str,
    limit: Option<usize>,
    list: &AccessOutput,
) -> Result<()> {
    let head = ["USERNAME", "ACCESS", "GRANTED BY", "ID"];
    let mut printer = list.output.printer(json_of(list), head);
    let (mut after, mut left) = (None, limit.unwrap_or(usize::MAX));
    loop {
        let reply = ask(operator, AccessRequest::Who { of: of.to_owned(), after })?;
        let AccessReply::Who(AccessHolderPage { mut users, next, .. }) = reply else {
            return unexpected();
        };
        users.truncate(left);
        left -= users.len();
        printer.print(&users, |user| user, holder_row)?;
        match next {
            Some(next) if left > 0 => after = Some(next),
            _ => break,
        }
    }
    printer.end("No user has this access.")
}

fn holder_row(HolderInfo { id, name, access }: &HolderInfo) -> [Cell; 4] {
    let values: Vec<&str> = access.iter().map(|held| held.value.as_str()).collect();
    let mut sources: Vec<&str> = Vec::new();
    for source in access.iter().flat_map(|held| &held.sources) {
        if !sources.contains(&source.as_str()) {
            sources.push(source);
        }
    }
    let joined = |texts: &[&str]| output::sanitize(&texts.join("; "));
    [
        output::sanitize(name).into(),
        joined(&values).into(),
        joined(&sources).into(),
        id.clone().into(),
    ]
}

fn print_changes(changes: &AccessChanges, list: &AccessOutput) -> Result<()> {
    let AccessChanges { user, changes } = changes;
    let mut rows = Vec::new();
    for AccessDifference { value, meaning, before, after } in changes {
        let row = |change, path: &AccessPath| PathRow {
            value: value.clone(),
            meaning: meaning.clone(),
            change: Some(change),
            path: Some(path.clone()),
        };
        let (gained, lost) = (before.is_empty(), after.is_empty());
        for path in before.iter().filter(|path| !after.contains(path)) {
            rows.push(row(if lost { "lost" } else { "kept, without" }, path));
        }
        for path in after.iter().filter(|path| !before.contains(path)) {
            rows.push(row(if gained { "gained" } else { "kept, also" }, path));
        }
    }
    let head = ["CHANGE", "ACCESS", "DESCRIPTION", "PATH"];
    let mut printer = list.output.printer(json_of(list), head);
    printer.print(
        &rows,
        |row| row,
        |row| {
            let path = row.path.as_ref().map(ToString::to_string).unwrap_or_default();
            let change = row.change.unwrap_or_default();
            [
                Cell::warning_if(change == "lost", change),
                output::sanitize(&row.value).into(),
                output::sanitize(&row.meaning).into(),
                output::sanitize(&path).into(),
            ]
        },
    )?;
    printer.end(&match user.active {
        true => format!("Nothing would change for {}.", user.name),
        false => format!("Nothing would change: {} is not active and has no access.", user.name),
    })
}
