//! `scimd export`: every user with its access, and every group with its members, for audits and for other programs.

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::operator::OperatorClient;
use super::progress::Progress;
use super::resource::{self, Served, text};
use super::{csv, output};
use crate::config::Config;
use crate::operator::ResourceView;
use crate::operator::resource::{ResourceFilter, ResourceKind};
use crate::scim::schemas::common::EXTERNAL_ID;
use crate::scim::schemas::user::{
    ACTIVE, DEPARTMENT, ENTERPRISE_USER, ENTITLEMENTS, ROLES, USER_NAME,
};

/// The columns of the CSV form.
const COLUMNS: [&str; 11] = [
    "id",
    "userName",
    "externalId",
    "active",
    "displayName",
    "department",
    "connection",
    "roles",
    "entitlements",
    "access",
    "lastModified",
];

#[derive(Args)]
pub(super) struct ExportArgs {
    /// The output format
    #[arg(long, short, alias = "format", value_enum, value_name = "FORMAT", default_value_t = Format::Jsonl)]
    output: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// Users, then groups, one JSON object on each line: {"resource": …, "connection": …, "access": …}
    Jsonl,
    /// Users as CSV with a header line; lists are separated by "; "
    Csv,
}

impl ExportArgs {
    pub(super) fn run(&self, config: &Config) -> Result<()> {
        let mut operator = OperatorClient::new(config);
        if let Format::Csv = self.output {
            output::line(&csv::row(&COLUMNS.map(ToOwned::to_owned)))?;
        }
        let all = ResourceFilter::default();
        let progress = Progress::of_printing("exporting users");
        let mut printed_users = 0;
        resource::pages(&mut operator, ResourceKind::User, true, &all, |users| {
            let printed = users.iter().try_for_each(|user| match self.output {
                Format::Jsonl => output::json_line(&object(user)),
                Format::Csv => output::line(&csv::row(&row(user))),
            });
            printed_users += users.len();
            progress.says(format!("exporting users: {printed_users}"));
            printed.map(|()| true)
        })?;
        match self.output {
            Format::Jsonl => groups(config, &mut operator, &progress),
            Format::Csv => Ok(()),
        }
    }
}

/// Prints every group with its members.
fn groups(config: &Config, operator: &mut OperatorClient<'_>, progress: &Progress) -> Result<()> {
    let (all, mut asks) = (ResourceFilter::default(), OperatorClient::new(config));
    let mut printed_groups = 0;
    resource::pages(operator, ResourceKind::Group, false, &all, |groups| {
        for mut group in groups {
            let mut members: Vec<Value> = Vec::new();
            resource::members(&mut asks, &text(&group.resource, &["id"]), |part| {
                let plain =
                    |member: &Value| json!({"value": member["value"], "type": member["type"]});
                members.extend(part.iter().map(plain));
                Ok(())
            })?;
            group.resource.insert("members".to_owned(), Value::Array(members));
            let ResourceView { resource, connection, .. } = group;
            output::json_line(&json!({"resource": resource, "connection": connection}))?;
            printed_groups += 1;
            progress.says(format!("exporting groups: {printed_groups}"));
        }
        Ok(true)
    })
}

fn object(ResourceView { resource, connection, access, .. }: &ResourceView) -> Value {
    json!({"resource": resource, "connection": connection, "access": access})
}

fn row(ResourceView { resource: user, connection, access, .. }: &ResourceView) -> [String; 11] {
    let access = access.iter().flatten().map(|piece| piece.value.as_str());
    [
        text(user, &["id"]),
        text(user, &[USER_NAME]),
        text(user, &[EXTERNAL_ID]),
        (user.get(ACTIVE) == Some(&Value::Bool(true))).to_string(),
        text(user, &["displayName"]),
        text(user, &[ENTERPRISE_USER, DEPARTMENT]),
        connection.clone().unwrap_or_default(),
        values(user, ROLES),
        values(user, ENTITLEMENTS),
        access.collect::<Vec<_>>().join("; "),
        text(user, &["meta", "lastModified"]),
    ]
}

/// The values of a multi-valued attribute, on one line.
fn values(user: &Served, attribute: &str) -> String {
    let value = |element: &Value| Some(element.get("value")?.as_str()?.to_owned());
    resource::elements(user, attribute, value).join("; ")
}
