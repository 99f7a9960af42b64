//! The settings of a connection: who may speak, and what its requests are held to.

use std::fmt;

use super::address_set::AddressSet;
use super::brake::Brake;
use super::origin::Origin;
use crate::access::WorkspaceSettings;
use crate::text::keyword::keyword;

/// An identity provider that may speak to scimd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// Which kind of client it is.
    pub method: ConnectionMethod,
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

keyword!(Scope, "scope");

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

keyword!(OnInactiveCreate, "on_inactive_create");

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

keyword!(UnknownMembers, "unknown_members");

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

keyword!(Compat, "compat");

/// The kinds of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnectionMethod {
    /// Okta's app from its integration catalogue.
    Okta,
    /// An app built by hand in Okta.
    OktaCustom,
    /// Microsoft Entra ID.
    Entra,
    /// A client of the operator's own, in the flat dialect.
    Custom,
}

impl ConnectionMethod {
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

keyword!(ConnectionMethod, "method");

impl fmt::Display for ConnectionMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The connection that exists where the configuration names none.
impl Default for ConnectionSettings {
    fn default() -> Self {
        Self {
            method: ConnectionMethod::Custom,
            default_workspace: WorkspaceSettings::default().name,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_read_as_they_are_written() {
        for &method in ConnectionMethod::ALL {
            assert_eq!(method.to_string().parse(), Ok(method));
        }
        assert_eq!(
            "octa".parse::<ConnectionMethod>().unwrap_err().to_string(),
            "unknown method \"octa\"; expected one of okta, okta-custom, entra, custom \
             (did you mean \"okta\"?)"
        );
    }
}
