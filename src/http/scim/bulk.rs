//! Bulk requests (RFC 7644, section 3.7).

use std::collections::HashMap;
use std::sync::Arc;

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::{Call, representation, resources};
use crate::directory::{
    Bulk, BulkOperation, BulkOutcome, Create, Delete, DirectoryError, Patch, Replace,
};
use crate::http::error::Failure;
use crate::http::precondition;
use crate::http::respond::{self, HttpResponse};
use crate::scim::bulk::{self, BULK_RESPONSE, BulkMethod, BulkRequest, Malformed};
use crate::scim::error::{ScimError, ScimType};
use crate::scim::exchange::Exchange;
use crate::scim::json;
use crate::scim::resource::ResourceId;
use crate::text::excerpt;

/// Runs a bulk request. Ids of created resources are assigned first, so that operations may refer to each
/// other in any order; they run in an order in which each operation comes after those it refers to.
pub(in crate::http) async fn bulk(call: Call<'_>) -> Result<HttpResponse, Failure> {
    let mut request = match BulkRequest::parse(json::parse_object(&call.body)?) {
        Err(error) if error.scim_type == ScimType::TooMany => {
            return Err(Failure::TooManyOperations(error));
        }
        parsed => parsed?,
    };
    call.count_operations(request.operations.len())?;
    let order = bulk::order(&request.operations);
    let mut created: HashMap<String, ResourceId> = HashMap::new();
    let understood = request.operations.iter().flatten();
    let posts = understood.filter(|operation| operation.method == BulkMethod::Post);
    for bulk_id in posts.filter_map(|operation| operation.bulk_id.clone()) {
        if created.insert(bulk_id.clone(), call.context.directory.new_id()).is_some() {
            return Err(ScimError::invalid_value(format!(
                "The bulkId \"{}\" is used twice.",
                bulk_id.escape_debug()
            ))
            .into());
        }
    }
    let ids: HashMap<String, String> =
        created.iter().map(|(name, id)| (name.clone(), id.to_string())).collect();
    let mut operations = Vec::with_capacity(order.len());
    for index in &order {
        operations.extend(request.operations.get_mut(*index).map(|operation| match operation {
            Ok(operation) => prepare(&call, operation, &ids, &created),
            Err(malformed) => BulkOperation::Refused(malformed.error.clone()),
        }));
    }
    let command = Bulk { operations, fail_on_errors: request.fail_on_errors };
    let outcomes = call.submit(command).await?;
    // A POST may have opened an account that was there, under its own id.
    let mut reopened = HashMap::new();
    for (index, outcome) in order.iter().zip(&outcomes) {
        let operation =
            request.operations.get(*index).and_then(|operation| operation.as_ref().ok());
        let foreseen = operation
            .filter(|operation| operation.method == BulkMethod::Post)
            .and_then(|operation| ids.get(operation.bulk_id.as_ref()?));
        if let (Some(foreseen), Ok(Some((_, stored)))) = (foreseen, outcome) {
            reopened.insert(foreseen.clone(), stored.id.to_string());
        }
    }
    for operation in request.operations.iter_mut().flatten() {
        json::rename(&mut operation.id, &reopened);
    }
    let mut results: Vec<(usize, Value)> = order
        .into_iter()
        .zip(outcomes)
        .filter_map(|(index, outcome)| {
            Some((index, result(&call, request.operations.get(index)?, outcome)))
        })
        .collect();
    results.sort_by_key(|(index, _)| *index);
    let results: Vec<Value> = results.into_iter().map(|(_, result)| result).collect();
    let body = json!({"schemas": [BULK_RESPONSE], "Operations": results});
    let answer = respond::json_body(StatusCode::OK, body.to_string());
    Ok(call.context.work_limits.count(call.connection, None, answer))
}

fn prepare(
    call: &Call<'_>,
    operation: &mut bulk::BulkRequestOperation,
    ids: &HashMap<String, String>,
    created: &HashMap<String, ResourceId>,
) -> BulkOperation {
    match try_prepare(call, operation, ids, created) {
        Ok(prepared) => prepared,
        Err(Failure::Directory(DirectoryError::Invalid(error))) => BulkOperation::Refused(error),
        Err(_) => BulkOperation::Refused(ScimError::invalid_value(format!(
            "Endpoint \"/{}\" not found.",
            excerpt(&operation.endpoint, 100)
        ))),
    }
}

fn try_prepare(
    call: &Call<'_>,
    operation: &mut bulk::BulkRequestOperation,
    ids: &HashMap<String, String>,
    created: &HashMap<String, ResourceId>,
) -> Result<BulkOperation, Failure> {
    let known = call.context.directory.registry().by_endpoint(&operation.endpoint);
    let resource_type = Arc::clone(known.ok_or(Failure::NotFound(String::new()))?);
    operation.resolve(ids)?;
    let (id, data) = (operation.id.clone(), operation.data.clone());
    let expected = operation.version.as_deref().map(precondition::versions_of);
    Ok(match operation.method {
        BulkMethod::Post => BulkOperation::Create(Create {
            rules: call.rules,
            id: operation.bulk_id.as_ref().and_then(|name| created.get(name)).copied(),
            resource: resources::resource(call, &resource_type, Exchange::Create, data, None)?,
            resource_type,
        }),
        BulkMethod::Put => {
            let renaming = call.manner.dialect_of(&resource_type).renaming();
            let exchange = Exchange::Replace(renaming);
            BulkOperation::Replace(Replace {
                rules: call.rules,
                resource: resources::resource(call, &resource_type, exchange, data, Some(&id))?,
                renaming,
                resource_type,
                id,
                expected,
            })
        }
        BulkMethod::Patch => {
            let request = resources::patch_request(call, &resource_type, data, &id)?;
            BulkOperation::Patch(Patch { request, rules: call.rules, resource_type, id, expected })
        }
        BulkMethod::Delete => {
            BulkOperation::Delete(Delete { resource_type, id, expected, rules: call.rules })
        }
    })
}

/// One operation's part of the answer.
fn result(
    call: &Call<'_>,
    operation: &Result<bulk::BulkRequestOperation, Malformed>,
    outcome: BulkOutcome,
) -> Value {
    let mut result = Map::new();
    let mut add = |name: &str, value: Value| result.insert(name.to_owned(), value);
    let (method, bulk_id) = match operation {
        Ok(operation) => (operation.method.as_str(), &operation.bulk_id),
        Err(malformed) => (malformed.method.as_str(), &malformed.bulk_id),
    };
    let created = method == BulkMethod::Post.as_str();
    let location = match operation {
        Ok(operation) if !created => {
            Some(format!("{}/{}/{}", call.context.base_url, operation.endpoint, operation.id))
        }
        _ => None,
    };
    add("method", json!(method));
    if let Some(bulk_id) = bulk_id {
        add("bulkId", json!(bulk_id));
    }
    match outcome {
        Ok(Some((resource_type, stored))) => {
            let location =
                representation::location(&call.context.base_url, &resource_type, stored.id);
            add("location", json!(location));
            add("version", json!(stored.record.version.to_string()));
            add("status", json!(if created { "201" } else { "200" }));
        }
        Ok(None) => {
            add("location", json!(location));
            add("status", json!("204"));
        }
        Err(error) => {
            if let Some(location) = location {
                add("location", json!(location));
            }
            let (status, body) = Failure::from(error).into_body(call.manner.dialect());
            add("status", json!(status.as_str()));
            add("response", body);
        }
    }
    Value::Object(result)
}
