//! The configuration as a whole: the root table of the file, and the rules that span keys.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::access::check_size;
use super::application::read_applications;
use super::connection::{check_client_cas, read_connections};
use super::console::ConsoleConfig;
use super::events::EventsConfig;
use super::limits::LimitsConfig;
use super::listen::ListenConfig;
use super::log::LogConfig;
use super::metrics::MetricsConfig;
use super::name::Taken;
use super::notify::NotifyConfig;
use super::oauth::OauthConfig;
use super::place::Place;
use super::process::ProcessConfig;
use super::public_url::ConfiguredUrl;
use super::reader::Section;
use super::requests::RequestsConfig;
use super::role::Known;
use super::schema::SchemaLines;
use super::source::Sources;
use super::store::StoreConfig;
use super::webhook::{WebhookConfig, read_webhooks};
use crate::access::{
    AccessSettings, AccessWords, Catalogue, Grant, PermissionSet, Role, WorkspaceSettings,
};
use crate::connection::{ApplicationSettings, ConnectionSettings, PublicUrl};
use crate::scim::custom::SchemaSettings;
use crate::settings::SharedSettings;

/// The whole configuration, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The configuration file; `None` for the built-in defaults.
    pub file: Option<PathBuf>,
    /// The texts of that file and of those in `conf.d`.
    pub sources: Sources,
    /// The URL under which clients reach scimd, and the base of `meta.location`. Derived from
    /// `listen` if it is not configured.
    pub public_url: PublicUrl,
    /// The data directory.
    pub data_dir: PathBuf,
    /// Where connections are accepted.
    pub listen: ListenConfig,
    /// The identity providers by name; never empty, each name matches `[a-z0-9_-]{1,32}`.
    pub connections: BTreeMap<String, ConnectionSettings>,
    /// The programs that read the directory by name; each name matches `[a-z0-9_-]{1,32}`.
    pub applications: BTreeMap<String, ApplicationSettings>,
    /// The addresses that events are sent to by name; each name matches `[a-z0-9_-]{1,32}`.
    pub webhooks: BTreeMap<String, WebhookConfig>,
    /// The workspaces in the order of the file; never empty.
    pub workspaces: Vec<WorkspaceSettings>,
    /// The permissions and departments that exist.
    pub access: AccessWords,
    /// The permission sets: named permissions in a workspace.
    pub permission_sets: Vec<PermissionSet>,
    /// The roles: named access to workspaces.
    pub roles: Vec<Role>,
    /// The grants: access that comes with membership of a group.
    pub grants: Vec<Grant>,
    /// The bounds on connections, times and sizes.
    pub limits: LimitsConfig,
    /// The level and format of the log.
    pub log: LogConfig,
    /// The web console.
    pub console: ConsoleConfig,
    /// The listener for metrics.
    pub metrics: MetricsConfig,
    /// How an operator is notified.
    pub notify: NotifyConfig,
    /// The size and age of the request log.
    pub requests: RequestsConfig,
    /// How far back the change feed goes.
    pub events: EventsConfig,
    /// How access tokens are made.
    pub oauth: OauthConfig,
    /// The resources of the store, and the retention of snapshots and log.
    pub store: StoreConfig,
    /// The limits that the server sets on its own process.
    pub process: ProcessConfig,
    /// The custom schemas and attributes.
    pub schemas: Vec<SchemaSettings>,
    /// Where each connection is written; without the built-in one.
    pub connection_places: BTreeMap<String, Place>,
    /// The places of the tables of `schemas`, for messages.
    pub schema_lines: Vec<SchemaLines>,
}

impl Default for Config {
    fn default() -> Self {
        let listen = ListenConfig::default();
        Self {
            file: None,
            sources: Sources::default(),
            public_url: listen.public_url(),
            data_dir: PathBuf::from("scimd-data"),
            listen,
            connections: BTreeMap::from([("default".to_owned(), ConnectionSettings::default())]),
            applications: BTreeMap::new(),
            webhooks: BTreeMap::new(),
            workspaces: vec![WorkspaceSettings::default()],
            access: AccessWords::default(),
            permission_sets: Vec::new(),
            roles: Vec::new(),
            grants: Vec::new(),
            limits: LimitsConfig::default(),
            log: LogConfig::default(),
            console: ConsoleConfig::default(),
            metrics: MetricsConfig::default(),
            notify: NotifyConfig::default(),
            requests: RequestsConfig::default(),
            events: EventsConfig::default(),
            oauth: OauthConfig::default(),
            store: StoreConfig::default(),
            process: ProcessConfig::default(),
            schemas: Vec::new(),
            connection_places: BTreeMap::new(),
            schema_lines: Vec::new(),
        }
    }
}

impl Config {
    /// Returns what the configuration says about access.
    pub fn access_settings(&self) -> AccessSettings {
        AccessSettings {
            words: self.access.clone(),
            workspaces: self.workspaces.clone(),
            permission_sets: self.permission_sets.clone(),
            roles: self.roles.clone(),
            grants: self.grants.clone(),
        }
    }

    /// Returns the settings that effective access, validation and events depend on.
    pub fn shared_settings(&self) -> SharedSettings {
        SharedSettings {
            public_url: Some(self.public_url.clone()),
            access: self.access_settings(),
            schemas: self.schemas.clone(),
        }
    }

    /// Reads the root table; paths stay as they are written.
    pub(super) fn read(root: &mut Section<'_, '_>) -> Self {
        let public_url = root.optional("public_url").map(|ConfiguredUrl(url)| url);
        let data_dir = root.path("data_dir");
        let listen = root.table("listen", ListenConfig::read);
        let public_url = public_url.unwrap_or_else(|| listen.public_url());
        // The reverse is allowed: a proxy may terminate TLS in front of a plain-text listener.
        if listen.tls && !public_url.is_https() {
            let message =
                format!("\"{public_url}\" does not match listen.tls = true; expected https://…");
            root.problem("public_url", message);
        }
        let access = root.table("access", AccessWords::read);
        let (workspaces, complete) = read_workspaces(root);
        let (permission_sets, sets_complete) = {
            let mut taken = Taken::default();
            complete_tables(root, "permission_sets", |section| {
                PermissionSet::read(section, &mut taken, &access)
            })
        };
        let known = Known {
            access: &access,
            workspaces: complete.then_some(&workspaces),
            permission_sets: sets_complete.then_some(&permission_sets),
        };
        let (roles, roles_complete) = {
            let mut taken = Taken::default();
            complete_tables(root, "roles", |section| Role::read(section, &mut taken, known))
        };
        check_size(root, &access, &workspaces, &permission_sets);
        let known_roles = roles_complete.then_some(roles.as_slice());
        let catalogue = (complete && sets_complete && roles_complete).then(|| {
            Catalogue::new(&AccessSettings {
                words: access.clone(),
                workspaces: workspaces.clone(),
                permission_sets: permission_sets.clone(),
                roles: roles.clone(),
                grants: Vec::new(),
            })
        });
        let (connections, connection_places, named) =
            read_connections(root, &workspaces, known, catalogue.as_ref());
        let named = named.then(|| connections.keys().map(String::as_str).collect::<Vec<_>>());
        let (grants, _) = complete_tables(root, "grants", |section| {
            Grant::read(section, known, known_roles, named.as_deref())
        });
        check_client_cas(root, &listen, &connections);
        let applications = read_applications(root);
        let webhooks = read_webhooks(root);
        let (limits, log) =
            (root.table("limits", LimitsConfig::read), root.table("log", LogConfig::read));
        let console = root.table("console", |section| ConsoleConfig::read(section, listen.address));
        let metrics = root.table("metrics", |section| MetricsConfig::read(section, listen.tls));
        let notify = root.table("notify", NotifyConfig::read);
        let requests = root.table("requests", RequestsConfig::read);
        let events = root.table("events", EventsConfig::read);
        let oauth = root.table("oauth", OauthConfig::read);
        let (store, process) =
            (root.table("store", StoreConfig::read), root.table("process", ProcessConfig::read));
        let schemas = root.tables("schemas", SchemaSettings::read).unwrap_or_default();
        let (schemas, schema_lines) = schemas.into_iter().flatten().unzip();
        Self {
            file: None,
            sources: Sources::default(),
            public_url,
            data_dir: data_dir.unwrap_or_else(|| Self::default().data_dir),
            listen,
            connections,
            applications,
            webhooks,
            workspaces,
            access,
            permission_sets,
            roles,
            grants,
            limits,
            log,
            console,
            metrics,
            notify,
            requests,
            events,
            oauth,
            store,
            process,
            schemas,
            connection_places,
            schema_lines,
        }
    }
}

/// Reads the workspaces, and returns whether every name could be read.
fn read_workspaces(root: &mut Section<'_, '_>) -> (Vec<WorkspaceSettings>, bool) {
    let mut taken = Taken::default();
    let (mut workspaces, complete) =
        complete_tables(root, "workspaces", |section| WorkspaceSettings::read(section, &mut taken));
    if workspaces.is_empty() {
        workspaces.push(WorkspaceSettings::default());
    }
    (workspaces, complete)
}

/// Reads an array of tables, and returns whether each could be read.
fn complete_tables<T>(
    root: &mut Section<'_, '_>,
    key: &'static str,
    read: impl FnMut(&mut Section<'_, '_>) -> Option<T>,
) -> (Vec<T>, bool) {
    let written = root.tables(key, read);
    let complete = match &written {
        Some(written) => written.iter().all(Option::is_some),
        None => !root.is_written(key),
    };
    (written.into_iter().flatten().flatten().collect(), complete)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::config::reader;
    use crate::config::store::RetentionConfig;
    use crate::connection::ConnectionMethod;
    use crate::logging::LogFormat;

    const EXAMPLE: &str = include_str!("../../config.example.toml");

    fn parse(text: &str) -> Config {
        Config::parse(text, Path::new("config.toml")).unwrap()
    }

    /// Asserts that `text` has exactly one problem, which contains `words`.
    #[track_caller]
    fn refused(text: &str, words: &str) {
        let error = Config::parse(text, Path::new("config.toml")).unwrap_err().to_string();
        assert!(error.lines().count() == 1 && error.contains(words), "{error}\nfor\n{text}");
    }

    #[test]
    fn the_example_equals_the_defaults() {
        let bare = |text: &str| Config {
            file: None,
            sources: Sources::default(),
            connection_places: BTreeMap::new(),
            ..parse(text)
        };
        assert_eq!(bare(EXAMPLE), Config::default());
        assert_eq!(bare(""), Config::default());
    }

    #[test]
    fn the_example_shows_every_key_once_with_a_comment() {
        // Tables that the example shows in comments.
        let text = format!(
            "{EXAMPLE}\n[applications.crm]\nscopes = ['read']\n[webhooks.crm]\n[console.oidc]\n"
        );
        let (_, problems) =
            reader::read_collecting(&Sources::of_text(&text, Path::new("")), Config::read);
        let mut shown = Vec::new();
        let mut table = String::new();
        for line in EXAMPLE.lines() {
            if let Some(header) = line.trim_start_matches("# ").strip_prefix('[') {
                table = header.trim_start_matches('[').split(']').next().unwrap().to_owned() + ".";
            } else if let Some((key, rest)) = line.trim_start_matches("# ").split_once(" = ") {
                assert_eq!(rest.matches(" # ").count(), 1, "one comment: {line}");
                shown.push(format!("{table}{key}"));
            }
        }
        #[rustfmt::skip]
        const TABLES: &[&str] = &[
            "listen", "connections", "connections.default.brake", "applications",
            "applications.crm", "connections.default.federation", "webhooks", "webhooks.crm",
            "workspaces", "access", "permission_sets", "roles", "grants", "limits", "log",
            "console", "console.oidc", "metrics", "notify", "notify.mail", "requests", "events", "oauth", "store", "process",
            "schemas",
        ];
        let known: Vec<&str> =
            problems.known.iter().map(String::as_str).filter(|key| !TABLES.contains(key)).collect();
        shown.sort_unstable();
        assert_eq!(shown, known);
    }

    #[test]
    fn a_full_file_is_read() {
        let config = parse(
            r#"
            public_url = "https://scim.example.com/idp/"
            data_dir = "/var/lib/scimd"
            [listen]
            address = "[::]:443"
            certificate = "tls/chain.pem"
            private_key = "/etc/key.pem"
            trusted_proxies = ["10.0.0.1", "10.0.0.2"]
            [connections.okta]
            method = "okta"
            daily_requests = 5_000
            [connections.app_2]
            method = "custom"
            default_workspace = "Sales"
            service_origin = "https://app.example.com"
            ip_allowlist = ["192.0.2.0/24", "2001:db8::1"]
            [[workspaces]]
            name = "Support"
            [[workspaces]]
            name = "Sales"
            id = "sales-1"
            teams = ["East", "West"]
            [limits]
            idle_timeout = "2m"
            [log]
            format = "json"
            [metrics]
            listen = "[::1]:9464"
            [store]
            snapshot_interval = "12h"
            keep_journal = "400d"
            "#,
        );
        assert_eq!(config.public_url.as_str(), "https://scim.example.com/idp");
        assert_eq!(config.listen.certificate.unwrap(), Path::new("tls/chain.pem"));
        assert_eq!(config.listen.trusted_proxies.to_string(), "10.0.0.1-10.0.0.2");
        let okta = &config.connections["okta"];
        assert_eq!(
            (okta.method, okta.default_workspace.as_str()),
            (ConnectionMethod::Okta, "Support")
        );
        assert!(okta.ip_allowlist.is_none() && okta.service_origin.is_none());
        assert_eq!(okta.daily_requests, Some(5_000));
        assert_eq!(config.connections["app_2"].default_workspace, "Sales");
        assert_eq!(config.workspaces[1].teams, ["East", "West"]);
        assert_eq!(config.limits.idle_timeout, Duration::from_secs(120));
        assert_eq!(config.log.format, LogFormat::Json);
        assert_eq!(config.metrics.listen, Some("[::1]:9464".parse().unwrap()));
        assert_eq!(config.store.snapshot_interval, Duration::from_secs(43_200));
        let days = Duration::from_secs(400 * 86_400);
        assert_eq!(config.store.keep_journal, RetentionConfig::For(days));
    }

    #[test]
    fn shared_settings_read_back_and_do_not_depend_on_the_order_of_keys() {
        let role = "[[roles]]\nname = 'R'\n[[roles.workspaces]]\nname = 'Sales'\n\
                    teams = [{ name = 'East' }]\n[[grants]]\n";
        let one = format!(
            "public_url = 'https://a'\n[[workspaces]]\nname = 'Sales'\nid = 's'\nteams = ['East']\n{role}\
             group = 'G'\nroles = ['R']\n[[schemas]]\nid = 'urn:x:y'\n[[schemas.attributes]]\n\
             name = 'a'\ntype = 'integer'\nmutability = 'immutable'\n"
        );
        let other = format!(
            "public_url = 'https://a'\n[[schemas]]\nid = 'urn:x:y'\n[[schemas.attributes]]\n\
             mutability = 'immutable'\ntype = 'integer'\nname = 'a'\n{role}roles = ['R']\n\
             group = 'G'\n[[workspaces]]\nteams = ['East']\nid = 's'\nname = 'Sales'\n"
        );
        let settings = parse(&one).shared_settings();
        let json = settings.to_json().unwrap();
        assert_eq!(json, parse(&other).shared_settings().to_json().unwrap());
        assert_eq!(SharedSettings::from_json(&json).unwrap(), settings);
        assert!(json.contains("\"group\":{\"display_name\":\"G\"}"), "{json}");
    }

    #[test]
    fn rules_across_keys() {
        let workspaces = "[[workspaces]]\nname = 'Main'\n[[workspaces]]\n";
        for (text, words) in [
            ("[listen]\ncertificate = 'a'", ":2:1: listen.certificate: given without private_key"),
            ("[listen]\nprivate_key = 'a'", ":2:1: listen.private_key: given without certificate"),
            ("[listen]\ntls = false\naddress = '0.0.0.0:80'", ":2:1: listen.tls: false is allowed"),
            (
                "public_url = 'https://a/x/scim/v2/'",
                "1:1: public_url: \"https://a/x/scim/v2/\" ends with /scim/v2, which scimd appends; use \
                    \"https://a/x\"",
            ),
            ("public_url = 'http://a'", ":1:1: public_url: \"http://a\" does not match"),
            (
                "connections.a = { method = 'okta', default_workspace = 'Mian' }",
                "did you mean \"Main\"",
            ),
            ("connections.a = { method = 'okta', default_workspace = 'X' }", "known workspaces: "),
            ("[connections.a]\nmethod = 'custom'", ":1:14: connections.a.service_origin: missing"),
            ("[connections.a]\n", ":1:14: connections.a.method: missing; expected one of okta,"),
            ("[connections]\n", ":1:2: connections: empty"),
            ("[connections.A]\nmethod = 'okta'", ":1:14: connections.A: connection name \"A\""),
            (
                "[connections.a]\nmethod = 'octa'",
                ":2:1: connections.a.method: unknown method \"octa\"",
            ),
            ("[connections.a]\nmethod = 'okta'\nip_allowlist = []", "allows no address"),
            (
                "[connections.a]\nmethod = 'okta'\nbrake.action = 'stop'",
                ":3:7: connections.a.brake.action: unknown action \"stop\"",
            ),
            (
                "[connections.a]\nmethod = 'okta'\n[connections.a.brake]\npercent = 0",
                ":4:1: connections.a.brake.percent: 0 is out of range; expected 1 to 100",
            ),
            (
                "[connections.a]\nmethod = 'okta'\nmay_grant = ['company:king']",
                ":3:1: connections.a.may_grant: \"company:king\" is not a role or entitlement",
            ),
            ("[connections.operator]\nmethod = 'okta'", "\"operator\" is reserved"),
            ("[[grants]]\ngroup = 'g'\nconnection = 'x'", ":3:1: grants.connection: unknown"),
            ("[[grants]]\ngroup = 'g'\nconnection = []", ":3:1: grants.connection: empty"),
            (
                "[connections.a]\nmethod = 'okta'\n[connections.b]\nmethod = 'okta'\n[[grants]]\ngroup = 'g'",
                ":5:1: grants.connection: missing; several connections may write groups: add the line \
                 connection = \"a\" or connection = \"b\"",
            ),
            (
                &format!("{workspaces}name = 'MAIN'"),
                ":4:1: workspaces.name: \"MAIN\" appears twice",
            ),
            (&format!("{workspaces}name = ''"), ":4:1: workspaces.name: invalid name \"\""),
            (&format!("{workspaces}name = '{}'", "x".repeat(101)), "expected 1 to 100 characters"),
            (workspaces, ":3:1: workspaces.name: missing"),
            ("[store]\nkeep_journal = 'always'", "\"always\" is not a duration"),
            ("[store]\nkeep_snapshots = 0", "expected 1 to 1000"),
            ("[limits]\nmax_count = 50", ":2:1: limits.max_count: max_count is 50"),
            ("[limits]\ndefault_count = 2000", ":2:1: limits.default_count: max_count is 1000"),
            ("[limits]\nmax_refusals_per_minute = -1", "expected 0 to 100000"),
            ("[metrics]\nlisten = '0.0.0.0:9464'", ":2:1: metrics.listen: \"0.0.0.0:9464\" can be"),
            ("[metrics]\nlisten = '0.0.0.0:9464'\ntls = true", "add tls = true and token_file"),
            ("listen.tls = false\n[metrics]\ntls = true", "metrics.tls: true needs a certificate"),
            ("[metrics]\nlisten = '9464'", ":2:1: metrics.listen: \"9464\" is not an IP address"),
            ("[connections.a]\nmethod = 'okta'\ndaily_requests = 0", "expected 1 to 1000000000"),
            ("[limits]\nmax_header_bytes = 4096", "expected 8192 to 1048576"),
            ("[listen]\naddress = 'localhost:80'", ":2:1: listen.address: \"localhost:80\" is not"),
            (
                "[listen]\nadress = 1",
                ":2:1: unknown key \"listen.adress\"; did you mean \"address\"?",
            ),
        ] {
            refused(text, words);
        }
    }

    #[test]
    fn defaults_follow_what_is_written() {
        let config = parse("listen = { tls = false, address = '127.0.0.1:8080' }");
        assert_eq!(config.public_url.as_str(), "http://127.0.0.1:8080");
        let config = parse("public_url = 'https://a'\nlisten.tls = false");
        assert!(config.public_url.is_https(), "a proxy ends TLS");
        let config = parse("[[workspaces]]\nname = 'Sales'");
        assert_eq!(config.connections["default"].default_workspace, "Sales");
    }
}
