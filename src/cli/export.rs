//! `scimd export`: every user with its access, for audits and for other programs.

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::operator::OperatorClient;
use super::output;
use super::resource::{self, Served, text};
use crate::config::Config;
use crate::operator::ResourceView;
use crate::operator::resource::ResourceKind;
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
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// One JSON object on each line: {"resource": …, "connection": …, "access": …}
    Jsonl,
    /// CSV with a header line; lists are separated by "; "
    Csv,
}

impl ExportArgs {
    pub(super) fn run(&self, config: &Config) -> Result<()> {
        let mut operator = OperatorClient::new(config);
        if let Format::Csv = self.format {
            output::line(&csv(COLUMNS.map(ToOwned::to_owned)))?;
        }
        resource::pages(&mut operator, ResourceKind::User, true, |users| {
            users.iter().try_for_each(|user| match self.format {
                Format::Jsonl => output::line(&object(user).to_string()),
                Format::Csv => output::line(&csv(row(user))),
            })
        })
    }
}

fn object(ResourceView { resource, connection, access }: &ResourceView) -> Value {
    json!({"resource": resource, "connection": connection, "access": access})
}

fn row(ResourceView { resource: user, connection, access }: &ResourceView) -> [String; 11] {
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

/// A row (RFC 4180). A cell that a spreadsheet would take for a formula is kept from being one.
fn csv(cells: [String; 11]) -> String {
    let cells = cells.map(|cell| {
        let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
        let cell = if formula { format!("'{cell}") } else { cell };
        match cell.contains([',', '"', '\n', '\r', '\'']) {
            true => format!("\"{}\"", cell.replace('"', "\"\"")),
            false => cell,
        }
    });
    cells.join(",")
}
