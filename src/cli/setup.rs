//! `scimd setup`: what to type into the identity provider.

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::arguments::the_connection;
use super::exit::CliError;
use super::output;
use super::output::{display_width, padded};
use crate::access::Catalogue;
use crate::app::Site;
use crate::config::Config;
use crate::connection::setup::{AcceptedItem, AcceptedValues, AttributeMapping, Setup, SetupVia};

/// How many characters a line has at most, unless a word is longer.
const WIDTH: usize = 100;
/// How many characters the columns before the last one of a table have at most: those of fields, and
/// those of a mapping, whose attributes may be long.
const FIELD_COLUMNS: [usize; 2] = [34, 34];
const MAPPING_COLUMNS: [usize; 2] = [24, 34];
/// How many spaces stand between two columns.
const GAP: usize = 2;

#[derive(Args)]
pub(super) struct SetupArgs {
    /// The connection (required if more than one is configured)
    #[arg(long)]
    connection: Option<String>,
    /// Through an agent of the identity provider in this network, without an open port
    #[arg(long, value_name = "WAY")]
    via: Option<Via>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The ways of `--via`.
#[derive(Clone, Copy, ValueEnum)]
enum Via {
    /// Entra's or Okta's provisioning agent
    Agent,
}

impl SetupArgs {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        let name = the_connection(config, self.connection)?;
        let Some(connection) = config.connections.get(&name) else { return Ok(()) };
        let site = Site::of(config);
        let catalogue = Catalogue::new(&config.access_settings());
        let via = match self.via {
            None => SetupVia::Direct,
            Some(Via::Agent) => SetupVia::Agent,
        };
        let (all, reachability) = (&config.connections, site.reachability());
        let setup = Setup::new(all, &name, connection, &catalogue, reachability, via);
        let setup = setup.ok_or_else(|| {
            CliError::usage(format!(
                "--via agent: connection {name} has method {}, whose clients have no agent; expected okta, okta-custom \
                 or entra",
                connection.method.as_str()
            ))
        })?;
        if self.json { output::json(&setup) } else { print(&setup) }
    }
}

fn print(setup: &Setup) -> Result<()> {
    output::line(&format!("Connection {}, method {}", setup.connection, setup.method))?;
    if !setup.others.is_empty() {
        paragraph("Others: ", &setup.others.join(", "))?;
    }
    for warning in &setup.warnings {
        output::line("")?;
        paragraph("WARNING  ", warning)?;
    }
    heading("Before you begin")?;
    for prerequisite in setup.prerequisites {
        paragraph("- ", prerequisite)?;
    }
    heading("Fields")?;
    let fields = setup.fields.iter().map(|field| [field.name, &field.value, &field.note]);
    table(FIELD_COLUMNS, ["FIELD", "VALUE", "NOTE"], &fields.collect::<Vec<_>>())?;
    for way in &setup.sign_in {
        heading(&format!("Or sign in with {}", way.name))?;
        let fields = way.fields.iter().map(|field| [field.name, &field.value, &field.note]);
        table(FIELD_COLUMNS, ["FIELD", "VALUE", "NOTE"], &fields.collect::<Vec<_>>())?;
    }
    heading("Attribute mapping of users")?;
    mapping(setup.mapping)?;
    if !setup.group_mapping.is_empty() {
        heading("Attribute mapping of groups")?;
        mapping(setup.group_mapping)?;
    }
    heading("Accepted values")?;
    accepted(&setup.accepted)?;
    heading("Steps")?;
    for (number, stage) in setup.steps.iter().enumerate() {
        paragraph(&format!("{}. ", number + 1), stage.title)?;
        for (step, text) in stage.steps.iter().enumerate() {
            paragraph(&format!("   {}.{} ", number + 1, step + 1), text)?;
        }
    }
    heading("Test")?;
    paragraph("Do       ", setup.test.step)?;
    paragraph("Success  ", setup.test.success)?;
    paragraph("Failure  ", setup.test.failure)?;
    output::line("\nTo test from a shell, with the token in the variable TOKEN:\n")?;
    output::line(&setup.test.curl)
}

fn heading(text: &str) -> Result<()> {
    output::line(&format!("\n{text}\n"))
}

fn mapping(mapping: &[AttributeMapping]) -> Result<()> {
    let rows = mapping.iter().map(|row| [row.source, row.attribute, row.meaning]);
    table(MAPPING_COLUMNS, ["FROM", "AS", "MAPS TO"], &rows.collect::<Vec<_>>())
}

fn accepted(accepted: &AcceptedValues) -> Result<()> {
    let words = |words: &[String]| match words {
        [] => "any word of a-z, 0-9 and _".to_owned(),
        words => words.join(", "),
    };
    let items = |items: &[AcceptedItem], none: &str| match items {
        [] => none.to_owned(),
        items => items.iter().map(named).collect::<Vec<_>>().join(", "),
    };
    let departments = match accepted.other_departments {
        true => format!("{}, and any other text", words(&accepted.departments)),
        false => words(&accepted.departments),
    };
    let workspaces = accepted.workspaces.iter().map(|workspace| match workspace.teams.as_slice() {
        [] => named(&workspace.item),
        teams => format!("{} with teams {}", named(&workspace.item), items(teams, "")),
    });
    let workspaces: Vec<String> = workspaces.collect();
    let none = "any text; no role is configured, so roles give no access";
    let default = match accepted.default_permissions.as_slice() {
        [] => accepted.default_workspace.clone(),
        permissions => format!("{} with {}", accepted.default_workspace, permissions.join(", ")),
    };
    for (label, values) in [
        ("Default workspace      ", format!("{default}; used if a request names no workspace")),
        ("Departments            ", departments),
        ("Roles                  ", items(&accepted.roles, none)),
        ("Workspaces             ", workspaces.join("; ")),
        ("Permission sets        ", items(&accepted.permission_sets, "none")),
        ("Company permissions    ", words(&accepted.company_permissions)),
        ("Workspace permissions  ", words(&accepted.workspace_permissions)),
        ("Team permissions       ", words(&accepted.team_permissions)),
    ] {
        paragraph(label, &values)?;
    }
    Ok(())
}

fn named(item: &AcceptedItem) -> String {
    format!("{} (id {})", item.name, item.id)
}

/// Prints a text with what stands before it; further lines begin below the first.
fn paragraph(before: &str, text: &str) -> Result<()> {
    let indent = display_width(before);
    for (number, part) in wrapped(text, WIDTH - indent).iter().enumerate() {
        let before = if number == 0 { before } else { "" };
        output::line(&(padded(before, indent) + part))?;
    }
    Ok(())
}

/// Prints a table whose last column is wrapped. A cell that is too wide for its column stands whole all
/// the same, to be copied: what comes after it goes to the next line.
fn table(most: [usize; 2], head: [&str; 3], rows: &[[&str; 3]]) -> Result<()> {
    let width = |column: usize, most: usize| {
        let cells = std::iter::once(&head).chain(rows).filter_map(|row| row.get(column));
        let widths = cells.map(|cell| display_width(cell)).filter(|width| *width <= most);
        widths.max().unwrap_or_default() + GAP
    };
    let [most_first, most_second] = most;
    let second = width(0, most_first);
    let third = second + width(1, most_second);
    for [one, two, three] in std::iter::once(&head).chain(rows) {
        let mut line = put((*one).to_owned(), second, two)?;
        for part in wrapped(three, WIDTH - third) {
            line = put(line, third, &part)?;
        }
        output::line(&line)?;
    }
    Ok(())
}

/// Puts a cell into a line at a column; if the line is longer already it is printed, and a new one begun.
fn put(line: String, column: usize, cell: &str) -> Result<String> {
    if cell.is_empty() {
        return Ok(line);
    }
    if display_width(&line) + GAP <= column {
        return Ok(padded(&line, column) + cell);
    }
    output::line(&line)?;
    Ok(format!("{:column$}{cell}", ""))
}

/// A text in lines of at most that many characters; a word that is longer stands alone.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if display_width(line) + 1 + display_width(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
