//! What the server says of itself, and that it is true.

use serde_json::{Map, Value, json};

use crate::harness::{Client, Raw, Server, USER, encode};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

const PATHS: [&str; 6] = [
    "/ServiceProviderConfig",
    "/ResourceTypes",
    "/ResourceTypes/User",
    "/Schemas",
    "/Schemas/urn:ietf:params:scim:schemas:core:2.0:User",
    "/Schemas/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
];

/// The entries of a list.
fn entries(client: &Client, path: &str) -> Vec<Value> {
    let list = client.get(path).expect(200).body;
    let entries = list["Resources"].as_array().unwrap().clone();
    assert_eq!(list["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:ListResponse"]));
    assert_eq!(list["totalResults"], entries.len());
    entries
}

#[test]
fn the_configuration_says_what_the_server_can_do() {
    let server = Server::start_with("[limits]\nmax_count = 7\ndefault_count = 5");
    let client = server.client();
    let config = client.get("/ServiceProviderConfig").expect(200).body;
    for feature in ["patch", "bulk", "filter", "changePassword", "sort", "etag"] {
        assert!(config[feature]["supported"].is_boolean(), "{feature}");
    }
    assert_eq!(config["filter"]["maxResults"], 7);
    assert_eq!(config["authenticationSchemes"][0]["type"], "oauthbearertoken");
    assert_eq!(config["meta"]["resourceType"], "ServiceProviderConfig");
    assert_eq!(config["patch"]["supported"], true);
    client.send("PATCH", "/Users/x", Some(b"{}")).error(400, Some("invalidSyntax"));
    assert_eq!(config["bulk"]["supported"], true);
    client.send("POST", "/Bulk", Some(b"{}")).error(400, Some("invalidSyntax"));
    assert_eq!(config["bulk"]["maxOperations"], 1_000);
    assert_eq!(config["pagination"]["cursor"], true);
    assert_eq!(config["pagination"]["index"], true);
    assert_eq!(config["pagination"]["defaultPageSize"], 5);
    assert_eq!(config["pagination"]["maxPageSize"], 7);
    for number in 0..8 {
        client.post("/Users", &json!({"userName": number.to_string()})).expect(201);
    }
    assert_eq!(client.get("/Users?count=100").body["itemsPerPage"], 7);
    assert_eq!(client.get("/Users").body["itemsPerPage"], 5);
}

#[test]
fn every_entry_is_served_by_its_id_in_any_case_and_at_its_location() {
    let server = Server::start();
    let client = server.client();
    let base = format!("https://127.0.0.1:{}/scim/v2", server.port());
    let config = client.get("/ServiceProviderConfig").expect(200).body;
    let mut all = vec![config];
    for path in ["/ResourceTypes", "/Schemas"] {
        for entry in entries(&client, path) {
            let id = entry["id"].as_str().unwrap();
            for id in [id.to_owned(), encode(id), id.to_lowercase()] {
                assert_eq!(client.get(&format!("{path}/{id}")).expect(200).body, entry);
            }
            all.push(entry);
        }
        client.get(&format!("{path}/nothing")).error(404, None);
    }
    assert_eq!(all.len(), 16, "itself, four resource types, nine schemas and two of Okta's");
    for entry in all {
        let location = entry["meta"]["location"].as_str().unwrap();
        let path = location.strip_prefix(&base).unwrap_or_else(|| panic!("{location}"));
        assert_eq!(client.get(path).expect(200).body, entry);
    }
}

#[test]
fn resource_types_name_schemas_and_endpoints_that_are_served() {
    let server = Server::start();
    let client = server.client();
    for entry in entries(&client, "/ResourceTypes") {
        client.get(entry["endpoint"].as_str().unwrap()).expect(200);
        let extensions = entry["schemaExtensions"].as_array().unwrap().iter();
        let named = extensions.map(|extension| &extension["schema"]).chain([&entry["schema"]]);
        for schema in named {
            let read = client.get(&format!("/Schemas/{}", schema.as_str().unwrap())).expect(200);
            assert_eq!(&read.body["id"], schema);
        }
    }
}

#[test]
fn discovery_is_not_searched() {
    let server = Server::start();
    let client = server.client();
    for path in PATHS {
        for name in ["filter", "Filter"] {
            let reply = client.get(&format!("{path}?{name}=id%20eq%20%22User%22"));
            assert!(reply.error(403, None).contains("filter"), "{path}");
        }
        let plain = client.get(path).expect(200).body;
        let asked =
            client.get(&format!("{path}?startIndex=2&count=1&attributes=id&x=y")).expect(200);
        assert_eq!(asked.body, plain, "{path}");
    }
}

#[test]
fn head_answers_as_get_does_without_the_body() {
    let server = Server::start();
    let id = server.client().post("/Users", &json!({"userName": "a"})).expect(201);
    let user = format!("/Users/{}", id.text("/id"));
    let bearer = format!("Bearer {}", server.token());
    let headers = [("Authorization", bearer.as_str()), ("X-Request-Origin", "localhost")];
    let mut raw = Raw::connect(&server);
    for path in PATHS.into_iter().chain(["/Users", &user, "/Users/nobody", "/nothing"]) {
        let path = format!("/scim/v2{path}");
        let get = raw.ask("GET", &path, &headers);
        let head = raw.ask("HEAD", &path, &headers);
        assert_eq!(head.head, get.head, "{path}");
        assert!(head.body.is_empty() && !get.body.is_empty(), "{path}");
    }
}

#[test]
fn every_document_has_a_schema_that_describes_all_of_it() {
    fn check(value: &Value, attributes: &Value, place: &str) {
        let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        for (name, part) in values.iter().filter_map(Value::as_object).flatten() {
            // Sub-attributes have none themselves, but in the schema of schemas.
            if name == "subAttributes" && name == place {
                continue;
            }
            let known = attributes.as_array().unwrap().iter();
            let attribute = known.clone().find(|attribute| attribute["name"] == name.as_str());
            let attribute = attribute.unwrap_or_else(|| panic!("{place}.{name}"));
            assert_eq!(attribute["multiValued"], part.is_array(), "{place}.{name}");
            assert_eq!(attribute["mutability"], "readOnly", "{place}.{name}");
            check(part, &attribute["subAttributes"], name);
        }
    }
    let server = Server::start();
    let client = server.client();
    let mut documents = vec![client.get("/ServiceProviderConfig").expect(200).body];
    documents.extend(entries(&client, "/ResourceTypes"));
    documents.extend(entries(&client, "/Schemas"));
    for mut document in documents {
        let urn = document["schemas"][0].as_str().unwrap().to_owned();
        let schema = client.get(&format!("/Schemas/{urn}")).expect(200).body;
        document.as_object_mut().unwrap().retain(|name, _| name != "schemas" && name != "meta");
        check(&document, &schema["attributes"], &urn);
    }
}

#[test]
fn the_schemas_of_the_rfc_are_described_in_its_words() {
    fn descriptions(attributes: &Value, prefix: &str, found: &mut Map<String, Value>) {
        for attribute in attributes.as_array().into_iter().flatten() {
            let path = format!("{prefix}{}", attribute["name"].as_str().unwrap());
            found.insert(path.clone(), attribute["description"].clone());
            descriptions(&attribute["subAttributes"], &format!("{path}."), found);
        }
    }
    let rfc: Map<String, Value> = serde_json::from_str(include_str!("rfc7643.json")).unwrap();
    let server = Server::start();
    let client = server.client();
    for (urn, expected) in &rfc {
        let served = client.get(&format!("/Schemas/{urn}")).expect(200).body;
        assert_eq!(served["name"], expected["name"]);
        assert_eq!(served["description"], expected["description"]);
        let mut found = Map::new();
        descriptions(&served["attributes"], "", &mut found);
        for (path, description) in expected["attributes"].as_object().unwrap() {
            assert_eq!(found.get(path), Some(description), "{urn}: {path}");
        }
    }
    assert_eq!(rfc.len(), 6);
}

/// A value as an attribute's definition asks for it.
fn value(attribute: &Value) -> Value {
    let canonical = attribute["canonicalValues"].get(0).cloned();
    let one = match attribute["type"].as_str().unwrap() {
        "string" => canonical.unwrap_or_else(|| json!(format!("a {}", attribute["name"]))),
        "boolean" => json!(true),
        "integer" => json!(7),
        "decimal" => json!(7.5),
        "dateTime" => json!("2026-03-01T08:15:00Z"),
        "reference" => json!("https://example.com/x"),
        "binary" => json!("QUJD"),
        "complex" => object(&attribute["subAttributes"], &|_| true),
        other => panic!("no type of RFC 7643: {other}"),
    };
    if attribute["multiValued"] == true { json!([one]) } else { one }
}

/// An object with every attribute of a list that is wanted.
fn object(attributes: &Value, wanted: &dyn Fn(&Value) -> bool) -> Value {
    let attributes = attributes.as_array().unwrap().iter().filter(|attribute| wanted(attribute));
    let pairs = attributes
        .map(|attribute| (attribute["name"].as_str().unwrap().to_owned(), value(attribute)));
    Value::Object(pairs.collect::<Map<_, _>>())
}

/// Takes out of a value what its definition says that clients can't set or never see.
fn served(mut value: Value, attributes: &Value) -> Value {
    for attribute in attributes.as_array().unwrap() {
        let name = attribute["name"].as_str().unwrap();
        let object = value.as_object_mut().unwrap();
        if attribute["mutability"] == "readOnly" || attribute["returned"] == "never" {
            object.remove(name);
        } else if attribute["type"] == "complex" {
            let inner = object.remove(name).unwrap();
            let inner = match inner {
                Value::Array(elements) => elements
                    .into_iter()
                    .map(|one| served(one, &attribute["subAttributes"]))
                    .collect(),
                one => served(one, &attribute["subAttributes"]),
            };
            object.insert(name.to_owned(), inner);
        }
    }
    value
}

#[test]
fn a_user_with_every_attribute_of_the_schemas_comes_back_whole() {
    let server = Server::start();
    let client = server.client();
    let attributes =
        |urn: &str| client.get(&format!("/Schemas/{urn}")).expect(200).body["attributes"].clone();
    let (core, enterprise) = (attributes(USER), attributes(ENTERPRISE));
    let mut sent = object(&core, &|_| true);
    sent[ENTERPRISE] = object(&enterprise, &|_| true);
    sent["externalId"] = json!("7");
    let mut expected = served(sent.clone(), &core);
    expected[ENTERPRISE] = served(sent[ENTERPRISE].clone(), &enterprise);
    assert!(sent.as_object().unwrap().len() > 20);
    // Access that names no workspace is completed with the connection's default.
    sent["entitlements"][0]["value"] = json!("workspace:Main");
    expected["entitlements"][0]["value"] = json!("workspace:Main");
    sent["nothing of ours"] = json!(1);
    let created = client.post("/Users", &sent).expect(201);
    let read = client.get(&format!("/Users/{}", created.text("/id"))).expect(200);
    for mut body in [created.body, read.body] {
        assert_eq!(body["schemas"], json!([USER, ENTERPRISE]));
        for name in ["schemas", "id", "meta"] {
            assert!(body.as_object_mut().unwrap().remove(name).is_some(), "{name}");
        }
        let names = |value: &Value| {
            value.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(names(&body), names(&expected));
        assert_eq!(body, expected);
    }
}

#[test]
fn every_definition_is_complete() {
    fn check(attributes: &Value) {
        for attribute in attributes.as_array().unwrap() {
            let name = attribute["name"].as_str().unwrap();
            assert!(
                attribute["description"].as_str().is_some_and(|text| !text.is_empty()),
                "{name}"
            );
            for (key, words) in [
                (
                    "type",
                    &[
                        "string",
                        "boolean",
                        "integer",
                        "decimal",
                        "dateTime",
                        "reference",
                        "binary",
                        "complex",
                    ][..],
                ),
                ("mutability", &["readWrite", "readOnly", "writeOnly", "immutable"]),
                ("returned", &["always", "never", "default", "request"]),
                ("uniqueness", &["none", "server", "global"]),
            ] {
                assert!(words.contains(&attribute[key].as_str().unwrap()), "{name}.{key}");
            }
            for key in ["multiValued", "required", "caseExact"] {
                assert!(attribute[key].is_boolean(), "{name}.{key}");
            }
            if attribute["type"] == "complex" {
                check(&attribute["subAttributes"]);
            }
        }
    }
    let server = Server::start();
    let schemas = entries(&server.client(), "/Schemas");
    schemas.iter().for_each(|schema| check(&schema["attributes"]));
}
