//! The effective settings of a configuration: every key with its value, and where the value comes from.
//!
//! A value is what a file says, or else what `config.example.toml` says, which equals the defaults. Keys that have no
//! default and are not written are left out, also those in tables that may stand any number of times. Files of
//! secrets are named and not read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Number, Value};
use toml::de::{DeTable, DeValue};

use super::merge::{CONNECTIONS, merged};
use super::place::Place;
use super::problems::{Problems, join};
use super::root::Config;
use super::source::Sources;
use super::template::EXAMPLE;

/// The root keys in the order in which they are shown.
const ORDER: [&str; 22] = [
    "public_url",
    "data_dir",
    "listen",
    "connections",
    "applications",
    "webhooks",
    "workspaces",
    "access",
    "permission_sets",
    "roles",
    "grants",
    "schemas",
    "limits",
    "log",
    "metrics",
    "notify",
    "requests",
    "events",
    "oauth",
    "console",
    "process",
    "store",
];
/// The keys of a connection whose values in the example are not the defaults of other connections.
const OF_THE_EXAMPLE: [&str; 4] = ["method", "default_workspace", "service_origin", "ip_allowlist"];

/// A setting that is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct EffectiveSetting {
    /// Its key, such as `listen.address` or `roles[1].name`; tables of one kind are counted from 1.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// Where it is written; `None` for a default.
    pub place: Option<Place>,
}

/// A part of a key: a name, or a number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum KeyPart {
    Number(usize),
    Name(String),
}

/// Settings by the parts of their keys.
type Settings = BTreeMap<Vec<KeyPart>, (Value, Option<Place>)>;

impl Config {
    /// The effective settings, in the order of the example.
    pub fn effective(&self) -> Vec<EffectiveSetting> {
        let mut settings = written(&self.sources);
        let is_written: BTreeSet<Vec<KeyPart>> = settings.keys().cloned().collect();
        let has_root = |name: &str| is_written.iter().any(|key| key.first() == Some(&named(name)));
        let example = written(&Sources::of_text(EXAMPLE, Path::new("")));
        for (key, (value, _)) in example {
            let keys = match key.as_slice() {
                [KeyPart::Name(root), _, rest @ ..] if root == CONNECTIONS && has_root(root) => {
                    let is_own = |name: &&str| rest.first() == Some(&named(name));
                    if OF_THE_EXAMPLE.iter().any(is_own) {
                        continue;
                    }
                    let of = |name: &String| [&[named(root), named(name)], rest].concat();
                    self.connections.keys().map(of).collect()
                }
                [KeyPart::Name(root), KeyPart::Number(_), ..] if has_root(root) => continue,
                _ => vec![key],
            };
            for key in keys {
                settings.entry(key).or_insert_with(|| (value.clone(), None));
            }
        }
        self.add_derived(&mut settings);
        let mut settings: Vec<_> = settings.into_iter().collect();
        settings.sort_by_key(|(key, _)| rank(key));
        let setting = |(key, (value, place)): (Vec<KeyPart>, _)| EffectiveSetting {
            key: text_of(&key),
            value,
            place,
        };
        settings.into_iter().map(setting).collect()
    }

    /// Sets the defaults that follow from other settings.
    fn add_derived(&self, settings: &mut Settings) {
        let mut derive = |key: Vec<KeyPart>, value: String| {
            let (held, place) = settings.entry(key).or_insert((Value::Null, None));
            if place.is_none() {
                *held = value.into();
            }
        };
        derive(vec![named("public_url")], self.public_url.as_str().to_owned());
        derive(vec![named("data_dir")], self.data_dir.display().to_string());
        for (name, connection) in &self.connections {
            let key = [CONNECTIONS, name, "default_workspace"].map(named);
            derive(key.to_vec(), connection.default_workspace.clone());
        }
    }
}

fn named(name: &str) -> KeyPart {
    KeyPart::Name(name.to_owned())
}

fn rank(key: &[KeyPart]) -> usize {
    let place = ORDER.iter().position(|root| key.first() == Some(&named(root)));
    place.unwrap_or(ORDER.len())
}

fn text_of(key: &[KeyPart]) -> String {
    key.iter().fold(String::new(), |text, part| match part {
        KeyPart::Name(name) => join(&text, name),
        KeyPart::Number(number) => format!("{text}[{number}]"),
    })
}

/// Everything that is written in some files.
fn written(sources: &Sources) -> Settings {
    let mut problems = Problems::default();
    let whole = merged(sources, &mut problems);
    let mut settings = Settings::new();
    flatten(&whole, &mut Vec::new(), &problems, &mut settings);
    settings
}

fn flatten(
    table: &DeTable<'_>,
    path: &mut Vec<KeyPart>,
    problems: &Problems,
    settings: &mut Settings,
) {
    for (key, value) in table.iter() {
        path.push(named(key.get_ref()));
        match value.get_ref() {
            DeValue::Table(table) => flatten(table, path, problems, settings),
            DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => {
                for (number, item) in items.iter().enumerate() {
                    path.push(KeyPart::Number(number + 1));
                    if let DeValue::Table(table) = item.get_ref() {
                        flatten(table, path, problems, settings);
                    }
                    path.pop();
                }
            }
            value => {
                let place = problems.place(problems.position(key.span().start));
                settings.insert(path.clone(), (json_of(value), Some(place)));
            }
        }
        path.pop();
    }
}

fn json_of(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => without_credentials(text).into(),
        DeValue::Integer(written) => {
            let number = i64::from_str_radix(written.as_str(), written.radix());
            number.map_or_else(|_| written.as_str().into(), Value::from)
        }
        DeValue::Float(written) => {
            let number = written.as_str().parse().ok().and_then(Number::from_f64);
            number.map_or_else(|| written.as_str().into(), Value::Number)
        }
        DeValue::Boolean(value) => (*value).into(),
        DeValue::Datetime(moment) => moment.to_string().into(),
        DeValue::Array(items) => items.iter().map(|item| json_of(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let entries = table.iter();
            let entries =
                entries.map(|(key, value)| (key.get_ref().to_string(), json_of(value.get_ref())));
            Value::Object(entries.collect::<Map<_, _>>())
        }
    }
}

/// A text without the user name and password of a URL in it.
fn without_credentials(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}{path}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let config = Config::parse(text, Path::new("etc/config.toml")).unwrap();
        let line = |setting: EffectiveSetting| {
            let place =
                setting.place.map_or_else(|| "default".to_owned(), |place| place.line.to_string());
            format!("{} = {} ({place})", setting.key, setting.value)
        };
        config.effective().into_iter().map(line).collect()
    }

    /// The keys and values alone, whatever they come from.
    fn values(text: &str) -> Vec<(String, Value)> {
        let config = Config::parse(text, Path::new("etc/config.toml")).unwrap();
        config.effective().into_iter().map(|one| (one.key, one.value)).collect()
    }

    #[test]
    fn without_a_line_every_default_of_the_example_is_in_force() {
        let count = EXAMPLE.lines().filter(|line| !line.starts_with('#') && line.contains(" = "));
        assert_eq!(shown("").len(), count.count());
        assert!(shown("").iter().all(|line| line.ends_with("(default)")), "{:#?}", shown(""));
        let data_dir = |(key, value)| (key != "data_dir").then_some(value);
        let of = |text| values(text).into_iter().filter_map(data_dir).collect::<Vec<_>>();
        assert_eq!(of(""), of(EXAMPLE), "the same, as written in the example");
    }

    #[test]
    fn what_is_written_is_in_force_from_its_line() {
        let text = "data_dir = '/d'\n[limits]\nmax_connections = 0x10\n[connections.okta]\nmethod = 'okta'\n\
                    [connections.entra]\nmethod = 'entra'\nbrake.percent = 5\n[[workspaces]]\nname = 'A'\n\
                    [[workspaces]]\nname = 'B'\nteams = ['x', 'y']\n[[grants]]\ngroup = 'g'\n\
                    connection = 'okta'\n[[grants.workspaces]]\nname = 'B'\n";
        let lines = shown(text);
        for line in [
            "public_url = \"https://127.0.0.1:8443\" (default)",
            "data_dir = \"/d\" (1)",
            "limits.max_connections = 16 (3)",
            "limits.max_scan = 2000000 (default)",
            "connections.okta.method = \"okta\" (5)",
            "connections.okta.default_workspace = \"A\" (default)",
            "connections.okta.compat = \"lenient\" (default)",
            "connections.entra.brake.percent = 5 (8)",
            "connections.entra.brake.window = \"10m\" (default)",
            "workspaces[2].teams = [\"x\",\"y\"] (13)",
            "grants[1].workspaces[1].name = \"B\" (18)",
        ] {
            assert!(lines.contains(&line.to_owned()), "{line} in {lines:#?}");
        }
        assert!(!lines.iter().any(|line| line.contains("default.")), "{lines:#?}");
        assert!(!lines.iter().any(|line| line.contains("okta.service_origin")), "{lines:#?}");
        let place = |text: &str| lines.iter().position(|line| line.starts_with(text)).unwrap();
        assert!(place("listen") < place("connections.entra"));
        assert!(place("connections.okta") < place("workspaces[1]"));
        assert!(place("grants") < place("limits"));
    }

    #[test]
    fn credentials_in_a_url_are_not_shown() {
        for (text, expected) in [
            ("https://a:b@c/d@e", "https://***@c/d@e"),
            ("https://c/d?e=a@b", "https://c/d?e=a@b"),
            ("postgres://scimd:x@db", "postgres://***@db"),
            ("a@b", "a@b"),
        ] {
            assert_eq!(without_credentials(text), expected);
        }
    }
}
