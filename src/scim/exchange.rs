//! The attributes that each request may carry, by their mutability (RFC 7643, section 2.2; RFC
//! 7644, sections 3.3, 3.5.1 and 3.5.2).

use super::attribute::Mutability;

/// A request that carries attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// POST: a resource that does not exist yet.
    Create,
    /// PUT: a resource is replaced.
    Replace(Renaming),
    /// PATCH: parts of a resource change.
    Patch,
}

/// Whether a PUT may change the name of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renaming {
    /// The request may change the name, and must contain one.
    Allowed,
    /// The request may not change the name and may omit it; the stored spelling is kept.
    Refused,
}

/// The treatment of an attribute in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// The value is accepted.
    Taken,
    /// The value is ignored.
    Ignored,
    /// The value is checked and then dropped, because it is never returned.
    CheckedOnly,
    /// The value is accepted, and must equal the current one if there is one.
    MustMatch,
}

impl Exchange {
    /// Returns the treatment of attributes of the given mutability.
    pub fn incoming(self, mutability: Mutability) -> Incoming {
        match (mutability, self) {
            (Mutability::ReadWrite, _) | (Mutability::Immutable, Self::Create) => Incoming::Taken,
            (Mutability::ReadOnly, _) => Incoming::Ignored,
            (Mutability::WriteOnly, _) => Incoming::CheckedOnly,
            (Mutability::Immutable, Self::Replace(_) | Self::Patch) => Incoming::MustMatch,
        }
    }
}
