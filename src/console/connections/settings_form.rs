//! The settings of a connection as a form: what it shows, and what the operator API gets of it.

use serde_json::{Map, Value, json};

use crate::config::{Config, connection_settings, holds_only};
use crate::connection::{
    Compat, ConnectionMethod, ConnectionSettings, MayGrant, OnInactiveCreate, Scope, UnknownMembers,
};
use crate::console::form::Fields;

/// The fields, as texts.
#[derive(Clone, Debug, Default)]
pub(super) struct SettingsForm {
    pub(super) name: String,
    pub(super) method: String,
    pub(super) default_workspace: String,
    pub(super) service_origin: String,
    pub(super) ip_allowlist: String,
    pub(super) default_permissions: String,
    pub(super) scope: String,
    pub(super) compat: String,
    pub(super) unknown_members: String,
    pub(super) on_inactive_create: String,
    pub(super) may_grant: String,
    pub(super) daily_requests: String,
    pub(super) basic: bool,
}

/// A value that can be chosen.
pub(super) struct Choice {
    pub(super) value: &'static str,
    pub(super) label: &'static str,
}

impl Choice {
    const fn new(value: &'static str, label: &'static str) -> Self {
        Self { value, label }
    }
}

/// The kinds of clients, as the form names them.
pub(super) const METHODS: [Choice; 5] = [
    Choice::new("okta", "Okta catalogue app"),
    Choice::new("okta-custom", "Okta custom app"),
    Choice::new("entra", "Entra ID"),
    Choice::new("generic", "Other SCIM 2.0 client"),
    Choice::new("custom", "Custom"),
];
pub(super) const SCOPES: [Choice; 3] = [
    Choice::new("all", "Change everything"),
    Choice::new("own", "Change only what it created"),
    Choice::new("read", "Read only"),
];
pub(super) const COMPATS: [Choice; 2] =
    [Choice::new("lenient", "Ignore them"), Choice::new("strict", "Reject the request")];
pub(super) const UNKNOWN_MEMBERS: [Choice; 2] =
    [Choice::new("refuse", "Reject the request"), Choice::new("ignore", "Ignore them")];
pub(super) const ON_INACTIVE_CREATE: [Choice; 2] =
    [Choice::new("conflict", "Answer 409"), Choice::new("reactivate", "Reactivate the account")];

/// The name of a method in the form.
pub(super) fn label(method: ConnectionMethod) -> &'static str {
    METHODS.iter().find(|choice| choice.value == method.as_str()).map_or("", |choice| choice.label)
}

impl SettingsForm {
    /// The form of a new connection.
    pub(super) fn new(config: &Config) -> Self {
        let workspace = config.workspaces.first().map(|workspace| workspace.name.clone());
        Self {
            default_workspace: workspace.unwrap_or_default(),
            scope: Scope::default().as_str().to_owned(),
            compat: Compat::default().as_str().to_owned(),
            unknown_members: UnknownMembers::default().as_str().to_owned(),
            on_inactive_create: OnInactiveCreate::default().as_str().to_owned(),
            ..Self::default()
        }
    }

    /// The form of a connection that is in force.
    pub(super) fn of(name: &str, connection: &ConnectionSettings) -> Self {
        let text = |value: Option<String>| value.unwrap_or_default();
        Self {
            name: name.to_owned(),
            method: connection.method.as_str().to_owned(),
            default_workspace: connection.default_workspace.clone(),
            service_origin: text(connection.service_origin.as_ref().map(ToString::to_string)),
            ip_allowlist: text(connection.ip_allowlist.as_ref().map(ToString::to_string)),
            default_permissions: connection.default_permissions.join(", "),
            scope: connection.scope.as_str().to_owned(),
            compat: connection.compat.as_str().to_owned(),
            unknown_members: connection.unknown_members.as_str().to_owned(),
            on_inactive_create: connection.on_inactive_create.as_str().to_owned(),
            may_grant: text(connection.may_grant.as_ref().map(entries)),
            daily_requests: text(connection.daily_requests.map(|number| number.to_string())),
            basic: connection.basic,
        }
    }

    /// The form as it was sent.
    pub(super) fn sent(fields: &Fields) -> Self {
        let text = |name| fields.get(name).to_owned();
        Self {
            name: text("name"),
            method: text("method"),
            default_workspace: text("default_workspace"),
            service_origin: text("service_origin"),
            ip_allowlist: text("ip_allowlist"),
            default_permissions: text("default_permissions"),
            scope: text("scope"),
            compat: text("compat"),
            unknown_members: text("unknown_members"),
            on_inactive_create: text("on_inactive_create"),
            may_grant: text("may_grant"),
            daily_requests: text("daily_requests"),
            basic: fields.has("basic"),
        }
    }

    /// The settings, by their keys in the configuration, and the keys that are not set: empty, or the default.
    pub(super) fn settings(&self) -> (Map<String, Value>, Vec<&'static str>) {
        let (mut settings, mut unset) = (Map::new(), Vec::new());
        let mut put = |key: &'static str, value: Option<Value>| match value {
            Some(value) => drop(settings.insert(key.to_owned(), value)),
            None => unset.push(key),
        };
        let unless =
            |text: &str, default: &str| (!text.is_empty() && text != default).then(|| json!(text));
        put("method", unless(&self.method, ""));
        put("default_workspace", unless(&self.default_workspace, ""));
        put("service_origin", unless(&self.service_origin, ""));
        put("ip_allowlist", unless(&self.ip_allowlist, ""));
        put("default_permissions", list(&self.default_permissions));
        put("scope", unless(&self.scope, Scope::default().as_str()));
        put("compat", unless(&self.compat, Compat::default().as_str()));
        put("unknown_members", unless(&self.unknown_members, UnknownMembers::default().as_str()));
        let inactive = OnInactiveCreate::default().as_str();
        put("on_inactive_create", unless(&self.on_inactive_create, inactive));
        put("may_grant", list(&self.may_grant));
        // What is no number is refused where all other values are checked.
        let number = self.daily_requests.parse::<u32>();
        let number =
            number.map_or_else(|_| unless(&self.daily_requests, ""), |number| Some(json!(number)));
        put("daily_requests", number);
        put("basic", self.basic.then(|| json!(true)));
        (settings, unset)
    }
}

fn entries(may_grant: &MayGrant) -> String {
    may_grant.entries().join(", ")
}

/// The entries of a list that are separated by commas; nothing for none.
fn list(text: &str) -> Option<Value> {
    let items: Vec<&str> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
    (!items.is_empty()).then(|| json!(items))
}

/// The settings of a connection in its own file of `conf.d`; nothing if it is defined elsewhere, where the console
/// can't change it.
pub(super) fn written(config: &Config, name: &str) -> Option<Map<String, Value>> {
    let path = config.connection_file(name)?;
    let place = config.connection_places.get(name)?;
    let text = config.text_of(&path)?;
    (*place.file == *path && holds_only(text, name)).then(|| connection_settings(text, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_default_is_not_written() {
        let fields = Fields::parse(
            b"name=a&method=entra&default_workspace=Main&scope=all&compat=strict&ip_allowlist=&may_grant=role:*,+company:*\
              &daily_requests=5&basic=on",
        )
        .unwrap();
        let (settings, unset) = SettingsForm::sent(&fields).settings();
        let expected = json!({"method": "entra", "default_workspace": "Main", "compat": "strict",
            "may_grant": ["role:*", "company:*"], "daily_requests": 5, "basic": true});
        assert_eq!(Value::Object(settings), expected);
        let known = [
            "service_origin",
            "ip_allowlist",
            "default_permissions",
            "scope",
            "unknown_members",
            "on_inactive_create",
        ];
        assert_eq!(unset, known);
    }

    #[test]
    fn a_connection_in_force_gives_the_form_that_makes_it() {
        let connection = ConnectionSettings::default();
        let form = SettingsForm::of("default", &connection);
        assert_eq!((form.method.as_str(), form.service_origin.as_str()), ("custom", "localhost"));
        let (settings, _) = form.settings();
        assert_eq!(settings["ip_allowlist"], json!("127.0.0.0/8, ::1"));
        for method in ConnectionMethod::ALL {
            assert!(!label(*method).is_empty(), "{method}");
        }
    }
}
