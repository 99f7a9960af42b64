//! Finding the user or group that an operator names.

use std::sync::Arc;

use serde_json::Value;

use super::kind::ResourceKind;
use crate::directory::{Directory, DirectoryError, Search, ShownResource};
use crate::scim::filter::Filter;
use crate::scim::query::{PageRequest, Query, Start};
use crate::scim::schema::ResourceType;

/// The attributes that also identify a resource where they do so alone, as the values of a filter.
const OTHERS: [&str; 2] = ["externalId", "emails.value"];

/// The resource with an id or a name, or else the only one with an externalId or an email address.
///
/// # Errors
///
/// `NotFound`; `Unfit` if several have that externalId or address; `Storage`.
pub(super) fn find(
    directory: &Directory,
    kind: ResourceKind,
    text: &str,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<(Arc<ResourceType>, ShownResource), DirectoryError> {
    let resource_type = kind.resource_type(directory)?;
    match directory.look_up(&resource_type, kind.name(), text, wanted) {
        Err(DirectoryError::NotFound { .. }) => {}
        found => return Ok((resource_type, found?)),
    }
    for attribute in OTHERS {
        // Groups have no email addresses.
        let filter = format!("{attribute} eq {}", Value::from(text));
        let Ok(filter) = Filter::parse(&resource_type, &filter) else { continue };
        let ids = holders(directory, &resource_type, filter)?;
        match ids.as_slice() {
            [] => {}
            [only] => {
                let found = directory.retrieve(&resource_type, only, wanted, usize::MAX)?;
                return Ok((resource_type, found));
            }
            several => {
                return Err(DirectoryError::Unfit(format!(
                    "several {}s have the {attribute} \"{}\"; use one of their ids: {}",
                    kind.as_str(),
                    text.escape_debug(),
                    several.join(", ")
                )));
            }
        }
    }
    Err(DirectoryError::NotFound { kind: resource_type.name.clone(), id: text.to_owned() })
}

/// The ids of some of the resources that match a filter.
fn holders(
    directory: &Directory,
    resource_type: &Arc<ResourceType>,
    filter: Filter,
) -> Result<Vec<String>, DirectoryError> {
    let search = Search {
        targets: vec![(Arc::clone(resource_type), Query { filter: Some(filter), sort: None })],
        page: PageRequest { start: Start::Index(1), count: 5 },
        fingerprint: "look-up".to_owned(),
    };
    let mut ids = Vec::new();
    directory.query(&search, &|_, _| false, usize::MAX, &mut |_, shown| {
        ids.push(shown.stored.id.to_string());
        true
    })?;
    Ok(ids)
}
