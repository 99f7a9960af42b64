//! Warns of grants that give nothing.

use crate::directory::{Directory, DirectoryError, MissedGrant};

/// A sentence for each grant whose group another connection manages.
///
/// # Errors
///
/// `Storage`.
pub fn missed_grants(directory: &Directory) -> Result<Vec<String>, DirectoryError> {
    let sentence = |MissedGrant { group, managers, manager }: MissedGrant| {
        let manager = match manager {
            Some(manager) => format!("connection {manager} manages that group"),
            None => "no connection manages that group".to_owned(),
        };
        format!(
            "the grant for group \"{group}\" of connection {} has no effect: {manager}; correct grants.connection, \
             or rename one of the groups",
            managers.join(" or ")
        )
    };
    Ok(directory.missed_grants()?.into_iter().map(sentence).collect())
}

/// Warns in the log of each grant whose group another connection manages.
pub(super) fn warn_of_missed_grants(directory: &Directory) {
    match missed_grants(directory) {
        Ok(sentences) => sentences.iter().for_each(|sentence| tracing::warn!("{sentence}")),
        Err(error) => tracing::warn!(%error, "the connections of grants can't be checked"),
    }
}
