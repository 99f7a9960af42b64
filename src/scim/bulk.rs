//! Bulk requests (RFC 7644, section 3.7).

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::error::{ScimError, ScimType};
use super::filter::literal_texts;
use super::json::take_member;

/// The URN of bulk responses.
pub const BULK_RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";

/// The maximum number of operations in a request, which ServiceProviderConfig announces.
pub const MAX_OPERATIONS: usize = 1_000;

const REFERENCE: &str = "bulkId:";
/// The member of a PATCH operation that may have literals in brackets.
const PATH: &str = "path";

/// The HTTP method of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkMethod {
    /// Creates a resource.
    Post,
    /// Replaces a resource.
    Put,
    /// Patches a resource.
    Patch,
    /// Deletes a resource.
    Delete,
}

impl BulkMethod {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// One operation of a bulk request, as the client sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct BulkRequestOperation {
    /// The method.
    pub method: BulkMethod,
    /// The client's temporary name for the resource that a POST creates.
    pub bulk_id: Option<String>,
    /// The entity tag that the resource must have.
    pub version: Option<String>,
    /// The endpoint of a resource type.
    pub endpoint: String,
    /// The id of a resource; empty for a POST.
    pub id: String,
    /// The data of the operation: the body of the equivalent single request.
    pub data: Map<String, Value>,
}

/// A bulk request.
#[derive(Clone, Debug, PartialEq)]
pub struct BulkRequest {
    /// The number of failures after which execution stops.
    pub fail_on_errors: Option<usize>,
    /// The operations in order; a malformed one is represented by its error.
    pub operations: Vec<Result<BulkRequestOperation, Malformed>>,
}

/// A malformed operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Malformed {
    /// The method, as the client wrote it.
    pub method: String,
    /// The client's temporary name for the resource that it would create.
    pub bulk_id: Option<String>,
    /// The error.
    pub error: ScimError,
}

impl BulkRequest {
    /// Reads the body of a request.
    ///
    /// # Errors
    ///
    /// `invalidSyntax` or `invalidValue`; `tooMany` for more than [`MAX_OPERATIONS`].
    pub fn parse(mut body: Map<String, Value>) -> Result<Self, ScimError> {
        let fail_on_errors = match take_member(&mut body, "failOnErrors") {
            None => None,
            // 0 stands for no limit.
            Some(value) => Some(count(&value).ok_or_else(|| {
                ScimError::invalid_value("\"failOnErrors\" must be a whole number, 0 or more.")
            })?)
            .filter(|limit| *limit > 0),
        };
        let Some(Value::Array(operations)) = take_member(&mut body, "Operations") else {
            return Err(ScimError::invalid_syntax("\"Operations\" must be an array."));
        };
        if operations.len() > MAX_OPERATIONS {
            return Err(ScimError::new(
                ScimType::TooMany,
                format!(
                    "The request has {} operations; at most {MAX_OPERATIONS} are allowed.",
                    operations.len()
                ),
            ));
        }
        let operations = operations.into_iter().enumerate().map(|(number, operation)| {
            let text = |name: &str| Some(operation.get(name)?.as_str()?.to_owned());
            let (method, bulk_id) = (text("method").unwrap_or_default(), text("bulkId"));
            BulkRequestOperation::parse(operation).map_err(|problem| Malformed {
                method,
                bulk_id,
                error: ScimError::invalid_syntax(format!("\"Operations[{number}]\" {problem}.")),
            })
        });
        Ok(Self { fail_on_errors, operations: operations.collect() })
    }
}

fn count(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|count| usize::try_from(count).ok())
}

impl BulkRequestOperation {
    fn parse(operation: Value) -> Result<Self, String> {
        let Value::Object(mut members) = operation else {
            return Err("must be an object".to_owned());
        };
        let mut text = |name: &str| match take_member(&mut members, name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("must have a string as \"{name}\"")),
        };
        let method = text("method")?.unwrap_or_default();
        let method = [BulkMethod::Post, BulkMethod::Put, BulkMethod::Patch, BulkMethod::Delete]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(&method))
            .ok_or("must have POST, PUT, PATCH or DELETE as \"method\"")?;
        let (bulk_id, version) = (text("bulkId")?, text("version")?);
        let path = text("path")?.unwrap_or_default();
        let (endpoint, id) = match path.trim_start_matches('/').split_once('/') {
            Some((endpoint, id)) => (endpoint.to_owned(), id.to_owned()),
            None => (path.trim_start_matches('/').to_owned(), String::new()),
        };
        match (method, id.is_empty(), &bulk_id) {
            (BulkMethod::Post, false, _) => return Err("is a POST to one resource".to_owned()),
            (BulkMethod::Post, true, None) => {
                return Err("is a POST and needs a \"bulkId\"".to_owned());
            }
            (BulkMethod::Put | BulkMethod::Patch | BulkMethod::Delete, true, _) => {
                return Err("must name a resource in its \"path\", such as /Users/ID".to_owned());
            }
            _ => {}
        }
        let data = match take_member(&mut members, "data") {
            Some(Value::Object(data)) => data,
            None if method == BulkMethod::Delete => Map::new(),
            _ => return Err("must have an object as \"data\"".to_owned()),
        };
        Ok(Self { method, bulk_id, version, endpoint, id, data })
    }

    /// Returns the temporary names to which this operation refers.
    pub fn references(&self) -> Vec<String> {
        let is_patch = self.method == BulkMethod::Patch;
        let mut found: Vec<String> =
            reference(&self.id).map(ToOwned::to_owned).into_iter().collect();
        let mut waiting: Vec<&Value> = self.data.values().collect();
        while let Some(value) = waiting.pop() {
            match value {
                Value::String(text) => found.extend(reference(text).map(ToOwned::to_owned)),
                Value::Array(items) => waiting.extend(items),
                Value::Object(members) => {
                    for (name, value) in members {
                        match value {
                            Value::String(path) if is_patch && name.eq_ignore_ascii_case(PATH) => {
                                let texts = literal_texts(path);
                                let names = texts.iter().filter_map(|(_, text)| reference(text));
                                found.extend(names.map(ToOwned::to_owned));
                            }
                            other => waiting.push(other),
                        }
                    }
                }
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
        found
    }

    /// Replaces the client's temporary names by ids: in the path of the operation, in every text of its
    /// data that is a name alone, and in the literals of the paths of a PATCH.
    ///
    /// # Errors
    ///
    /// `invalidValue`, with a name that no operation creates.
    pub fn resolve(&mut self, ids: &HashMap<String, String>) -> Result<(), ScimError> {
        let id = |text: &str| match reference(text) {
            None => Ok(None),
            Some(name) => ids.get(name).map(Some).ok_or_else(|| {
                ScimError::invalid_value(format!(
                    "No operation of the request creates \"{REFERENCE}{}\".",
                    name.escape_debug()
                ))
            }),
        };
        if let Some(id) = id(&self.id)? {
            self.id.clone_from(id);
        }
        let is_patch = self.method == BulkMethod::Patch;
        let mut waiting: Vec<&mut Value> = self.data.values_mut().collect();
        while let Some(value) = waiting.pop() {
            match value {
                Value::String(text) => {
                    if let Some(id) = id(text)? {
                        text.clone_from(id);
                    }
                }
                Value::Array(items) => waiting.extend(items),
                Value::Object(members) => {
                    for (name, value) in members {
                        match value {
                            Value::String(path) if is_patch && name.eq_ignore_ascii_case(PATH) => {
                                // From the end, so that the places before stay where they are.
                                for (place, text) in literal_texts(path).into_iter().rev() {
                                    if let Some(id) = id(&text)? {
                                        path.replace_range(place, &format!("\"{id}\""));
                                    }
                                }
                            }
                            other => waiting.push(other),
                        }
                    }
                }
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
        Ok(())
    }
}

fn reference(text: &str) -> Option<&str> {
    text.strip_prefix(REFERENCE)
}

/// Returns the order in which operations are executed.
///
/// The order is that of the request, except that an operation is preceded by those to which it
/// refers. In a cycle of references the first operation of the request goes first.
pub fn order(operations: &[Result<BulkRequestOperation, Malformed>]) -> Vec<usize> {
    let creators: HashMap<&str, usize> = operations
        .iter()
        .enumerate()
        .filter_map(|(place, operation)| {
            Some((operation.as_ref().ok()?.bulk_id.as_deref()?, place))
        })
        .collect();
    let needs: Vec<Vec<usize>> = operations
        .iter()
        .map(|operation| {
            let names =
                operation.as_ref().map(BulkRequestOperation::references).unwrap_or_default();
            names.iter().filter_map(|name| creators.get(name.as_str()).copied()).collect()
        })
        .collect();
    let mut seen = vec![false; operations.len()];
    let mut order = Vec::with_capacity(operations.len());
    for first in 0..operations.len() {
        // A depth-first search with an explicit stack of operations, each with the number of
        // references followed so far.
        let mut stack = vec![(first, 0)];
        while let Some((place, met)) = stack.pop() {
            if met == 0 {
                match seen.get_mut(place) {
                    Some(seen) if !*seen => *seen = true,
                    _ => continue,
                }
            }
            match needs.get(place).and_then(|needs| needs.get(met)) {
                Some(need) => stack.extend([(place, met + 1), (*need, 0)]),
                None => order.push(place),
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(body: &Value) -> Result<BulkRequest, ScimError> {
        BulkRequest::parse(body.as_object().unwrap().clone())
    }

    fn post(bulk_id: &str, members: &[&str]) -> Value {
        let members: Vec<Value> =
            members.iter().map(|id| json!({"value": format!("bulkId:{id}")})).collect();
        json!({"method": "post", "path": "/Groups", "bulkId": bulk_id, "data": {"members": members}})
    }

    #[test]
    fn operations_run_after_what_they_refer_to() {
        let operations =
            [post("a", &["c", "b"]), post("b", &["c"]), post("c", &[]), post("d", &[])];
        let request = parse(&json!({"Operations": operations, "failOnErrors": 1})).unwrap();
        assert_eq!(order(&request.operations), [2, 1, 0, 3]);
        let later = [post("d", &[]), post("a", &["c"]), post("b", &[]), post("c", &[])];
        let request = parse(&json!({"Operations": later})).unwrap();
        assert_eq!(order(&request.operations), [0, 3, 1, 2], "right before it, not at the end");
        let circle = [post("a", &["b"]), post("b", &["a"]), post("c", &["c"])];
        let request = parse(&json!({"operations": circle})).unwrap();
        assert_eq!(order(&request.operations), [1, 0, 2]);
    }

    #[test]
    fn names_become_ids_everywhere_or_are_named() {
        let ids = HashMap::from([("a".to_owned(), "1".to_owned())]);
        let mut request = parse(&json!({"Operations": [
            {"method": "PUT", "path": "Groups/bulkId:a", "data": {"x": [{"y": "bulkId:a"}]}},
        ]}))
        .unwrap();
        let operation = request.operations.get_mut(0).unwrap().as_mut().unwrap();
        operation.resolve(&ids).unwrap();
        assert_eq!((operation.id.as_str(), &operation.data["x"]), ("1", &json!([{"y": "1"}])));
        operation.id = "bulkId:z".to_owned();
        assert!(operation.resolve(&ids).unwrap_err().detail.contains("\"bulkId:z\""));
    }

    #[test]
    fn problems_name_the_operation() {
        let detail = |operation: Value| {
            let request = parse(&json!({"Operations": [operation]})).unwrap();
            request.operations[0].clone().expect_err("must be refused").error.detail
        };
        assert!(detail(json!(1)).contains("\"Operations[0]\" must be an object"));
        assert!(detail(json!({"method": "GET"})).contains("POST, PUT, PATCH or DELETE"));
        assert!(detail(json!({"method": "POST", "path": "/Users"})).contains("\"bulkId\""));
        assert!(detail(json!({"method": "DELETE", "path": "/Users"})).contains("/Users/ID"));
        assert!(detail(json!({"method": "PUT", "path": "/Users/1"})).contains("\"data\""));
        assert!(parse(&json!({"Operations": {}})).is_err());
        assert!(parse(&json!({"Operations": [], "failOnErrors": -1})).is_err());
        let unlimited = parse(&json!({"Operations": [], "failOnErrors": 0})).unwrap();
        assert_eq!(unlimited.fail_on_errors, None);
        let many = vec![json!({"method": "DELETE", "path": "/Users/1"}); MAX_OPERATIONS + 1];
        assert_eq!(parse(&json!({"Operations": many})).unwrap_err().scim_type, ScimType::TooMany);
    }
}
