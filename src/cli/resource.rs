//! What the commands that read the directory have in common.

use anyhow::Result;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::operator::{OperatorClient, unexpected};
use super::output::{self, JsonArray, TextTable};
use crate::operator::resource::ResourceKind;
use crate::operator::{OperatorReply, OperatorRequest, ResourceView};

/// A resource in SCIM's form.
pub(super) type Served = Map<String, Value>;

/// Prints every resource of a kind, page by page: as JSON in SCIM's form, or as a row of a table.
pub(super) fn list<const N: usize>(
    operator: &mut OperatorClient<'_>,
    kind: ResourceKind,
    json: bool,
    head: [&'static str; N],
    row: impl Fn(&ResourceView) -> [String; N],
) -> Result<()> {
    let (mut table, mut array) = (TextTable::new(head), JsonArray::default());
    pages(operator, kind, false, |resources| {
        if json {
            let served = resources.iter().map(|shown| &shown.resource);
            array.print(&served.collect::<Vec<_>>())
        } else {
            table.print(&resources.iter().map(&row).collect::<Vec<_>>())
        }
    })?;
    if json { array.end() } else { Ok(()) }
}

/// Visits every resource of a kind, page by page, with its effective access if `access` is set.
pub(super) fn pages(
    operator: &mut OperatorClient<'_>,
    kind: ResourceKind,
    access: bool,
    mut visit: impl FnMut(Vec<ResourceView>) -> Result<()>,
) -> Result<()> {
    let mut next = Some(String::new());
    while let Some(cursor) = next {
        let request = OperatorRequest::ListResources { kind, cursor, access };
        let OperatorReply::Resources { resources, next: following } = operator.ask(request)? else {
            return unexpected();
        };
        visit(resources)?;
        next = following;
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

/// A moment of `meta`.
pub(super) fn moment(resource: &Served, name: &str) -> String {
    let moment: Option<Timestamp> = text(resource, &["meta", name]).parse().ok();
    output::moment(moment, "")
}
