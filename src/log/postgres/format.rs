//! The format of the log in a database: which nodes may use it, and when all write a newer one.

use std::time::Duration;

use super::client::{CallError, PostgresConnection, Row};
use crate::log::{FormatRaise, shown_node};

/// How long a call may take.
const CALL: Duration = Duration::from_secs(10);
/// The newest format of the log that this scimd knows: that of the tables, and of what the frames may hold. A database
/// keeps the format that it was created with until [`raise_format`]. Snapshots there have the format of the node that
/// wrote them: nodes read one only to begin from it.
pub(super) const FORMAT: i32 = 1;
/// Nodes that were seen since then are running; each shows itself every second.
const RUNNING: &str = "clock_timestamp() - interval '10 seconds'";

/// Whether a node that knows formats up to `known` may use a log of this format.
///
/// # Errors
///
/// A sentence that says what to do.
pub(super) fn check_format(format: i32, known: i32) -> Result<(), String> {
    if format <= known {
        return Ok(());
    }
    Err(format!(
        "the log in the database has format {format}, and this version of scimd knows formats up to {known}; install the \
         version that the other nodes have"
    ))
}

/// Has all nodes write the format that this one knows, unless a running node does not know it.
///
/// A node reads the format after it has shown itself, so none begins to run unseen meanwhile.
pub(super) fn raise_format(
    connection: &PostgresConnection,
    known: i32,
) -> Result<FormatRaise, CallError> {
    connection.run(CALL, "BEGIN; LOCK TABLE scimd_node IN SHARE ROW EXCLUSIVE MODE")?;
    let raised = raise_locked(connection, known);
    let end = if matches!(raised, Ok(FormatRaise::Raised(_))) { "COMMIT" } else { "ROLLBACK" };
    connection.run(CALL, end)?;
    raised
}

fn raise_locked(connection: &PostgresConnection, known: i32) -> Result<FormatRaise, CallError> {
    let behind = format!(
        "SELECT name, id, format FROM scimd_node WHERE format < $1 AND seen > {RUNNING} ORDER BY name, id"
    );
    let behind = connection.prepare(CALL, &behind)?;
    let name = |row: Row| {
        let (name, id): (String, Vec<u8>) = (row.try_get(0).ok()?, row.try_get(1).ok()?);
        let format: i32 = row.try_get(2).ok()?;
        Some((shown_node(&name, &id), unsigned_format(format)))
    };
    let behind: Vec<_> =
        connection.query(CALL, &behind, &[&known])?.into_iter().filter_map(name).collect();
    if !behind.is_empty() {
        return Ok(FormatRaise::Refused { behind, known: unsigned_format(known) });
    }
    let raise = connection
        .prepare(CALL, "UPDATE scimd_meta SET version = $1 WHERE version < $1 RETURNING version")?;
    Ok(match connection.query(CALL, &raise, &[&known])?.is_empty() {
        true => FormatRaise::Unchanged(unsigned_format(known)),
        false => FormatRaise::Raised(unsigned_format(known)),
    })
}

/// A format as others see it.
pub(super) fn unsigned_format(format: i32) -> u32 {
    u32::try_from(format).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_of_a_later_format_is_refused_in_one_sentence() {
        for known in [FORMAT, FORMAT + 1] {
            assert_eq!(check_format(FORMAT, known), Ok(()));
            assert_eq!(check_format(known, known), Ok(()));
            let refused = check_format(known + 1, known).unwrap_err();
            assert!(refused.contains(&format!("format {}", known + 1)), "{refused}");
            assert!(refused.contains(&format!("up to {known};")), "{refused}");
        }
    }
}
