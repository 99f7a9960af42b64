//! Reads the journal as `docs/storage.md` describes it, and independently of scimd: numbers without a
//! gap, checksums, chain, and the events that it tells of.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::finding::{Finding, Harm};
use crate::history::History;
use crate::server;

const HEADER: usize = 68;
const FIXED: usize = 8 + 8 + 32;

/// How often each verb happened to each subject.
type Events = BTreeMap<(String, String), usize>;

/// Checks the journal of a data folder, and that it tells of everything that was acknowledged.
pub(crate) fn check<'a>(
    data: &Path,
    histories: impl Iterator<Item = (&'a History, usize)>,
) -> Vec<Finding> {
    let events = match read(data) {
        Ok(events) => events,
        Err(error) => return vec![Finding::new(Harm::Chain, error)],
    };
    let mut findings = Vec::new();
    for (history, acknowledged) in histories {
        for ((verb, subject), wanted) in history.events(acknowledged) {
            let told = events.get(&(verb.to_owned(), subject.clone())).copied().unwrap_or(0);
            if told < wanted {
                let text =
                    format!("the journal tells of {told} times {verb} {subject}, not of {wanted}");
                findings.push(Finding::new(Harm::Chain, text));
            }
        }
    }
    findings
}

fn read(data: &Path) -> Result<Events, String> {
    let mut events = Events::new();
    // Number of the next change, and the hash of the one before it; unknown at the first file.
    let mut at: Option<(u64, [u8; 32])> = None;
    let files = server::files(&data.join("journal")).map_err(|error| error.to_string())?;
    for path in files.iter().filter(|path| path.extension().is_some_and(|kind| kind == "journal")) {
        let bytes = fs::read(path).map_err(|error| error.to_string())?;
        let place = |offset: usize| format!("{} at byte {offset}", path.display());
        let header = bytes.get(..HEADER).ok_or_else(|| format!("{}: no header", place(0)))?;
        if crc32c::crc32c(&header[..64]).to_le_bytes() != header[64..] {
            return Err(format!("{}: the header's checksum", place(0)));
        }
        let begins = (number(header, 24), hash(header, 32));
        if at.is_some_and(|at| at != begins) {
            return Err(format!("{}: it does not follow the file before it", place(0)));
        }
        let (mut next, mut previous) = begins;
        let mut offset = HEADER;
        while let Some(length) = bytes.get(offset..offset + 8).map(|prefix| u32_at(prefix, 0)) {
            let body = (length > 0).then(|| bytes.get(offset + 8..offset + 8 + length)).flatten();
            let Some(body) = body else { break };
            if crc32c::crc32c(body) as usize != u32_at(&bytes[offset..], 4) {
                return Err(format!("{}: a frame's checksum", place(offset)));
            }
            if (number(body, 0), hash(body, 16)) != (next, previous) {
                return Err(format!("{}: the chain is broken before change {next}", place(offset)));
            }
            let head = &body[FIXED + 4..FIXED + 4 + u32_at(body, FIXED)];
            let head: Value = serde_json::from_slice(head).map_err(|error| error.to_string())?;
            let word = |name: &str| head["event"][name].as_str().unwrap_or_default().to_owned();
            *events.entry((word("verb"), word("subject"))).or_default() += 1;
            previous = Sha256::digest(body).into();
            next += 1;
            offset += 8 + length;
        }
        at = Some((next, previous));
    }
    Ok(events)
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_le_bytes)
        as usize
}

fn number(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|eight| eight.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn hash(bytes: &[u8], at: usize) -> [u8; 32] {
    bytes.get(at..at + 32).and_then(|hash| hash.try_into().ok()).unwrap_or_default()
}
