//! The profiles of connection methods: how each kind of client is served.

use super::dialect::Dialect;
use super::settings::ConnectionMethod;
use crate::scim::discovery::OfferUrns;
use crate::scim::schema::ResourceType;

/// The way in which the requests of a connection are read and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientProfile {
    dialect: Dialect,
    patched_account: PatchReply,
    patched_other: PatchReply,
    offer_urns: OfferUrns,
}

/// The response to a PATCH that requests no attributes (RFC 7644, section 3.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchReply {
    /// 200 with the changed resource.
    Resource,
    /// 204 without a body.
    Nothing,
}

const OKTA: ClientProfile = ClientProfile {
    dialect: Dialect::Rfc,
    patched_account: PatchReply::Resource,
    patched_other: PatchReply::Nothing,
    offer_urns: OfferUrns::Okta,
};
const OKTA_CUSTOM: ClientProfile = ClientProfile { offer_urns: OfferUrns::Okta, ..GENERIC };
const GENERIC: ClientProfile = ClientProfile {
    dialect: Dialect::Rfc,
    patched_account: PatchReply::Resource,
    patched_other: PatchReply::Resource,
    offer_urns: OfferUrns::Draft,
};
const ENTRA: ClientProfile = ClientProfile {
    dialect: Dialect::Rfc,
    patched_account: PatchReply::Nothing,
    patched_other: PatchReply::Nothing,
    offer_urns: OfferUrns::Draft,
};
const CUSTOM: ClientProfile = ClientProfile {
    dialect: Dialect::Flat,
    patched_account: PatchReply::Resource,
    patched_other: PatchReply::Resource,
    offer_urns: OfferUrns::Draft,
};

impl ClientProfile {
    /// Returns the profile of a connection method.
    pub fn of(method: ConnectionMethod) -> Self {
        match method {
            ConnectionMethod::Okta => OKTA,
            ConnectionMethod::OktaCustom => OKTA_CUSTOM,
            ConnectionMethod::Generic => GENERIC,
            ConnectionMethod::Entra => ENTRA,
            ConnectionMethod::Custom => CUSTOM,
        }
    }

    /// The dialect of the client.
    pub fn dialect(self) -> Dialect {
        self.dialect
    }

    /// Returns the dialect for resources of a type; only accounts have a flat form.
    pub fn dialect_of(self, resource_type: &ResourceType) -> Dialect {
        if resource_type.is_account { self.dialect } else { Dialect::Rfc }
    }

    /// The URNs under which roles and entitlements are announced.
    pub fn offer_urns(self) -> OfferUrns {
        self.offer_urns
    }

    /// Returns the response to a PATCH of a resource of a type.
    pub fn patched(self, resource_type: &ResourceType) -> PatchReply {
        if resource_type.is_account { self.patched_account } else { self.patched_other }
    }
}
