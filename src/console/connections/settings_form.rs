//! The settings of a connection as a form: what it shows, and what the operator API gets of it.

use serde_json::{Map, Value, json};

use crate::config::{Config, connection_settings, holds_only};
use crate::connection::federation::KeySource;
use crate::connection::{
    Brake, Compat, ConnectionMethod, ConnectionSettings, MayGrant, OnInactiveCreate, Scope,
    UnknownMembers,
};
use crate::console::form::Fields;
use crate::text::duration;

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
    pub(super) brake_action: String,
    pub(super) brake_percent: String,
    pub(super) brake_minimum: String,
    pub(super) brake_max_gains: String,
    pub(super) brake_window: String,
    pub(super) federation_issuer: String,
    pub(super) federation_subject: String,
    pub(super) federation_audiences: String,
    pub(super) federation_jwks_url: String,
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

pub(super) const BRAKE_ACTIONS: [Choice; 3] = [
    Choice::new("alarm", "Raise an alarm"),
    Choice::new("hold", "Pause the connection"),
    Choice::new("off", "Nothing"),
];

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
            ..Self::default().with_brake(&Brake::default())
        }
    }

    fn with_brake(self, brake: &Brake) -> Self {
        Self {
            brake_action: brake.action.as_str().to_owned(),
            brake_percent: brake.percent.to_string(),
            brake_minimum: brake.minimum.to_string(),
            brake_max_gains: brake.max_gains.to_string(),
            brake_window: duration::display(brake.window).to_string(),
            ..self
        }
    }

    /// The form of a connection that is in force.
    pub(super) fn of(name: &str, connection: &ConnectionSettings) -> Self {
        let text = |value: Option<String>| value.unwrap_or_default();
        let trust = connection.federation.as_ref();
        let jwks_url = trust.and_then(|trust| match &trust.keys {
            KeySource::Url(url) => Some(url.to_string()),
            KeySource::File(_) => None,
        });
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
            federation_issuer: text(trust.map(|trust| trust.issuer.clone())),
            federation_subject: text(trust.map(|trust| trust.subject.clone())),
            federation_audiences: text(trust.map(|trust| trust.audiences.join(", "))),
            federation_jwks_url: text(jwks_url),
            ..Self::default().with_brake(&connection.brake)
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
            brake_action: text("brake_action"),
            brake_percent: text("brake_percent"),
            brake_minimum: text("brake_minimum"),
            brake_max_gains: text("brake_max_gains"),
            brake_window: text("brake_window"),
            federation_issuer: text("federation_issuer"),
            federation_subject: text("federation_subject"),
            federation_audiences: text("federation_audiences"),
            federation_jwks_url: text("federation_jwks_url"),
        }
    }

    /// The settings, by their keys in the configuration, and the keys that are not set: empty, or the default. `present`
    /// are those of the connection so far.
    pub(super) fn settings(
        &self,
        present: &Map<String, Value>,
    ) -> (Map<String, Value>, Vec<&'static str>) {
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
        put("daily_requests", number(&self.daily_requests));
        put("basic", self.basic.then(|| json!(true)));
        put("brake", self.brake());
        put("federation", self.federation(present.get("federation")));
        (settings, unset)
    }

    /// The settings of the brake that are not the default.
    fn brake(&self) -> Option<Value> {
        let default = Self::default().with_brake(&Brake::default());
        let mut brake = Map::new();
        let mut put = |key: &str, text: &str, default: &str, value: Option<Value>| {
            if text != default {
                brake.extend(value.map(|value| (key.to_owned(), value)));
            }
        };
        let word = |text: &str| (!text.is_empty()).then(|| json!(text));
        let Self {
            brake_action, brake_percent, brake_minimum, brake_max_gains, brake_window, ..
        } = self;
        put("action", brake_action, &default.brake_action, word(brake_action));
        put("percent", brake_percent, &default.brake_percent, number(brake_percent));
        put("minimum", brake_minimum, &default.brake_minimum, number(brake_minimum));
        put("max_gains", brake_max_gains, &default.brake_max_gains, number(brake_max_gains));
        put("window", brake_window, &default.brake_window, word(brake_window));
        (!brake.is_empty()).then_some(Value::Object(brake))
    }

    /// The federation. What the form does not have (client_id, algorithms, a file with keys) stays as it is.
    fn federation(&self, present: Option<&Value>) -> Option<Value> {
        let [issuer, subject, audiences, url] = [
            &self.federation_issuer,
            &self.federation_subject,
            &self.federation_audiences,
            &self.federation_jwks_url,
        ];
        if [issuer, subject, audiences, url].iter().all(|text| text.is_empty()) {
            return None;
        }
        let mut trust = present.and_then(Value::as_object).cloned().unwrap_or_default();
        for (key, text) in [("issuer", issuer), ("subject", subject), ("jwks_url", url)] {
            match text.is_empty() {
                true => drop(trust.shift_remove(key)),
                false => drop(trust.insert(key.to_owned(), json!(text))),
            }
        }
        if !url.is_empty() {
            // Keys come from one place.
            trust.shift_remove("jwks_file");
        }
        match list(audiences) {
            Some(audiences) => drop(trust.insert("audiences".to_owned(), audiences)),
            None => drop(trust.shift_remove("audiences")),
        }
        Some(Value::Object(trust))
    }
}

/// A number; nothing for an empty text. What is no number is refused where all other values are checked.
fn number(text: &str) -> Option<Value> {
    let number = text.parse::<u32>();
    number.map_or_else(|_| (!text.is_empty()).then(|| json!(text)), |number| Some(json!(number)))
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
        let (settings, unset) = SettingsForm::sent(&fields).settings(&Map::new());
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
            "brake",
            "federation",
        ];
        assert_eq!(unset, known);
    }

    #[test]
    fn the_brake_and_the_federation_keep_what_the_form_does_not_have() {
        let fields = Fields::parse(
            b"brake_action=hold&brake_percent=20&brake_minimum=many&brake_window=5m\
              &federation_issuer=https://i&federation_subject=s&federation_audiences=a,+b&federation_jwks_url=https://i/k",
        )
        .unwrap();
        let present = json!({"federation": {"issuer": "https://old", "jwks_file": "k.json",
            "client_id": "c", "algorithms": ["ES256"]}});
        let present = present.as_object().unwrap();
        let (settings, _) = SettingsForm::sent(&fields).settings(present);
        let brake = json!({"action": "hold", "minimum": "many", "window": "5m"});
        assert_eq!(settings["brake"], brake, "what is no number is refused later");
        let trust = json!({"issuer": "https://i", "client_id": "c", "algorithms": ["ES256"],
            "subject": "s", "jwks_url": "https://i/k", "audiences": ["a", "b"]});
        assert_eq!(settings["federation"], trust);
        let fields = Fields::parse(b"federation_issuer=https://i&federation_audiences=").unwrap();
        let (settings, _) = SettingsForm::sent(&fields).settings(present);
        assert_eq!(settings["federation"]["jwks_file"], "k.json", "without a URL the file stays");
        let (settings, unset) = SettingsForm::default().settings(present);
        assert!(settings.get("federation").is_none() && unset.contains(&"federation"));
    }

    #[test]
    fn a_connection_in_force_gives_the_form_that_makes_it() {
        let connection = ConnectionSettings::default();
        let form = SettingsForm::of("default", &connection);
        assert_eq!((form.method.as_str(), form.service_origin.as_str()), ("custom", "localhost"));
        let (settings, unset) = form.settings(&Map::new());
        assert!(unset.contains(&"brake") && unset.contains(&"federation"));
        assert_eq!(settings["ip_allowlist"], json!("127.0.0.0/8, ::1"));
        for method in ConnectionMethod::ALL {
            assert!(!label(*method).is_empty(), "{method}");
        }
    }
}
