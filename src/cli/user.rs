//! `scimd user`: read and change users.

use anyhow::Result;
use clap::Subcommand;
use serde_json::Value;

use super::arguments::the_connection;
use super::change::UserChange;
use super::history::HistoryArgs;
use super::operator::OperatorClient;
use super::output;
use super::resource::{self, ListArgs, Served, moment, text, texts, time};
use super::table::{self, Cell};
use crate::config::Config;
use crate::directory::Deactivation;
use crate::operator::ResourceView;
use crate::operator::resource::ResourceKind;
use crate::scim::schemas::common::EXTERNAL_ID;
use crate::scim::schemas::user::{
    ACTIVE, DEPARTMENT, ENTERPRISE_USER, ENTITLEMENTS, ROLES, USER_NAME,
};

/// The attributes that the sheet of a user shows under labels of their own.
const SHOWN: [&str; 13] = [
    "schemas",
    "id",
    "meta",
    USER_NAME,
    EXTERNAL_ID,
    "name",
    "displayName",
    "title",
    ACTIVE,
    "emails",
    "groups",
    ROLES,
    ENTITLEMENTS,
];

#[derive(Subcommand)]
pub(super) enum UserCommand {
    /// List users, oldest first
    List {
        #[command(flatten)]
        list: ListArgs,
        /// List only inactive users
        #[arg(long)]
        inactive: bool,
        /// List only members of this group (displayName, id or externalId)
        #[arg(long)]
        group: Option<String>,
    },
    /// Show a user
    Show {
        /// The user: userName or id, or externalId or email address if only one user has it
        user: String,
        /// Show effective access and what grants it
        #[arg(long, conflicts_with = "history")]
        access: bool,
        #[command(flatten)]
        history: HistoryArgs,
        /// Print JSON: the SCIM resource, with --access the effective access, with --history an array of changes
        #[arg(long)]
        json: bool,
    },
    /// Deactivate a user until an operator activates it; overrides the identity provider
    Deactivate(UserChange),
    /// Activate a user, also after an operator deactivated it
    Activate(UserChange),
    /// Transfer a user to another connection
    Transfer {
        #[command(flatten)]
        change: UserChange,
        /// The new connection of the user
        #[arg(long, value_name = "CONNECTION")]
        to: String,
    },
}

impl UserCommand {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        let mut operator = OperatorClient::new(config);
        match self {
            Self::Deactivate(change) => change.deactivate(config),
            Self::Activate(change) => change.activate(config),
            Self::Transfer { change, to } => {
                change.transfer(config, &the_connection(config, Some(to))?)
            }
            Self::List { list, inactive, group } => {
                let head = ["USERNAME", "ACTIVE", "CONNECTION", "LAST CHANGED", "ID"];
                let only = list.only(inactive, group);
                resource::list(&mut operator, ResourceKind::User, &list, &only, head, row)
            }
            Self::Show { user, history, json, .. } if history.history => {
                history.print(config, ResourceKind::User, &user, json)
            }
            Self::Show { user, access, json, .. } => {
                let user = resource::find(&mut operator, ResourceKind::User, user, access)?;
                match (access, json) {
                    (true, true) => output::json(&user.access),
                    (true, false) => print_access(&user),
                    (false, true) => output::json(&user.resource),
                    (false, false) => {
                        let mut rest = resource::rest(&user.resource, &SHOWN);
                        rest.retain(|(name, _)| {
                            !["department", "manager"].contains(&name.as_str())
                        });
                        let rest =
                            rest.iter().map(|(name, values)| (name.as_str(), values.clone()));
                        let mut sheet = sheet(&user);
                        // Before the times and the version.
                        let end = sheet.len().saturating_sub(4);
                        sheet.splice(end..end, rest);
                        output::key_values(&sheet)
                    }
                }
            }
        }
    }
}

fn row(ResourceView { resource: user, connection, .. }: &ResourceView) -> [Cell; 5] {
    [
        text(user, &[USER_NAME]).into(),
        Cell::warning_if(active(user) == "no", active(user)),
        connection.clone().unwrap_or_default().into(),
        time(user, "lastModified"),
        text(user, &["id"]).into(),
    ]
}

/// Each piece of a user's access with its sources, one on a line.
fn print_access(user: &ResourceView) -> Result<()> {
    let pieces = user.access.as_deref().unwrap_or_default();
    if pieces.is_empty() {
        let why = match active(&user.resource) {
            "yes" => "no role, entitlement or group grants it any",
            _ if user.deactivation.is_some() => "an operator has deactivated it",
            _ => "it is not active",
        };
        let name = text(&user.resource, &[USER_NAME]);
        return output::note(&format!("{name} has no access: {why}."));
    }
    let rows: Vec<[String; 3]> = pieces
        .iter()
        .flat_map(|piece| {
            piece.sources.iter().enumerate().map(|(number, source)| {
                let told = |text: &String| if number == 0 { text.clone() } else { String::new() };
                [told(&piece.value), told(&piece.meaning), source.clone()]
            })
        })
        .collect();
    table::print_texts(["ENTITLEMENT", "DESCRIPTION", "GRANTED BY"], &rows)
}

fn active(user: &Served) -> &'static str {
    if user.get(ACTIVE) == Some(&Value::Bool(true)) { "yes" } else { "no" }
}

fn sheet(
    ResourceView { resource: user, connection, deactivation, .. }: &ResourceView,
) -> Vec<(&str, Vec<String>)> {
    let or_none = |values: Vec<String>| match values.is_empty() {
        true => vec!["none".to_owned()],
        false => values,
    };
    vec![
        ("Id", texts(user, &["id"])),
        ("Username", texts(user, &[USER_NAME])),
        ("External id", texts(user, &[EXTERNAL_ID])),
        ("Name", name(user)),
        ("Display name", texts(user, &["displayName"])),
        ("Title", texts(user, &["title"])),
        ("Active", vec![active(user).to_owned()]),
        ("Deactivated", deactivation.iter().map(deactivated).collect()),
        ("Emails", resource::elements(user, "emails", described)),
        ("Department", texts(user, &[ENTERPRISE_USER, DEPARTMENT])),
        ("Manager", texts(user, &[ENTERPRISE_USER, "manager", "value"])),
        ("Groups", or_none(resource::elements(user, "groups", group))),
        ("Roles", or_none(resource::elements(user, ROLES, described))),
        ("Entitlements", or_none(resource::elements(user, ENTITLEMENTS, described))),
        ("Connection", connection.iter().cloned().collect()),
        ("Created", vec![moment(user, "created")]),
        ("Changed", vec![moment(user, "lastModified")]),
        ("Version", texts(user, &["meta", "version"])),
    ]
}

/// Who has deactivated a user, when and why, and what its identity provider wants meanwhile.
fn deactivated(deactivation: &Deactivation) -> String {
    let Deactivation { since, by, reason, requested_active } = deactivation;
    let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let otherwise = if *requested_active { "active" } else { "inactive" };
    let since = output::moment(Some(*since), "");
    output::sanitize(&format!("by {by} since {since}{reason} (otherwise {otherwise})"))
}

/// The whole name, or what there is of it.
fn name(user: &Served) -> Vec<String> {
    let formatted = texts(user, &["name", "formatted"]);
    if !formatted.is_empty() {
        return formatted;
    }
    let parts = ["givenName", "middleName", "familyName"].map(|part| texts(user, &["name", part]));
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { parts } else { vec![parts.join(" ")] }
}

/// A value, and what is said of it: `ada@example.com (work, primary)`.
fn described(element: &Value) -> Option<String> {
    let value = element.get("value")?.as_str()?;
    let primary = element.get("primary") == Some(&Value::Bool(true));
    let kind = element.get("type").and_then(Value::as_str);
    let notes: Vec<&str> = kind.into_iter().chain(primary.then_some("primary")).collect();
    Some(match notes.is_empty() {
        true => value.to_owned(),
        false => format!("{value} ({})", notes.join(", ")),
    })
}

/// A group, and how the user came into it: `Engineers (direct)`.
fn group(element: &Value) -> Option<String> {
    let part = |name: &str| element.get(name).and_then(Value::as_str);
    Some(format!("{} ({})", part("display")?, part("type")?))
}
