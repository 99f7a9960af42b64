//! `[[grants]]`: access that comes with membership of a group.

use std::convert::Infallible;
use std::str::FromStr;

use super::name;
use super::reader::Section;
use super::role::Known;
use crate::access::{Grant, GroupName, NO_CONNECTION, Role, WorkspaceAccess};
use crate::text::nearest;

impl Grant {
    /// Reads one grant; `None` if it names no group.
    pub(super) fn read(
        section: &mut Section<'_, '_>,
        known: Known<'_>,
        roles: Option<&[Role]>,
        connections: Option<&[&str]>,
    ) -> Option<Self> {
        let display_name: Option<String> = section.optional("group");
        let external_id: Option<String> = section.optional("external_id");
        let group = match (display_name, external_id) {
            (Some(name), None) => Some(GroupName::DisplayName(name)),
            (None, Some(id)) => Some(GroupName::ExternalId(id)),
            (None, None) => {
                section.missing("group", "missing; expected group = \"…\" or external_id = \"…\"");
                None
            }
            (Some(_), Some(_)) => {
                section.problem("external_id", "expected either group or external_id, not both");
                None
            }
        };
        let managers = read_managers(section, connections);
        let company_permissions =
            name::permissions(section, "company_permissions", &known.access.company_permissions);
        let named: Vec<String> = section.array("roles").unwrap_or_default();
        let roles = named.iter().map(|role| name::resolve(section, "roles", role, roles)).collect();
        let workspaces = WorkspaceAccess::read_all(section, known);
        Some(Self { group: group?, managers, company_permissions, roles, workspaces })
    }
}

/// Reads whose groups a grant is for. Where several connections may write groups, each could give its own
/// group the name: then it must be said.
fn read_managers(
    section: &mut Section<'_, '_>,
    connections: Option<&[&str]>,
) -> Option<Vec<String>> {
    let named = section.list("connection").map(|ConnectionNames(named)| named);
    let connections = connections?;
    match &named {
        None if connections.len() > 1 && !section.is_written("connection") => {
            let lines: Vec<String> =
                connections.iter().map(|name| format!("connection = {name:?}")).collect();
            let all: Vec<String> = connections.iter().map(|name| format!("{name:?}")).collect();
            section.missing(
                "connection",
                &format!(
                    "missing; several connections may write groups: add the line {} for the one that manages this \
                     group, or connection = [{}, {NO_CONNECTION:?}] for a group of any connection or none",
                    lines.join(" or "),
                    all.join(", ")
                ),
            );
        }
        None => {}
        Some(named) if named.is_empty() => {
            section.problem("connection", "empty; expected at least one connection");
        }
        Some(named) => {
            for name in named.iter().filter(|name| *name != NO_CONNECTION) {
                if !connections.contains(&name.as_str()) {
                    let hint = match nearest(name, connections.iter().copied()) {
                        Some(near) => format!("did you mean {near:?}?"),
                        None => format!("known: {}, {NO_CONNECTION}", connections.join(", ")),
                    };
                    section.problem("connection", format!("unknown connection {name:?}; {hint}"));
                }
            }
        }
    }
    named
}

/// The names of connections, written as one text or as an array.
struct ConnectionNames(Vec<String>);

impl FromStr for ConnectionNames {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(vec![text.to_owned()]))
    }
}

impl FromIterator<Self> for ConnectionNames {
    fn from_iter<I: IntoIterator<Item = Self>>(lists: I) -> Self {
        Self(lists.into_iter().flat_map(|Self(list)| list).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    #[test]
    fn the_connections_of_a_grant_are_one_or_a_list() {
        let two = "[connections.a]\nmethod = 'okta'\n[connections.b]\nmethod = 'okta'\n";
        for (line, managers) in [
            ("connection = 'b'", vec!["b"]),
            ("connection = ['a', 'operator']", vec!["a", "operator"]),
        ] {
            let grants =
                Config::parse(&format!("{two}[[grants]]\ngroup = 'g'\n{line}"), Path::new("x"))
                    .unwrap()
                    .grants;
            assert_eq!(grants[0].managers.as_deref().unwrap(), managers);
        }
        let one = Config::parse(
            "[connections.a]\nmethod = 'okta'\n[[grants]]\ngroup = 'g'",
            Path::new("x"),
        )
        .unwrap();
        assert_eq!(
            one.grants[0].managers, None,
            "all groups are of the one connection, or of none"
        );
    }
}
