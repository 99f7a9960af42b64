//! The groups above an account, and the chains of memberships that lead to each of them.

use std::collections::HashMap;

use crate::access::GroupOfAccount;
use crate::scim::resource::ResourceId;

/// The most chains that are followed to one group.
pub(crate) const MAX_CHAINS: usize = 100;
/// The most steps that are taken to find them.
const MAX_STEPS: usize = 10_000;

/// What a membership leads from: the account, or the group at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Below {
    Account,
    Group(usize),
}

/// The groups above an account. Places are those in the order in which groups were added.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupGraph {
    ids: Vec<ResourceId>,
    /// What grants need to know of each.
    groups: Vec<GroupOfAccount>,
    places: HashMap<ResourceId, usize>,
    below: Vec<Vec<Below>>,
}

/// Chains of groups, the one that has the account as a member first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chains {
    /// The chains, shortest first.
    pub(crate) chains: Vec<Vec<usize>>,
    /// Whether these are all.
    pub(crate) is_complete: bool,
}

impl GroupGraph {
    /// Adds a group; memberships are added with it or later.
    pub(crate) fn add_group(&mut self, id: ResourceId, group: GroupOfAccount) {
        self.places.insert(id, self.ids.len());
        self.ids.push(id);
        self.groups.push(group);
        self.below.push(Vec::new());
    }

    /// Adds a membership: of the account if `member` is `None`. One with a group that was not added is left out.
    pub(crate) fn add_membership(&mut self, member: Option<ResourceId>, group: ResourceId) {
        let member = match member {
            None => Some(Below::Account),
            Some(member) => self.places.get(&member).map(|place| Below::Group(*place)),
        };
        let below = self.places.get(&group).and_then(|place| self.below.get_mut(*place));
        if let (Some(member), Some(below)) = (member, below) {
            below.push(member);
        }
    }

    /// What grants need to know of the groups.
    pub(crate) fn groups(&self) -> &[GroupOfAccount] {
        &self.groups
    }

    /// The id and the name of a group.
    pub(crate) fn group(&self, place: usize) -> Option<(ResourceId, &str)> {
        let name = &self.groups.get(place)?.display_name;
        Some((*self.ids.get(place)?, name))
    }

    /// The chains of groups from the account to a group, up to [`MAX_CHAINS`].
    pub(crate) fn chains(&self, group: usize) -> Chains {
        let mut found = Chains { chains: Vec::new(), is_complete: true };
        // From the group downwards; turned round at the end.
        let mut waiting = vec![vec![group]];
        let mut steps = 0;
        while let Some(chain) = waiting.pop() {
            let last = chain.last().and_then(|last| self.below.get(*last));
            for below in last.into_iter().flatten() {
                steps += 1;
                if steps > MAX_STEPS || found.chains.len() == MAX_CHAINS {
                    found.is_complete = false;
                    waiting.clear();
                    break;
                }
                match below {
                    Below::Account => found.chains.push(chain.iter().rev().copied().collect()),
                    // What is read while memberships change may look like a circle.
                    Below::Group(next) if !chain.contains(next) => {
                        waiting.push(chain.iter().chain([next]).copied().collect());
                    }
                    Below::Group(_) => {}
                }
            }
        }
        found.chains.sort_by_key(Vec::len);
        found
    }
}
