//! What holds for all permissions: what is shown can be sent back, and says what was sent.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

use super::form::FlatForm;
use super::permissions::FlatAccess;
use crate::access::Catalogue;
use crate::scim::query::Parameters;
use crate::scim::schemas::user;

fn catalogue() -> Catalogue {
    let settings = json!({
        "words": {"workspace_permissions": ["read", "write"], "team_permissions": ["admin", "edit"]},
        "workspaces": [
            {"name": "Main", "id": "main-1", "teams": ["One", "Two"]},
            {"name": "Other", "id": "other-1", "teams": ["One"]},
        ],
        "permission_sets": [
            {"name": "Writers", "id": "writers-1", "permissions": ["read", "write"]},
            {"name": "Readers", "id": "readers-1"},
        ],
        "roles": [
            {"name": "Boss", "id": "boss-1"},
            {"name": "Clerk", "id": "clerk-1", "workspaces": [{
                "workspace": "Other", "permissions": ["read"], "permission_sets": ["Writers"],
                "teams": [{"team": "One", "permissions": ["edit"]}],
            }]},
        ],
    });
    Catalogue::new(&serde_json::from_value(settings).unwrap())
}

/// How a thing is called: by its name, its id, or both.
fn called(keys: [&str; 2], name: &str, id: &str, way: usize) -> Value {
    match way % 3 {
        0 => json!({keys[0]: name}),
        1 => json!({keys[1]: id}),
        _ => json!({keys[0]: name, keys[1]: id}),
    }
}

fn words(words: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(select(words), 0..3)
}

fn roles() -> impl Strategy<Value = Vec<Value>> {
    let role = (any::<Index>(), 0_usize..3).prop_map(|(at, way)| {
        let catalogue = catalogue();
        let role = at.get(&catalogue.roles);
        called(["roleName", "roleId"], &role.name, &role.id, way)
    });
    prop::collection::vec(role, 0..3)
}

fn app_groups() -> impl Strategy<Value = Vec<Value>> {
    let team = (any::<Index>(), 0_usize..3, words(&["admin", "edit"]));
    let set = (any::<Index>(), 0_usize..3);
    let parts = (
        (any::<Index>(), 0_usize..3),
        words(&["read", "write"]),
        prop::collection::vec(team, 0..3),
        prop::collection::vec(set, 0..3),
    );
    let app_group = parts.prop_map(|((at, way), permissions, teams, sets)| {
        let catalogue = catalogue();
        let workspace = at.get(&catalogue.workspaces);
        let keys = ["appGroupName", "appGroupId"];
        let mut app_group = called(keys, &workspace.name, &workspace.id, way);
        let team = |(at, way, words): &(Index, usize, Vec<&str>)| {
            let team = at.get(&workspace.teams);
            let mut sent = called(["teamName", "teamId"], &team.name, &team.id, *way);
            sent["teamPermissions"] = json!(words);
            sent
        };
        let set = |(at, way): &(Index, usize)| {
            let set = at.get(&catalogue.permission_sets);
            let keys = ["appGroupPermissionSetName", "appGroupPermissionSetID"];
            called(keys, &set.name, &set.id, *way)
        };
        app_group["appGroupPermissions"] = json!(permissions);
        app_group["team"] = teams.iter().map(team).collect();
        app_group["appGroupPermissionSets"] = sets.iter().map(set).collect();
        app_group
    });
    prop::collection::vec(app_group, 0..4)
}

fn permissions() -> impl Strategy<Value = Value> {
    let company = words(&["admin", "manage_company_settings"]);
    (company, roles(), app_groups()).prop_map(|(company, roles, app_groups)| {
        json!({"companyPermissions": company, "roles": roles, "appGroup": app_groups})
    })
}

/// The permissions that an account with these roles and entitlements is shown with.
fn shown(access: &FlatAccess<'_>) -> Value {
    let resource_type = user::resource_type();
    let form = FlatForm::parse(&resource_type, &Parameters::default()).unwrap();
    let whole = Map::from_iter([
        (user::ROLES.to_owned(), access.roles.clone().into()),
        (user::ENTITLEMENTS.to_owned(), access.entitlements.clone().into()),
    ]);
    form.apply(&catalogue(), &resource_type, whole)["permissions"].clone()
}

/// Every role and entitlement, once.
fn pieces(access: &FlatAccess<'_>) -> BTreeSet<String> {
    let all = access.roles.iter().chain(&access.entitlements);
    all.map(ToString::to_string).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_shown_says_what_was_sent_and_can_be_sent_back(sent in permissions()) {
        let catalogue = catalogue();
        let read = |permissions: &Value| FlatAccess::read(&catalogue, permissions.clone()).unwrap();
        let meant = read(&sent);
        let shown_once = shown(&meant);
        let read_back = read(&shown_once);
        prop_assert_eq!(pieces(&read_back), pieces(&meant));
        prop_assert_eq!(&read_back.unknown, &Vec::<String>::new());
        prop_assert_eq!(shown(&read_back), shown_once);
    }
}
