//! What each connection asked lately, in figures.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::entry::RequestEntry;
use super::read::newest_first;
use super::{DENIED, SERVED};

/// Records that are read at least, however old they are, to find the last request of each connection.
const MIN_RECORDS: usize = 20_000;

/// The requests of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// When its last request was answered.
    pub last_request: Option<Timestamp>,
    /// When its last request without an error was answered.
    pub last_success: Option<Timestamp>,
    /// The number of its requests since the time that was asked for.
    pub requests: u64,
    /// The number of errors among them, without 404: looking for what is not there is normal.
    pub errors: u64,
}

/// The requests of each connection since a time. Its last request is found further back as well, but not in
/// all of the files.
///
/// # Errors
///
/// A file can't be read.
pub fn traffic(folder: &Path, since: Timestamp) -> io::Result<BTreeMap<String, Traffic>> {
    let mut traffic: BTreeMap<String, Traffic> = BTreeMap::new();
    for ring in [SERVED, DENIED] {
        let mut records = 0;
        newest_first(&folder.join(ring), &mut |entry| {
            records += 1;
            let is_recent = entry.time >= since;
            if let Some(connection) = &entry.connection {
                traffic.entry(connection.clone()).or_default().add(&entry, is_recent);
            }
            is_recent || records < MIN_RECORDS
        })?;
    }
    Ok(traffic)
}

impl Traffic {
    fn add(&mut self, entry: &RequestEntry, is_recent: bool) {
        self.last_request = self.last_request.max(Some(entry.time));
        if !entry.has_failed() {
            self.last_success = self.last_success.max(Some(entry.time));
        }
        if is_recent {
            self.requests += 1;
            self.errors += u64::from(entry.has_failed() && entry.status != 404);
        }
    }
}
