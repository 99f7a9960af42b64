//! Resources as others refer to them: in lists that take no allocation for each of them.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::scim::resource::ResourceId;
use crate::scim::schema::ResourceType;
use crate::text::json_text::{push_escaped, push_string};

/// A resource as another one refers to it: a member of a group, or a group that a resource belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Reference<'a> {
    /// Its id.
    pub id: ResourceId,
    /// Its display name.
    pub display: &'a str,
    kind: &'a Kind,
}

/// What references have in common.
#[derive(Clone, Debug)]
struct Kind {
    resource_type: Arc<ResourceType>,
    relation: Relation,
    /// How many references of a list are of this kind.
    count: usize,
}

/// How a resource stands to the one that refers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Relation {
    /// It is a member.
    Member,
    /// It is a group of which the other is a member, directly or through other groups.
    Group { direct: bool },
}

impl Kind {
    /// For a member its resource type, for a group `direct` or `indirect`.
    fn name(&self) -> &str {
        match self.relation {
            Relation::Member => &self.resource_type.name,
            Relation::Group { direct: true } => "direct",
            Relation::Group { direct: false } => "indirect",
        }
    }

    fn is(&self, resource_type: &Arc<ResourceType>, relation: Relation) -> bool {
        self.relation == relation && Arc::ptr_eq(&self.resource_type, resource_type)
    }
}

impl<'a> Reference<'a> {
    /// What it is.
    pub fn resource_type(&self) -> &'a Arc<ResourceType> {
        &self.kind.resource_type
    }

    pub(super) fn relation(&self) -> Relation {
        self.kind.relation
    }

    /// The reference as it is served below a URL.
    pub fn served(&self, base_url: &str) -> Value {
        json!({
            "value": self.id.to_string(),
            "$ref": self.id.location(base_url, &self.resource_type().endpoint),
            "type": self.kind.name(),
            "display": self.display,
        })
    }

    /// The reference as filters see it.
    pub(crate) fn plain(&self) -> Value {
        json!({"value": self.id.to_string(), "type": self.kind.name(), "display": self.display})
    }
}

/// Resources that another one refers to.
#[derive(Clone, Debug, Default)]
pub struct ReferenceList {
    kinds: Vec<Kind>,
    /// Those with [`BLOCK`] references.
    full: Vec<Block>,
    /// The references behind them.
    last: Block,
    /// The bytes of all names.
    names_len: usize,
}

/// How many references a block has: a list that grew as a whole would move, and need twice its memory for a moment.
const BLOCK: usize = 2048;

#[derive(Clone, Debug, Default)]
struct Block {
    entries: Vec<Entry>,
    /// The display names, one behind the other.
    names: String,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: ResourceId,
    /// The place of its kind in the list of kinds: there are far fewer resource types.
    kind: u16,
    /// Where its name ends in the names of its block, in bytes: those of a block are far from 4 GiB.
    name_end: u32,
}

impl ReferenceList {
    pub(super) fn push(
        &mut self,
        id: ResourceId,
        resource_type: &Arc<ResourceType>,
        relation: Relation,
        display: &str,
    ) {
        let known = self.kinds.iter().position(|kind| kind.is(resource_type, relation));
        let at = known.unwrap_or_else(|| {
            let resource_type = Arc::clone(resource_type);
            self.kinds.push(Kind { resource_type, relation, count: 0 });
            self.kinds.len() - 1
        });
        if let Some(kind) = self.kinds.get_mut(at) {
            kind.count += 1;
        }
        self.last.names.push_str(display);
        self.last.entries.push(Entry {
            id,
            kind: u16::try_from(at).unwrap_or(u16::MAX),
            name_end: u32::try_from(self.last.names.len()).unwrap_or(u32::MAX),
        });
        self.names_len += display.len();
        if self.last.entries.len() == BLOCK {
            let mut block = std::mem::take(&mut self.last);
            block.names.shrink_to_fit();
            self.full.push(block);
        }
    }

    /// Appends a reference like one of another list, with another name.
    pub(crate) fn push_as(&mut self, reference: Reference<'_>, display: &str) {
        self.push(reference.id, reference.resource_type(), reference.relation(), display);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.full.len() * BLOCK + self.last.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The reference at an index, from 0.
    pub fn get(&self, index: usize) -> Option<Reference<'_>> {
        let number = index / BLOCK;
        let last = Some(&self.last).filter(|_| number == self.full.len());
        let (block, index) = (self.full.get(number).or(last)?, index % BLOCK);
        let entry = block.entries.get(index)?;
        let before = index.checked_sub(1).and_then(|before| block.entries.get(before));
        let begin = before.map_or(0, |before| before.name_end as usize);
        let display = block.names.get(begin..entry.name_end as usize)?;
        Some(Reference { id: entry.id, display, kind: self.kinds.get(usize::from(entry.kind))? })
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Reference<'_>> {
        (0..self.len()).map_while(|index| self.get(index))
    }

    /// The bytes of memory that they take, less some room in the last block.
    pub fn held_bytes(&self) -> usize {
        self.len() * size_of::<Entry>() + self.names_len
    }

    /// About how many bytes they have as they are served below a URL.
    pub fn served_bytes(&self, base_url: &str) -> usize {
        let of_kind = |kind: &Kind| {
            let names = base_url.len() + kind.resource_type.endpoint.len() + kind.name().len();
            kind.count * (2 * ResourceId::LENGTH + names + 56)
        };
        self.kinds.iter().map(of_kind).sum::<usize>() + self.names_len
    }
}

/// Writes the JSON of [`Reference::served`] for one reference after the other. What all of a kind share is built
/// once: a list has one kind as a rule.
pub struct ReferenceWriter<'a> {
    base_url: &'a str,
    kind: Option<(Arc<ResourceType>, Relation)>,
    /// The text between the two ids.
    between: Vec<u8>,
    /// The text between the second id and the name.
    behind: Vec<u8>,
}

impl<'a> ReferenceWriter<'a> {
    /// Writes references below a URL.
    pub fn new(base_url: &'a str) -> Self {
        Self { base_url, kind: None, between: Vec::new(), behind: Vec::new() }
    }

    /// Appends a reference.
    pub fn push(&mut self, reference: Reference<'_>, out: &mut Vec<u8>) {
        let kind = reference.kind;
        let known = self.kind.as_ref();
        if !known.is_some_and(|(resource_type, relation)| kind.is(resource_type, *relation)) {
            self.begin(kind);
        }
        let mut id = [0; ResourceId::LENGTH];
        let id = reference.id.encode(&mut id);
        out.extend_from_slice(b"{\"value\":\"");
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(&self.between);
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(&self.behind);
        push_string(reference.display, out);
        out.push(b'}');
    }

    /// Builds the parts that all references of this kind share.
    fn begin(&mut self, kind: &Kind) {
        self.kind = Some((Arc::clone(&kind.resource_type), kind.relation));
        self.between.clear();
        self.between.extend_from_slice(b"\",\"$ref\":\"");
        push_escaped(self.base_url, &mut self.between);
        self.between.push(b'/');
        push_escaped(&kind.resource_type.endpoint, &mut self.between);
        self.between.push(b'/');
        self.behind.clear();
        self.behind.extend_from_slice(b"\",\"type\":\"");
        push_escaped(kind.name(), &mut self.behind);
        self.behind.extend_from_slice(b"\",\"display\":");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::registry::Registry;

    #[test]
    fn references_of_any_kind_read_back_and_are_written_as_they_are_served() {
        let registry = Registry::built_in();
        let of = |endpoint: &str| Arc::clone(registry.by_endpoint(endpoint).unwrap());
        let (users, groups) = (of("Users"), of("Groups"));
        let kinds = [
            (&users, Relation::Member, "User"),
            (&groups, Relation::Member, "Group"),
            (&groups, Relation::Group { direct: true }, "direct"),
            (&groups, Relation::Group { direct: false }, "indirect"),
        ];
        // Each kind comes behind each.
        let orders = [0, 0, 1, 1, 2, 2, 3, 3, 0, 2, 0, 3, 1, 3, 2, 1, 0];
        let name = |number: usize| "\"\u{20ac}\\".repeat(number % 3);
        let id = |number: usize| ResourceId::from_bytes([number as u8; 16]);
        let mut list = ReferenceList::default();
        assert!(list.is_empty());
        for (number, order) in orders.iter().enumerate() {
            let (resource_type, relation, _) = kinds[*order];
            list.push(id(number), resource_type, relation, &name(number));
        }
        let base_url = "https://example.com/\"scim\"/v2";
        let (mut writer, mut written) = (ReferenceWriter::new(base_url), 0);
        for (number, reference) in list.iter().enumerate() {
            let (resource_type, _, kind) = kinds[orders[number]];
            let location = id(number).location(base_url, &resource_type.endpoint);
            let expected = json!({"value": id(number).to_string(), "$ref": location, "type": kind,
                "display": name(number)});
            let mut out = Vec::new();
            writer.push(reference, &mut out);
            written += out.len();
            assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), expected, "{number}");
            assert_eq!(reference.served(base_url), expected, "{number}");
        }
        assert_eq!((list.len(), list.iter().count()), (orders.len(), orders.len()));
        assert!(list.get(orders.len()).is_none());
        // Escaped characters are not counted.
        let about = list.served_bytes(base_url);
        assert!(about.abs_diff(written) < written / 10, "{about} of {written}");
    }

    #[test]
    fn a_list_of_several_blocks_reads_back_in_order() {
        let registry = Registry::built_in();
        let users = registry.by_endpoint("Users").unwrap();
        let id = |number: usize| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            ResourceId::from_bytes(bytes)
        };
        for len in [BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7] {
            let (mut list, mut names) = (ReferenceList::default(), 0);
            for number in 0..len {
                let name = number.to_string();
                names += name.len();
                list.push(id(number), users, Relation::Member, &name);
            }
            assert_eq!((list.len(), list.iter().count()), (len, len));
            assert_eq!(list.held_bytes(), 24 * len + names);
            for (number, reference) in list.iter().enumerate() {
                assert_eq!((reference.id, reference.display), (id(number), &*number.to_string()));
            }
            assert!([len, len + BLOCK].iter().all(|beyond| list.get(*beyond).is_none()));
        }
    }
}
