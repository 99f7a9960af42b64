//! `scimd export`: every user with its access, and every group with its members, for audits and for other programs.

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::operator::OperatorClient;
use super::output;
use super::resource::{self, Served, text};
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
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
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
        if let Format::Csv = self.format {
            output::line(&csv(COLUMNS.map(ToOwned::to_owned)))?;
        }
        let all = ResourceFilter::default();
        resource::pages(&mut operator, ResourceKind::User, true, &all, |users| {
            let printed = users.iter().try_for_each(|user| match self.format {
                Format::Jsonl => output::json_line(&object(user)),
                Format::Csv => output::line(&csv(row(user))),
            });
            printed.map(|()| true)
        })?;
        match self.format {
            Format::Jsonl => groups(config, &mut operator),
            Format::Csv => Ok(()),
        }
    }
}

/// Prints every group with its members.
fn groups(config: &Config, operator: &mut OperatorClient<'_>) -> Result<()> {
    let (all, mut asks) = (ResourceFilter::default(), OperatorClient::new(config));
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

/// A row (RFC 4180), in which no spreadsheet finds a formula.
fn csv(cells: [String; 11]) -> String {
    let cells = cells.map(|cell| {
        let cell = without_formulas(&cell);
        match cell.contains([',', ';', '\t', '"', '\n', '\r', '\'']) {
            true => format!("\"{}\"", cell.replace('"', "\"\"")),
            false => cell,
        }
    });
    cells.join(",")
}

/// The text of a cell with `'` before whatever a spreadsheet would take for a formula: at the beginning, and
/// after each character that some spreadsheet takes for a separator. Where it does, quotes don't help.
fn without_formulas(cell: &str) -> String {
    let mut safe = String::with_capacity(cell.len());
    let mut begins = true;
    for character in cell.chars() {
        if begins && "=+-@\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}\t\r".contains(character) {
            safe.push('\'');
        }
        safe.push(character);
        begins = match character {
            ',' | ';' | '\t' | '\n' | '\r' => true,
            // Blanks and quotes before a formula are skipped.
            _ => begins && (character.is_whitespace() || character == '"'),
        };
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cells of a row, as a spreadsheet reads it that goes by one separator.
    fn cells(row: &str, separator: char) -> Vec<&str> {
        row.split([separator, '\n', '\r']).map(|cell| cell.trim_start_matches(['"', ' '])).collect()
    }

    #[test]
    fn no_cell_is_a_formula_whatever_separates_cells() {
        for formula in
            ["=1+1", "+1", "-1", "@SUM(A1)", "\u{ff1d}1", "\u{ff0b}1", "\u{ff0d}1", "\u{ff20}1"]
        {
            for before in ["", " ", "m;", "m; ", "m\t", "m,", "m\n", "m;\"", "\t", "\r", "\";"] {
                let row = csv(std::array::from_fn(|_| format!("{before}{formula}")));
                for separator in [',', ';', '\t'] {
                    let all = cells(&row, separator);
                    assert!(
                        !all.iter().any(|cell| cell.starts_with(formula)),
                        "{row:?} {separator:?}"
                    );
                }
            }
        }
        let plain = csv(std::array::from_fn(|_| "a-b@example.com".to_owned()));
        assert!(!plain.contains(['"', '\'']), "{plain}");
    }
}
