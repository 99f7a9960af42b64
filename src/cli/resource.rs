//! What the commands that read the directory have in common.

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::arguments::check_searched;
use super::list::{ListFormat, ListOutput};
use super::operator::{OperatorClient, unexpected};
use super::output;
use super::table::Cell;
use crate::operator::resource::{ResourceFilter, ResourceKind};
use crate::operator::{OperatorReply, OperatorRequest, ResourceView};

/// A resource in SCIM's form.
pub(super) type Served = Map<String, Value>;

/// Which resources to list, and how.
#[derive(Args)]
pub(super) struct ListArgs {
    /// List only resources that match a SCIM filter, such as 'userName sw "a"'
    #[arg(long)]
    filter: Option<String>,
    /// List only resources that this connection manages
    #[arg(long)]
    connection: Option<String>,
    /// List at most N
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    output: ListOutput,
    /// Print JSON: an array of SCIM resources, without members and groups
    #[arg(long)]
    json: bool,
}

impl ListArgs {
    /// The filter of these arguments and more.
    pub(super) fn only(&self, inactive: bool, group: Option<String>) -> ResourceFilter {
        let (filter, connection) = (self.filter.clone(), self.connection.clone());
        ResourceFilter { filter, inactive, connection, group }
    }
}

/// Prints resources of a kind, page by page: as JSON in SCIM's form, or as rows.
pub(super) fn list<const N: usize>(
    operator: &mut OperatorClient<'_>,
    kind: ResourceKind,
    list: &ListArgs,
    only: &ResourceFilter,
    head: [&'static str; N],
    row: impl Fn(&ResourceView) -> [Cell; N],
) -> Result<()> {
    let json = list.json.then_some(ListFormat::Json);
    let mut printer = list.output.printer(json, head);
    let mut left = list.limit.unwrap_or(usize::MAX);
    pages(operator, kind, false, only, |mut resources| {
        resources.truncate(left);
        left -= resources.len();
        printer.print(&resources, |shown| &shown.resource, &row)?;
        Ok(left > 0)
    })?;
    if printer.is_empty() {
        check_searched(operator.config(), only.connection.as_ref())?;
    }
    printer.end(&format!("No {}s.", kind.as_str()))
}

/// Visits resources of a kind, page by page, with their effective access if `access` is set, as long as `visit`
/// wants more.
pub(super) fn pages(
    operator: &mut OperatorClient<'_>,
    kind: ResourceKind,
    access: bool,
    only: &ResourceFilter,
    mut visit: impl FnMut(Vec<ResourceView>) -> Result<bool>,
) -> Result<()> {
    let mut next = Some(String::new());
    while let Some(cursor) = next {
        let only = only.clone();
        let request = OperatorRequest::ListResources { kind, cursor, access, only };
        let OperatorReply::Resources { resources, next: following } = operator.ask(request)? else {
            return unexpected();
        };
        next = following;
        if !visit(resources)? {
            break;
        }
    }
    Ok(())
}

/// One resource by its id or name, without members, and with its effective access if `access` is set.
pub(super) fn find(
    operator: &mut OperatorClient<'_>,
    kind: ResourceKind,
    name: String,
    access: bool,
) -> Result<ResourceView> {
    match operator.ask(OperatorRequest::ShowResource { kind, name, access })? {
        OperatorReply::Resource(resource) => Ok(resource),
        _ => unexpected(),
    }
}

/// Visits every member of a group, part by part.
pub(super) fn members(
    operator: &mut OperatorClient<'_>,
    group: &str,
    mut visit: impl FnMut(Vec<Value>) -> Result<()>,
) -> Result<()> {
    let mut after = None;
    loop {
        let request = OperatorRequest::ListMembers { group: group.to_owned(), after };
        let OperatorReply::Members { members, next } = operator.ask(request)? else {
            return unexpected();
        };
        visit(members)?;
        match next {
            Some(last) => after = Some(last),
            None => return Ok(()),
        }
    }
}

/// A text of a resource, sanitized; empty if it has none.
pub(super) fn text(resource: &Served, path: &[&str]) -> String {
    texts(resource, path).pop().unwrap_or_default()
}

/// Like [`text`], as the values beside a label: one or none.
pub(super) fn texts(resource: &Served, path: &[&str]) -> Vec<String> {
    let (first, rest) = path.split_first().unzip();
    let value = first.and_then(|name| resource.get(*name));
    let value = rest.into_iter().flatten().try_fold(value, |value, name| Some(value?.get(name)));
    value.flatten().and_then(Value::as_str).map(output::sanitize).into_iter().collect()
}

/// The elements of a multi-valued attribute as texts, sanitized.
pub(super) fn elements(
    resource: &Served,
    attribute: &str,
    shown: impl Fn(&Value) -> Option<String>,
) -> Vec<String> {
    let elements = resource.get(attribute).and_then(Value::as_array);
    elements.into_iter().flatten().filter_map(shown).map(|text| output::sanitize(&text)).collect()
}

/// A moment of `meta`, as a cell.
pub(super) fn time(resource: &Served, name: &str) -> Cell {
    Cell::Time(text(resource, &["meta", name]).parse().ok(), "")
}

/// A moment of `meta`.
pub(super) fn moment(resource: &Served, name: &str) -> String {
    let moment: Option<Timestamp> = text(resource, &["meta", name]).parse().ok();
    output::moment(moment, "")
}

/// The attributes of a resource that are not among those `shown` already, each with its values in words. Those of an
/// extension are shown without its URN.
pub(super) fn rest(resource: &Served, shown: &[&str]) -> Vec<(String, Vec<String>)> {
    let mut rest = Vec::new();
    for (name, value) in resource.iter().filter(|(name, _)| !shown.contains(&name.as_str())) {
        match value {
            Value::Object(parts) if name.starts_with("urn:") => {
                let parts = parts.iter();
                rest.extend(parts.map(|(part, value)| (output::sanitize(part), values(value))));
            }
            value => rest.push((output::sanitize(name), values(value))),
        }
    }
    rest
}

/// The values of an attribute, one on a line.
fn values(value: &Value) -> Vec<String> {
    match value {
        Value::Array(elements) => elements.iter().map(in_words).collect(),
        single => vec![in_words(single)],
    }
}

/// A text as it is; of an object its value and what is said of it, else its parts.
fn in_words(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Object(parts) => {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), Into::into);
            let parts = parts.iter().map(|(name, part)| format!("{name}: {}", text(part)));
            parts.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    output::sanitize(&text)
}
