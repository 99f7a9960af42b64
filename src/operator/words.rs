//! Changes of the audit log in words, for people.

use serde_json::Value;

use super::audit::{AuditActor, AuditEntry};
use crate::event::{Details, Difference, Elements, RefusedRequests};

/// A changed attribute in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeWords {
    /// The attribute; of an attribute of an extension the URN is left out.
    pub attribute: String,
    /// The value before, or the removed elements; `None` if there was none.
    pub before: Option<String>,
    /// The value after, or the added elements; `None` if there is none.
    pub after: Option<String>,
    /// Whether these are elements of a list.
    pub is_list: bool,
}

/// Who made a change, and from which address.
pub fn who(actor: &AuditActor) -> (String, String) {
    match actor {
        AuditActor::Connection { connection, token, address } => {
            (format!("{connection} (token {token})"), address.clone())
        }
        AuditActor::Operator { name: Some(name), sudo: None, .. } => {
            (format!("operator {name}"), String::new())
        }
        AuditActor::Operator { name, sudo: Some(sudo), .. } => {
            let name = name.as_deref().unwrap_or("root");
            (format!("operator {} (sudo as {name})", sudo.name), String::new())
        }
        AuditActor::Operator { name: None, uid: Some(uid), .. } => {
            (format!("operator (uid {uid})"), String::new())
        }
        AuditActor::Operator { name: None, uid: None, .. } => {
            ("operator".to_owned(), String::new())
        }
        AuditActor::System => ("scimd".to_owned(), String::new()),
    }
}

/// What a change happened to: `name (id)`.
pub fn subject(change: &AuditEntry) -> String {
    match &change.details.name {
        Some(name) => format!("{name} ({})", change.subject),
        None => change.subject.clone(),
    }
}

/// What details say of the changed attributes and the denied requests, on one line.
pub fn details_in_words(details: &Details) -> String {
    let mut told: Vec<String> = details.changes.iter().map(difference).collect();
    told.extend(denials(details));
    if details.more > 0 {
        told.push(format!("{} more", details.more));
    }
    told.join("; ")
}

/// The denied requests of details, each in words.
pub fn denials(details: &Details) -> Vec<String> {
    let mut told: Vec<String> = details.refusals.iter().map(refused).collect();
    if details.others > 0 {
        told.push(format!("{} more", details.others));
    }
    told
}

/// A changed attribute, with its values before and after.
pub fn change_in_words(difference: &Difference) -> ChangeWords {
    let attribute = difference.attribute.rsplit(':').next().unwrap_or_default().to_owned();
    let list = |elements: &Elements| {
        let label = || labels(elements, is_relation(&difference.attribute));
        (!elements.is_empty()).then(|| format!("{} ({})", elements.count, label()))
    };
    let value = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    if difference.hidden {
        let hidden = Some("not shown".to_owned());
        return ChangeWords { attribute, before: None, after: hidden, is_list: false };
    }
    match (&difference.before, &difference.after) {
        (None, None) => {
            let (before, mut after) = (list(&difference.removed), list(&difference.added));
            if before.is_none() && after.is_none() {
                after = Some("other order".to_owned());
            }
            ChangeWords { attribute, before, after, is_list: true }
        }
        (before, after) => ChangeWords {
            attribute,
            before: before.as_ref().map(value),
            after: after.as_ref().map(value),
            is_list: false,
        },
    }
}

/// One attribute: `active: true → false`, `title: "Countess"` for one that had no value,
/// `members: +1 (ada (ID)) -1 (eve (ID))`.
fn difference(difference: &Difference) -> String {
    // Of an attribute of an extension the URN is left out.
    let name = difference.attribute.rsplit(':').next().unwrap_or_default();
    let list = |sign: &str, elements: &Elements| match elements.count {
        0 => None,
        count => Some(format!(
            "{sign}{count} ({})",
            labels(elements, is_relation(&difference.attribute))
        )),
    };
    if difference.hidden {
        return format!("{name}: not shown");
    }
    match (&difference.before, &difference.after) {
        (Some(before), Some(after)) => format!("{name}: {before} → {after}"),
        (Some(before), None) => format!("{name}: {before} → none"),
        (None, Some(after)) => format!("{name}: {after}"),
        (None, None) => {
            let lists = [list("+", &difference.added), list("-", &difference.removed)];
            let lists: Vec<String> = lists.into_iter().flatten().collect();
            let lists = if lists.is_empty() { "other order".to_owned() } else { lists.join(" ") };
            format!("{name}: {lists}")
        }
    }
}

/// Whether the elements of a list are resources, recorded by id and by the name that the directory has.
fn is_relation(attribute: &str) -> bool {
    matches!(attribute, "members" | "groups")
}

/// The first elements of a list: resources by name and id, others by their value. What else a client calls them
/// does not count.
fn labels(elements: &Elements, are_resources: bool) -> String {
    let label = |element: &Value| {
        let part = |name: &str| element.get(name).and_then(Value::as_str);
        match (part("value").or_else(|| element.as_str()), part("display")) {
            (Some(id), Some(name)) if are_resources => format!("{name} ({id})"),
            (Some(value), _) => value.to_owned(),
            (None, _) => element.to_string(),
        }
    };
    let mut labels: Vec<String> = elements.first.iter().map(label).collect();
    if elements.count > elements.first.len() as u64 {
        labels.push("…".to_owned());
    }
    labels.join(", ")
}

fn refused(refused: &RefusedRequests) -> String {
    let RefusedRequests { reason, connection, application, token, detail, address, count, .. } =
        refused;
    let speaker = match (connection.as_ref().or(application.as_ref()), token) {
        (Some(owner), Some(token)) => format!(" for {owner} (token {token})"),
        _ => String::new(),
    };
    let detail = detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("{count} × {} from {address}{speaker}{detail}", reason.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_has_its_values_before_and_after() {
        let difference = |value: Value| serde_json::from_value::<Difference>(value).unwrap();
        let words = |value: Value| {
            let ChangeWords { attribute, before, after, .. } = change_in_words(&difference(value));
            (attribute, before.unwrap_or_default(), after.unwrap_or_default())
        };
        let expected = |words: [&str; 3]| {
            let [attribute, before, after] = words.map(ToOwned::to_owned);
            (attribute, before, after)
        };
        let renamed = json!({"attribute": "urn:x:User:title", "before": "a", "after": "b"});
        assert_eq!(words(renamed), expected(["title", "a", "b"]));
        let off = json!({"attribute": "active", "before": true, "after": false});
        assert_eq!(words(off), expected(["active", "true", "false"]));
        let members = json!({"attribute": "members", "added": {"count": 2, "first":
            [{"value": "2", "display": "bob"}]}, "removed": {"count": 1, "first": [{"value": "3"}]}});
        assert_eq!(words(members), expected(["members", "1 (3)", "2 (bob (2), …)"]));
        assert_eq!(
            words(json!({"attribute": "pin", "hidden": true})),
            expected(["pin", "", "not shown"])
        );
    }
}
