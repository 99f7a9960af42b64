//! Schemas and resource types (RFC 7643, sections 3, 6 and 7).

use super::attribute::{self, Attribute, Index, Mutability, Returned, Storage};

/// A named set of attributes.
#[derive(Clone, Debug)]
pub struct Schema {
    /// Its URN.
    pub id: String,
    /// Alternative URNs that some clients use.
    pub aliases: &'static [&'static str],
    /// Its name, for people.
    pub name: String,
    /// What it describes, for people.
    pub description: String,
    /// Its attributes, in the order in which they are served.
    pub attributes: Vec<Attribute>,
}

impl Schema {
    /// Returns the URN and its aliases.
    pub fn urns(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.id.as_str()).chain(self.aliases.iter().copied())
    }

    /// Whether a URN refers to this schema, in any letter case.
    pub fn is_named(&self, urn: &str) -> bool {
        self.urns().any(|known| known.eq_ignore_ascii_case(urn))
    }

    /// Returns the attribute of that name, in any letter case.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        attribute::find(&self.attributes, name)
    }
}

/// A schema that adds attributes to a resource type, under its own URN.
#[derive(Clone, Debug)]
pub struct Extension {
    /// The added schema.
    pub schema: Schema,
    /// Whether a resource without it is refused.
    pub required: bool,
}

/// A kind of resource: where it is served and what it consists of.
#[derive(Clone, Debug)]
pub struct ResourceType {
    /// Its name, which is also its id: `User`.
    pub name: String,
    /// The last segment of its endpoint: `Users`.
    pub endpoint: String,
    /// What it is, for people.
    pub description: String,
    /// The attributes that serve as display name; the first that has a value is used.
    pub display: &'static [&'static str],
    /// The byte of the resource type in keys on disk, which never changes. 0 for types that are not
    /// stored.
    pub tag: u8,
    /// Whether its resources are accounts: they have access, and can be inactive.
    pub is_account: bool,
    /// Its base schema.
    pub schema: Schema,
    /// The extensions.
    pub extensions: Vec<Extension>,
    /// `id`, `externalId`, `meta` and `schemas` (RFC 7643, section 3.1).
    pub common: Vec<Attribute>,
    /// Whether the stored form is known to equal the default served form. The registry works it out once:
    /// it is asked for each resource of an answer.
    pub served_as_stored: bool,
}

impl ResourceType {
    /// The top-level attribute of that name, in any letter case: common or of the base schema.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        attribute::find(&self.common, name).or_else(|| self.schema.attribute(name))
    }

    /// Returns the extension of that URN, in any letter case.
    pub fn extension(&self, urn: &str) -> Option<&Extension> {
        self.extensions.iter().find(|extension| extension.schema.is_named(urn))
    }

    /// Returns the naming attribute of the type: the first that is required and unique.
    pub fn name_attribute(&self) -> Option<&Attribute> {
        self.schema.attributes.iter().find(|attribute| attribute.required && attribute.is_unique())
    }

    /// Every top-level attribute of the base schema and of the extensions, with the URN of its
    /// extension.
    pub fn own_attributes(&self) -> impl Iterator<Item = (Option<&str>, &Attribute)> {
        let base = self.schema.attributes.iter().map(|attribute| (None, attribute));
        let extended = self.extensions.iter().flat_map(|extension| {
            let urn = Some(extension.schema.id.as_str());
            extension.schema.attributes.iter().map(move |attribute| (urn, attribute))
        });
        base.chain(extended)
    }

    /// Every attribute or sub-attribute for which an index is kept.
    pub fn indexed(&self) -> impl Iterator<Item = IndexedAttribute<'_>> {
        let common = self.common.iter().map(|attribute| (None, attribute));
        common
            .chain(self.own_attributes())
            .flat_map(|(extension, attribute)| {
                let whole = IndexedAttribute { extension, attribute, sub_attribute: None };
                let parts = attribute.sub_attributes.iter().map(move |sub_attribute| {
                    IndexedAttribute { sub_attribute: Some(sub_attribute), ..whole }
                });
                std::iter::once(whole).chain(parts).filter(|indexed| {
                    indexed.leaf().index == Index::Equality || indexed.leaf().is_unique()
                })
            })
            .filter(|indexed| indexed.leaf().mutability != Mutability::ReadOnly)
    }

    /// Returns the top-level attributes whose values are not stored in the record.
    pub fn relations(&self) -> impl Iterator<Item = &Attribute> {
        self.schema.attributes.iter().filter(|attribute| attribute.storage != Storage::Record)
    }

    /// Returns the attribute that holds the groups that a resource is in, if the type has it.
    pub fn memberships(&self) -> Option<&Attribute> {
        self.relations().find(|attribute| attribute.storage == Storage::Memberships)
    }

    /// Returns the attribute that holds members, if the type is a group.
    pub fn members(&self) -> Option<&Attribute> {
        self.relations().find(|attribute| attribute.storage == Storage::Members)
    }

    /// Works out whether the stored form equals the default served form.
    pub(super) fn work_out_served_as_stored(&mut self) {
        fn plain(attributes: &[Attribute]) -> bool {
            let in_record =
                attributes.iter().filter(|attribute| attribute.storage == Storage::Record);
            in_record.clone().all(|attribute| {
                attribute.returned != Returned::Request
                    && !attribute.is_stored_unseen()
                    && plain(&attribute.sub_attributes)
            })
        }
        self.served_as_stored = plain(&self.schema.attributes)
            && self.extensions.iter().all(|extension| plain(&extension.schema.attributes));
    }
}

/// The attribute or sub-attribute of one index.
#[derive(Clone, Copy, Debug)]
pub struct IndexedAttribute<'a> {
    /// The extension that the attribute belongs to; `None` for the base schema.
    pub extension: Option<&'a str>,
    /// The top-level attribute.
    pub attribute: &'a Attribute,
    /// Its indexed sub-attribute, if it is complex.
    pub sub_attribute: Option<&'a Attribute>,
}

/// What answers `eq` without a scan.
pub enum EqualityIndex<'a> {
    /// The id: it is the key of the record.
    Id,
    /// The groups of a member.
    Members,
    /// The index of an attribute.
    Attribute(IndexedAttribute<'a>),
}

impl<'a> IndexedAttribute<'a> {
    /// The attribute whose values are indexed.
    pub fn leaf(&self) -> &'a Attribute {
        self.sub_attribute.unwrap_or(self.attribute)
    }
}
