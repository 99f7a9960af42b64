//! Attributes and their characteristics (RFC 7643, sections 2.2 to 2.4 and 7).

use std::fmt;
use std::sync::Arc;

use super::error::ScimError;
use crate::text::keyword::keyword;

/// The sub-attribute that stands for the whole (RFC 7643, section 2.4).
pub(super) const VALUE: &str = "value";
/// The sub-attribute that is true in one element at most (RFC 7643, section 2.4).
pub(super) const PRIMARY: &str = "primary";

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
    /// A date and time in RFC 3339 form.
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

/// The mutability of an attribute (RFC 7643, section 7): who may change it, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutability {
    /// The service provider alone sets it.
    ReadOnly,
    /// The client may set and change it.
    ReadWrite,
    /// The client may set it once.
    Immutable,
    /// The client may set it; it is never returned.
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

/// The `returned` characteristic of an attribute (RFC 7643, section 7): when a response includes
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returned {
    /// Every response includes it.
    Always,
    /// No response includes it.
    Never,
    /// A response includes it unless the client excludes it.
    Default,
    /// A response includes it only if the client requests it.
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

/// The scope in which a value must be unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uniqueness {
    /// Any number of resources may share a value.
    None,
    /// At most one resource of this service provider has a value.
    Server,
    /// At most one resource of all service providers has a value.
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

/// The effect of an attribute that a request omits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omitted {
    /// The attribute is cleared (RFC 7644, section 3.5.1).
    Cleared,
    /// A create sets it to `true`; a replace leaves it unchanged.
    ///
    /// This is for `active`: a replace that omits it must not reactivate an account.
    TrueThenKept,
}

/// Whether an index answers equality on an attribute without reading every resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    /// There is no index: a filter on the attribute reads every resource.
    None,
    /// The index has one entry for each value.
    Equality,
}

/// The meaning of an attribute's canonical values (RFC 7643, section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanonicalValues {
    /// The values are suggestions: others are accepted.
    Suggested,
    /// The values are exhaustive: others are refused.
    Only,
}

/// The place where the values of an attribute are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// The record of the resource holds the values.
    Record,
    /// Each membership of this group is a record of its own: a group may have very many members.
    Members,
    /// The values are derived from the memberships of this resource in groups.
    Memberships,
    /// The values are computed on request, and cannot be searched.
    Computed,
}

/// A vocabulary of accepted texts that is defined outside the schema.
pub trait Vocabulary: fmt::Debug + Send + Sync {
    /// Returns the canonical spelling of a text.
    ///
    /// # Errors
    ///
    /// `invalidValue`, with the unknown text.
    fn canonical(&self, text: &str) -> Result<String, ScimError>;

    /// Returns every text that can be enumerated, or none if there are more than `at_most`.
    fn words(&self, at_most: usize) -> Vec<String>;
}

/// An attribute or sub-attribute, with every characteristic that RFC 7643 names.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// The name on the wire, as its schema spells it.
    pub name: String,
    /// The data type of its values.
    pub kind: Type,
    /// The description, for people.
    pub description: String,
    /// Whether it holds a list.
    pub multi_valued: bool,
    /// Whether a resource without it is refused.
    pub required: bool,
    /// Whether letter case matters when values are compared.
    pub case_exact: bool,
    /// Who may change the attribute, and when.
    pub mutability: Mutability,
    /// When a response includes the attribute.
    pub returned: Returned,
    /// The scope in which a value must be unique.
    pub uniqueness: Uniqueness,
    /// The canonical values of the schema; empty for any value.
    pub canonical_values: Vec<String>,
    /// Whether other values are accepted too.
    pub values: CanonicalValues,
    /// The resource types to which a reference may refer.
    pub reference_types: Vec<String>,
    /// The sub-attributes of a complex attribute.
    pub sub_attributes: Vec<Self>,
    /// Whether an index answers equality on it.
    pub index: Index,
    /// The effect of omitting the attribute.
    pub omitted: Omitted,
    /// The place where the values are stored.
    pub storage: Storage,
    /// The vocabulary of accepted texts; `None` for any text.
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

    /// A date and time.
    pub fn date_time(name: &str, description: &str) -> Self {
        Self::new(Type::DateTime, name, description)
    }

    /// A URI that refers to one of the given types.
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

    /// Sets when a response includes it.
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

    /// Sets the effect of omitting it.
    pub fn omitted(mut self, omitted: Omitted) -> Self {
        self.omitted = omitted;
        self
    }

    /// Sets where its values are stored.
    pub fn storage(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }

    /// Returns the sub-attribute of that name, in any letter case (RFC 7643, section 2.1).
    pub fn sub_attribute(&self, name: &str) -> Option<&Self> {
        find(&self.sub_attributes, name)
    }

    /// Whether a name refers to the elements themselves: those of a list without sub-attributes have an
    /// implied `value` (RFC 7643, section 2.4).
    pub(super) fn is_value(&self, name: &str) -> bool {
        self.multi_valued && self.kind != Type::Complex && name.eq_ignore_ascii_case(VALUE)
    }

    /// Whether at most one resource may have a given value.
    pub fn is_unique(&self) -> bool {
        self.uniqueness != Uniqueness::None
    }

    /// Whether values of this attribute, or parts of them, are stored and never returned. Whether a write changes
    /// such a value must not show: it counts as a change in any case.
    pub fn is_stored_unseen(&self) -> bool {
        let is_stored = matches!(self.mutability, Mutability::ReadWrite | Mutability::Immutable);
        (is_stored && self.returned == Returned::Never)
            || self.sub_attributes.iter().any(Self::is_stored_unseen)
    }
}

/// Returns the attribute of that name, in any letter case.
pub(super) fn find<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a Attribute> {
    attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}
