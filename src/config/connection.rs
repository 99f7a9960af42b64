//! `[connections.NAME]`: one table for each identity provider.

use std::fmt;
use std::str::FromStr;

use super::reader::Section;
use super::role::Known;
use super::{AddressSet, Brake, Invalid, Origin, Workspace, keyword, name};

/// An identity provider that may speak to scimd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Which kind of client it is.
    pub method: Method,
    /// The name of the workspace that new accounts belong to.
    pub default_workspace: String,
    /// What they may do there.
    pub default_permissions: Vec<String>,
    /// What `X-Request-Origin` must say; `None` where it is not asked for.
    pub service_origin: Option<Origin>,
    /// The addresses that requests may come from; `None` means any.
    pub ip_allowlist: Option<AddressSet>,
    /// What becomes of attributes that no schema knows.
    pub compat: Compat,
    /// What becomes of members that are not in the directory.
    pub unknown_members: UnknownMembers,
    /// Which resources it may change.
    pub scope: Scope,
    /// What becomes of a new account that is there already and inactive.
    pub on_inactive_create: OnInactiveCreate,
    /// What happens when it takes too much from too many.
    pub brake: Brake,
    /// How many requests it may make in a day of UTC, 1 to 1000000000; `None` for any number.
    pub daily_requests: Option<u32>,
}

/// Which resources a connection may change; it may read all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All.
    #[default]
    All,
    /// Those that it created, and those of which it is not known who did.
    Own,
}

impl Scope {
    /// Both, in the order of the documentation.
    pub const ALL: &[Self] = &[Self::All, Self::Own];

    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Own => "own",
        }
    }
}

impl FromStr for Scope {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        keyword::parse("scope", Self::ALL, Self::as_str, text)
    }
}

/// What becomes of a new account whose name or external id an inactive account has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnInactiveCreate {
    /// The request is refused, as for any name that is taken.
    #[default]
    Conflict,
    /// The inactive account takes over what the request says and is active again.
    Reactivate,
}

impl OnInactiveCreate {
    /// Both, in the order of the documentation.
    pub const ALL: &[Self] = &[Self::Conflict, Self::Reactivate];

    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Reactivate => "reactivate",
        }
    }
}

impl FromStr for OnInactiveCreate {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        keyword::parse("on_inactive_create", Self::ALL, Self::as_str, text)
    }
}

/// What becomes of a group's members that are not in the directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownMembers {
    /// The request is refused, and names them.
    #[default]
    Refuse,
    /// They are left out, and the rest of the request is done.
    Ignore,
}

impl UnknownMembers {
    /// Both, in the order of the documentation.
    pub const ALL: &[Self] = &[Self::Refuse, Self::Ignore];

    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Ignore => "ignore",
        }
    }
}

impl FromStr for UnknownMembers {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        keyword::parse("unknown_members", Self::ALL, Self::as_str, text)
    }
}

/// What becomes of attributes that no schema knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compat {
    /// They are left out.
    #[default]
    Lenient,
    /// The request is refused.
    Strict,
}

impl Compat {
    /// Both, in the order of the documentation.
    pub const ALL: &[Self] = &[Self::Lenient, Self::Strict];

    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lenient => "lenient",
            Self::Strict => "strict",
        }
    }
}

impl FromStr for Compat {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        keyword::parse("compat", Self::ALL, Self::as_str, text)
    }
}

/// The kinds of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// Okta's app from its integration catalogue.
    Okta,
    /// An app built by hand in Okta.
    OktaCustom,
    /// Microsoft Entra ID.
    Entra,
    /// A client of the operator's own, in the flat dialect.
    Custom,
}

impl Method {
    /// Every method, in the order of the documentation.
    pub const ALL: &[Self] = &[Self::Okta, Self::OktaCustom, Self::Entra, Self::Custom];

    /// The method as it is written in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Okta => "okta",
            Self::OktaCustom => "okta-custom",
            Self::Entra => "entra",
            Self::Custom => "custom",
        }
    }
}

impl FromStr for Method {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        keyword::parse("method", Self::ALL, Self::as_str, text)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The connection that exists where the configuration names none.
impl Default for Connection {
    fn default() -> Self {
        Self {
            method: Method::Custom,
            default_workspace: Workspace::default().name,
            default_permissions: Vec::new(),
            service_origin: Some(Origin::localhost()),
            ip_allowlist: Some(AddressSet::loopback()),
            compat: Compat::default(),
            unknown_members: UnknownMembers::default(),
            scope: Scope::default(),
            on_inactive_create: OnInactiveCreate::default(),
            brake: Brake::default(),
            daily_requests: None,
        }
    }
}

impl Connection {
    /// Reads one connection; `None` without a method.
    ///
    pub(super) fn read(
        name: &str,
        section: &mut Section<'_, '_>,
        known: Known<'_>,
    ) -> Option<Self> {
        if !is_name(name) {
            section.refuse(format!(
                "connection name {name:?} is wrong; expected 1 to 32 of the characters a-z, 0-9, _ \
                 and -"
            ));
        }
        let methods: Vec<&str> = Method::ALL.iter().map(|method| method.as_str()).collect();
        let method = section.required("method", &format!("one of {}", methods.join(", ")));
        let first = known.workspaces.and_then(<[_]>::first).map(|first| first.name.clone());
        let default_workspace = section.parsed("default_workspace", first.unwrap_or_default());
        let default_workspace =
            name::resolve(section, "default_workspace", &default_workspace, known.workspaces);
        let default_permissions =
            name::permissions(section, "default_permissions", &known.access.workspace_permissions);
        let service_origin = section.optional("service_origin");
        if method == Some(Method::Custom) && !section.is_written("service_origin") {
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
        let compat = section.parsed("compat", Compat::default());
        let unknown_members = section.parsed("unknown_members", UnknownMembers::default());
        let scope = section.parsed("scope", Scope::default());
        let on_inactive_create = section.parsed("on_inactive_create", OnInactiveCreate::default());
        let brake = section.table("brake", Brake::read);
        let daily_requests = section.integer("daily_requests", 1..=1_000_000_000, u32::MAX);
        let limited = section.is_written("daily_requests");
        Some(Self {
            method: method?,
            default_workspace,
            default_permissions,
            service_origin,
            ip_allowlist,
            compat,
            unknown_members,
            scope,
            on_inactive_create,
            brake,
            daily_requests: limited.then_some(daily_requests),
        })
    }
}

fn is_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_read_as_they_are_written() {
        for &method in Method::ALL {
            assert_eq!(method.to_string().parse(), Ok(method));
        }
        assert_eq!(
            "octa".parse::<Method>().unwrap_err().to_string(),
            "unknown method \"octa\"; expected one of okta, okta-custom, entra, custom \
             (did you mean \"okta\"?)"
        );
    }
}
