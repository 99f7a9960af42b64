//! The settings that effective access, validation and the form of events depend on.
//!
//! State and events are derived from them, so every node must work by the same ones: they travel as one
//! value with one JSON form. A start and a reload put it into the log, and state is derived from that.

use serde::{Deserialize, Serialize};

use crate::access::AccessSettings;
use crate::connection::PublicUrl;
use crate::scim::custom::SchemaSettings;

/// The settings that all nodes share.
///
/// The JSON form is canonical: [`SharedSettings::to_json`] writes the fields in the order of their
/// declaration, without spaces, so that equal settings are equal bytes. When it is read, unknown fields
/// are ignored and missing ones have their defaults: settings written by other versions can be read.
///
/// The audit trail and every copy of the data folder hold them, so there must be no secret among them:
/// nothing of connections, tokens, keys or certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SharedSettings {
    /// The base of `meta.location`; `None` where it is not known.
    pub public_url: Option<PublicUrl>,
    /// Workspaces, permission sets, roles and grants.
    pub access: AccessSettings,
    /// The operator's own schemas and attributes.
    pub schemas: Vec<SchemaSettings>,
}

impl SharedSettings {
    /// Returns the canonical JSON form.
    ///
    /// # Errors
    ///
    /// None in practice: every value has a JSON form.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// Reads settings back.
    ///
    /// # Errors
    ///
    /// A text that is not JSON, or a value of the wrong type.
    pub fn from_json(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_ignored_and_missing_ones_have_defaults() {
        let read = |text: &str| SharedSettings::from_json(text).unwrap();
        assert_eq!(read("{}"), SharedSettings::default());
        assert_eq!(read("{\"later\":1,\"access\":{\"later\":[]}}"), SharedSettings::default());
        let role = read("{\"access\":{\"roles\":[{\"name\":\"R\",\"id\":\"r\",\"later\":1}]}}");
        assert_eq!(role.access.roles[0].id, "r");
        assert!(role.access.roles[0].workspaces.is_empty());
    }

    #[test]
    fn the_form_of_the_defaults_does_not_change() {
        let json = SharedSettings::default().to_json().unwrap();
        assert_eq!(
            json,
            "{\"public_url\":null,\"access\":{\"words\":{\"company_permissions\":[\"admin\",\
             \"manage_company_settings\",\"add_remove_app_groups\"],\"workspace_permissions\":[],\
             \"team_permissions\":[],\"departments\":[\"agency\",\"bi\",\"c_suite\",\"engineering\",\
             \"finance\",\"marketing\",\"pm\"],\"unknown_departments\":\"keep\"},\"workspaces\":\
             [{\"name\":\"Main\",\"id\":\"ade9e1442ee46f990108b78c\",\"teams\":[]}],\
             \"permission_sets\":[],\"roles\":[],\"grants\":[]},\"schemas\":[]}"
        );
        assert_eq!(SharedSettings::from_json(&json).unwrap(), SharedSettings::default());
    }

    #[test]
    fn no_field_is_named_as_a_secret_would_be() {
        let role = "{\"access\":{\"roles\":[{\"name\":\"R\",\"id\":\"r\",\"workspaces\":[{\"workspace\":\"W\",\
                    \"teams\":[{\"team\":\"T\"}]}]}],\"permission_sets\":[{\"name\":\"P\",\"id\":\"p\"}],\
                    \"grants\":[{\"group\":{\"display_name\":\"G\"}}]},\
                    \"schemas\":[{\"attributes\":[{\"sub_attributes\":[{}]}]}]}";
        let full = SharedSettings::from_json(role).unwrap();
        let json: serde_json::Value = serde_json::from_str(&full.to_json().unwrap()).unwrap();
        let mut fields = Vec::new();
        collect(&json, &mut fields);
        assert!(fields.contains(&"sub_attributes") && fields.contains(&"group"), "{fields:?}");
        for word in ["token", "secret", "password", "key", "digest", "certificate", "connection"] {
            assert!(!fields.iter().any(|field| field.contains(word)), "{word} in {fields:?}");
        }
    }

    /// Adds the names of all fields.
    fn collect<'a>(value: &'a serde_json::Value, fields: &mut Vec<&'a str>) {
        match value {
            serde_json::Value::Object(parts) => parts.iter().for_each(|(name, part)| {
                fields.push(name);
                collect(part, fields);
            }),
            serde_json::Value::Array(elements) => {
                elements.iter().for_each(|element| collect(element, fields));
            }
            _ => {}
        }
    }
}
