//! SCIM errors: the `scimType` keywords and a detail for the client (RFC 7644, section 3.12).

use std::fmt;

/// The `scimType` keywords of RFC 7644, table 9, and RFC 9865, table 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScimType {
    /// The filter is malformed, or compares what can't be compared.
    InvalidFilter,
    /// The query would yield, or cost, more than the service provider is willing to do.
    TooMany,
    /// Another resource holds a value that must be unique.
    Uniqueness,
    /// The attribute can't be changed in this way.
    Mutability,
    /// The body is malformed or does not follow the schema's structure.
    InvalidSyntax,
    /// A PATCH path is malformed.
    InvalidPath,
    /// A PATCH path selects nothing.
    NoTarget,
    /// A required value is missing, or a value does not fit its attribute.
    InvalidValue,
    /// The protocol version is not supported.
    InvalidVers,
    /// The cursor was not issued for this query (RFC 9865, section 2.1).
    InvalidCursor,
    /// The cursor has expired.
    ExpiredCursor,
    /// The `count` that accompanies a cursor is not a number.
    InvalidCount,
    /// The request can't be completed because it carries sensitive data in the URI.
    Sensitive,
}

impl ScimType {
    /// Every keyword.
    pub const ALL: [Self; 13] = [
        Self::InvalidFilter,
        Self::TooMany,
        Self::Uniqueness,
        Self::Mutability,
        Self::InvalidSyntax,
        Self::InvalidPath,
        Self::NoTarget,
        Self::InvalidValue,
        Self::InvalidVers,
        Self::InvalidCursor,
        Self::ExpiredCursor,
        Self::InvalidCount,
        Self::Sensitive,
    ];

    /// The keyword on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidFilter => "invalidFilter",
            Self::TooMany => "tooMany",
            Self::Uniqueness => "uniqueness",
            Self::Mutability => "mutability",
            Self::InvalidSyntax => "invalidSyntax",
            Self::InvalidPath => "invalidPath",
            Self::NoTarget => "noTarget",
            Self::InvalidValue => "invalidValue",
            Self::InvalidVers => "invalidVers",
            Self::InvalidCursor => "invalidCursor",
            Self::ExpiredCursor => "expiredCursor",
            Self::InvalidCount => "invalidCount",
            Self::Sensitive => "sensitive",
        }
    }
}

/// An error in a client's request: a keyword for the program and a sentence for its operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScimError {
    /// The RFC's keyword.
    pub scim_type: ScimType,
    /// A sentence that says what is wrong and what is expected.
    pub detail: String,
}

impl ScimError {
    /// Creates an error of the given type.
    pub fn new(scim_type: ScimType, detail: impl Into<String>) -> Self {
        Self { scim_type, detail: detail.into() }
    }

    /// Creates the error for a body that is malformed or does not follow the schema's structure.
    pub fn invalid_syntax(detail: impl Into<String>) -> Self {
        Self::new(ScimType::InvalidSyntax, detail)
    }

    /// Creates the error for a value that is missing or does not fit.
    pub fn invalid_value(detail: impl Into<String>) -> Self {
        Self::new(ScimType::InvalidValue, detail)
    }

    /// Creates the error for a PATCH path that is malformed or refers to an unknown attribute.
    pub fn invalid_path(detail: impl Into<String>) -> Self {
        Self::new(ScimType::InvalidPath, detail)
    }

    /// Creates the error for a PATCH path that is missing or selects nothing.
    pub fn no_target(detail: impl Into<String>) -> Self {
        Self::new(ScimType::NoTarget, detail)
    }

    /// Creates the error for a change that the attribute does not allow.
    pub fn mutability(detail: impl Into<String>) -> Self {
        Self::new(ScimType::Mutability, detail)
    }

    /// Creates the error for a filter that is malformed or can't be evaluated.
    pub fn invalid_filter(detail: impl Into<String>) -> Self {
        Self::new(ScimType::InvalidFilter, detail)
    }
}

impl fmt::Display for ScimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.scim_type.as_str(), self.detail)
    }
}

impl std::error::Error for ScimError {}
