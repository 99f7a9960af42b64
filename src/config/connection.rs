//! `[connections.NAME]`: one table for each identity provider.

use std::collections::BTreeMap;

use super::ListenConfig;
use super::federation::check_trusts;
use super::merge::CONNECTIONS;
use super::name;
use super::place::Place;
use super::reader::Section;
use super::role::Known;
use crate::access::{Catalogue, NO_CONNECTION, WorkspaceSettings};
use crate::connection::federation::Federation;
use crate::connection::{
    AddressSet, Brake, Compat, ConnectionMethod, ConnectionSettings, MayGrant, OnInactiveCreate,
    Scope, UnknownMembers,
};

/// The connections by name, their places, and whether each could be read.
type ReadConnections = (BTreeMap<String, ConnectionSettings>, BTreeMap<String, Place>, bool);

/// Reads the connections.
pub(super) fn read_connections(
    root: &mut Section<'_, '_>,
    workspaces: &[WorkspaceSettings],
    known: Known<'_>,
    catalogue: Option<&Catalogue>,
) -> ReadConnections {
    let mut places = BTreeMap::new();
    let written = root.named_tables(CONNECTIONS, |name, section| {
        places.insert(name.to_owned(), section.place());
        ConnectionSettings::read(name, section, known, catalogue)
    });
    match written {
        Some(written) => {
            let complete = written.iter().all(|(_, connection)| connection.is_some());
            let read = written.into_iter();
            let read = read.filter_map(|(name, connection)| Some((name, connection?)));
            let connections = read.collect();
            check_trusts(root, &connections);
            (connections, places, complete)
        }
        None => {
            let mut connection = ConnectionSettings::default();
            if let Some(first) = workspaces.first() {
                connection.default_workspace.clone_from(&first.name);
            }
            let complete = !root.is_written(CONNECTIONS);
            (BTreeMap::from([("default".to_owned(), connection)]), places, complete)
        }
    }
}

/// Records a problem if client certificates are asked for where they can't be checked.
pub(super) fn check_client_cas(
    root: &mut Section<'_, '_>,
    listen: &ListenConfig,
    connections: &BTreeMap<String, ConnectionSettings>,
) {
    let mut asked = connections.iter().filter(|(_, connection)| connection.client_ca.is_some());
    let Some((name, _)) = asked.next() else { return };
    let why = if !listen.tls {
        "listen.tls is false"
    } else if !listen.trusted_proxies.is_empty() {
        "a proxy of listen.trusted_proxies ends the TLS of clients"
    } else {
        return;
    };
    let message = format!(
        "connection {name} has a client_ca but {why}, so client certificates can't be checked; expected TLS from the \
         client to scimd and no trusted_proxies, or no client_ca"
    );
    root.problem(CONNECTIONS, message);
}

/// Whether a connection may have this name.
pub fn is_connection_name(name: &str) -> bool {
    is_name(name) && name != NO_CONNECTION
}

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
                 and -, the first of them no -"
            ));
        }
        if name == NO_CONNECTION {
            section.refuse(format!(
                "connection name {name:?} is reserved: in a grant it means groups without a connection"
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
                "missing; method \"custom\" requires the value of X-Request-Origin, such as service_origin = \
                 \"app.example.com\"",
            );
        }
        let ip_allowlist = read_allowlist(section);
        let basic = section.boolean("basic", false);
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
        let has_federation = section.is_written("federation");
        let federation = section.table("federation", |section| match has_federation {
            true => Federation::read(section),
            false => None,
        });
        let daily_requests = section.integer("daily_requests", 1..=1_000_000_000, u32::MAX);
        let limited = section.is_written("daily_requests");
        Some(Self {
            method: method?,
            default_workspace,
            default_permissions,
            service_origin,
            ip_allowlist,
            basic,
            client_ca,
            compat,
            unknown_members,
            scope,
            on_inactive_create,
            may_grant,
            federation,
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
                    "{entry:?} is not a role or entitlement: {}; expected for example \"role:*\", \"company:admin\" \
                     or \"workspace:Main\"",
                    error.detail.trim_end_matches('.')
                ),
            );
        }
    }
    Some(may_grant)
}

/// Reads the addresses that requests may come from.
pub(super) fn read_allowlist(section: &mut Section<'_, '_>) -> Option<AddressSet> {
    let ip_allowlist: Option<AddressSet> = section.list("ip_allowlist");
    if ip_allowlist.as_ref().is_some_and(AddressSet::is_empty) {
        section.problem(
            "ip_allowlist",
            "allows no address; expected at least one, or no ip_allowlist to allow all",
        );
    }
    ip_allowlist
}

/// Whether a connection or an application may have this name.
pub(super) fn is_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && !name.starts_with('-')
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}
