//! The settings of a connection.

use std::fmt;
use std::path::PathBuf;

use super::address_set::AddressSet;
use super::brake::Brake;
use super::federation::Federation;
use super::may_grant::MayGrant;
use super::origin::Origin;
use crate::access::WorkspaceSettings;
use crate::text::keyword::keyword;

/// The settings of one identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// The kind of client.
    pub method: ConnectionMethod,
    /// The name of the workspace that new accounts belong to.
    pub default_workspace: String,
    /// The permissions of new accounts in the default workspace.
    pub default_permissions: Vec<String>,
    /// The required value of `X-Request-Origin`; `None` if the header is not checked.
    pub service_origin: Option<Origin>,
    /// The addresses that requests may come from; `None` means any.
    pub ip_allowlist: Option<AddressSet>,
    /// Whether clients may send their token as the password of HTTP Basic, with the connection's name as user name.
    pub basic: bool,
    /// The PEM file with the CA of client certificates; `None` if clients need none.
    pub client_ca: Option<PathBuf>,
    /// The handling of attributes that no schema defines.
    pub compat: Compat,
    /// The handling of members that are not in the directory.
    pub unknown_members: UnknownMembers,
    /// The resources that the connection may change.
    pub scope: Scope,
    /// The handling of a POST for an account that exists and is inactive.
    pub on_inactive_create: OnInactiveCreate,
    /// The roles and entitlements that the connection may give; `None` for all.
    pub may_grant: Option<MayGrant>,
    /// The issuer whose assertions stand for a client secret, if there is one.
    pub federation: Option<Federation>,
    /// The limits on the accounts that it may affect.
    pub brake: Brake,
    /// The maximum number of requests in a UTC day, 1 to 1000000000; `None` for no limit.
    pub daily_requests: Option<u32>,
}

/// The resources that a connection may change. A connection may read all resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All resources.
    #[default]
    All,
    /// The resources that the connection created, and those without a known creator.
    Own,
    /// None: the connection may only read.
    Read,
}

impl Scope {
    /// Every value, in the order of the documentation.
    pub const ALL: &[Self] = &[Self::All, Self::Own, Self::Read];

    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Own => "own",
            Self::Read => "read",
        }
    }
}

keyword!(Scope, "scope");

/// The handling of a POST whose name or external id belongs to an inactive account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnInactiveCreate {
    /// The request is refused, as for any name that is taken.
    #[default]
    Conflict,
    /// The inactive account takes over what the request says and is active again.
    Reactivate,
}

impl OnInactiveCreate {
    /// Both values, in the order of the documentation.
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

/// The handling of group members that are not in the directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownMembers {
    /// The request is refused, and the error names the members.
    #[default]
    Refuse,
    /// The members are ignored, and the rest of the request is executed.
    Ignore,
}

impl UnknownMembers {
    /// Both values, in the order of the documentation.
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

/// The handling of attributes that no schema defines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compat {
    /// The attributes are ignored.
    #[default]
    Lenient,
    /// The request is refused.
    Strict,
}

impl Compat {
    /// Both values, in the order of the documentation.
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
    /// Any other client that speaks SCIM 2.0 as the RFCs have it.
    Generic,
    /// A custom client that uses the flat dialect.
    Custom,
}

impl ConnectionMethod {
    /// Every method, in the order of the documentation.
    pub const ALL: &[Self] =
        &[Self::Okta, Self::OktaCustom, Self::Entra, Self::Generic, Self::Custom];

    /// Whether its clients run in a cloud that accepts only certificates of a public CA.
    pub fn needs_public_ca(self) -> bool {
        match self {
            Self::Okta | Self::OktaCustom | Self::Entra => true,
            Self::Generic | Self::Custom => false,
        }
    }

    /// The method as it is written in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Okta => "okta",
            Self::OktaCustom => "okta-custom",
            Self::Entra => "entra",
            Self::Generic => "generic",
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
            basic: false,
            client_ca: None,
            compat: Compat::default(),
            unknown_members: UnknownMembers::default(),
            scope: Scope::default(),
            on_inactive_create: OnInactiveCreate::default(),
            may_grant: None,
            federation: None,
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
            "unknown method \"octa\"; expected one of okta, okta-custom, entra, generic, custom \
             (did you mean \"okta\"?)"
        );
    }
}
