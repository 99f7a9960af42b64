//! One row: a user or a group in SCIM's form.

use serde_json::{Map, Value};

use crate::operator::resource::ResourceKind;
use crate::scim::json;
use crate::scim::schemas::group::{DISPLAY_NAME, GROUP};
use crate::scim::schemas::user::{USER, USER_NAME};

/// The maximum size of a line of JSON or a row of CSV, in bytes: a group with about 400,000 members.
pub(super) const MAX_LINE_BYTES: usize = 32 * 1024 * 1024;

/// What reads the rows one after the other.
pub(super) type Visit<'a> = dyn FnMut(Result<ReadRow, RowError>) -> anyhow::Result<()> + 'a;

/// A row as it was read.
pub(super) struct ReadRow {
    /// The number of its line, or of its first one, from 1.
    pub(super) line: u64,
    /// The number of bytes of the file up to its end.
    pub(super) end: u64,
    /// Its size without members, in bytes.
    pub(super) bytes: usize,
    pub(super) kind: ResourceKind,
    /// The `userName` or `displayName`; empty if it has none.
    pub(super) name: String,
    /// The id that it has where it comes from.
    pub(super) id: Option<String>,
    /// Its attributes without members.
    pub(super) resource: Map<String, Value>,
    /// The connection that it names.
    pub(super) connection: Option<String>,
    /// Its members: ids of the file, names or external ids.
    pub(super) members: Vec<String>,
}

/// A row that can't be imported.
pub(super) struct RowError {
    /// The number of its line.
    pub(super) line: u64,
    /// A sentence that says why.
    pub(super) reason: String,
}

/// The maximum size of a row without its members, in bytes.
const MAX_ROW_BYTES: usize = 2 * 1024 * 1024;
/// The maximum size of what names a member, in bytes.
const MAX_MEMBER_BYTES: usize = 2048;

impl ReadRow {
    /// Reads a line: a resource, or an object of `scimd export` with `resource` and `connection`.
    ///
    /// # Errors
    ///
    /// A sentence that says why not.
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        let mut object = json::parse_object(line).map_err(|error| error.detail)?;
        let mut connection = None;
        if let Some(Value::Object(_)) = object.get("resource") {
            connection = text(&object, "connection");
            if let Some(Value::Object(resource)) = object.remove("resource") {
                object = resource;
            }
        }
        Self::new(object, connection)
    }

    /// A row with the attributes of a resource, `id` and `members` among them.
    pub(super) fn new(
        mut resource: Map<String, Value>,
        connection: Option<String>,
    ) -> Result<Self, String> {
        let kind = kind(&resource)?;
        let members = take_members(&mut resource)?;
        let attribute = match kind {
            ResourceKind::User => USER_NAME,
            ResourceKind::Group => DISPLAY_NAME,
        };
        let bytes = serde_json::to_vec(&resource).map_or(0, |json| json.len());
        if bytes > MAX_ROW_BYTES {
            return Err(format!("the row has more than {} MiB", MAX_ROW_BYTES >> 20));
        }
        let name = text(&resource, attribute).unwrap_or_default();
        let id = text(&resource, "id");
        Ok(Self { line: 0, end: 0, bytes, kind, name, id, resource, connection, members })
    }

    /// The `externalId`.
    pub(super) fn external_id(&self) -> Option<String> {
        text(&self.resource, "externalId")
    }
}

/// Whether a resource is a user or a group, by its schemas or by its attributes.
fn kind(resource: &Map<String, Value>) -> Result<ResourceKind, String> {
    let schemas = json::member(resource, "schemas").and_then(Value::as_array);
    let is = |urn: &str| {
        let mut schemas = schemas.into_iter().flatten().filter_map(Value::as_str);
        schemas.any(|schema| schema.eq_ignore_ascii_case(urn))
    };
    let has = |name: &str| json::member(resource, name).is_some();
    match () {
        () if is(USER) => Ok(ResourceKind::User),
        () if is(GROUP) => Ok(ResourceKind::Group),
        () if has(USER_NAME) => Ok(ResourceKind::User),
        () if has(DISPLAY_NAME) => Ok(ResourceKind::Group),
        () => Err("neither a user (userName) nor a group (displayName)".to_owned()),
    }
}

fn take_members(resource: &mut Map<String, Value>) -> Result<Vec<String>, String> {
    let members = match json::take_member(resource, "members") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(members)) => members,
        Some(one) => vec![one],
    };
    let value = |member: Value| {
        let value = match member {
            Value::Object(mut member) => json::take_member(&mut member, "value"),
            other => Some(other),
        };
        match value {
            Some(Value::String(value)) if value.len() <= MAX_MEMBER_BYTES => Ok(value),
            Some(Value::String(_)) => {
                Err(format!("members: one is longer than {MAX_MEMBER_BYTES} bytes"))
            }
            _ => Err("members: each is a text, or an object with a value".to_owned()),
        }
    };
    members.into_iter().map(value).collect()
}

fn text(object: &Map<String, Value>, name: &str) -> Option<String> {
    let text = json::member(object, name)?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}
