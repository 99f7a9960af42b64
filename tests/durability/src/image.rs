//! What a disk holds after a power cut: every call that changed it is known, and those that were not
//! synced may be there, or not, or by half.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::random::Random;
use crate::server;

/// What a disk writes at once or not at all.
const SECTOR: usize = 512;

/// A call that was recorded.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// A file or folder was opened.
    Open {
        /// Its inode.
        inode: u64,
        /// Whether it was made by that.
        created: bool,
        /// Whether it was emptied by that.
        emptied: bool,
        /// Its path below the data folder.
        path: String,
    },
    /// Bytes were written.
    Write {
        /// Into which inode.
        inode: u64,
        /// Where.
        offset: usize,
        /// Where they stand in the record.
        data: Range<usize>,
    },
    /// A file was cut or extended.
    Truncate {
        /// Which inode.
        inode: u64,
        /// To which length.
        length: usize,
    },
    /// A file or folder was synced.
    Sync {
        /// Which inode.
        inode: u64,
    },
    /// Something was renamed.
    Rename {
        /// From.
        from: String,
        /// To.
        to: String,
    },
    /// Something was removed.
    Unlink {
        /// What.
        path: String,
    },
    /// A client was about to send a change.
    Sent(usize),
    /// A client had the answer to its change.
    Acknowledged(usize),
    /// A consumer of the change feed had this number of events.
    Followed(usize),
    /// The target of a webhook had this number of batches.
    Delivered(usize),
}

impl Op {
    /// Whether the disk may look different after it.
    pub(crate) fn touches_disk(&self) -> bool {
        match self {
            Self::Open { created, emptied, .. } => *created || *emptied,
            Self::Sent(_) | Self::Acknowledged(_) | Self::Followed(_) | Self::Delivered(_) => false,
            _ => true,
        }
    }
}

/// Calls in their order, with the bytes that they wrote.
#[derive(Debug)]
pub(crate) struct Record {
    bytes: Vec<u8>,
    /// The calls.
    pub(crate) ops: Vec<Op>,
}

impl Record {
    /// Reads the log of the shim; `data` is the data folder.
    pub(crate) fn read(log: &Path, data: &Path) -> Result<Self, String> {
        let bytes = fs::read(log).map_err(|error| error.to_string())?;
        let root = format!("{}/", data.display());
        let mut ops = Vec::new();
        let mut at = 0;
        while let Some(length) = bytes[at..].iter().position(|&byte| byte == b'\n') {
            let line = String::from_utf8_lossy(&bytes[at..at + length]).into_owned();
            at += length + 1;
            let below = |path: &str| path.strip_prefix(&root).unwrap_or_default().to_owned();
            let number = |text: Option<&str>| -> Result<u64, String> {
                text.and_then(|text| text.parse().ok()).ok_or(format!("the log says {line:?}"))
            };
            let (kind, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let mut words = rest.split(' ');
            ops.push(match kind {
                "O" => {
                    let (inode, how) = (number(words.next())?, words.next().unwrap_or_default());
                    let path = below(rest.splitn(3, ' ').nth(2).unwrap_or_default());
                    Op::Open { inode, created: how == "c", emptied: how == "t", path }
                }
                "W" => {
                    let (inode, offset) = (number(words.next())?, number(words.next())? as usize);
                    let data = at..at + number(words.next())? as usize;
                    at = data.end + 1;
                    Op::Write { inode, offset, data }
                }
                "T" => Op::Truncate {
                    inode: number(words.next())?,
                    length: number(words.next())? as usize,
                },
                "S" => Op::Sync { inode: number(words.next())? },
                "R" => {
                    let (from, to) = rest.split_once('\t').unwrap_or_default();
                    Op::Rename { from: below(from), to: below(to) }
                }
                "U" => Op::Unlink { path: below(rest) },
                "Ms" => Op::Sent(number(words.next())? as usize),
                "Ma" => Op::Acknowledged(number(words.next())? as usize),
                "Mc" => Op::Followed(number(words.next())? as usize),
                "Mw" => Op::Delivered(number(words.next())? as usize),
                // Promised nothing, failed, made a folder (folders are there when files need them), or
                // appended nothing to the log.
                "s" | "X" | "F" | "D" | "Mm" => continue,
                _ => return Err(format!("the log says {line:?}")),
            });
        }
        Ok(Self { bytes, ops })
    }
}

/// What becomes of calls that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsynced {
    /// They are as if they had not been.
    Dropped,
    /// Each sector of each of them is there or not, and names up to some moment.
    Some,
    /// All are there but the last, of which some sectors are.
    LastTorn,
    /// Files have their length, and zeros where something was written.
    Zeros,
    /// All are there, as if only the process had ended.
    Kept,
}

impl Unsynced {
    /// Every one.
    pub(crate) const ALL: [Self; 5] =
        [Self::Dropped, Self::Some, Self::LastTorn, Self::Zeros, Self::Kept];
}

enum Change {
    Write { offset: usize, data: Range<usize> },
    Length(usize),
}

#[derive(Default)]
struct Content {
    synced: Vec<u8>,
    pending: Vec<Change>,
}

/// A change of a name: now of this file, or of none.
struct Naming {
    path: String,
    file: Option<usize>,
}

/// A disk in the making.
struct Disk<'a> {
    record: &'a Record,
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    pending_names: Vec<Naming>,
    open: HashMap<u64, Opened>,
}

enum Opened {
    File(usize),
    Folder(String),
}

/// Writes to `target` what the disk holds when power goes after the first `cut` calls on `base`.
pub(crate) fn build(
    record: &Record,
    base: &Path,
    cut: usize,
    unsynced: Unsynced,
    random: &mut Random,
    target: &Path,
) -> io::Result<()> {
    let mut disk = Disk::load(record, base)?;
    record.ops.iter().take(cut).for_each(|op| disk.run(op));
    disk.write(unsynced, random, target)
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

impl<'a> Disk<'a> {
    fn load(record: &'a Record, base: &Path) -> io::Result<Self> {
        let (mut files, mut names) = (Vec::new(), BTreeMap::new());
        for path in server::files(base)? {
            let name = path.strip_prefix(base).unwrap_or(&path).to_string_lossy().into_owned();
            names.insert(name, files.len());
            files.push(Content { synced: fs::read(path)?, pending: Vec::new() });
        }
        let synced_names = names.clone();
        let (pending_names, open) = (Vec::new(), HashMap::new());
        Ok(Self { record, files, names, synced_names, pending_names, open })
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Open { inode, created, emptied, path } => {
                if *created {
                    self.files.push(Content::default());
                    self.name(path, Some(self.files.len() - 1));
                }
                let opened = match self.names.get(path) {
                    Some(&file) => {
                        if *emptied {
                            self.files[file].pending.push(Change::Length(0));
                        }
                        Opened::File(file)
                    }
                    None => Opened::Folder(path.clone()),
                };
                self.open.insert(*inode, opened);
            }
            Op::Write { inode, offset, data } => {
                if let Some(Opened::File(file)) = self.open.get(inode) {
                    let change = Change::Write { offset: *offset, data: data.clone() };
                    self.files[*file].pending.push(change);
                }
            }
            Op::Truncate { inode, length } => {
                if let Some(Opened::File(file)) = self.open.get(inode) {
                    self.files[*file].pending.push(Change::Length(*length));
                }
            }
            Op::Sync { inode } => match self.open.get(inode) {
                Some(Opened::File(file)) => {
                    let content = &mut self.files[*file];
                    for change in std::mem::take(&mut content.pending) {
                        change.apply(&mut content.synced, &self.record.bytes);
                    }
                }
                Some(Opened::Folder(folder)) => {
                    let (now, later) = std::mem::take(&mut self.pending_names)
                        .into_iter()
                        .partition(|naming| parent(&naming.path) == folder);
                    self.pending_names = later;
                    now.iter().for_each(|naming| naming.apply(&mut self.synced_names));
                }
                None => {}
            },
            Op::Rename { from, to } => {
                let below = format!("{from}/");
                let moved: Vec<(String, usize)> = self
                    .names
                    .iter()
                    .filter(|(name, _)| *name == from || name.starts_with(&below))
                    .map(|(name, file)| (name.clone(), *file))
                    .collect();
                for (name, file) in moved {
                    let renamed = name.replacen(from, to, 1);
                    self.name(&name, None);
                    self.name(&renamed, Some(file));
                }
            }
            Op::Unlink { path } => {
                if self.names.contains_key(path) {
                    self.name(path, None);
                }
            }
            Op::Sent(_) | Op::Acknowledged(_) | Op::Followed(_) | Op::Delivered(_) => {}
        }
    }

    fn name(&mut self, path: &str, file: Option<usize>) {
        let naming = Naming { path: path.to_owned(), file };
        naming.apply(&mut self.names);
        self.pending_names.push(naming);
    }

    fn write(mut self, unsynced: Unsynced, random: &mut Random, target: &Path) -> io::Result<()> {
        let kept = match unsynced {
            Unsynced::Dropped => 0,
            Unsynced::Some => random.below(self.pending_names.len() + 1),
            Unsynced::LastTorn | Unsynced::Zeros | Unsynced::Kept => self.pending_names.len(),
        };
        let namings = std::mem::take(&mut self.pending_names);
        // A rename is two namings, and never half of it happens.
        let kept = match (namings.get(kept.wrapping_sub(1)), namings.get(kept)) {
            (Some(gone), Some(come)) if gone.file.is_none() && come.file.is_some() => kept + 1,
            _ => kept,
        };
        namings.iter().take(kept).for_each(|naming| naming.apply(&mut self.synced_names));
        let last = self.last_write();
        for (name, file) in &self.synced_names {
            let content = &self.files[*file];
            let mut bytes = content.synced.clone();
            for (place, change) in content.pending.iter().enumerate() {
                let torn = last == Some((*file, place));
                change.apply_partly(&mut bytes, &self.record.bytes, unsynced, torn, random);
            }
            let path = target.join(name);
            fs::create_dir_all(path.parent().unwrap_or(target))?;
            fs::write(&path, bytes)?;
            // As scimd made it.
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        }
        // The same; it would start in no other.
        fs::set_permissions(target, fs::Permissions::from_mode(0o700))
    }

    /// The pending write whose bytes were recorded last.
    fn last_write(&self) -> Option<(usize, usize)> {
        let mut last = None;
        for (file, content) in self.files.iter().enumerate() {
            for (place, change) in content.pending.iter().enumerate() {
                if let Change::Write { data, .. } = change
                    && last.is_none_or(|(end, _)| data.end > end)
                {
                    last = Some((data.end, (file, place)));
                }
            }
        }
        last.map(|(_, place)| place)
    }
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self.file {
            Some(file) => names.insert(self.path.clone(), file),
            None => names.remove(&self.path),
        };
    }
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>, record: &[u8]) {
        match self {
            Self::Length(length) => file.resize(*length, 0),
            Self::Write { offset, data } => put(file, *offset, &record[data.clone()]),
        }
    }

    fn apply_partly(
        &self,
        file: &mut Vec<u8>,
        record: &[u8],
        unsynced: Unsynced,
        torn: bool,
        random: &mut Random,
    ) {
        let by_sectors = match unsynced {
            Unsynced::Dropped => return,
            Unsynced::Some => true,
            Unsynced::LastTorn => torn,
            Unsynced::Zeros | Unsynced::Kept => false,
        };
        match self {
            Self::Length(_) if by_sectors && random.chance(50) => {}
            Self::Write { offset, data } if by_sectors => {
                let mut at = *offset;
                while at < offset + data.len() {
                    let end = ((at / SECTOR + 1) * SECTOR).min(offset + data.len());
                    if random.chance(50) {
                        let from = data.start + at - offset;
                        put(file, at, &record[from..from + end - at]);
                    }
                    at = end;
                }
            }
            Self::Write { offset, data } if unsynced == Unsynced::Zeros => {
                let end = offset + data.len();
                if file.len() < end {
                    file.resize(end, 0);
                }
            }
            _ => self.apply(file, record),
        }
    }
}

fn put(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(bytes);
}
