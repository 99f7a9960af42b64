//! What may come in with which request, by an attribute's mutability
//! (RFC 7643, section 2.2; RFC 7644, sections 3.3, 3.5.1 and 3.5.2).

use super::attribute::Mutability;

/// A request that carries attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// POST: a resource that does not exist yet.
    Create,
    /// PUT: a resource takes the place of another.
    Replace(Renaming),
    /// PATCH: parts of a resource change.
    Patch,
}

/// Whether a replacement may have another name than what it replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renaming {
    /// It may, and must have one.
    Allowed,
    /// It may not, and need not have one: the present name stays as it is spelled.
    Refused,
}

/// What becomes of an attribute that a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// It is taken.
    Taken,
    /// It is dropped without a word.
    Ignored,
    /// It is checked, then dropped: nobody will read it.
    CheckedOnly,
    /// It is taken, and must equal the present value if there is one.
    MustMatch,
}

impl Exchange {
    /// The rule for attributes of the given mutability.
    pub fn incoming(self, mutability: Mutability) -> Incoming {
        match (mutability, self) {
            (Mutability::ReadWrite, _) | (Mutability::Immutable, Self::Create) => Incoming::Taken,
            (Mutability::ReadOnly, _) => Incoming::Ignored,
            (Mutability::WriteOnly, _) => Incoming::CheckedOnly,
            (Mutability::Immutable, Self::Replace(_) | Self::Patch) => Incoming::MustMatch,
        }
    }
}
