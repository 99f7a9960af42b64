//! `scimd group`: read groups, and change their members.

use anyhow::Result;
use clap::Subcommand;
use serde_json::Value;

use super::change::MemberChange;
use super::history::HistoryArgs;
use super::operator::OperatorClient;
use super::output;
use super::resource::{self, ListArgs, Served, moment, text, texts, time};
use super::table::{Cell, TextTable};
use crate::config::Config;
use crate::operator::ResourceView;
use crate::operator::resource::ResourceKind;
use crate::scim::schemas::common::{EXTERNAL_ID, META};
use crate::scim::schemas::group::DISPLAY_NAME;

#[derive(Subcommand)]
pub(super) enum GroupCommand {
    /// List groups, oldest first
    List(ListArgs),
    /// Show a group and its members
    Show {
        /// The group: displayName or id, or externalId if only one group has it
        group: String,
        #[command(flatten)]
        history: HistoryArgs,
        /// Print JSON: the SCIM resource, or with --history an array of changes
        #[arg(long)]
        json: bool,
    },
    /// Add a user to a group
    AddMember(MemberChange),
    /// Remove a user from a group
    RemoveMember(MemberChange),
}

impl GroupCommand {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        let mut operator = OperatorClient::new(config);
        match self {
            Self::AddMember(change) => change.run(config, true),
            Self::RemoveMember(change) => change.run(config, false),
            Self::List(list) => {
                let head = ["NAME", "EXTERNAL ID", "CONNECTION", "LAST CHANGED", "ID"];
                let only = list.only(false, None);
                resource::list(&mut operator, ResourceKind::Group, &list, &only, head, row)
            }
            Self::Show { group, history, json } if history.history => {
                history.print(config, ResourceKind::Group, &group, json)
            }
            Self::Show { group, json, .. } => {
                let group = resource::find(&mut operator, ResourceKind::Group, group, false)?;
                if json {
                    print_json(&mut operator, group.resource)
                } else {
                    print(&mut operator, &group)
                }
            }
        }
    }
}

fn row(ResourceView { resource: group, connection, .. }: &ResourceView) -> [Cell; 5] {
    [
        text(group, &[DISPLAY_NAME]).into(),
        text(group, &[EXTERNAL_ID]).into(),
        connection.clone().unwrap_or_default().into(),
        time(group, "lastModified"),
        text(group, &["id"]).into(),
    ]
}

/// Prints the group as SCIM has it, `meta` last.
fn print_json(operator: &mut OperatorClient<'_>, mut group: Served) -> Result<()> {
    let mut all = Vec::new();
    resource::members(operator, &text(&group, &["id"]), |mut members| {
        all.append(&mut members);
        Ok(())
    })?;
    let meta = group.shift_remove(META);
    if !all.is_empty() {
        group.insert("members".to_owned(), Value::Array(all));
    }
    group.extend(meta.map(|meta| (META.to_owned(), meta)));
    output::json(&group)
}

fn print(operator: &mut OperatorClient<'_>, group: &ResourceView) -> Result<()> {
    let ResourceView { resource: group, connection, .. } = group;
    output::key_values(&[
        ("Id", texts(group, &["id"])),
        ("Name", texts(group, &[DISPLAY_NAME])),
        ("External id", texts(group, &[EXTERNAL_ID])),
        ("Connection", connection.iter().cloned().collect()),
        ("Created", vec![moment(group, "created")]),
        ("Changed", vec![moment(group, "lastModified")]),
        ("Version", texts(group, &["meta", "version"])),
    ])?;
    let mut table = TextTable::new(["MEMBER", "TYPE", "ID"], true);
    let mut count = 0;
    resource::members(operator, &text(group, &["id"]), |members| {
        let rows: Vec<[Cell; 3]> = members.iter().map(member).collect();
        if count == 0 && !rows.is_empty() {
            output::line("")?;
        }
        count += rows.len();
        if rows.is_empty() { Ok(()) } else { table.print(&rows) }
    })?;
    output::line(&format!("\n{}", output::counted(count, "member", "members")))
}

fn member(element: &Value) -> [Cell; 3] {
    ["display", "type", "value"].map(|part| {
        element.get(part).and_then(Value::as_str).map(output::sanitize).unwrap_or_default().into()
    })
}
