//! What a new configuration allows that the one before did not.

use std::fmt;

use super::oidc::OidcConfig;
use super::root::Config;
use crate::connection::{
    AddressSet, ApplicationSettings, Brake, BrakeAction, ConnectionSettings, OnInactiveCreate,
    Scope,
};
use crate::text::duration;

/// A setting that allows more than before, or is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Widening {
    /// The key, as `connections.okta.ip_allowlist`.
    pub key: String,
    /// What it was, in the words of the configuration.
    pub before: String,
    /// What it is.
    pub now: String,
}

impl Config {
    /// The settings that allow more than those of a configuration before, in the order of their names: connections,
    /// allowlists, origins, scopes, brakes, proxies that are trusted, and who is an operator of the console.
    pub fn wider_than(&self, before: &Self) -> Vec<Widening> {
        let mut found = Found(Vec::new());
        let proxies = &self.listen.trusted_proxies;
        if !before.listen.trusted_proxies.includes(proxies) {
            found.add("listen.trusted_proxies", &before.listen.trusted_proxies, proxies);
        }
        match (&before.console.oidc, &self.console.oidc) {
            (None, Some(now)) => found.add("console.oidc", &"none", &now.issuer),
            (Some(before), Some(now)) => found.provider(before, now),
            (_, None) => {}
        }
        for (name, connection) in &before.connections {
            let key = format!("connections.{name}");
            match self.connections.get(name) {
                Some(now) => found.connection(&key, connection, now),
                None => found.add(&key, &connection.method, &"none: its tokens are denied"),
            }
        }
        for (name, connection) in &self.connections {
            if !before.connections.contains_key(name) {
                found.add(&format!("connections.{name}"), &"none", &connection.method);
            }
        }
        for (name, application) in &before.applications {
            let key = format!("applications.{name}");
            match self.applications.get(name) {
                Some(now) => found.application(&key, application, now),
                None => {
                    found.add(&key, &scopes(application), &"none: its tokens are denied");
                }
            }
        }
        for (name, application) in &self.applications {
            if !before.applications.contains_key(name) {
                found.add(&format!("applications.{name}"), &"none", &scopes(application));
            }
        }
        found.0
    }
}

/// The roles that a provider of operators gives, in the words of the configuration.
fn roles(provider: &OidcConfig) -> String {
    let words: Vec<String> =
        provider.roles.iter().map(|(value, role)| format!("{value:?} = {role}")).collect();
    words.join(", ")
}

/// The scopes of an application, in the words of the configuration.
fn scopes(application: &ApplicationSettings) -> String {
    let words: Vec<&str> = application.scopes.iter().map(|scope| scope.as_str()).collect();
    words.join(", ")
}

struct Found(Vec<Widening>);

impl Found {
    fn add(&mut self, key: &str, before: &dyn fmt::Display, now: &dyn fmt::Display) {
        let (before, now) = (before.to_string(), now.to_string());
        self.0.push(Widening { key: key.to_owned(), before, now });
    }

    fn allowlist(&mut self, name: &str, before: Option<&AddressSet>, now: Option<&AddressSet>) {
        let key = format!("{name}.ip_allowlist");
        match (before, now) {
            (Some(allowed), None) => self.add(&key, allowed, &"none: any address"),
            (Some(allowed), Some(allows)) if !allowed.includes(allows) => {
                self.add(&key, allowed, allows);
            }
            _ => {}
        }
    }

    fn provider(&mut self, before: &OidcConfig, now: &OidcConfig) {
        if before.issuer != now.issuer {
            self.add("console.oidc.issuer", &before.issuer, &now.issuer);
        }
        if before.role_claim != now.role_claim {
            self.add("console.oidc.role_claim", &before.role_claim, &now.role_claim);
        }
        if now.roles.iter().any(|(value, role)| before.roles.get(value) < Some(role)) {
            self.add("console.oidc.roles", &roles(before), &roles(now));
        }
        match (&before.ca_file, &now.ca_file) {
            (Some(ca), None) => {
                self.add("console.oidc.ca_file", &ca.display(), &"none: every public CA");
            }
            (Some(ca), Some(other)) if ca != other => {
                self.add("console.oidc.ca_file", &ca.display(), &other.display());
            }
            _ => {}
        }
    }

    fn application(&mut self, name: &str, before: &ApplicationSettings, now: &ApplicationSettings) {
        self.allowlist(name, before.ip_allowlist.as_ref(), now.ip_allowlist.as_ref());
        if !now.scopes.is_subset(&before.scopes) {
            self.add(&format!("{name}.scopes"), &scopes(before), &scopes(now));
        }
    }

    fn connection(&mut self, name: &str, before: &ConnectionSettings, now: &ConnectionSettings) {
        let key = |setting: &str| format!("{name}.{setting}");
        self.allowlist(name, before.ip_allowlist.as_ref(), now.ip_allowlist.as_ref());
        match (&before.service_origin, &now.service_origin) {
            (Some(origin), None) => self.add(&key("service_origin"), origin, &"none: not checked"),
            (Some(origin), Some(other)) if origin != other => {
                self.add(&key("service_origin"), origin, other);
            }
            _ => {}
        }
        match (&before.client_ca, &now.client_ca) {
            (Some(ca), None) => {
                self.add(&key("client_ca"), &ca.display(), &"none: no client certificate needed");
            }
            (Some(ca), Some(other)) if ca != other => {
                self.add(&key("client_ca"), &ca.display(), &other.display());
            }
            _ => {}
        }
        if now.federation.is_some() && before.federation != now.federation {
            let words = [before, now].map(|one| match &one.federation {
                Some(federation) => format!("{} {}", federation.issuer, federation.subject),
                None => "none".to_owned(),
            });
            self.add(&key("federation"), &words[0], &words[1]);
        }
        if now.basic && !before.basic {
            self.add(&key("basic"), &before.basic, &now.basic);
        }
        let reach = |scope| match scope {
            Scope::Read => 0,
            Scope::Own => 1,
            Scope::All => 2,
        };
        if reach(now.scope) > reach(before.scope) {
            self.add(&key("scope"), &before.scope.as_str(), &now.scope.as_str());
        }
        let reactivates = OnInactiveCreate::Reactivate;
        if before.on_inactive_create != reactivates && now.on_inactive_create == reactivates {
            let words = [before, now].map(|one| one.on_inactive_create.as_str());
            self.add(&key("on_inactive_create"), &words[0], &words[1]);
        }
        match (&before.may_grant, &now.may_grant) {
            (Some(some), None) => {
                self.add(&key("may_grant"), &some.entries().join(", "), &"none: everything");
            }
            (Some(some), Some(other))
                if other.entries().iter().any(|entry| !some.entries().contains(entry)) =>
            {
                let words = [some, other].map(|one| one.entries().join(", "));
                self.add(&key("may_grant"), &words[0], &words[1]);
            }
            _ => {}
        }
        match (before.daily_requests, now.daily_requests) {
            (Some(limit), None) => self.add(&key("daily_requests"), &limit, &"none: no limit"),
            (Some(limit), Some(higher)) if limit < higher => {
                self.add(&key("daily_requests"), &limit, &higher);
            }
            _ => {}
        }
        self.brake(&key("brake"), &before.brake, &now.brake);
    }

    fn brake(&mut self, key: &str, before: &Brake, now: &Brake) {
        let strictness = |brake: &Brake| match brake.action {
            BrakeAction::Hold => 2,
            BrakeAction::Alarm => 1,
            BrakeAction::Off => 0,
        };
        if strictness(now) < strictness(before) {
            let key = format!("{key}.action");
            self.add(&key, &before.action.as_str(), &now.action.as_str());
        }
        if now.action == BrakeAction::Off {
            return;
        }
        if now.percent > before.percent {
            self.add(&format!("{key}.percent"), &before.percent, &now.percent);
        }
        if now.minimum > before.minimum {
            self.add(&format!("{key}.minimum"), &before.minimum, &now.minimum);
        }
        if now.max_gains > before.max_gains {
            self.add(&format!("{key}.max_gains"), &before.max_gains, &now.max_gains);
        }
        // Within a shorter window fewer accounts are counted.
        if now.window < before.window {
            let words = [before, now].map(|brake| duration::display(brake.window).to_string());
            self.add(&format!("{key}.window"), &words[0], &words[1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn parse(text: &str) -> Config {
        Config::parse(text, Path::new("config.toml")).unwrap()
    }

    const BEFORE: &str = "[listen]\ntrusted_proxies = '10.0.0.0/30'\n[connections.a]\nmethod = 'okta'\n\
        scope = 'own'\nmay_grant = ['role:*']\ndaily_requests = 5\nservice_origin = 'https://a.example'\nip_allowlist = '192.0.2.0/24, 2001:db8::/32'\n\
        [connections.a.brake]\naction = 'hold'\npercent = 10\nminimum = 5\nmax_gains = 5\nwindow = '10m'\n\
        [applications.crm]\nscopes = ['read']\nip_allowlist = '198.51.100.7'\n\
        [console.oidc]\nissuer = 'https://idp.example'\nclient_id = 'c'\nclient_secret_file = 's'\n\
        role_claim = 'groups'\nca_file = 'ca'\nroles = { admins = 'admin', staff = 'viewer' }\n";

    #[test]
    fn whatever_allows_more_is_named() {
        for (from, to, key) in [
            ("ip_allowlist = '192.0.2.0/24, 2001:db8::/32'", "", "connections.a.ip_allowlist"),
            ("192.0.2.0/24", "192.0.2.0/23", "connections.a.ip_allowlist"),
            ("2001:db8::/32", "2001:db8::-2001:db9::", "connections.a.ip_allowlist"),
            ("service_origin = 'https://a.example'", "", "connections.a.service_origin"),
            ("a.example", "b.example", "connections.a.service_origin"),
            ("'own'", "'all'", "connections.a.scope"),
            ("scope =", "basic = true\nscope =", "connections.a.basic"),
            (
                "scope =",
                "on_inactive_create = 'reactivate'\nscope =",
                "connections.a.on_inactive_create",
            ),
            ("may_grant = ['role:*']", "", "connections.a.may_grant"),
            ("'role:*'", "'role:*', 'company:*'", "connections.a.may_grant"),
            ("daily_requests = 5", "", "connections.a.daily_requests"),
            ("daily_requests = 5", "daily_requests = 6", "connections.a.daily_requests"),
            ("max_gains = 5", "max_gains = 6", "connections.a.brake.max_gains"),
            ("'hold'", "'alarm'", "connections.a.brake.action"),
            ("'hold'", "'off'", "connections.a.brake.action"),
            ("percent = 10", "percent = 11", "connections.a.brake.percent"),
            ("minimum = 5", "minimum = 6", "connections.a.brake.minimum"),
            ("'10m'", "'9m'", "connections.a.brake.window"),
            ("10.0.0.0/30", "10.0.0.0/29", "listen.trusted_proxies"),
            ("['read']", "['read', 'events']", "applications.crm.scopes"),
            ("ip_allowlist = '198.51.100.7'", "", "applications.crm.ip_allowlist"),
            ("staff = 'viewer'", "staff = 'operator'", "console.oidc.roles"),
            ("{ admins", "{ everyone = 'viewer', admins", "console.oidc.roles"),
            ("ca_file = 'ca'", "", "console.oidc.ca_file"),
            ("idp.example", "idp.other", "console.oidc.issuer"),
            ("'groups'", "'roles'", "console.oidc.role_claim"),
            (
                "[applications.crm]",
                "[applications.b]\nscopes = ['read']\n[applications.crm]",
                "applications.b",
            ),
            (
                "[connections.a]",
                "[connections.b]\nmethod = 'okta'\n[connections.a]",
                "connections.b",
            ),
        ] {
            let (before, now) = (parse(BEFORE), parse(&BEFORE.replacen(from, to, 1)));
            let found = now.wider_than(&before);
            let keys: Vec<&str> = found.iter().map(|one| one.key.as_str()).collect();
            assert_eq!(keys, [key], "{from} {to}");
            let back = before.wider_than(&now);
            let is_said_both_ways = [
                "connections.a.service_origin",
                "connections.b",
                "applications.b",
                "console.oidc.issuer",
                "console.oidc.role_claim",
            ]
            .contains(&key);
            assert!(back.is_empty() || is_said_both_ways, "{back:?}");
        }
    }

    #[test]
    fn a_provider_of_operators_is_named_when_it_is_added_and_not_when_it_ends() {
        let without = parse(BEFORE.split("[console.oidc]").next().unwrap());
        let found = parse(BEFORE).wider_than(&without);
        assert_eq!((found.len(), found[0].key.as_str()), (1, "console.oidc"));
        assert!(without.wider_than(&parse(BEFORE)).is_empty());
    }
}
