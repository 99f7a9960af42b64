//! The flat form of a resource in responses.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{CREATED_AT, LAST_SIGN_IN_AT, PERMISSIONS, leads_to, local};
use crate::access::{Catalogue, Direct};
use crate::access::{TeamAccess, WorkspaceAccess};
use crate::scim::attribute_list;
use crate::scim::error::ScimError;
use crate::scim::projection::Projection;
use crate::scim::query::{ATTRIBUTES, EXCLUDED_ATTRIBUTES, Parameters};
use crate::scim::schema::ResourceType;
use crate::scim::schemas::common::{ID, META, SCHEMAS};
use crate::scim::schemas::user::{DEPARTMENT, ENTERPRISE_USER, ENTITLEMENTS, ROLES};
use crate::scim::value::elements;

/// The format of a timestamp, in UTC, as in `2024 Nov 11, 4:20 PM`.
const MOMENT: &str = "%Y %b %-d, %-I:%M %p";
/// The text for a missing timestamp.
const NO_MOMENT: &str = "N/A";

/// The attributes of an account that a response includes, with those of the dialect.
#[derive(Clone, Debug)]
pub struct FlatForm {
    projection: Projection,
    created_at: bool,
    last_sign_in_at: bool,
}

impl FlatForm {
    /// Reads `attributes` and `excludedAttributes`.
    ///
    /// # Errors
    ///
    /// As [`Projection::parse`].
    pub fn parse(resource_type: &ResourceType, parameters: &Parameters) -> Result<Self, ScimError> {
        let named = names(parameters.get(ATTRIBUTES));
        let excluded = names(parameters.get(EXCLUDED_ATTRIBUTES));
        let is_shown = |name: &str| {
            let is_in =
                |names: &[&str]| names.iter().any(|given| local(given).eq_ignore_ascii_case(name));
            if named.is_empty() { !is_in(&excluded) } else { is_in(&named) }
        };
        let attributes: Vec<_> = named.iter().map(|name| stored(name)).collect();
        // An attribute that is returned whole is excluded whole or not at all.
        let is_part = |name: &&str| local(name).contains(['.', '[']) && stored(name) != *name;
        let without: Vec<_> =
            excluded.iter().filter(|name| !is_part(name)).map(|name| stored(name)).collect();
        let (attributes, without) = (attributes.join(","), without.join(","));
        Ok(Self {
            projection: Projection::parse(resource_type, Some(&attributes), Some(&without))?,
            created_at: is_shown(CREATED_AT),
            last_sign_in_at: is_shown(LAST_SIGN_IN_AT),
        })
    }

    /// Whether any part of a top-level attribute may be returned; if not, it need not be read.
    pub fn wants(&self, name: &str) -> bool {
        self.projection.wants(name)
    }

    /// Whether `permissions` are returned.
    pub fn shows_permissions(&self) -> bool {
        self.wants(ROLES) || self.wants(ENTITLEMENTS)
    }

    /// Returns a whole resource in this form.
    pub fn apply(
        &self,
        catalogue: &Catalogue,
        resource_type: &ResourceType,
        whole: Map<String, Value>,
    ) -> Map<String, Value> {
        let meta = whole.get(META);
        let created = meta.and_then(|meta| meta.get("created")?.as_str()?.parse().ok());
        let extension = whole.get(ENTERPRISE_USER).and_then(Value::as_object);
        let is_bare =
            extension.is_some_and(|extension| extension.keys().all(|name| name == DEPARTMENT));
        let mut left = self.projection.apply(resource_type, whole);
        let department = take_department(&mut left);
        if is_bare {
            forget_schema(&mut left, ENTERPRISE_USER);
        }
        let (roles, entitlements) = (left.shift_remove(ROLES), left.shift_remove(ENTITLEMENTS));
        let mut flat = Map::new();
        for name in [SCHEMAS, ID, "userName", "name"] {
            flat.extend(left.shift_remove(name).map(|value| (name.to_owned(), value)));
        }
        flat.extend(department.map(|department| (DEPARTMENT.to_owned(), department)));
        if self.created_at {
            flat.insert(CREATED_AT.to_owned(), moment(created).into());
        }
        if self.last_sign_in_at {
            // Users do not sign in to scimd.
            flat.insert(LAST_SIGN_IN_AT.to_owned(), moment(None).into());
        }
        if self.shows_permissions() {
            let permissions = self.permissions(catalogue, roles.as_ref(), entitlements.as_ref());
            flat.insert(PERMISSIONS.to_owned(), permissions);
        }
        flat.extend(left);
        flat
    }
    /// Returns `permissions` for `roles` and `entitlements`, each if it is requested.
    fn permissions(
        &self,
        catalogue: &Catalogue,
        roles: Option<&Value>,
        entitlements: Option<&Value>,
    ) -> Value {
        let direct = Direct::of(catalogue, roles, entitlements);
        let mut permissions = Map::new();
        let mut say = |name: &str, value: Value| permissions.insert(name.to_owned(), value);
        if self.wants(ENTITLEMENTS) {
            say("companyPermissions", direct.company_permissions.into());
        }
        if self.wants(ROLES) {
            let known = direct.roles.iter().filter_map(|name| role(catalogue, name));
            // Without roles in the configuration they are free texts.
            let free = elements(roles.unwrap_or(&Value::Null)).iter().filter_map(|element| {
                let name = element.get("value").filter(|_| catalogue.roles.is_empty())?;
                Some(json!({"roleName": name}))
            });
            say("roles", known.chain(free).collect());
        }
        if self.wants(ENTITLEMENTS) {
            let workspaces = direct.workspaces.iter();
            say("appGroup", workspaces.filter_map(|one| app_group(catalogue, one)).collect());
        }
        Value::Object(permissions)
    }
}

/// Splits a comma-separated list of names.
fn names(list: Option<&str>) -> Vec<&str> {
    attribute_list::split(list.unwrap_or_default()).collect()
}

/// Returns the stored attributes, separated by commas, to which a name of this dialect refers.
fn stored(name: &str) -> String {
    let path = local(name);
    if leads_to(path, PERMISSIONS) {
        return format!("{ROLES},{ENTITLEMENTS}");
    }
    let whole = [ROLES, ENTITLEMENTS].into_iter().find(|attribute| leads_to(path, attribute));
    whole.unwrap_or(name).to_owned()
}

fn moment(moment: Option<Timestamp>) -> String {
    moment.map_or_else(|| NO_MOMENT.to_owned(), |moment| moment.strftime(MOMENT).to_string())
}

/// Moves the department out of the enterprise extension, and removes the extension if it becomes
/// empty.
fn take_department(resource: &mut Map<String, Value>) -> Option<Value> {
    let extension = resource.get_mut(ENTERPRISE_USER)?.as_object_mut()?;
    let department = extension.shift_remove(DEPARTMENT);
    if extension.is_empty() {
        resource.shift_remove(ENTERPRISE_USER);
    }
    department
}

fn forget_schema(resource: &mut Map<String, Value>, urn: &str) {
    if let Some(Value::Array(schemas)) = resource.get_mut(SCHEMAS) {
        schemas.retain(|schema| schema != urn);
    }
}

/// Returns a role with the access that it grants.
fn role(catalogue: &Catalogue, name: &str) -> Option<Value> {
    let role = catalogue.role(name).ok()?;
    let workspaces = role.workspaces.iter().filter_map(|one| app_group(catalogue, one));
    let app_group: Vec<Value> = workspaces.collect();
    Some(json!({"roleName": role.name, "roleId": role.id, "appGroup": app_group}))
}

/// Returns the access to a workspace as an app group.
fn app_group(catalogue: &Catalogue, access: &WorkspaceAccess) -> Option<Value> {
    let workspace = catalogue.workspace(&access.workspace).ok()?;
    let team = |access: &TeamAccess| {
        let team = workspace.team(&access.team).ok()?;
        Some(json!({
            "teamName": team.name, "teamId": team.id, "teamPermissions": access.permissions,
        }))
    };
    let set = |name: &String| {
        let set = catalogue.permission_set(name).ok()?;
        Some(json!({
            "appGroupPermissionSetName": set.name, "appGroupPermissionSetID": set.id,
            "permissions": set.permissions,
        }))
    };
    Some(json!({
        "appGroupName": workspace.name,
        "appGroupId": workspace.id,
        "appGroupPermissions": access.permissions,
        "team": access.teams.iter().filter_map(team).collect::<Vec<_>>(),
        "appGroupPermissionSets": access.permission_sets.iter().filter_map(set).collect::<Vec<_>>(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_in_words_and_in_utc() {
        for (written, shown) in [
            ("2024-11-11T16:20:59.999Z", "2024 Nov 11, 4:20 PM"),
            ("2024-01-05T00:05:00Z", "2024 Jan 5, 12:05 AM"),
            ("2024-12-31T12:00:00Z", "2024 Dec 31, 12:00 PM"),
            ("2025-01-01T01:30:00+02:00", "2024 Dec 31, 11:30 PM"),
        ] {
            assert_eq!(moment(written.parse().ok()), shown);
        }
        assert_eq!(moment(None), "N/A");
    }

    #[test]
    fn names_lead_to_what_is_stored() {
        let urn = "urn:ietf:params:scim:schemas:CORE:2.0:user";
        for (name, attributes) in [
            ("Permissions", "roles,entitlements"),
            ("permissions.roles", "roles,entitlements"),
            (&format!("{urn}:permissions"), "roles,entitlements"),
            ("ROLES.value", "roles"),
            ("entitlements[value eq \"a,b\"]", "entitlements"),
            (&format!("{urn}:title"), &format!("{urn}:title")),
            ("name.givenName", "name.givenName"),
            ("rolesX", "rolesX"),
        ] {
            assert_eq!(stored(name), attributes);
        }
    }
}
