//! `[connections.NAME]`: one table for each identity provider.

use super::name;
use super::reader::Section;
use super::role::Known;
use crate::access::{Catalogue, NO_CONNECTION};
use crate::connection::{
    AddressSet, Brake, Compat, ConnectionMethod, ConnectionSettings, MayGrant, OnInactiveCreate,
    Scope, UnknownMembers,
};

impl ConnectionSettings {
    /// Reads one connection; `None` without a method.
    pub(super) fn read(
        name: &str,
        section: &mut Section<'_, '_>,
        known: Known<'_>,
        catalogue: Option<&Catalogue>,
    ) -> Option<Self> {
        if !is_name(name) {
            section.refuse(format!(
                "connection name {name:?} is wrong; expected 1 to 32 of the characters a-z, 0-9, _ \
                 and -"
            ));
        }
        if name == NO_CONNECTION {
            section.refuse(format!(
                "connection name {name:?} is taken: in a grant it stands for groups without a connection"
            ));
        }
        let methods: Vec<&str> =
            ConnectionMethod::ALL.iter().map(|method| method.as_str()).collect();
        let method = section.required("method", &format!("one of {}", methods.join(", ")));
        let first = known.workspaces.and_then(<[_]>::first).map(|first| first.name.clone());
        let default_workspace = section.parsed("default_workspace", first.unwrap_or_default());
        let default_workspace =
            name::resolve(section, "default_workspace", &default_workspace, known.workspaces);
        let default_permissions =
            name::permissions(section, "default_permissions", &known.access.workspace_permissions);
        let service_origin = section.optional("service_origin");
        if method == Some(ConnectionMethod::Custom) && !section.is_written("service_origin") {
            section.missing(
                "service_origin",
                "missing; method \"custom\" requires what X-Request-Origin must say, such as \
                 service_origin = \"app.example.com\"",
            );
        }
        let ip_allowlist: Option<AddressSet> = section.list("ip_allowlist");
        if ip_allowlist.as_ref().is_some_and(AddressSet::is_empty) {
            section.problem(
                "ip_allowlist",
                "allows no address; expected at least one, or no ip_allowlist to allow any",
            );
        }
        let client_ca = section.path("client_ca");
        let compat = section.parsed("compat", Compat::default());
        let unknown_members = section.parsed("unknown_members", UnknownMembers::default());
        let scope = section.parsed("scope", Scope::default());
        let on_inactive_create = section.parsed("on_inactive_create", OnInactiveCreate::default());
        let mut may_grant = read_may_grant(section, catalogue);
        if let Some(may_grant) = &mut may_grant {
            may_grant.allow_defaults(&default_workspace, &default_permissions);
        }
        let brake = section.table("brake", Brake::read);
        let daily_requests = section.integer("daily_requests", 1..=1_000_000_000, u32::MAX);
        let limited = section.is_written("daily_requests");
        Some(Self {
            method: method?,
            default_workspace,
            default_permissions,
            service_origin,
            ip_allowlist,
            client_ca,
            compat,
            unknown_members,
            scope,
            on_inactive_create,
            may_grant,
            brake,
            daily_requests: limited.then_some(daily_requests),
        })
    }
}

/// Reads what a connection may give. Without a complete catalogue the entries are not looked up.
fn read_may_grant(
    section: &mut Section<'_, '_>,
    catalogue: Option<&Catalogue>,
) -> Option<MayGrant> {
    let entries: Vec<String> = section.array("may_grant")?;
    let mut may_grant = MayGrant::default();
    for entry in &entries {
        if let Some(Err(error)) = catalogue.map(|catalogue| may_grant.allow(catalogue, entry)) {
            section.problem(
                "may_grant",
                format!(
                    "{entry:?} is no role or entitlement: {}; expected such as \"role:*\", \"company:admin\" or \
                     \"workspace:Main\"",
                    error.detail.trim_end_matches('.')
                ),
            );
        }
    }
    Some(may_grant)
}

fn is_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}
