//! Explained access against effective access, and against itself after a source is removed.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::explain::{AccessPath, explain};
use super::graph::{GroupGraph, MAX_CHAINS};
use crate::access::{
    AccessItem, AccessSettings, Catalogue, Direct, Effective, Entitlement, Grant, GroupName,
    GroupOfAccount, PermissionSet, Role, TeamAccess, WorkspaceAccess, WorkspaceSettings,
};
use crate::scim::resource::ResourceId;

const GROUPS: usize = 6;
const ROLES: usize = 3;

/// A membership: of the account (`None`) or of a group, in a group with a higher number.
type Membership = (Option<usize>, usize);

/// Everything that access comes from.
#[derive(Clone, Debug)]
struct Sources {
    memberships: BTreeSet<Membership>,
    /// The grants: the group, and what it gives.
    grants: Vec<(usize, Given)>,
    own: Given,
    /// The workspaces of each role.
    roles: Vec<Vec<WorkspaceAccess>>,
}

/// What a grant or an account's own attributes give.
#[derive(Clone, Debug)]
struct Given {
    company: BTreeSet<u8>,
    roles: BTreeSet<usize>,
    workspaces: Vec<WorkspaceAccess>,
}

fn workspace_access() -> impl Strategy<Value = WorkspaceAccess> {
    let permissions = proptest::collection::btree_set("[pq]", 0..2);
    let sets = proptest::collection::btree_set("[st]", 0..2);
    let team = proptest::option::of(proptest::collection::btree_set("[pq]", 0..2));
    ("[VW]", permissions, sets, team).prop_map(|(workspace, permissions, sets, team)| {
        let team = team.map(|words| TeamAccess {
            team: "East".to_owned(),
            permissions: words.into_iter().collect(),
        });
        WorkspaceAccess {
            workspace,
            permissions: permissions.into_iter().collect(),
            permission_sets: sets.into_iter().collect(),
            teams: team.into_iter().collect(),
        }
    })
}

fn given() -> impl Strategy<Value = Given> {
    let company = proptest::collection::btree_set(0..2_u8, 0..2);
    let roles = proptest::collection::btree_set(0..ROLES, 0..3);
    let workspaces = proptest::collection::btree_map("[VW]", workspace_access(), 0..2);
    (company, roles, workspaces).prop_map(|(company, roles, workspaces)| Given {
        company,
        roles,
        workspaces: workspaces
            .into_iter()
            .map(|(workspace, access)| WorkspaceAccess { workspace, ..access })
            .collect(),
    })
}

fn sources() -> impl Strategy<Value = Sources> {
    let membership = (proptest::option::of(0..GROUPS), 0..GROUPS);
    let memberships = proptest::collection::btree_set(membership, 0..14).prop_map(|all| {
        let upwards = |(member, group): &Membership| member.is_none_or(|member| member < *group);
        all.into_iter().filter(upwards).collect()
    });
    let grants = proptest::collection::vec((0..GROUPS, given()), 0..5);
    let roles = proptest::collection::vec(proptest::collection::vec(workspace_access(), 0..2), 3);
    (memberships, grants, given(), roles).prop_map(|(memberships, grants, own, roles)| Sources {
        memberships,
        grants,
        own,
        roles,
    })
}

impl Sources {
    fn catalogue(&self) -> Catalogue {
        let mut settings = AccessSettings::default();
        settings.words.company_permissions = vec!["c0".into(), "c1".into()];
        let workspace = |name: &str| WorkspaceSettings {
            name: name.to_owned(),
            id: name.to_lowercase(),
            teams: vec!["East".to_owned()],
        };
        settings.workspaces = vec![workspace("V"), workspace("W")];
        let set = |name: &str, words: &[&str]| PermissionSet {
            name: name.to_owned(),
            id: name.to_owned(),
            permissions: words.iter().map(|word| (*word).to_owned()).collect(),
        };
        settings.permission_sets = vec![set("s", &["p", "r"]), set("t", &["p"])];
        let role = |(number, workspaces): (usize, &Vec<WorkspaceAccess>)| Role {
            name: format!("r{number}"),
            id: format!("role-{number}"),
            workspaces: workspaces.clone(),
        };
        settings.roles = self.roles.iter().enumerate().map(role).collect();
        let grant = |(group, given): &(usize, Given)| Grant {
            // Some name their group by its externalId.
            group: match group % 2 {
                0 => GroupName::DisplayName(format!("GROUP {group}")),
                _ => GroupName::ExternalId(format!("external-{group}")),
            },
            managers: None,
            company_permissions: given.company(),
            roles: given.roles(),
            workspaces: given.workspaces.clone(),
        };
        settings.grants = self.grants.iter().map(grant).collect();
        Catalogue::new(&settings)
    }

    /// The groups above the account, found without the code under test.
    fn above(&self) -> BTreeSet<usize> {
        let mut above = BTreeSet::new();
        loop {
            let is_below = |member: &Option<usize>| match member {
                None => true,
                Some(member) => above.contains(member),
            };
            let more = self.memberships.iter().filter(|(member, _)| is_below(member));
            let more: BTreeSet<usize> = more.map(|(_, group)| *group).collect();
            if more.is_subset(&above) {
                return above;
            }
            above.extend(more);
        }
    }

    fn graph(&self) -> GroupGraph {
        let (above, mut graph) = (self.above(), GroupGraph::default());
        for group in &above {
            graph.add_group(id(*group), group_of_account(*group));
        }
        for (member, group) in &self.memberships {
            if member.is_none_or(|member| above.contains(&member)) {
                graph.add_membership(member.map(id), id(*group));
            }
        }
        graph
    }

    fn explained(&self) -> BTreeMap<AccessItem, BTreeSet<AccessPath>> {
        let items = explain(&self.catalogue(), &self.own.direct(), &self.graph(), None);
        let paths = items.into_iter().map(|(item, found)| {
            assert!(!found.has_more && !found.paths.is_empty());
            let count = found.paths.len();
            let paths: BTreeSet<AccessPath> = found.paths.into_iter().collect();
            assert_eq!(paths.len(), count, "no path twice");
            (item, paths)
        });
        paths.collect()
    }

    fn effective(&self) -> BTreeSet<Entitlement> {
        let groups: Vec<GroupOfAccount> = self.above().into_iter().map(group_of_account).collect();
        let effective = Effective::new(&self.catalogue(), &self.own.direct(), &groups);
        effective.pieces.into_keys().collect()
    }
}

impl Given {
    fn company(&self) -> Vec<String> {
        self.company.iter().map(|number| format!("c{number}")).collect()
    }

    fn roles(&self) -> Vec<String> {
        self.roles.iter().map(|number| format!("r{number}")).collect()
    }

    fn direct(&self) -> Direct {
        Direct {
            company_permissions: self.company(),
            roles: self.roles(),
            workspaces: self.workspaces.clone(),
        }
    }
}

fn id(group: usize) -> ResourceId {
    ResourceId::parse(&format!("0190b7a5-0000-7000-8000-{group:012}")).unwrap()
}

fn group_of_account(group: usize) -> GroupOfAccount {
    GroupOfAccount {
        display_name: format!("Group {group}"),
        external_id: Some(format!("external-{group}")),
        manager: None,
    }
}

/// The entitlements among what is explained.
fn entitlements(explained: &BTreeMap<AccessItem, BTreeSet<AccessPath>>) -> BTreeSet<Entitlement> {
    let entitlement = |item: &AccessItem| match item {
        AccessItem::Entitlement(entitlement) => Some(entitlement.clone()),
        AccessItem::Role(_) => None,
    };
    explained.keys().filter_map(entitlement).collect()
}

/// What is explained, less the paths that `is_gone` names.
fn without(
    explained: &BTreeMap<AccessItem, BTreeSet<AccessPath>>,
    is_gone: impl Fn(&AccessPath) -> bool,
) -> BTreeMap<AccessItem, BTreeSet<AccessPath>> {
    let kept = explained.iter().map(|(item, paths)| {
        let paths: BTreeSet<_> = paths.iter().filter(|path| !is_gone(path)).cloned().collect();
        (item.clone(), paths)
    });
    kept.filter(|(_, paths)| !paths.is_empty()).collect()
}

/// Whether a path leads over a membership.
fn leads_over(path: &AccessPath, (member, group): Membership) -> bool {
    let mut chain: Vec<Option<String>> = vec![None];
    chain.extend(path.groups.iter().map(|group| Some(group.id.clone())));
    let text = |group: usize| id(group).to_string();
    chain.windows(2).any(|pair| pair[0] == member.map(text) && pair[1] == Some(text(group)))
}

proptest! {
    #[test]
    fn the_union_of_paths_is_effective_access(sources in sources()) {
        prop_assert_eq!(entitlements(&sources.explained()), sources.effective());
    }

    #[test]
    fn without_a_source_exactly_its_paths_are_gone(sources in sources()) {
        let explained = sources.explained();
        for membership in &sources.memberships {
            let mut fewer = sources.clone();
            fewer.memberships.remove(membership);
            let expected = without(&explained, |path| leads_over(path, *membership));
            prop_assert_eq!(fewer.explained(), expected, "without {:?}", membership);
        }
        if let Some(last) = sources.grants.len().checked_sub(1) {
            let mut fewer = sources.clone();
            fewer.grants.pop();
            let is_gone = |path: &AccessPath| path.grant.as_ref().is_some_and(|grant| grant.number == last + 1);
            prop_assert_eq!(fewer.explained(), without(&explained, is_gone));
        }
        for role in &sources.own.roles {
            let mut fewer = sources.clone();
            fewer.own.roles.remove(role);
            let name = format!("r{role}");
            let mut expected = without(&explained, |path| path.groups.is_empty() && path.role.as_ref() == Some(&name));
            // The role itself, as the account has it directly.
            let item = AccessItem::Role(name);
            let paths = expected.remove(&item).unwrap_or_default();
            let paths: BTreeSet<_> = paths.into_iter().filter(|path| !path.groups.is_empty()).collect();
            if !paths.is_empty() {
                expected.insert(item, paths);
            }
            prop_assert_eq!(fewer.explained(), expected);
        }
    }
}

#[test]
fn chains_of_many_groups_are_bounded() {
    let mut graph = GroupGraph::default();
    // Twelve pairs of groups, each in both groups of the next: 4,096 chains.
    for group in 0..24 {
        graph.add_group(id(group), group_of_account(group));
    }
    for group in 0..22 {
        let next = (group / 2 + 1) * 2;
        graph.add_membership(Some(id(group)), id(next));
        graph.add_membership(Some(id(group)), id(next + 1));
    }
    graph.add_membership(None, id(0));
    graph.add_membership(None, id(1));
    let found = graph.chains(23);
    assert_eq!((found.chains.len(), found.is_complete), (MAX_CHAINS, false));
    assert!(found.chains.iter().all(|chain| chain.len() == 12));
    let found = graph.chains(5);
    assert_eq!((found.chains.len(), found.is_complete), (4, true));
}
