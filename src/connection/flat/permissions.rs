//! Translates `permissions` to roles and entitlements.

use std::ptr;

use serde_json::{Value, json};

use super::PERMISSIONS;
use crate::access::{Catalogue, Entitlement, Workspace};
use crate::scim::canonical::{InputObject, wrong_type};
use crate::scim::error::{ScimError, ScimType};
use crate::scim::patch::MAX_ELEMENTS;

/// The value of `permissions` as the elements of `roles` and `entitlements`.
pub(super) struct FlatAccess<'c> {
    /// The elements of `roles`.
    pub(super) roles: Vec<Value>,
    /// The elements of `entitlements`.
    pub(super) entitlements: Vec<Value>,
    /// The paths of ignored members, which the dialect does not define.
    pub(super) unknown: Vec<String>,
    catalogue: &'c Catalogue,
}

impl<'c> FlatAccess<'c> {
    /// Reads the value of `permissions`.
    ///
    /// # Errors
    ///
    /// `invalidSyntax`, naming the place, for a wrong JSON type; `invalidValue` for what the catalogue
    /// does not know, and for a name and an id of two different things; `tooMany`.
    pub(super) fn read(catalogue: &'c Catalogue, value: Value) -> Result<Self, ScimError> {
        let (roles, entitlements, unknown) = (Vec::new(), Vec::new(), Vec::new());
        let mut access = Self { roles, entitlements, unknown, catalogue };
        let mut given = object(value, PERMISSIONS)?;
        for word in texts(&mut given, "companyPermissions", PERMISSIONS)? {
            let permission = catalogue.company_permission(&word)?;
            access.entitle(&Entitlement::Company { permission })?;
        }
        for (role, place) in objects(&mut given, "roles", PERMISSIONS)? {
            access.role(role, &place)?;
        }
        for (workspace, place) in objects(&mut given, "appGroup", PERMISSIONS)? {
            access.workspace(workspace, &place)?;
        }
        access.note_unknown(given, PERMISSIONS);
        Ok(access)
    }

    fn role(&mut self, mut given: InputObject, place: &str) -> Result<(), ScimError> {
        let called = Called::read(&mut given, ["roleName", "roleId"], place)?;
        // The configuration defines what a role grants; what a response listed is ignored.
        given.take("appGroup");
        self.note_unknown(given, place);
        let name = match &called.name {
            // Without roles in the configuration they are free texts.
            Some(name) if self.catalogue.roles.is_empty() => name.clone(),
            _ => called.find(|called| self.catalogue.role(called))?.name.clone(),
        };
        self.roles.push(json!({"value": name}));
        self.check_size()
    }

    fn workspace(&mut self, mut given: InputObject, place: &str) -> Result<(), ScimError> {
        let called = Called::read(&mut given, ["appGroupName", "appGroupId"], place)?;
        let found = called.find(|called| self.catalogue.workspace(called))?;
        let workspace = || found.name.clone();
        self.entitle(&Entitlement::Workspace { workspace: workspace() })?;
        for word in texts(&mut given, "appGroupPermissions", place)? {
            let permission = self.catalogue.workspace_permission(&word)?;
            self.entitle(&Entitlement::Permission { workspace: workspace(), permission })?;
        }
        for (team, place) in objects(&mut given, "team", place)? {
            self.team(found, team, &place)?;
        }
        for (mut given, place) in objects(&mut given, "appGroupPermissionSets", place)? {
            let keys = ["appGroupPermissionSetName", "appGroupPermissionSetID"];
            let called = Called::read(&mut given, keys, &place)?;
            let set = called.find(|called| self.catalogue.permission_set(called))?.name.clone();
            self.entitle(&Entitlement::PermissionSet { workspace: workspace(), set })?;
            // The configuration defines what a permission set permits, as with roles.
            given.take("permissions");
            self.note_unknown(given, &place);
        }
        self.note_unknown(given, place);
        Ok(())
    }

    fn team(
        &mut self,
        within: &Workspace,
        mut given: InputObject,
        place: &str,
    ) -> Result<(), ScimError> {
        let called = Called::read(&mut given, ["teamName", "teamId"], place)?;
        let found = called.find(|called| within.team(called))?;
        let (workspace, team) = (|| within.name.clone(), || found.name.clone());
        self.entitle(&Entitlement::Team { workspace: workspace(), team: team() })?;
        for word in texts(&mut given, "teamPermissions", place)? {
            let permission = self.catalogue.team_permission(&word)?;
            let (workspace, team) = (workspace(), team());
            self.entitle(&Entitlement::TeamPermission { workspace, team, permission })?;
        }
        self.note_unknown(given, place);
        Ok(())
    }

    fn entitle(&mut self, entitlement: &Entitlement) -> Result<(), ScimError> {
        self.entitlements.push(json!({"value": entitlement.to_string()}));
        self.check_size()
    }

    /// Checks that the numbers of roles and entitlements are within the limit of a PATCH: a piece
    /// of access takes more bytes as an entitlement than it did in the request.
    fn check_size(&self) -> Result<(), ScimError> {
        if self.roles.len().max(self.entitlements.len()) <= MAX_ELEMENTS {
            return Ok(());
        }
        Err(ScimError::new(
            ScimType::TooMany,
            format!("\"{PERMISSIONS}\" has more than {MAX_ELEMENTS} roles or entitlements."),
        ))
    }

    fn note_unknown(&mut self, left: InputObject, place: &str) {
        self.unknown.extend(left.names(&format!("{place}.")));
    }
}

/// A client's reference to a catalogue item: its name, its id, or both.
struct Called<'a> {
    name: Option<String>,
    id: Option<String>,
    keys: [&'a str; 2],
    place: &'a str,
}

impl<'a> Called<'a> {
    fn read(
        given: &mut InputObject,
        keys: [&'a str; 2],
        place: &'a str,
    ) -> Result<Self, ScimError> {
        let [name, id] = keys.map(|key| match given.take(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.trim().is_empty())),
            Some(other) => Err(wrong_type(&format!("{place}.{key}"), "a string", &other)),
        });
        Ok(Self { name: name?, id: id?, keys, place })
    }

    /// Returns the item, if name and id refer to the same one.
    fn find<'c, T>(
        &self,
        find: impl Fn(&str) -> Result<&'c T, ScimError>,
    ) -> Result<&'c T, ScimError> {
        let by_name = self.name.as_deref().map(&find).transpose()?;
        let by_id = self.id.as_deref().map(&find).transpose()?;
        let ([name, id], place) = (self.keys, self.place);
        match (by_name, by_id) {
            (Some(one), Some(other)) if !ptr::eq(one, other) => {
                Err(ScimError::invalid_value(format!(
                    "\"{name}\" and \"{id}\" of \"{place}\" refer to different entries; send one of them."
                )))
            }
            (Some(found), _) | (None, Some(found)) => Ok(found),
            (None, None) => {
                Err(ScimError::invalid_value(format!("\"{place}\" needs \"{name}\" or \"{id}\".")))
            }
        }
    }
}

fn object(value: Value, place: &str) -> Result<InputObject, ScimError> {
    match value {
        Value::Object(object) => Ok(InputObject::new(object)),
        other => Err(wrong_type(place, "an object", &other)),
    }
}

/// Returns the elements of a list member, each with its path.
fn elements(
    given: &mut InputObject,
    name: &str,
    place: &str,
) -> Result<impl Iterator<Item = (Value, String)> + use<>, ScimError> {
    let place = format!("{place}.{name}");
    let elements = match given.take(name) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(elements)) => elements,
        Some(other) => return Err(wrong_type(&place, "an array", &other)),
    };
    let placed = move |(index, element)| (element, format!("{place}[{index}]"));
    Ok(elements.into_iter().enumerate().map(placed))
}

fn objects(
    given: &mut InputObject,
    name: &str,
    place: &str,
) -> Result<Vec<(InputObject, String)>, ScimError> {
    elements(given, name, place)?
        .map(|(element, place)| object(element, &place).map(|object| (object, place)))
        .collect()
}

fn texts(given: &mut InputObject, name: &str, place: &str) -> Result<Vec<String>, ScimError> {
    elements(given, name, place)?
        .map(|(element, place)| match element {
            Value::String(text) => Ok(text),
            other => Err(wrong_type(&place, "a string", &other)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::AccessSettings;

    #[test]
    fn there_is_an_end_to_what_one_request_may_name() {
        let catalogue = Catalogue::new(&AccessSettings::default());
        let read = |count: usize| {
            let words: Vec<String> = (1..count).map(|number| format!("p{number}")).collect();
            let app_group = json!({"appGroupName": "Main", "appGroupPermissions": words});
            FlatAccess::read(&catalogue, json!({"appGroup": [app_group]}))
        };
        assert_eq!(read(MAX_ELEMENTS).unwrap().entitlements.len(), MAX_ELEMENTS);
        assert_eq!(read(MAX_ELEMENTS + 1).err().unwrap().scim_type, ScimType::TooMany);
    }

    #[test]
    fn roles_are_free_texts_where_none_are_configured() {
        let catalogue = Catalogue::new(&AccessSettings::default());
        let role = |role: Value| FlatAccess::read(&catalogue, json!({"roles": [role]}));
        let free = role(json!({"roleName": "Any: thing"})).unwrap();
        assert_eq!(free.roles, [json!({"value": "Any: thing"})]);
        let error = role(json!({"roleId": "1"})).err().unwrap();
        assert_eq!(error.detail, "Unknown role \"1\"; none is configured.");
    }
}
