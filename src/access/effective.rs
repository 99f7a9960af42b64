//! Effective access: every piece of an account's access, with its sources.

use std::collections::BTreeMap;
use std::fmt;

use super::catalogue::Catalogue;
use super::direct::Direct;
use super::entitlement::Entitlement;
use super::grant::GroupOfAccount;
use super::item::AccessItem;
use super::walk::{AccessWay, walk};

/// The source of a piece of access: group, role and permission set, outermost first. All are `None`
/// if the account itself is the source.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// The group whose grant includes the access.
    pub group: Option<String>,
    /// The role that includes the access.
    pub role: Option<String>,
    /// The permission set that includes the access.
    pub permission_set: Option<String>,
}

impl Source {
    /// The source that a way begins at.
    pub fn of(way: &AccessWay<'_>, groups: &[GroupOfAccount]) -> Self {
        Self {
            group: way.group(groups).map(|group| group.display_name.clone()),
            role: way.role.map(ToOwned::to_owned),
            permission_set: way.permission_set.map(ToOwned::to_owned),
        }
    }

    fn is_of(&self, way: &AccessWay<'_>, groups: &[GroupOfAccount]) -> bool {
        let group = way.group(groups).map(|group| group.display_name.as_str());
        self.group.as_deref() == group
            && self.role.as_deref() == way.role
            && self.permission_set.as_deref() == way.permission_set
    }
}

/// Writes the source as in `group "Engineers", role "Developer"`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("group", &self.group),
            ("role", &self.role),
            ("permission set", &self.permission_set),
        ];
        let mut named = parts.iter().filter_map(|(kind, name)| Some((kind, name.as_ref()?)));
        match named.next() {
            None => f.write_str("direct"),
            Some((kind, name)) => {
                write!(f, "{kind} \"{name}\"")?;
                named.try_for_each(|(kind, name)| write!(f, ", {kind} \"{name}\""))
            }
        }
    }
}

/// The effective access of an account: each piece once, with all its sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effective {
    /// The pieces, in order.
    pub pieces: BTreeMap<Entitlement, Vec<Source>>,
}

impl Effective {
    /// Computes the effective access from direct access and group memberships.
    pub fn new(catalogue: &Catalogue, direct: &Direct, groups: &[GroupOfAccount]) -> Self {
        let mut effective = Self::default();
        walk(catalogue, direct, groups, &mut |item, way| {
            if let AccessItem::Entitlement(entitlement) = item {
                effective.add(entitlement, way, groups);
            }
        });
        effective
    }

    fn add(&mut self, entitlement: Entitlement, way: &AccessWay<'_>, groups: &[GroupOfAccount]) {
        let sources = self.pieces.entry(entitlement).or_default();
        if !sources.iter().any(|source| source.is_of(way, groups)) {
            sources.push(Source::of(way, groups));
        }
    }
}
