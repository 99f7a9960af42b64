//! The dialects of accounts and errors on the wire.

use serde_json::{Map, Value};

use super::flat;
use crate::access::Catalogue;
use crate::scim::error::ScimError;
use crate::scim::exchange::{Exchange, Renaming};
use crate::scim::patch::PatchRequest;
use crate::scim::projection::Projection;
use crate::scim::query::{self, Parameters};
use crate::scim::schema::ResourceType;
use crate::scim::validate::{Validated, validate};

/// The representation of accounts and errors that a client uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The representation of RFC 7643 and RFC 7644.
    Rfc,
    /// Accounts have access and department at top level, and `status` of an error is a number.
    Flat,
}

impl Dialect {
    /// Whether a PUT may change the name of a resource.
    pub fn renaming(self) -> Renaming {
        match self {
            Self::Rfc => Renaming::Allowed,
            Self::Flat => Renaming::Refused,
        }
    }

    /// Reads the body of a POST or PUT.
    ///
    /// # Errors
    ///
    /// As [`validate`]; also for access that the catalogue does not know.
    pub fn read(
        self,
        catalogue: &Catalogue,
        resource_type: &ResourceType,
        exchange: Exchange,
        body: Map<String, Value>,
    ) -> Result<Validated, ScimError> {
        match self {
            Self::Rfc => validate(resource_type, exchange, body),
            Self::Flat => flat::read(catalogue, resource_type, exchange, body),
        }
    }

    /// Reads the body of a PATCH.
    ///
    /// # Errors
    ///
    /// As [`PatchRequest::parse`]; also for access that the catalogue does not know.
    pub fn read_patch(
        self,
        catalogue: &Catalogue,
        resource_type: &ResourceType,
        body: Map<String, Value>,
    ) -> Result<PatchRequest, ScimError> {
        match self {
            Self::Rfc => PatchRequest::parse(resource_type, body),
            Self::Flat => flat::read_patch(catalogue, resource_type, body),
        }
    }

    /// Returns the form in which a client wants resources of a type.
    ///
    /// # Errors
    ///
    /// As [`Projection::parse`].
    pub fn form(
        self,
        resource_type: &ResourceType,
        parameters: &Parameters,
    ) -> Result<ResourceForm, ScimError> {
        Ok(match self {
            Self::Rfc => ResourceForm::Rfc(query::projection(resource_type, parameters)?),
            Self::Flat => ResourceForm::Flat(flat::FlatForm::parse(resource_type, parameters)?),
        })
    }
}

/// The form of resources in a response: the dialect, and the selected attributes.
#[derive(Clone, Debug)]
pub enum ResourceForm {
    /// The stored form, without the attributes that were not requested.
    Rfc(Projection),
    /// The flat form, with access and department at top level.
    Flat(flat::FlatForm),
}

impl ResourceForm {
    /// Whether any part of a top-level attribute may be returned; if not, it need not be read.
    pub fn wants(&self, name: &str) -> bool {
        match self {
            Self::Rfc(projection) => projection.wants(name),
            Self::Flat(form) => form.wants(name),
        }
    }

    /// Whether it shows what the access catalogue says of roles and permission sets, which changes with
    /// the configuration.
    pub fn shows_catalogue(&self) -> bool {
        match self {
            Self::Rfc(_) => false,
            Self::Flat(form) => form.shows_permissions(),
        }
    }

    /// Whether this is the form in which resources of the type are stored.
    pub fn is_stored(&self, resource_type: &ResourceType) -> bool {
        match self {
            Self::Rfc(projection) => projection.is_everything() && resource_type.served_as_stored,
            Self::Flat(_) => false,
        }
    }

    /// Returns a whole resource in this form.
    pub fn apply(
        &self,
        catalogue: &Catalogue,
        resource_type: &ResourceType,
        whole: Map<String, Value>,
    ) -> Map<String, Value> {
        match self {
            Self::Rfc(projection) => projection.apply(resource_type, whole),
            Self::Flat(form) => form.apply(catalogue, resource_type, whole),
        }
    }
}
