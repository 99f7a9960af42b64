//! A body in the flat dialect that is accepted is an account that, as it is shown, can be sent back; a
//! PATCH in it leaves such an account too.

#![no_main]

use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use scimd_fuzz::access::{self, Catalogue};
use scimd_fuzz::scim::exchange::{Exchange, Renaming};
use scimd_fuzz::scim::json::parse_object;
use scimd_fuzz::scim::query::Parameters;
use scimd_fuzz::scim::resource::Resource;
use scimd_fuzz::scim::schema::ResourceType;
use scimd_fuzz::{flat, served, world};
use serde_json::{Map, Value, json};

/// The access that the appliance is configured with.
fn settings() -> Value {
    json!({
        "words": {"workspace_permissions": ["read", "write"], "departments": ["bi", "finance"]},
        "workspaces": [
            {"name": "Main", "id": "m", "teams": ["One"]},
            {"name": "Other", "id": "o"},
        ],
        "permission_sets": [{"name": "Set", "id": "s", "permissions": ["read"]}],
        "roles": [{"name": "Boss", "id": "b", "workspaces": [{"workspace": "Main"}]}],
    })
}

/// A user with something of everything.
const USER: &[u8] = br#"{
    "schemas": ["x"], "userName": "a@b", "name": {"givenName": "G"}, "department": "bi", "title": "t",
    "permissions": {
        "companyPermissions": ["admin"],
        "roles": [{"roleName": "Boss"}],
        "appGroup": [
            {"appGroupName": "Main", "appGroupPermissions": ["read"],
                "team": [{"teamName": "One", "teamPermissions": ["a"]}]},
            {"appGroupName": "Other",
                "appGroupPermissionSets": [{"appGroupPermissionSetName": "Set"}]}
        ]
    }
}"#;

/// Users as an appliance with a catalogue has them.
fn users() -> &'static (Arc<Catalogue>, ResourceType) {
    static USERS: OnceLock<(Arc<Catalogue>, ResourceType)> = OnceLock::new();
    USERS.get_or_init(|| {
        let settings = serde_json::from_value(settings()).expect("settings");
        let catalogue = Arc::new(Catalogue::new(&settings));
        let kind = world().iter().find(|kind| kind.resource_type.is_account).expect("users");
        let mut resource_type = ResourceType::clone(&kind.resource_type);
        access::install(&mut resource_type, &catalogue);
        (catalogue, resource_type)
    })
}

/// A new user, if the body is one.
fn created(body: Map<String, Value>) -> Option<Resource> {
    let (catalogue, resource_type) = users();
    let created = flat::read(catalogue, resource_type, Exchange::Create, body).ok()?;
    let mut resource = created.resource;
    resource.complete(resource_type, None);
    Some(resource)
}

fn check(resource: &Resource) {
    let (catalogue, resource_type) = users();
    let form = flat::FlatForm::parse(resource_type, &Parameters::default()).expect("never fails");
    let shown = form.apply(catalogue, resource_type, served(resource_type, resource));
    let replace = Exchange::Replace(Renaming::Allowed);
    let sent = flat::read(catalogue, resource_type, replace, shown.clone());
    let sent = sent.expect("what is shown may be sent");
    assert!(sent.unknown.is_empty(), "{:?}", sent.unknown);
    let again = form.apply(catalogue, resource_type, served(resource_type, &sent.resource));
    assert_eq!(again, shown);
}

fuzz_target!(|body: &[u8]| {
    let Ok(body) = parse_object(body) else { return };
    let (catalogue, resource_type) = users();
    if let Some(resource) = created(body.clone()) {
        check(&resource);
    }
    let Ok(request) = flat::read_patch(catalogue, resource_type, body) else { return };
    let user = created(parse_object(USER).expect("an object")).expect("a user");
    if let Ok(after) = request.apply_all(resource_type, &user) {
        check(&after);
    }
});
