//! `[applications.NAME]`: one table for each program that reads the directory.

use std::collections::{BTreeMap, BTreeSet};

use super::connection::{is_name, read_allowlist};
use super::reader::Section;
use crate::connection::{ApplicationScope, ApplicationSettings};

/// The table of the applications.
const APPLICATIONS: &str = "applications";

/// Reads the applications by name; a name is like that of a connection.
pub(super) fn read_applications(
    root: &mut Section<'_, '_>,
) -> BTreeMap<String, ApplicationSettings> {
    let read = root.named_tables(APPLICATIONS, ApplicationSettings::read).unwrap_or_default();
    read.into_iter().filter_map(|(name, application)| Some((name, application?))).collect()
}

impl ApplicationSettings {
    /// Reads one application; `None` without a valid scope.
    fn read(name: &str, section: &mut Section<'_, '_>) -> Option<Self> {
        if !is_name(name) {
            section.refuse(format!(
                "application name {name:?} is wrong; expected 1 to 32 of the characters a-z, 0-9, _ and -"
            ));
        }
        let scopes: Option<Vec<ApplicationScope>> = section.array("scopes");
        let known: Vec<&str> = ApplicationScope::ALL.iter().map(|scope| scope.as_str()).collect();
        let known = known.join(", ");
        if !section.is_written("scopes") {
            section.missing("scopes", &format!("missing; expected at least one of {known}"));
        }
        if scopes.as_ref().is_some_and(Vec::is_empty) {
            section.problem("scopes", format!("empty; expected at least one of {known}"));
        }
        let ip_allowlist = read_allowlist(section);
        let scopes: BTreeSet<ApplicationScope> = scopes?.into_iter().collect();
        (!scopes.is_empty()).then_some(Self { scopes, ip_allowlist })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("config.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn an_application_has_scopes_and_addresses() {
        let text = "[applications.crm]\nscopes = ['events', 'read', 'read']\n\
                    ip_allowlist = '10.0.0.0/8'\n[applications.b-2]\nscopes = ['read']\n";
        let applications = parse(text).unwrap().applications;
        let crm = &applications["crm"];
        assert_eq!(crm.scopes.len(), 2);
        assert!(crm.ip_allowlist.as_ref().unwrap().contains("10.1.2.3".parse().unwrap()));
        let other = &applications["b-2"];
        assert!(other.scopes.contains(&ApplicationScope::Read) && other.scopes.len() == 1);
        assert!(other.ip_allowlist.is_none());
    }

    #[test]
    fn every_mistake_is_named_with_what_is_expected() {
        let crm = "[applications.crm]\n";
        for (text, words) in [
            (
                crm.to_owned(),
                "applications.crm.scopes: missing; expected at least one of read, events",
            ),
            (
                format!("{crm}scopes = []"),
                "applications.crm.scopes: empty; expected at least one of",
            ),
            (format!("{crm}scopes = ['reed']"), "did you mean \"read\"?"),
            (format!("{crm}scopes = 'read'"), "expected an array of strings, found a string"),
            (
                format!("{crm}scope = ['read']\nscopes = ['read']"),
                "unknown key \"applications.crm.scope\"",
            ),
            (format!("{crm}scopes = ['read']\nip_allowlist = []"), "allows no address"),
            (
                "[applications.CRM]\nscopes = ['read']".to_owned(),
                "application name \"CRM\" is wrong",
            ),
            ("[applications]".to_owned(), "expected at least one [applications.NAME]"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.lines().count() == 1 && error.contains(words), "{error}\nfor\n{text}");
        }
    }
}
