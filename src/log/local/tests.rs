//! The journal against files that were cut, altered and torn.

use std::fs;

use super::*;
use crate::event::{Actor, Details, Event, Head, Verb};
use crate::log::Write;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("scimd-journal-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn open(&self) -> Result<LocalLog, LogError> {
        LocalLog::open(&self.0, [7; 16], &[])
    }

    fn file(&self) -> PathBuf {
        Segment::list(&self.0).unwrap().pop().unwrap().path
    }

    fn sequences(&self) -> Vec<u64> {
        sequences(&self.open().unwrap(), 0)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn sequences(journal: &LocalLog, after: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    journal
        .history()
        .follow::<LogError>(after, |frame| {
            seen.push(frame.sequence);
            Ok(())
        })
        .unwrap();
    seen
}

fn entry(value: usize) -> LogEntry {
    let event = Event { kind: "user".to_owned(), verb: Verb::Created, subject: "x".to_owned() };
    let (time, details) = (jiff::Timestamp::UNIX_EPOCH, Details::default());
    let head = Head { time, actor: Actor::System, event, details };
    let value = Some(bytes::Bytes::from(vec![b'v'; value]));
    let put = Write { key: b"key".to_vec(), value };
    LogEntry { head, writes: vec![put, Write { key: b"gone".to_vec(), value: None }] }
}

#[test]
fn what_is_appended_reads_back_after_reopening() {
    let folder = Folder::new("reopen");
    let mut journal = folder.open().unwrap();
    assert_eq!(journal.last_sequence(), 0);
    assert_eq!(journal.append(&[entry(10), entry(20)]).unwrap(), 1);
    assert_eq!(journal.append(&[entry(30)]).unwrap(), 3);
    drop(journal);

    let journal = folder.open().unwrap();
    assert_eq!((journal.last_sequence(), journal.identity()), (3, [7; 16]));
    assert_eq!(sequences(&journal, 0), [1, 2, 3]);
    assert_eq!(sequences(&journal, 2), [3]);
    assert_eq!(sequences(&journal, 3), [0; 0]);
    let mut groups = Vec::new();
    journal
        .history()
        .follow::<LogError>(0, |frame| {
            assert_eq!(frame.writes, entry(frame.sequence as usize * 10).writes);
            groups.push(frame.group);
            Ok(())
        })
        .unwrap();
    assert_eq!(groups, [1, 1, 3]);
}

#[test]
fn a_full_file_is_followed_by_another() {
    let folder = Folder::new("rotate");
    let mut journal = folder.open().unwrap();
    for _ in 0..20 {
        journal.append(&[entry(1024 * 1024)]).unwrap();
    }
    drop(journal);
    assert_eq!(Segment::list(&folder.0).unwrap().len(), 2);
    assert_eq!(folder.sequences(), (1..=20).collect::<Vec<_>>());
    assert_eq!(sequences(&folder.open().unwrap(), 18), [19, 20]);
}

#[test]
fn a_write_cut_short_at_any_byte_is_dropped_whole() {
    let folder = Folder::new("torn");
    let mut journal = folder.open().unwrap();
    journal.append(&[entry(10)]).unwrap();
    let start = journal.end as usize;
    journal.append(&[entry(10)]).unwrap();
    let end = journal.end as usize;
    drop(journal);
    let whole = fs::read(folder.file()).unwrap();
    for cut in start..end {
        let mut torn = whole.clone();
        torn[cut..].fill(0);
        fs::write(folder.file(), &torn).unwrap();
        assert_eq!(folder.sequences(), [1], "zeros from byte {cut}");
        fs::write(folder.file(), &whole[..cut]).unwrap();
        assert_eq!(folder.sequences(), [1], "cut at byte {cut}");
    }
    let mut journal = folder.open().unwrap();
    assert_eq!(journal.append(&[entry(5)]).unwrap(), 2);
    assert_eq!(folder.sequences(), [1, 2]);
}

#[test]
fn a_group_torn_in_its_middle_is_dropped_but_acknowledged_groups_never_are() {
    let folder = Folder::new("middle");
    let mut journal = folder.open().unwrap();
    journal.append(&[entry(10)]).unwrap();
    let group = journal.end as usize;
    journal.append(&[entry(10), entry(10), entry(10)]).unwrap();
    drop(journal);
    let whole = fs::read(folder.file()).unwrap();
    let mut torn = whole.clone();
    torn[group + 20] ^= 1;
    fs::write(folder.file(), &torn).unwrap();
    assert_eq!(folder.sequences(), [1], "the rest belongs to the same group");

    fs::write(folder.file(), &whole).unwrap();
    let mut damaged = whole;
    damaged[HEADER_AND_A_BIT] ^= 1;
    fs::write(folder.file(), &damaged).unwrap();
    let error = folder.open().err().expect("must be refused").to_string();
    assert!(error.contains("acknowledged changes follow"), "{error}");
}

const HEADER_AND_A_BIT: usize = segment::HEADER_BYTES as usize + 30;

#[test]
fn every_flipped_bit_in_acknowledged_frames_is_found() {
    let folder = Folder::new("flip");
    let mut journal = folder.open().unwrap();
    journal.append(&[entry(10)]).unwrap();
    let end = journal.end as usize;
    journal.append(&[entry(10)]).unwrap();
    let written = journal.end as usize;
    drop(journal);
    let file = folder.file();
    let whole = fs::read(&file).unwrap();
    for bit in 0..end * 8 {
        let mut damaged = whole[..written].to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(&file, &damaged).unwrap();
        assert!(matches!(folder.open(), Err(LogError::Damaged { .. })), "bit {bit}");
    }
}

#[test]
fn what_somebody_knows_to_be_acknowledged_is_never_cut_off() {
    let folder = Folder::new("known");
    let known = |sequence| {
        let mark = HighWaterMark { identity: [7; 16], sequence, name: "somebody".to_owned() };
        LocalLog::open(&folder.0, [7; 16], &[mark])
    };
    assert!(known(1).is_err(), "the journal is gone");
    let mut journal = known(0).unwrap();
    journal.append(&[entry(10)]).unwrap();
    journal.append(&[entry(10)]).unwrap();
    let end = journal.end as usize;
    drop(journal);
    let mut damaged = fs::read(folder.file()).unwrap();
    damaged[end - 1] ^= 1;
    fs::write(folder.file(), &damaged).unwrap();
    assert!(known(2).is_err(), "the last frame is damaged, not torn");
    assert_eq!(fs::read(folder.file()).unwrap(), damaged, "and left as it is");
    assert_eq!(known(1).unwrap().last_sequence(), 1);
}

#[test]
fn a_missing_file_is_named() {
    let folder = Folder::new("gap");
    let mut journal = folder.open().unwrap();
    for _ in 0..20 {
        journal.append(&[entry(1024 * 1024)]).unwrap();
    }
    let first = Segment::list(&folder.0).unwrap().remove(0).path;
    fs::remove_file(first).unwrap();
    let error = journal.history().follow::<LogError>(0, |_| Ok(())).unwrap_err().to_string();
    assert!(error.contains("and 1 is needed"), "{error}");
}

#[test]
fn damage_in_an_older_file_is_named_where_it_is() {
    let folder = Folder::new("older");
    let mut journal = folder.open().unwrap();
    for _ in 0..20 {
        journal.append(&[entry(1024 * 1024)]).unwrap();
    }
    let first = Segment::list(&folder.0).unwrap().remove(0).path;
    let mut damaged = fs::read(&first).unwrap();
    damaged[HEADER_AND_A_BIT] ^= 1;
    fs::write(&first, damaged).unwrap();
    let error = journal.history().follow::<LogError>(0, |_| Ok(())).unwrap_err().to_string();
    let named = first.display().to_string();
    assert!(error.contains(&named) && error.contains("checksum"), "{error}");
}

#[test]
fn a_reader_needs_no_lock_and_sees_whole_changes_while_others_are_appended() {
    let folder = Folder::new("beside");
    let mut journal = folder.open().unwrap();
    let history = journal.history();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reached = 0;
            while reached < 300 {
                let end = history.end().sequence;
                history
                    .follow::<LogError>(reached, |frame| {
                        assert_eq!(frame.sequence, reached + 1);
                        reached += 1;
                        Ok(())
                    })
                    .unwrap();
                assert!(reached >= end, "{reached} of {end}");
            }
        });
        for _ in 0..100 {
            journal.append(&[entry(100_000), entry(10), entry(100_000)]).unwrap();
        }
        reader.join().unwrap();
    });
}

#[test]
fn a_reader_begins_at_the_file_in_which_a_moment_or_a_change_is() {
    let folder = Folder::new("moment");
    let mut journal = folder.open().unwrap();
    let second = |number: i64| jiff::Timestamp::from_second(number).unwrap();
    for number in 1..=40 {
        let LogEntry { head, writes } = entry(1024 * 1024);
        journal
            .append(&[LogEntry { head: Head { time: second(number), ..head }, writes }])
            .unwrap();
    }
    let history = journal.history();
    let begins = |number: i64| history.before(second(number)).unwrap();
    assert_eq!([1, 16, 17, 18, 33, 34, 40, 99].map(begins), [0, 0, 0, 16, 16, 32, 32, 32]);
    let file = |number: u64| history.before_file_of(number).unwrap();
    assert_eq!([0, 1, 16, 17, 32, 33, 99].map(file), [0, 0, 0, 16, 16, 32, 32]);
    history.trim(40, jiff::Timestamp::MAX).unwrap();
    assert_eq!((begins(1), file(40), file(3)), (32, 32, 3));
}

#[test]
fn a_file_that_was_exchanged_breaks_the_chain() {
    let (folder, other) = (Folder::new("chain"), Folder::new("chain-other"));
    let mut journal = folder.open().unwrap();
    let mut forged = other.open().unwrap();
    for _ in 0..20 {
        journal.append(&[entry(1024 * 1024)]).unwrap();
        forged.append(&[entry(1024 * 1024 - 1)]).unwrap();
    }
    let first = |folder: &Folder| Segment::list(&folder.0).unwrap().remove(0).path;
    fs::copy(first(&other), first(&folder)).unwrap();
    let error = journal.history().follow::<LogError>(0, |_| Ok(())).unwrap_err().to_string();
    assert!(error.contains("does not follow the file before it"), "{error}");
}

#[test]
fn trimming_takes_only_whole_files_of_old_changes_and_the_chain_goes_on() {
    let folder = Folder::new("trim");
    let mut journal = folder.open().unwrap();
    for _ in 0..60 {
        journal.append(&[entry(1024 * 1024)]).unwrap();
    }
    let history = journal.history();
    let (past, future) = (jiff::Timestamp::UNIX_EPOCH, jiff::Timestamp::MAX);
    let begins = || history.begin().unwrap().sequence;
    assert_eq!(history.trim(60, past).unwrap(), 0, "all changes are too young");
    assert_eq!(history.trim(10, future).unwrap(), 0, "no file ends so early");
    assert_eq!((history.trim(20, future).unwrap(), begins()), (1, 16));
    assert_eq!((history.trim(60, future).unwrap(), begins()), (2, 48), "the last file stays");
    assert!(history.follow::<LogError>(47, |_| Ok(())).is_err());
    assert_eq!(sequences(&journal, 48), (49..=60).collect::<Vec<_>>());
    drop(journal);
    let mut journal = folder.open().unwrap();
    assert_eq!(journal.append(&[entry(1)]).unwrap(), 61);
    assert_eq!(sequences(&journal, 58), [59, 60, 61]);
}
