//! Whether the chain is whole: every frame, every file, and the anchors that operators kept.
//!
//! Each frame holds the hash of the one before it, so that a change which was altered, removed or
//! inserted breaks the chain, unless everything after it was rewritten as well. That, and a tail that was
//! cut off, shows only against an anchor: a position that an operator kept.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use super::files::LogFiles;
use super::offsets::Offsets;
use super::segment::Segment;
use crate::log::{ChainReport, LogError, Position, ReadLog as _};

impl LogFiles {
    /// Checks the journal in `folder`, which no process writes to, without opening it for writing.
    ///
    /// # Errors
    ///
    /// [`LogError`] if the files can't be listed, or if there is none.
    pub fn check_folder(
        folder: &Path,
        anchors: &[Position],
        fault: &mut dyn FnMut(LogError),
    ) -> Result<ChainReport, LogError> {
        let last = Self::last_segment(folder)?;
        let offsets = Arc::<Offsets>::default();
        let (end, torn_bytes, broken) = match last.tail(&offsets) {
            Ok(tail) => (tail.last, tail.torn_bytes, None),
            // Where it ends can't be told: it ends for us where its last file begins.
            Err(error) => (last.before(), 0, Some(error)),
        };
        let files = Self::new(folder, last.identity, end, offsets);
        let checked = files.verify_files(anchors, broken, fault)?;
        Ok(ChainReport { torn_bytes, ..checked })
    }

    pub(super) fn verify_files(
        &self,
        anchors: &[Position],
        broken: Option<LogError>,
        fault: &mut dyn FnMut(LogError),
    ) -> Result<ChainReport, LogError> {
        let end = self.head();
        let mut segments = Segment::list(&self.folder)?;
        segments.retain(|segment| segment.first <= end.sequence.max(1));
        let begin = segments.first().map_or(end, Segment::before);
        let mut checked = ChainReport { begin, end, ..ChainReport::default() };
        let mut passed = vec![begin];
        let whole = Cell::new(broken.is_none());
        let mut fault = |error| {
            whole.set(false);
            fault(error);
        };
        for (place, segment) in segments.iter().enumerate() {
            let next = segments.get(place + 1).map(Segment::before);
            let upto = next.unwrap_or(end);
            let read = segment.check(upto.sequence, next.is_some(), |frame| {
                checked.changes += 1;
                let position = Position { sequence: frame.sequence, hash: frame.hash };
                if anchors.iter().any(|anchor| anchor.sequence == frame.sequence) {
                    passed.push(position);
                }
            });
            checked.files += 1;
            match read {
                Ok(reached) if reached != upto => fault(LogError::Damaged {
                    path: segment.path.clone(),
                    offset: 0,
                    reason: format!(
                        "the next file does not follow it: change {} is missing",
                        reached.sequence + 1
                    ),
                }),
                Ok(_) => {}
                Err(error) => fault(error),
            }
            if segment.identity != self.identity() {
                fault(
                    self.damaged(format!("{} belongs to another journal", segment.path.display())),
                );
            }
        }
        if let Some(error) = broken {
            fault(error);
        }
        for anchor in anchors.iter().filter(|anchor| !passed.contains(anchor)) {
            let other = passed.iter().any(|passed| passed.sequence == anchor.sequence);
            fault(self.damaged(missing(*anchor, begin, end, other, whole.get())));
        }
        Ok(checked)
    }
}

/// Why the chain does not pass through an anchor.
fn missing(anchor: Position, begin: Position, end: Position, other: bool, whole: bool) -> String {
    let wanted = anchor.sequence;
    if other {
        format!("change {wanted} does not match the anchor: it, or one before it, was rewritten")
    } else if wanted < begin.sequence {
        format!("it begins with change {}, after the anchor {wanted}", begin.sequence + 1)
    } else if whole && wanted > end.sequence {
        format!(
            "it ends with change {}, before the anchor {wanted}: its tail was truncated",
            end.sequence
        )
    } else {
        format!("the anchor {wanted} was not reached")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::event::{Actor, Details, Event, Head, Verb};
    use crate::log::local::segment;
    use crate::log::{Hash, LogEntry, Write, frame};

    /// How many changes a file has.
    const CHANGES: usize = 6;
    /// How many files there are.
    const FILES: usize = 3;
    /// How many alterations of each kind are tried.
    const ROUNDS: usize = 150;

    /// Numbers that are the same in each run (splitmix64).
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)) as usize % limit
        }

        /// Two places, the first before the second.
        fn range(&mut self, limit: usize) -> (usize, usize) {
            let first = self.below(limit - 1);
            (first, first + 1 + self.below(limit - first - 1))
        }

        fn bytes(&mut self, count: usize) -> Vec<u8> {
            (0..count).map(|_| 1 + self.below(255) as u8).collect()
        }
    }

    /// A file of the journal: its header, and its frames.
    #[derive(Clone)]
    struct Parts {
        path: PathBuf,
        header: Vec<u8>,
        frames: Vec<Vec<u8>>,
    }

    impl Parts {
        fn bytes(&self) -> Vec<u8> {
            [&self.header[..], &self.frames.concat()].concat()
        }

        fn write(&self, bytes: &[u8]) {
            fs::write(&self.path, [bytes, &[0; 64]].concat()).unwrap();
        }
    }

    fn entry(random: &mut Random) -> LogEntry {
        let event = Event { kind: "user".to_owned(), verb: Verb::Created, subject: String::new() };
        let (time, details) = (jiff::Timestamp::UNIX_EPOCH, Details::default());
        let value = random.bytes(40).into();
        let head = Head { time, actor: Actor::System, event, details };
        LogEntry { head, writes: vec![Write { key: b"key".to_vec(), value: Some(value) }] }
    }

    /// A journal of several small files in a folder, and the places of its first and last change.
    struct Whole {
        folder: tempfile::TempDir,
        files: Vec<Parts>,
        anchors: Vec<Position>,
    }

    impl Whole {
        fn new(random: &mut Random) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let mut at = Position::default();
            let mut anchors = Vec::new();
            let mut files = Vec::new();
            for _ in 0..FILES {
                let created = Segment::create(folder.path(), [7; 16], at).unwrap();
                let header = fs::read(&created.path).unwrap();
                assert_eq!(header.len() as u64, segment::HEADER_BYTES);
                let mut frames = Vec::new();
                for _ in 0..CHANGES {
                    let (frame, hash) = Self::next(at, &entry(random));
                    at = Position { sequence: at.sequence + 1, hash };
                    frames.push(frame);
                    anchors.push(at);
                }
                files.push(Parts { path: created.path, header, frames });
            }
            anchors.drain(1..anchors.len() - 1);
            Self { folder, files, anchors }
        }

        fn next(at: Position, entry: &LogEntry) -> (Vec<u8>, Hash) {
            let mut bytes = Vec::new();
            let sequence = at.sequence + 1;
            let hash = frame::encode(sequence, sequence, at.hash, entry, &mut bytes).unwrap();
            (bytes, hash)
        }

        fn restore(&self) {
            self.files.iter().for_each(|file| file.write(&file.bytes()));
        }

        fn faults(&self, anchors: &[Position]) -> Vec<String> {
            let mut faults = Vec::new();
            let mut fault = |error: LogError| faults.push(error.to_string());
            if let Err(error) = LogFiles::check_folder(self.folder.path(), anchors, &mut fault) {
                fault(error);
            }
            faults
        }

        /// Tries an alteration again and again: each must be found.
        fn always_found(
            &self,
            what: &str,
            random: &mut Random,
            mut alter: impl FnMut(&mut Random, &[Parts]),
        ) {
            for round in 0..ROUNDS {
                alter(random, &self.files);
                assert!(!self.faults(&self.anchors).is_empty(), "{what}, round {round}");
                self.restore();
            }
            assert_eq!(self.faults(&self.anchors), [""; 0], "all is as it was");
        }
    }

    #[test]
    fn every_alteration_of_bytes_is_found() {
        let mut random = Random(1);
        let whole = Whole::new(&mut random);
        whole.restore();
        whole.always_found("cut out", &mut random, |random, files| {
            let file = &files[random.below(FILES)];
            let mut bytes = file.bytes();
            let (from, to) = random.range(bytes.len());
            bytes.drain(from..to);
            file.write(&bytes);
        });
        whole.always_found("put in", &mut random, |random, files| {
            let file = &files[random.below(FILES)];
            let (mut bytes, count) = (file.bytes(), 1 + random.below(200));
            let at = random.below(bytes.len());
            bytes.splice(at..at, random.bytes(count));
            file.write(&bytes);
        });
        whole.always_found("cut off", &mut random, |random, files| {
            let file = &files[random.below(FILES)];
            let bytes = file.bytes();
            file.write(&bytes[..random.below(bytes.len())]);
        });
        whole.always_found("behind a closed file", &mut random, |random, files| {
            let file = &files[random.below(FILES - 1)];
            let count = 1 + random.below(200);
            file.write(&[file.bytes(), random.bytes(count)].concat());
        });
    }

    #[test]
    fn a_flipped_bit_is_found_and_its_file_and_change_are_named() {
        let mut random = Random(2);
        let whole = Whole::new(&mut random);
        whole.restore();
        for round in 0..4 * ROUNDS {
            let place = random.below(FILES);
            let file = &whole.files[place];
            let mut bytes = file.bytes();
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
            file.write(&bytes);
            let ends = file.frames.iter().scan(file.header.len(), |end, frame| {
                *end += frame.len();
                Some(*end)
            });
            let change = place * CHANGES + 1 + ends.take_while(|end| *end <= at).count();
            let first = whole.faults(&whole.anchors).into_iter().next().expect("a fault");
            let name = file.path.file_name().unwrap().to_str().unwrap();
            if at < file.header.len() {
                assert!(first.contains(name), "round {round}: {first}");
            } else if change < FILES * CHANGES {
                let named = first.contains(name) && first.contains(&format!("change {change}: "));
                assert!(named, "round {round}, change {change}: {first}");
            } else {
                // The last one looks like a write that was never acknowledged: the anchor knows better.
                assert!(first.contains(&format!("anchor {change}")), "round {round}: {first}");
            }
            whole.restore();
        }
    }

    #[test]
    fn every_alteration_of_changes_and_files_is_found() {
        let mut random = Random(3);
        let whole = Whole::new(&mut random);
        whole.restore();
        let put = |file: &Parts, frames: Vec<Vec<u8>>| {
            file.write(&Parts { frames, ..file.clone() }.bytes());
        };
        whole.always_found("a change removed", &mut random, |random, files| {
            let file = &files[random.below(FILES)];
            let mut frames = file.frames.clone();
            frames.remove(random.below(CHANGES));
            put(file, frames);
        });
        whole.always_found("two changes exchanged", &mut random, |random, files| {
            let file = &files[random.below(FILES)];
            let mut frames = file.frames.clone();
            let (one, other) = random.range(CHANGES);
            frames.swap(one, other);
            put(file, frames);
        });
        whole.always_found("a change twice", &mut random, |random, files| {
            let (file, from) = (&files[random.below(FILES)], &files[random.below(FILES)]);
            let mut frames = file.frames.clone();
            // Behind the last one it would be a write that was never acknowledged.
            let at = random.below(CHANGES - 1);
            frames.insert(at, from.frames[random.below(CHANGES)].clone());
            put(file, frames);
        });
        whole.always_found("a forged change in place of another", &mut random, |random, files| {
            let (place, at) = (random.below(FILES), random.below(CHANGES));
            let mut frames = files[place].frames.clone();
            let (real, _) = frame::decode(&frames[at]).unwrap();
            let before = Position { sequence: real.sequence - 1, hash: real.previous };
            frames[at] = Whole::next(before, &entry(random)).0;
            put(&files[place], frames);
        });
        whole.always_found("the tail written anew", &mut random, |random, files| {
            let at = random.below(CHANGES);
            let mut frames = files[FILES - 1].frames[..at].to_vec();
            let (next, _) = frame::decode(&files[FILES - 1].frames[at]).unwrap();
            let mut end = Position { sequence: next.sequence - 1, hash: next.previous };
            for _ in at..CHANGES {
                let (bytes, hash) = Whole::next(end, &entry(random));
                end = Position { sequence: end.sequence + 1, hash };
                frames.push(bytes);
            }
            put(&files[FILES - 1], frames);
            assert_eq!(whole.faults(&[]), [""; 0], "without an anchor it can't be found");
        });
        whole.always_found("a file removed", &mut random, |random, files| {
            fs::remove_file(&files[random.below(FILES)].path).unwrap();
        });
        whole.always_found("two files exchanged", &mut random, |random, files| {
            let (one, other) = random.range(FILES);
            files[one].write(&files[other].bytes());
            files[other].write(&files[one].bytes());
        });
    }

    #[test]
    fn a_trimmed_journal_is_whole_from_where_it_begins() {
        let mut random = Random(4);
        let whole = Whole::new(&mut random);
        whole.restore();
        fs::remove_file(&whole.files[0].path).unwrap();
        let [first, last] = whole.anchors[..] else { panic!("two anchors") };
        assert_eq!(whole.faults(&[last]), [""; 0]);
        let faults = whole.faults(&[first, last]);
        let expected = format!("it begins with change {}, after the anchor 1", CHANGES + 1);
        assert!(faults.len() == 1 && faults[0].contains(&expected), "{faults:?}");
    }
}
