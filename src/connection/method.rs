//! What sets the kinds of clients apart, as data.

use super::dialect::Dialect;
use super::settings::ConnectionMethod;
use crate::scim::schema::ResourceType;

/// How requests of a connection are read and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientProfile {
    dialect: Dialect,
    patched_account: PatchReply,
    patched_other: PatchReply,
}

/// What a PATCH answers, unless the request asks for attributes (RFC 7644, section 3.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchReply {
    /// The resource as it is then.
    Resource,
    /// That it is done, and nothing else.
    Nothing,
}

const OKTA: ClientProfile = ClientProfile {
    dialect: Dialect::Rfc,
    patched_account: PatchReply::Resource,
    patched_other: PatchReply::Nothing,
};
const OKTA_CUSTOM: ClientProfile = ClientProfile {
    dialect: Dialect::Rfc,
    patched_account: PatchReply::Resource,
    patched_other: PatchReply::Resource,
};
const ENTRA: ClientProfile = ClientProfile {
    dialect: Dialect::Rfc,
    patched_account: PatchReply::Nothing,
    patched_other: PatchReply::Nothing,
};
const CUSTOM: ClientProfile = ClientProfile {
    dialect: Dialect::Flat,
    patched_account: PatchReply::Resource,
    patched_other: PatchReply::Resource,
};

impl ClientProfile {
    /// How clients of a kind want it.
    pub fn of(method: ConnectionMethod) -> Self {
        match method {
            ConnectionMethod::Okta => OKTA,
            ConnectionMethod::OktaCustom => OKTA_CUSTOM,
            ConnectionMethod::Entra => ENTRA,
            ConnectionMethod::Custom => CUSTOM,
        }
    }

    /// The dialect of these clients.
    pub fn dialect(self) -> Dialect {
        self.dialect
    }

    /// The dialect in which resources of a type come and go: accounts alone have another form.
    pub fn dialect_of(self, resource_type: &ResourceType) -> Dialect {
        if resource_type.is_account { self.dialect } else { Dialect::Rfc }
    }

    /// What a PATCH of a resource of a type answers.
    pub fn patched(self, resource_type: &ResourceType) -> PatchReply {
        if resource_type.is_account { self.patched_account } else { self.patched_other }
    }
}
