//! Rows of CSV, whose header has SCIM paths: each cell is set as by a PATCH.

use std::cell::Cell;
use std::collections::HashSet;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use anyhow::Result;
use csv::{ByteRecord, ErrorKind, ReaderBuilder, Terminator};
use serde_json::{Map, Value, json};

use super::row::{MAX_LINE_BYTES, ReadRow, RowError, Visit};
use crate::cli::exit::CliError;
use crate::scim::patch::{PatchRequest, Target, apply};
use crate::scim::registry::Registry;
use crate::scim::resource::Resource;
use crate::scim::schema::ResourceType;

/// What separates the values of a cell with several.
const SEPARATOR: char = ';';

/// A column.
enum Column {
    /// The id where the row comes from.
    Id,
    /// The connection that manages it.
    Connection,
    /// The members.
    Members,
    /// An attribute: its path, and whether a cell has several values.
    Attribute { path: String, is_list: bool },
}

/// Visits the rows of CSV.
///
/// # Errors
///
/// A header that is not one; what `visit` returns.
pub(super) fn rows(reader: impl BufRead, registry: &Registry, visit: &mut Visit<'_>) -> Result<()> {
    let row_bytes = Rc::new(Cell::new(0));
    let bounded = Bounded { inner: reader, row: Rc::clone(&row_bytes) };
    let mut reader = ReaderBuilder::new()
        .flexible(true)
        // A carriage return before it is trimmed with the cell; lines are counted right so.
        .terminator(Terminator::Any(b'\n'))
        .from_reader(bounded);
    let header = match reader.byte_headers() {
        Ok(header) => header.clone(),
        Err(error) => return Err(CliError::usage(format!("line 1: {}", in_words(&error)))),
    };
    let (resource_type, columns) = columns(registry, &header)?;
    let mut record = ByteRecord::new();
    loop {
        row_bytes.set(0);
        match reader.read_byte_record(&mut record) {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(error) => {
                // Where a row ends is not known any more.
                let line = reader.position().line();
                return visit(Err(RowError { line, reason: in_words(&error) }));
            }
        }
        let line = record.position().map_or(0, csv::Position::line);
        let row = row(resource_type, &columns, &record);
        let end = reader.position().byte();
        let row = row.map(|row| ReadRow { line, end, ..row });
        visit(row.map_err(|reason| RowError { line, reason }))?;
    }
}

/// What the header says: users or groups, and each column.
fn columns<'a>(
    registry: &'a Registry,
    header: &ByteRecord,
) -> Result<(&'a ResourceType, Vec<Column>)> {
    let wrong = |reason: String| CliError::usage(format!("line 1: {reason}"));
    let names: Vec<&str> = header
        .iter()
        .map(|name| std::str::from_utf8(name).map(str::trim))
        .collect::<Result<_, _>>()
        .map_err(|_| wrong("the header is not UTF-8".to_owned()))?;
    let has = |name: &str| names.iter().any(|one| one.eq_ignore_ascii_case(name));
    let endpoint = match () {
        () if has("userName") => "Users",
        () if has("displayName") => "Groups",
        () => {
            return Err(wrong(
                "the header has neither userName nor displayName; it is a line of SCIM paths, such as \
                 userName,name.familyName,emails[type eq \"work\"].value,active"
                    .to_owned(),
            ));
        }
    };
    let Some(resource_type) = registry.by_endpoint(endpoint) else {
        return Err(wrong(format!("there are no {endpoint}")));
    };
    let mut seen = HashSet::new();
    let mut columns = Vec::new();
    for name in names {
        if !seen.insert(name.to_ascii_lowercase()) {
            let name = name.escape_debug();
            return Err(wrong(format!("the column \"{name}\" is there twice")));
        }
        columns.push(column(resource_type, name).map_err(wrong)?);
    }
    Ok((resource_type, columns))
}

fn column(resource_type: &ResourceType, name: &str) -> Result<Column, String> {
    match name.to_ascii_lowercase().as_str() {
        "id" => return Ok(Column::Id),
        "connection" => return Ok(Column::Connection),
        "members" if !resource_type.is_account => return Ok(Column::Members),
        _ => {}
    }
    let parsed = request(resource_type, vec![(name, Value::from("true"))]);
    let parsed =
        parsed.map_err(|reason| format!("column \"{}\": {reason}", name.escape_debug()))?;
    let is_list = parsed.operations.iter().all(|operation| {
        let target: &Target = &operation.target;
        let definition = target.definition(resource_type);
        definition.is_some_and(|definition| {
            definition.attribute.multi_valued && definition.sub_attribute.is_none()
        })
    });
    Ok(Column::Attribute { path: name.to_owned(), is_list })
}

fn row(
    resource_type: &ResourceType,
    columns: &[Column],
    record: &ByteRecord,
) -> Result<ReadRow, String> {
    if record.len() != columns.len() {
        return Err(format!(
            "the row has {} cells and the header {}; quote cells that contain a comma",
            record.len(),
            columns.len()
        ));
    }
    let (mut id, mut connection, mut members) = (None, None, Vec::new());
    let mut cells = Vec::new();
    for (column, cell) in columns.iter().zip(record) {
        let cell = std::str::from_utf8(cell).map_err(|_| "the row is not UTF-8".to_owned())?.trim();
        if cell.is_empty() {
            continue;
        }
        let values = || cell.split(SEPARATOR).map(str::trim).filter(|value| !value.is_empty());
        match column {
            Column::Id => id = Some(cell.to_owned()),
            Column::Connection => connection = Some(cell.to_owned()),
            Column::Members => members.extend(values().map(Value::from)),
            Column::Attribute { path, is_list: true } => {
                let values: Vec<Value> = values().map(|value| json!({"value": value})).collect();
                cells.push((path.as_str(), Value::Array(values)));
            }
            Column::Attribute { path, is_list: false } => {
                cells.push((path.as_str(), Value::from(cell)));
            }
        }
    }
    let mut resource = Resource::from_stored(b"{}").map_err(|error| error.to_string())?;
    for operation in &request(resource_type, cells)?.operations {
        apply(resource_type, &mut resource, operation).map_err(|error| error.detail)?;
    }
    let mut attributes: Map<String, Value> = resource.attributes().clone();
    attributes.insert("schemas".to_owned(), json!([resource_type.schema.id]));
    attributes.extend(id.map(|id| ("id".to_owned(), Value::String(id))));
    attributes.insert("members".to_owned(), Value::Array(members));
    ReadRow::new(attributes, connection)
}

/// The PATCH that adds values at paths.
fn request(
    resource_type: &ResourceType,
    cells: Vec<(&str, Value)>,
) -> Result<PatchRequest, String> {
    let operation = |(path, value)| json!({"op": "add", "path": path, "value": value});
    let operations: Vec<Value> = cells.into_iter().map(operation).collect();
    if operations.is_empty() {
        return Err("the row is empty".to_owned());
    }
    let body = Map::from_iter([("Operations".to_owned(), Value::Array(operations))]);
    PatchRequest::parse(resource_type, body).map_err(|error| error.detail)
}

fn in_words(error: &csv::Error) -> String {
    match error.kind() {
        ErrorKind::Io(error) => error.to_string(),
        _ => format!("{error}; quote cells that contain commas or quotes"),
    }
}

/// Reads at most [`MAX_LINE_BYTES`] for one row, also where a quote is never closed.
struct Bounded<R> {
    inner: R,
    /// The number of bytes read since the last row ended.
    row: Rc<Cell<usize>>,
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.row.set(self.row.get() + read);
        match self.row.get() > MAX_LINE_BYTES {
            true => Err(io::Error::other(format!(
                "the row is longer than {} MiB; is a quote not closed?",
                MAX_LINE_BYTES >> 20
            ))),
            false => Ok(read),
        }
    }
}
