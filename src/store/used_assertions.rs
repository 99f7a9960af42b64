//! The assertions that clients have used and that are still valid, so that none is taken twice.
//!
//! A file in the data folder keeps them over a restart and over a crash: each is on disk before it counts. What has
//! expired is dropped, and the number of each client is limited, so neither memory nor the file grows.
//!
//! ```text
//! file   = "scimdua1" | record*
//! record = end u64 | client [8] | assertion [16]        the beginnings of SHA-256 digests; end in seconds since 1970
//! ```

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{getegid, geteuid};
use sha2::{Digest as _, Sha256};

use super::StoreError;
use crate::file;

/// The name of the file in the data folder; no backup has it.
const FILE: &str = "used-assertions";
const MAGIC: &[u8; 8] = b"scimdua1";
const RECORD: usize = 32;
/// The number of assertions that a client may have used and that are still valid.
pub const MAX_USED: usize = 10_000;
/// The records that the file takes, beyond twice those of the last time that it was written, before it is written again
/// without those that have expired.
const SPARE_RECORDS: usize = 256;

type ClientDigest = [u8; 8];
type AssertionDigest = [u8; 16];

/// The assertions that were used and are still valid.
pub struct UsedAssertions {
    path: PathBuf,
    /// Opened by the first use.
    file: Option<File>,
    /// The records that the file takes before it is written again.
    room: usize,
    by_client: HashMap<ClientDigest, HashMap<AssertionDigest, i64>>,
}

/// Why an assertion is not taken.
#[derive(Debug, thiserror::Error)]
pub enum UsedAssertionError {
    /// It was used before.
    #[error("it was used before")]
    Used,
    /// The client has used too many that are still valid.
    #[error("the client has used {MAX_USED} assertions that are still valid")]
    TooMany,
    /// Its use can't be recorded.
    #[error("its use can't be recorded: {0}")]
    Storage(#[from] StoreError),
}

impl UsedAssertions {
    /// Reads those of a data folder.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the file can't be read or is none of scimd's.
    pub fn open(data: &Path) -> Result<Self, StoreError> {
        let path = data.join(FILE);
        let mut by_client: HashMap<ClientDigest, HashMap<AssertionDigest, i64>> = HashMap::new();
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            read => read.map_err(StoreError::file("read", &path))?,
        };
        let records = match bytes.strip_prefix(MAGIC) {
            Some(records) => records,
            // A crash may have left the beginning of the file.
            None if MAGIC.starts_with(&bytes) => &[],
            None => {
                let reason = std::io::Error::new(
                    ErrorKind::InvalidData,
                    "it holds no used assertions; remove it",
                );
                return Err(StoreError::file("read", &path)(reason));
            }
        };
        for record in records.chunks_exact(RECORD) {
            if let Some((client, assertion, end)) = parse(record) {
                by_client.entry(client).or_default().insert(assertion, end);
            }
        }
        Ok(Self { path, file: None, room: 0, by_client })
    }

    /// Uses an assertion of a client, which is valid until `end`, durably.
    ///
    /// # Errors
    ///
    /// [`UsedAssertionError`].
    pub fn take(
        &mut self,
        client: &str,
        assertion: &str,
        end: i64,
        now: i64,
    ) -> Result<(), UsedAssertionError> {
        let (client, assertion) = (beginning(client), beginning(assertion));
        let used = self.by_client.entry(client).or_default();
        if used.get(&assertion).is_some_and(|end| *end > now) {
            return Err(UsedAssertionError::Used);
        }
        if used.len() >= MAX_USED {
            used.retain(|_, end| *end > now);
            if used.len() >= MAX_USED {
                return Err(UsedAssertionError::TooMany);
            }
        }
        self.write(&record(client, assertion, end), now)?;
        self.by_client.entry(client).or_default().insert(assertion, end);
        Ok(())
    }

    /// Appends a record; before, writes the file without expired ones if it has too many of them.
    fn write(&mut self, record: &[u8; RECORD], now: i64) -> Result<(), StoreError> {
        if self.file.is_none() || self.room == 0 {
            self.rewrite(now)?;
        }
        let failed = || StoreError::file("write", &self.path);
        if let Some(file) = &mut self.file {
            let written = file.write_all(record).and_then(|()| file.sync_data());
            if let Err(error) = written {
                // The end may be torn: the next use writes the file again.
                self.file = None;
                return Err(failed()(error));
            }
            self.room -= 1;
        }
        Ok(())
    }

    /// Writes the file with those that are valid, and drops the others.
    fn rewrite(&mut self, now: i64) -> Result<(), StoreError> {
        self.file = None;
        for used in self.by_client.values_mut() {
            used.retain(|_, end| *end > now);
        }
        self.by_client.retain(|_, used| !used.is_empty());
        let mut bytes = MAGIC.to_vec();
        for (client, used) in &self.by_client {
            for (assertion, end) in used {
                bytes.extend(record(*client, *assertion, *end));
            }
        }
        let failed = || StoreError::file("write", &self.path);
        let us = (geteuid().as_raw(), getegid().as_raw());
        file::replace(&self.path, Some(&bytes), 0o600, us).map_err(failed())?;
        let file = File::options().append(true).mode(0o600).open(&self.path).map_err(failed())?;
        self.room = bytes.len() / RECORD + SPARE_RECORDS;
        self.file = Some(file);
        Ok(())
    }
}

fn record(client: ClientDigest, assertion: AssertionDigest, end: i64) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    let parts = end.to_le_bytes().into_iter().chain(client).chain(assertion);
    record.iter_mut().zip(parts).for_each(|(byte, part)| *byte = part);
    record
}

fn parse(record: &[u8]) -> Option<(ClientDigest, AssertionDigest, i64)> {
    let (end, digests) = record.split_first_chunk()?;
    let (client, assertion) = digests.split_first_chunk()?;
    Some((*client, assertion.try_into().ok()?, i64::from_le_bytes(*end)))
}

/// The beginning of the digest of a text.
fn beginning<const N: usize>(text: &str) -> [u8; N] {
    let mut beginning = [0; N];
    let digest = Sha256::digest(text.as_bytes());
    beginning.iter_mut().zip(digest).for_each(|(byte, part)| *byte = part);
    beginning
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn folder() -> (TempDir, UsedAssertions) {
        let folder = tempfile::tempdir().unwrap();
        let used = UsedAssertions::open(folder.path()).unwrap();
        (folder, used)
    }

    fn size(folder: &TempDir) -> u64 {
        fs::metadata(folder.path().join(FILE)).unwrap().len()
    }

    #[test]
    fn an_assertion_is_taken_once_also_after_a_crash() {
        let (folder, mut used) = folder();
        used.take("a", "1", NOW + 600, NOW).unwrap();
        used.take("b", "1", NOW + 600, NOW).unwrap();
        assert!(matches!(used.take("a", "1", NOW + 600, NOW), Err(UsedAssertionError::Used)));
        let mut again = UsedAssertions::open(folder.path()).unwrap();
        for client in ["a", "b"] {
            let taken = again.take(client, "1", NOW + 600, NOW + 1);
            assert!(matches!(taken, Err(UsedAssertionError::Used)));
        }
        again.take("a", "2", NOW + 600, NOW + 1).unwrap();
        let mut third = UsedAssertions::open(folder.path()).unwrap();
        assert!(third.take("a", "2", NOW + 600, NOW + 2).is_err());
        assert!(third.take("a", "1", NOW + 600, NOW + 599).is_err());
        third.take("a", "1", NOW + 1_200, NOW + 600).unwrap();
    }

    #[test]
    fn a_client_may_have_used_ten_thousand_and_others_go_on() {
        let (folder, used) = folder();
        drop(used);
        let mut bytes = MAGIC.to_vec();
        for number in 1..MAX_USED {
            let assertion = beginning(&format!("{number}"));
            bytes.extend(record(beginning("a"), assertion, NOW + 600));
        }
        fs::write(folder.path().join(FILE), bytes).unwrap();
        let mut used = UsedAssertions::open(folder.path()).unwrap();
        used.take("a", "last", NOW + 600, NOW).unwrap();
        let taken = used.take("a", "one more", NOW + 600, NOW);
        assert!(matches!(taken, Err(UsedAssertionError::TooMany)));
        used.take("b", "1", NOW + 600, NOW).unwrap();
        used.take("a", "later", NOW + 1_200, NOW + 600).unwrap();
    }

    #[test]
    fn nothing_grows_with_the_assertions_that_have_expired() {
        let (folder, mut used) = folder();
        for second in 0..1_000 {
            let end = NOW + second + 1;
            used.take("a", &second.to_string(), end, NOW + second).unwrap();
        }
        let most = SPARE_RECORDS + 2;
        assert!(used.by_client.values().map(HashMap::len).sum::<usize>() <= most);
        assert!(size(&folder) <= (most * RECORD) as u64);
    }

    #[test]
    fn a_torn_end_is_left_out_and_another_file_is_refused() {
        let (folder, mut used) = folder();
        used.take("a", "1", NOW + 600, NOW).unwrap();
        let path = folder.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        for cut in [0, 3, 8, 20, 39] {
            fs::write(&path, &whole[..cut]).unwrap();
            UsedAssertions::open(folder.path()).unwrap().take("a", "1", NOW + 600, NOW).unwrap();
            assert_eq!(size(&folder), 40);
        }
        fs::write(&path, "something else").unwrap();
        let refused = UsedAssertions::open(folder.path()).err().unwrap().to_string();
        assert!(refused.contains(FILE), "{refused}");
    }
}
