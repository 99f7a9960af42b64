//! What the rows of a file are named by: for duplicates, and for members that are rows themselves.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use super::row::ReadRow;
use crate::operator::resource::ResourceKind;
use crate::scim::resource::ResourceId;
use crate::text::fold;

/// The names of all rows, as digests, and the ids that they are given.
#[derive(Default)]
pub(super) struct Names {
    rows: HashMap<u128, usize>,
    lines: Vec<u64>,
    ids: Vec<Option<ResourceId>>,
}

/// What a name is.
#[derive(Clone, Copy)]
enum NameKind {
    Id,
    User,
    Group,
    External,
}

impl Names {
    /// The number of rows.
    pub(super) fn count(&self) -> usize {
        self.lines.len()
    }

    /// Adds the next row; what is wrong if another row has one of its names.
    pub(super) fn add(&mut self, row: &ReadRow, connection: Option<&str>) -> Option<String> {
        let number = self.lines.len();
        self.lines.push(row.line);
        let (kind, attribute) = match row.kind {
            ResourceKind::User => (NameKind::User, "userName"),
            ResourceKind::Group => (NameKind::Group, "displayName"),
        };
        let name = Some(row.name.as_str()).filter(|name| !name.is_empty());
        let external = row.external_id();
        let mut wrong = None;
        let mut claim = |rows: &mut HashMap<u128, usize>, key: u128, what: &str, is_free: bool| {
            let holder = *rows.entry(key).or_insert(number);
            if holder != number && !is_free {
                let line = self.lines.get(holder).copied().unwrap_or_default();
                wrong = Some(format!("{what} is that of line {line} as well"));
            }
        };
        if let Some(id) = &row.id {
            claim(
                &mut self.rows,
                key(NameKind::Id, id, ""),
                &format!("id \"{}\"", id.escape_debug()),
                false,
            );
        }
        if let Some(name) = name {
            let what = format!("{attribute} \"{}\"", name.escape_debug());
            claim(&mut self.rows, key(kind, &fold(name), ""), &what, false);
        }
        if let Some(external) = &external {
            let what = format!("externalId \"{}\"", external.escape_debug());
            // Each connection gives external ids of its own.
            let of_kind = match row.kind {
                ResourceKind::User => "user",
                ResourceKind::Group => "group",
            };
            let scope = format!("{of_kind} {}", connection.unwrap_or_default());
            claim(&mut self.rows, key(NameKind::External, external, &scope), &what, false);
            claim(&mut self.rows, key(NameKind::External, external, ""), &what, true);
        }
        wrong
    }

    /// The number of the row that a member names: by id, userName, displayName or externalId.
    pub(super) fn find(&self, text: &str) -> Option<usize> {
        let folded = fold(text);
        let keys = [
            key(NameKind::Id, text, ""),
            key(NameKind::User, &folded, ""),
            key(NameKind::Group, &folded, ""),
            key(NameKind::External, text, ""),
        ];
        keys.iter().find_map(|key| self.rows.get(key)).copied()
    }

    /// Sets the id of the next row; an empty one for a row that has none.
    pub(super) fn set_id(&mut self, id: &str) {
        self.ids.push(ResourceId::parse(id));
    }

    /// The id that a row was given.
    pub(super) fn id_of_row(&self, row: usize) -> Option<String> {
        self.ids.get(row)?.map(|id| id.to_string())
    }
}

fn key(kind: NameKind, text: &str, scope: &str) -> u128 {
    let mut digest = Sha256::new();
    digest.update([kind as u8]);
    digest.update(scope.len().to_le_bytes());
    digest.update(scope);
    digest.update(text);
    let digest: [u8; 32] = digest.finalize().into();
    let mut key = [0; 16];
    key.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    u128::from_le_bytes(key)
}
