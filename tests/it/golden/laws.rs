//! What holds for every answer, so that no file needs to say it.

use serde_json::Value;

use super::file::{Golden, Step};
use crate::harness::{GROUP, RawReply, USER};

const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

/// Notes which laws an answer breaks.
pub(super) fn check(
    golden: &Golden,
    step: &Step,
    reply: &RawReply,
    body: &Value,
    problems: &mut Vec<String>,
) {
    let mut law = |holds: bool, law: &str| {
        if !holds {
            problems.push(law.to_owned());
        }
    };
    law(reply.status != 204 || reply.body.is_empty(), "204 has no body");
    if reply.body.is_empty() {
        return;
    }
    if !step.is_below_scim() {
        law(reply.header("content-type") == Some("application/json"), "OAuth answers JSON");
        law(reply.header("cache-control") == Some("no-store"), "an access token is not stored");
        return;
    }
    law(reply.header("content-type") == Some("application/scim+json"), "bodies are scim+json");
    let schemas = body["schemas"].as_array().map(Vec::as_slice).unwrap_or_default();
    law(!schemas.is_empty(), "\"schemas\" is a list that is not empty");
    law(no_null(body), "no member is null");
    law(no_member(body, "password"), "no answer has a password");
    let is = |urn: &str| schemas.iter().any(|schema| schema == urn);
    if reply.status >= 400 {
        // The flat dialect has a number there, as long as it is the only one that is spoken.
        let repeated = match golden.asks_origin() {
            true => body["status"] == reply.status,
            false => body["status"].as_str() == Some(&reply.status.to_string()),
        };
        law(is(ERROR) && schemas.len() == 1, "a refusal is an error of SCIM");
        law(repeated, "the body of an error repeats the status");
        law(body["detail"].as_str().is_some_and(|text| text.len() > 10), "an error is explained");
        return;
    }
    if is(LIST) {
        let resources = body["Resources"].as_array().map(Vec::as_slice).unwrap_or_default();
        law(body["Resources"].is_array(), "a list response has \"Resources\"");
        law(body["totalResults"].is_u64(), "\"totalResults\" is a whole number");
        law(body["itemsPerPage"] == resources.len(), "\"itemsPerPage\" is what is returned");
        law(body.get("startIndex").is_none_or(Value::is_u64), "\"startIndex\" is a whole number");
        for resource in resources {
            check_resource(step, resource, &mut law);
        }
    } else if is(USER) || is(GROUP) {
        check_resource(step, body, &mut law);
        let version = body.pointer("/meta/version").and_then(Value::as_str);
        law(version.is_none() || version == reply.header("etag"), "the version is the entity tag");
        let location = body.pointer("/meta/location").and_then(Value::as_str);
        let located = location.is_none() || location == reply.header("location");
        law(reply.status != 201 || located, "what is made is at its location");
    }
}

fn check_resource(step: &Step, resource: &Value, law: &mut impl FnMut(bool, &str)) {
    let id = resource["id"].as_str();
    law(id.is_some_and(|id| !id.is_empty()), "\"id\" is a text");
    let is_user = resource["schemas"].as_array().is_some_and(|urns| urns.contains(&USER.into()));
    if !step.projects() && is_user {
        law(resource["active"].is_boolean(), "a user is active or is not");
    }
    for list in resource.as_object().into_iter().flat_map(|members| members.values()) {
        let elements = list.as_array().map(Vec::as_slice).unwrap_or_default();
        let primary: Vec<&Value> = elements.iter().filter_map(|one| one.get("primary")).collect();
        law(primary.iter().all(|one| one.is_boolean()), "\"primary\" is a boolean");
        law(primary.iter().filter(|one| **one == true).count() <= 1, "one value is primary");
    }
}

fn no_null(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => items.iter().all(no_null),
        Value::Object(members) => members.values().all(no_null),
        _ => true,
    }
}

fn no_member(value: &Value, name: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().all(|item| no_member(item, name)),
        Value::Object(members) => {
            members.iter().all(|(own, value)| own != name && no_member(value, name))
        }
        _ => true,
    }
}
