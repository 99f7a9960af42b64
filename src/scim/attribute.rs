//! Attributes and their characteristics (RFC 7643, sections 2.2 to 2.4 and 7).

use std::fmt;
use std::sync::Arc;

use super::error::ScimError;
use crate::text::keyword::keyword;

/// The data type of an attribute (RFC 7643, section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Text.
    String,
    /// `true` or `false`.
    Boolean,
    /// A number with a fraction.
    Decimal,
    /// A whole number.
    Integer,
    /// An RFC 3339 moment.
    DateTime,
    /// Base64-encoded bytes.
    Binary,
    /// A URI.
    Reference,
    /// An object of sub-attributes.
    Complex,
}

impl Type {
    /// Every type.
    pub const ALL: [Self; 8] = [
        Self::String,
        Self::Boolean,
        Self::Decimal,
        Self::Integer,
        Self::DateTime,
        Self::Binary,
        Self::Reference,
        Self::Complex,
    ];

    /// The type's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Decimal => "decimal",
            Self::Integer => "integer",
            Self::DateTime => "dateTime",
            Self::Binary => "binary",
            Self::Reference => "reference",
            Self::Complex => "complex",
        }
    }
}

keyword!(Type, "type");

/// Who may change an attribute, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutability {
    /// The service provider alone sets it.
    ReadOnly,
    /// The client may set and change it.
    ReadWrite,
    /// The client may set it once.
    Immutable,
    /// The client may set it, and nobody reads it.
    WriteOnly,
}

impl Mutability {
    /// Every keyword.
    pub const ALL: [Self; 4] = [Self::ReadOnly, Self::ReadWrite, Self::Immutable, Self::WriteOnly];

    /// The keyword on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "readOnly",
            Self::ReadWrite => "readWrite",
            Self::Immutable => "immutable",
            Self::WriteOnly => "writeOnly",
        }
    }
}

keyword!(Mutability, "mutability");

/// When an attribute is part of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returned {
    /// In every answer.
    Always,
    /// In none.
    Never,
    /// Unless the client excludes it.
    Default,
    /// Only if the client asks for it.
    Request,
}

impl Returned {
    /// Every keyword.
    pub const ALL: [Self; 4] = [Self::Always, Self::Never, Self::Default, Self::Request];

    /// The keyword on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Never => "never",
            Self::Default => "default",
            Self::Request => "request",
        }
    }
}

keyword!(Returned, "returned");

/// How far a value must be unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uniqueness {
    /// Any number of resources may share it.
    None,
    /// One resource of this service provider holds it.
    Server,
    /// One resource anywhere holds it.
    Global,
}

impl Uniqueness {
    /// Every keyword.
    pub const ALL: [Self; 3] = [Self::None, Self::Server, Self::Global];

    /// The keyword on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Server => "server",
            Self::Global => "global",
        }
    }
}

keyword!(Uniqueness, "uniqueness");

/// What happens to an attribute that a request leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omitted {
    /// It has no value afterwards (RFC 7644, section 3.5.1).
    Cleared,
    /// On create it becomes `true`; on replace it stays what it was.
    ///
    /// For `active`: a replace that does not speak of it must not reopen a closed account.
    TrueThenKept,
}

/// Whether an index answers equality on an attribute without reading every resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    /// None: a filter on it reads every resource.
    None,
    /// One entry for each value.
    Equality,
}

/// What the values that a schema names mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanonicalValues {
    /// Others are taken as well (RFC 7643, section 7).
    Suggested,
    /// Others are refused.
    Only,
}

/// Where the values of an attribute are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In the record of the resource.
    Record,
    /// In one key for each membership of this group: a group may have very many members.
    Members,
    /// Nowhere: they are read from the memberships of this resource in groups.
    Memberships,
    /// Nowhere: they are computed when they are requested, and cannot be searched.
    Computed,
}

/// The texts that an attribute takes where they come from elsewhere than its schema.
pub trait Vocabulary: fmt::Debug + Send + Sync {
    /// The one spelling of what a text means.
    ///
    /// # Errors
    ///
    /// `invalidValue`, naming what is not known.
    fn canonical(&self, text: &str) -> Result<String, ScimError>;

    /// Every text that can be named beforehand; none if there are more than so many.
    fn words(&self, at_most: usize) -> Vec<String>;
}

/// An attribute or sub-attribute, with every characteristic that RFC 7643 names.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// The name on the wire, as its schema spells it.
    pub name: String,
    /// The data type of its values.
    pub kind: Type,
    /// What it means, for people.
    pub description: String,
    /// Whether it holds a list.
    pub multi_valued: bool,
    /// Whether a resource without it is refused.
    pub required: bool,
    /// Whether letter case matters when values are compared.
    pub case_exact: bool,
    /// Who may change it.
    pub mutability: Mutability,
    /// When it is part of an answer.
    pub returned: Returned,
    /// How far a value must be unique.
    pub uniqueness: Uniqueness,
    /// Values that its schema names; none for any value.
    pub canonical_values: Vec<String>,
    /// Whether these are all that are taken.
    pub values: CanonicalValues,
    /// For references: what they may refer to.
    pub reference_types: Vec<String>,
    /// For complex attributes: what they consist of.
    pub sub_attributes: Vec<Self>,
    /// Whether an index answers equality on it.
    pub index: Index,
    /// What an omission means.
    pub omitted: Omitted,
    /// Where its values are.
    pub storage: Storage,
    /// What decides which texts it takes; `None` for any that the rest allows.
    pub vocabulary: Option<Arc<dyn Vocabulary>>,
}

impl Attribute {
    /// A singular, optional, read-write attribute of the given type, compared without regard to
    /// case: the defaults of RFC 7643, section 2.2.
    pub fn new(kind: Type, name: &str, description: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            description: description.to_owned(),
            multi_valued: false,
            required: false,
            case_exact: false,
            mutability: Mutability::ReadWrite,
            returned: Returned::Default,
            uniqueness: Uniqueness::None,
            canonical_values: Vec::new(),
            values: CanonicalValues::Suggested,
            reference_types: Vec::new(),
            sub_attributes: Vec::new(),
            index: Index::None,
            omitted: Omitted::Cleared,
            storage: Storage::Record,
            vocabulary: None,
        }
    }

    /// A text attribute.
    pub fn string(name: &str, description: &str) -> Self {
        Self::new(Type::String, name, description)
    }

    /// A boolean attribute.
    pub fn boolean(name: &str, description: &str) -> Self {
        Self::new(Type::Boolean, name, description)
    }

    /// A moment in time.
    pub fn date_time(name: &str, description: &str) -> Self {
        Self::new(Type::DateTime, name, description)
    }

    /// A URI, to one of the given kinds of thing.
    pub fn reference(name: &str, reference_types: &[&str], description: &str) -> Self {
        let mut attribute = Self::new(Type::Reference, name, description).case_exact();
        attribute.reference_types = reference_types.iter().map(|&kind| kind.to_owned()).collect();
        attribute
    }

    /// Base64-encoded bytes.
    pub fn binary(name: &str, description: &str) -> Self {
        Self::new(Type::Binary, name, description).case_exact()
    }

    /// An object of sub-attributes.
    pub fn complex(name: &str, description: &str, sub_attributes: Vec<Self>) -> Self {
        Self { sub_attributes, ..Self::new(Type::Complex, name, description) }
    }

    /// Makes it a list.
    pub fn multi_valued(mut self) -> Self {
        self.multi_valued = true;
        self
    }

    /// Makes it required.
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Makes letter case matter.
    pub fn case_exact(mut self) -> Self {
        self.case_exact = true;
        self
    }

    /// Sets who may change it.
    pub fn mutability(mut self, mutability: Mutability) -> Self {
        self.mutability = mutability;
        self
    }

    /// Sets when it is part of an answer.
    pub fn returned(mut self, returned: Returned) -> Self {
        self.returned = returned;
        self
    }

    /// Sets how far its values are unique.
    pub fn uniqueness(mut self, uniqueness: Uniqueness) -> Self {
        self.uniqueness = uniqueness;
        self
    }

    /// Names the values that its schema suggests.
    pub fn suggested(mut self, values: &[&str]) -> Self {
        self.canonical_values = values.iter().map(|&value| value.to_owned()).collect();
        self
    }

    /// Keeps an index of its values.
    pub fn indexed(mut self) -> Self {
        self.index = Index::Equality;
        self
    }

    /// Sets what an omission means.
    pub fn omitted(mut self, omitted: Omitted) -> Self {
        self.omitted = omitted;
        self
    }

    /// Sets where its values are.
    pub fn storage(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }

    /// The sub-attribute of that name, in any letter case (RFC 7643, section 2.1).
    pub fn sub_attribute(&self, name: &str) -> Option<&Self> {
        find(&self.sub_attributes, name)
    }

    /// Whether one resource alone may hold a value of it.
    pub fn is_unique(&self) -> bool {
        self.uniqueness != Uniqueness::None
    }
}

/// The attribute of that name, in any letter case.
pub(super) fn find<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a Attribute> {
    attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}
