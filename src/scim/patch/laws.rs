//! Random requests against a model that knows four attributes and nothing of schemas.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::PatchRequest;
use crate::scim::resource::Resource;
use crate::scim::schemas::user;

/// A user, as far as the model goes.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    user_name: String,
    title: Option<String>,
    given: Option<String>,
    family: Option<String>,
    active: bool,
    emails: Vec<Email>,
}

#[derive(Clone, Debug, PartialEq)]
struct Email {
    value: String,
    kind: String,
    primary: Option<bool>,
}

/// A change, in the terms of the model.
#[derive(Clone, Debug)]
enum Step {
    UserName(Option<String>),
    Title(Option<String>),
    Given(Option<String>),
    Name {
        given: Option<String>,
        family: Option<String>,
    },
    RemoveName,
    Active(bool),
    AddEmail(Email),
    ReplaceEmails(Vec<Email>),
    RemoveEmails(Vec<String>),
    RemoveKind(String),
    Value {
        kind: String,
        value: String,
    },
    Primary(String),
    /// Fails always.
    Nonsense,
}

impl Model {
    fn resource(&self) -> Resource {
        let mut user = Map::new();
        user.insert("userName".to_owned(), json!(self.user_name));
        let parts = [("familyName", &self.family), ("givenName", &self.given)];
        let name: Map<_, _> = parts
            .into_iter()
            .filter_map(|(name, part)| Some((name.to_owned(), json!(part.as_ref()?))))
            .collect();
        if !name.is_empty() {
            user.insert("name".to_owned(), Value::Object(name));
        }
        if let Some(title) = &self.title {
            user.insert("title".to_owned(), json!(title));
        }
        user.insert("active".to_owned(), json!(self.active));
        if !self.emails.is_empty() {
            let emails: Vec<_> = self.emails.iter().map(Email::json).collect();
            user.insert("emails".to_owned(), json!(emails));
        }
        Resource::from_canonical(user)
    }

    /// Takes a step, or says that it can't be taken.
    fn step(&mut self, step: &Step) -> Option<()> {
        match step {
            Step::UserName(name) => self.user_name = name.clone()?,
            Step::Title(title) => self.title = title.clone(),
            Step::Given(given) => self.given = given.clone(),
            Step::Name { given, family } => {
                self.given = given.clone().or_else(|| self.given.take());
                self.family = family.clone().or_else(|| self.family.take());
            }
            Step::RemoveName => (self.given, self.family) = (None, None),
            Step::Active(active) => self.active = *active,
            Step::AddEmail(email) => {
                let same = |old: &Email| old.value == email.value && old.kind == email.kind;
                let at = self.emails.iter().position(same).unwrap_or_else(|| {
                    self.emails.push(Email { primary: None, ..email.clone() });
                    self.emails.len() - 1
                });
                self.emails[at].primary = email.primary.or(self.emails[at].primary);
                self.demote(at, email.primary == Some(true));
            }
            Step::ReplaceEmails(emails) => {
                let primaries = emails.iter().filter(|email| email.primary == Some(true));
                if primaries.count() > 1 {
                    return None;
                }
                self.emails = emails.clone();
            }
            Step::RemoveEmails(values) => {
                self.emails.retain(|email| !values.contains(&email.value));
            }
            Step::RemoveKind(kind) => self.emails.retain(|email| email.kind != *kind),
            Step::Value { kind, value } => {
                let mut found = false;
                for email in self.emails.iter_mut().filter(|email| email.kind == *kind) {
                    email.value.clone_from(value);
                    found = true;
                }
                if !found {
                    let (value, kind) = (value.clone(), kind.clone());
                    self.emails.push(Email { value, kind, primary: None });
                }
            }
            Step::Primary(kind) => {
                let chosen: Vec<_> =
                    (0..self.emails.len()).filter(|&at| self.emails[at].kind == *kind).collect();
                match chosen.as_slice() {
                    [] => return None,
                    &[at] => {
                        self.emails[at].primary = Some(true);
                        self.demote(at, true);
                    }
                    _ => return None,
                }
            }
            Step::Nonsense => return None,
        }
        Some(())
    }

    fn demote(&mut self, except: usize, applies: bool) {
        for (at, email) in self.emails.iter_mut().enumerate() {
            if applies && at != except && email.primary == Some(true) {
                email.primary = Some(false);
            }
        }
    }
}

impl Email {
    fn json(&self) -> Value {
        let mut email = json!({"value": self.value, "type": self.kind});
        if let Some(primary) = self.primary {
            email["primary"] = json!(primary);
        }
        email
    }
}

impl Step {
    /// The step as an operation, in one of several spellings.
    fn json(&self, dialect: bool) -> Value {
        let (replace, remove) = if dialect { ("Replace", "Remove") } else { ("replace", "remove") };
        let simple = |path: &str, value: &Option<String>| match value {
            Some(value) if dialect => json!({"op": "Add", "value": {path: value}}),
            None if dialect => json!({"op": "remove", "path": path}),
            value => json!({"op": replace, "path": path, "value": value}),
        };
        match self {
            Self::UserName(name) => simple("userName", name),
            Self::Title(title) => simple("title", title),
            Self::Given(given) => simple("name.givenName", given),
            Self::Name { given, family } => {
                let mut parts = Map::new();
                let all = [("givenName", given), ("familyName", family)];
                for (name, part) in all {
                    if let Some(part) = part {
                        parts.insert(name.to_owned(), json!(part));
                    }
                }
                let op = if dialect && !parts.is_empty() { replace } else { "add" };
                json!({"op": op, "path": "name", "value": parts})
            }
            Self::RemoveName => json!({"op": remove, "path": "NAME"}),
            Self::Active(active) if dialect => {
                json!({"op": replace, "path": "active", "value": if *active { "True" } else { "False" }})
            }
            Self::Active(active) => json!({"op": replace, "value": {"active": active}}),
            Self::AddEmail(email) if dialect => {
                json!({"op": "Add", "path": "emails", "value": email.json()})
            }
            Self::AddEmail(email) => json!({"op": "add", "value": {"emails": [email.json()]}}),
            Self::ReplaceEmails(emails) => {
                let emails: Vec<_> = emails.iter().map(Email::json).collect();
                json!({"op": replace, "path": "emails", "value": emails})
            }
            Self::RemoveEmails(values) => {
                let emails: Vec<_> = values.iter().map(|value| json!({"value": value})).collect();
                json!({"op": remove, "path": "emails", "value": emails})
            }
            Self::RemoveKind(kind) => {
                json!({"op": remove, "path": format!("emails[type eq \"{kind}\"]")})
            }
            Self::Value { kind, value } => {
                json!({"op": replace, "path": format!("emails[Type eq \"{kind}\"].value"), "value": value})
            }
            Self::Primary(kind) => {
                let path = format!("emails[type eq \"{kind}\" and value pr].primary");
                json!({"op": replace, "path": path, "value": "true"})
            }
            Self::Nonsense => json!({"op": replace, "path": "active", "value": {"x": 1}}),
        }
    }
}

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c"]).prop_map(ToOwned::to_owned)
}

fn kind() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["work", "home"]).prop_map(ToOwned::to_owned)
}

fn maybe() -> impl Strategy<Value = Option<String>> {
    prop::option::of(word())
}

fn email() -> impl Strategy<Value = Email> {
    (word(), kind(), prop::option::of(any::<bool>())).prop_map(|(value, kind, primary)| Email {
        value,
        kind,
        primary,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => word().prop_map(|name| Step::UserName(Some(name))),
        3 => maybe().prop_map(Step::Title),
        3 => maybe().prop_map(Step::Given),
        3 => (maybe(), maybe()).prop_map(|(given, family)| Step::Name { given, family }),
        1 => Just(Step::RemoveName),
        3 => any::<bool>().prop_map(Step::Active),
        6 => email().prop_map(Step::AddEmail),
        2 => prop::collection::vec(email(), 0..3).prop_map(Step::ReplaceEmails),
        2 => prop::collection::vec(word(), 0..3).prop_map(Step::RemoveEmails),
        1 => kind().prop_map(Step::RemoveKind),
        4 => (kind(), word()).prop_map(|(kind, value)| Step::Value { kind, value }),
        3 => kind().prop_map(Step::Primary),
        1 => Just(Step::UserName(None)),
        1 => Just(Step::Nonsense),
    ]
}

/// Any JSON, with names and texts that mean something to PATCH.
fn any_json() -> impl Strategy<Value = Value> {
    let texts = prop::sample::select(vec![
        "add",
        "Replace",
        "remove",
        "",
        "active",
        "emails",
        "name",
        "manager",
        "userName",
        "True",
        "emails[type eq \"work\"].value",
        "emails[type eq \"work\"]",
        "emails.primary",
        "x[",
        "é[é].é",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
        "urn:ietf:params:scim:schemas:core:2.0:User",
        "password",
        "roles[primary eq \"True\"]",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        texts.clone().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let names = prop_oneof![
        prop::sample::select(vec![
            "op", "path", "value", "type", "primary", "active", "emails", "name"
        ]),
        texts,
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..5).prop_map(|members| {
                Value::Object(members.into_iter().map(|(n, v)| (n.to_owned(), v)).collect())
            }),
        ]
    })
}

fn operation() -> impl Strategy<Value = Value> {
    (any_json(), any_json(), prop::sample::select(vec!["add", "replace", "remove"])).prop_map(
        |(path, value, op)| json!({"op": op, "path": path.as_str().map(ToOwned::to_owned), "value": value}),
    )
}

fn request(operations: Vec<Value>) -> Option<PatchRequest> {
    let body = Map::from_iter([("Operations".to_owned(), Value::Array(operations))]);
    PatchRequest::parse(&user::resource_type(), body).ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_steps_agree_with_the_model(
        before in prop::collection::vec(step(), 0..6),
        steps in prop::collection::vec((step(), any::<bool>()), 1..8),
    ) {
        let mut model = Model { user_name: "u".to_owned(), ..Model::default() };
        for step in &before {
            let mut tried = model.clone();
            if tried.step(step).is_some() {
                model = tried;
            }
        }
        let resource = model.resource();
        let untouched = resource.clone();
        let mut expected = Some(model);
        for (step, _) in &steps {
            expected = expected.and_then(|mut model| model.step(step).map(|()| model));
        }
        let operations = steps.iter().map(|(step, dialect)| step.json(*dialect)).collect();
        let request = request(operations).expect("what steps say can be read");
        let patched = request.apply_all(&user::resource_type(), &resource);
        match expected {
            Some(expected) => {
                let (patched, expected) = (patched.expect("can be done"), expected.resource());
                let text = |mut resource: Resource| json!(resource.attributes_mut()).to_string();
                prop_assert_eq!(text(patched), text(expected), "order and all");
            }
            None => prop_assert!(patched.is_err()),
        }
        prop_assert_eq!(resource, untouched);
    }

    #[test]
    fn whatever_is_sent_is_answered_and_leaves_a_resource_that_is_valid(
        operations in prop::collection::vec(prop_oneof![any_json(), operation(), operation()], 1..6),
    ) {
        let user_type = user::resource_type();
        let before = Resource::from_canonical(Map::from_iter([
            ("userName".to_owned(), json!("u")),
            ("active".to_owned(), json!(true)),
            ("emails".to_owned(), json!([{"value": "a", "type": "work", "primary": true}, {"value": "b"}])),
        ]));
        // One by one, so that most are carried out.
        let mut resource = before;
        for operation in operations {
            if let Some(request) = request(vec![operation])
                && let Ok(patched) = request.apply_all(&user_type, &resource)
            {
                resource = patched;
            }
        }
        let mut attributes = resource.clone();
        let body = std::mem::take(attributes.attributes_mut());
        let validated = crate::scim::validate::validate(&user_type, crate::scim::exchange::Exchange::Create, body);
        let validated = validated.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert!(validated.unknown.is_empty());
        prop_assert_eq!(validated.resource, resource);
    }
}
