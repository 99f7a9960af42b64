//! The log against files that were cut, altered and torn.

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
        .read(after, &mut |frame| {
            seen.push(frame.sequence);
            ControlFlow::Continue(())
        })
        .unwrap();
    seen
}

/// Appends a group at the head; returns the sequence of the first frame.
fn append(log: &LocalLog, group: Vec<LogEntry>) -> u64 {
    match log.append(group, log.head()).unwrap() {
        Append::Done(frames) => frames[0].sequence,
        Append::Moved(head) => panic!("moved to {head}"),
    }
}

fn read_all(log: &LocalLog, after: u64) -> Result<(), LogError> {
    log.read(after, &mut |_| ControlFlow::Continue(()))
}

fn entry(value: usize) -> LogEntry {
    let event = Event { kind: "user".to_owned(), verb: Verb::Created, subject: "x".to_owned() };
    let (time, details) = (Timestamp::UNIX_EPOCH, Details::default());
    let head = Head { time, actor: Actor::System, event, details };
    let value = Some(bytes::Bytes::from(vec![b'v'; value]));
    let put = Write { key: b"key".to_vec(), value };
    LogEntry { head, writes: vec![put, Write { key: b"gone".to_vec(), value: None }] }
}

#[test]
fn what_is_appended_reads_back_after_reopening() {
    let folder = Folder::new("reopen");
    let journal = folder.open().unwrap();
    assert_eq!(journal.head().sequence, 0);
    assert_eq!(append(&journal, vec![entry(10), entry(20)]), 1);
    assert_eq!(append(&journal, vec![entry(30)]), 3);
    drop(journal);

    let journal = folder.open().unwrap();
    assert_eq!((journal.head().sequence, journal.identity()), (3, [7; 16]));
    assert_eq!(sequences(&journal, 0), [1, 2, 3]);
    assert_eq!(sequences(&journal, 2), [3]);
    assert_eq!(sequences(&journal, 3), [0; 0]);
    let mut groups = Vec::new();
    journal
        .read(0, &mut |frame| {
            assert_eq!(frame.writes, entry(frame.sequence as usize * 10).writes);
            groups.push(frame.group);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(groups, [1, 1, 3]);
}

#[test]
fn a_full_file_is_followed_by_another() {
    let folder = Folder::new("rotate");
    let journal = folder.open().unwrap();
    for _ in 0..20 {
        append(&journal, vec![entry(1024 * 1024)]);
    }
    drop(journal);
    assert_eq!(Segment::list(&folder.0).unwrap().len(), 2);
    assert_eq!(folder.sequences(), (1..=20).collect::<Vec<_>>());
    assert_eq!(sequences(&folder.open().unwrap(), 18), [19, 20]);
}

/// Says to a test that it has a process of its own.
const ALONE: &str = "SCIMD_TEST_ALONE";

/// A process of its own does it: the limit on open files is one of the process.
#[test]
fn too_few_descriptors_for_another_file_fail_the_append_for_the_moment_alone() {
    let test = "log::local::tests::appends_to_a_full_file_without_descriptors";
    let line = "ulimit -n 40; exec \"$0\" \"$@\"";
    let output = std::process::Command::new("sh")
        .args(["-c", line])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--test-threads=1"])
        .env(ALONE, "")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

#[test]
#[ignore = "uses up the descriptors of its process; the test above runs it in one of its own"]
fn appends_to_a_full_file_without_descriptors() {
    if std::env::var_os(ALONE).is_none() {
        return;
    }
    let folder = Folder::new("descriptors");
    let journal = folder.open().unwrap();
    for _ in 0..16 {
        append(&journal, vec![entry(1024 * 1024)]);
    }
    // From no free descriptor to as many as it takes: each step of beginning a file fails once.
    let mut held: Vec<File> =
        std::iter::repeat_with(|| File::open("/dev/null")).map_while(Result::ok).collect();
    let (mut momentary, mut done) = (0, false);
    while !done {
        match journal.append(vec![entry(10)], journal.head()) {
            Ok(_) => done = true,
            Err(error) => {
                assert!(error.is_momentary(), "{error}");
                momentary += 1;
                assert!(held.pop().is_some(), "enough are free");
            }
        }
    }
    assert!(momentary > 0 && !journal.is_stopped());
    drop((held, journal));
    assert_eq!(folder.sequences(), (1..=17).collect::<Vec<_>>());
    assert_eq!(Segment::list(&folder.0).unwrap().len(), 2);
}

#[test]
fn a_write_cut_short_at_any_byte_is_dropped_whole() {
    let folder = Folder::new("torn");
    let journal = folder.open().unwrap();
    append(&journal, vec![entry(10)]);
    let start = journal.appender().end as usize;
    append(&journal, vec![entry(10)]);
    let end = journal.appender().end as usize;
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
    let journal = folder.open().unwrap();
    assert_eq!(append(&journal, vec![entry(5)]), 2);
    assert_eq!(folder.sequences(), [1, 2]);
}

#[test]
fn a_group_torn_in_its_middle_is_dropped_but_acknowledged_groups_never_are() {
    let folder = Folder::new("middle");
    let journal = folder.open().unwrap();
    append(&journal, vec![entry(10)]);
    let group = journal.appender().end as usize;
    append(&journal, vec![entry(10), entry(10), entry(10)]);
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
    let journal = folder.open().unwrap();
    append(&journal, vec![entry(10)]);
    let end = journal.appender().end as usize;
    append(&journal, vec![entry(10)]);
    let written = journal.appender().end as usize;
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
    let journal = known(0).unwrap();
    append(&journal, vec![entry(10)]);
    append(&journal, vec![entry(10)]);
    let end = journal.appender().end as usize;
    drop(journal);
    let mut damaged = fs::read(folder.file()).unwrap();
    damaged[end - 1] ^= 1;
    fs::write(folder.file(), &damaged).unwrap();
    assert!(known(2).is_err(), "the last frame is damaged, not torn");
    assert_eq!(fs::read(folder.file()).unwrap(), damaged, "and left as it is");
    assert_eq!(known(1).unwrap().head().sequence, 1);
}

#[test]
fn a_missing_file_is_named() {
    let folder = Folder::new("gap");
    let journal = folder.open().unwrap();
    for _ in 0..20 {
        append(&journal, vec![entry(1024 * 1024)]);
    }
    let first = Segment::list(&folder.0).unwrap().remove(0).path;
    fs::remove_file(first).unwrap();
    let error = read_all(&journal, 0).unwrap_err().to_string();
    assert!(error.contains("but change 1 is needed"), "{error}");
}

#[test]
fn damage_in_an_older_file_is_named_where_it_is() {
    let folder = Folder::new("older");
    let journal = folder.open().unwrap();
    for _ in 0..20 {
        append(&journal, vec![entry(1024 * 1024)]);
    }
    let first = Segment::list(&folder.0).unwrap().remove(0).path;
    let mut damaged = fs::read(&first).unwrap();
    damaged[HEADER_AND_A_BIT] ^= 1;
    fs::write(&first, damaged).unwrap();
    let error = read_all(&journal, 0).unwrap_err().to_string();
    let named = first.display().to_string();
    assert!(error.contains(&named) && error.contains("checksum"), "{error}");
}

#[test]
fn a_reader_needs_no_lock_and_sees_whole_changes_while_others_are_appended() {
    let folder = Folder::new("beside");
    let journal = folder.open().unwrap();
    let history = &journal;
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reached = 0;
            while reached < 300 {
                let end = history.head().sequence;
                history
                    .read(reached, &mut |frame| {
                        assert_eq!(frame.sequence, reached + 1);
                        reached += 1;
                        ControlFlow::Continue(())
                    })
                    .unwrap();
                assert!(reached >= end, "{reached} of {end}");
            }
        });
        for _ in 0..100 {
            append(&journal, vec![entry(100_000), entry(10), entry(100_000)]);
        }
        reader.join().unwrap();
    });
}

#[test]
fn a_reader_begins_at_the_file_in_which_a_moment_or_a_change_is() {
    let folder = Folder::new("moment");
    let journal = folder.open().unwrap();
    let second = |number: i64| Timestamp::from_second(number).unwrap();
    for number in 1..=40 {
        let LogEntry { head, writes } = entry(1024 * 1024);
        append(&journal, vec![LogEntry { head: Head { time: second(number), ..head }, writes }]);
    }
    let history = &journal;
    let begins = |number: i64| history.before(second(number)).unwrap();
    assert_eq!([1, 16, 17, 18, 33, 34, 40, 99].map(begins), [0, 0, 0, 16, 16, 32, 32, 32]);
    let file = |number: u64| history.before_part_of(number).unwrap();
    assert_eq!([0, 1, 16, 17, 32, 33, 99].map(file), [0, 0, 0, 16, 16, 32, 32]);
    history.trim(40, Timestamp::MAX).unwrap();
    assert_eq!((begins(1), file(40), file(3)), (32, 32, 3));
}

#[test]
fn a_file_that_was_exchanged_breaks_the_chain() {
    let (folder, other) = (Folder::new("chain"), Folder::new("chain-other"));
    let journal = folder.open().unwrap();
    let forged = other.open().unwrap();
    for _ in 0..20 {
        append(&journal, vec![entry(1024 * 1024)]);
        append(&forged, vec![entry(1024 * 1024 - 1)]);
    }
    let first = |folder: &Folder| Segment::list(&folder.0).unwrap().remove(0).path;
    fs::copy(first(&other), first(&folder)).unwrap();
    let error = read_all(&journal, 0).unwrap_err().to_string();
    assert!(error.contains("does not follow the file before it"), "{error}");
}

#[test]
fn trimming_takes_only_whole_files_of_old_changes_and_the_chain_goes_on() {
    let folder = Folder::new("trim");
    let journal = folder.open().unwrap();
    for _ in 0..60 {
        append(&journal, vec![entry(1024 * 1024)]);
    }
    let history = &journal;
    let (past, future) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
    let begins = || history.start().unwrap().sequence;
    assert_eq!(history.trim(60, past).unwrap(), 0, "all changes are too young");
    assert_eq!(history.trim(10, future).unwrap(), 0, "no file ends so early");
    assert_eq!((history.trim(20, future).unwrap(), begins()), (1, 16));
    assert_eq!((history.trim(60, future).unwrap(), begins()), (2, 48), "the last file stays");
    assert!(read_all(&journal, 47).is_err());
    assert_eq!(sequences(&journal, 48), (49..=60).collect::<Vec<_>>());
    drop(journal);
    let journal = folder.open().unwrap();
    assert_eq!(append(&journal, vec![entry(1)]), 61);
    assert_eq!(sequences(&journal, 58), [59, 60, 61]);
}

#[test]
fn nothing_is_appended_behind_another_head() {
    let folder = Folder::new("moved");
    let log = folder.open().unwrap();
    let old = log.head();
    append(&log, vec![entry(10)]);
    let other = Position { sequence: 1, hash: [1; 32] };
    for expected in [old, other] {
        let moved = log.append(vec![entry(20)], expected).unwrap();
        assert!(matches!(moved, Append::Moved(head) if head == log.head()), "{moved:?}");
    }
    assert_eq!(sequences(&log, 0), [1]);
    drop(log);
    assert_eq!(folder.sequences(), [1]);
}

#[test]
fn what_could_not_be_read_back_is_refused_before_the_first_byte() {
    let folder = Folder::new("refused");
    let log = folder.open().unwrap();
    append(&log, vec![entry(10)]);
    let file = fs::read(folder.file()).unwrap();
    let refused = log.append(vec![entry(10), entry(64 * 1024 * 1024)], log.head());
    assert!(matches!(refused, Err(LogError::Refused(_))), "{refused:?}");
    assert!(fs::read(folder.file()).unwrap() == file, "nothing was written");
    assert_eq!(append(&log, vec![entry(10)]), 2);
    drop(log);
    assert_eq!(folder.sequences(), [1, 2]);
}

#[test]
fn a_reader_of_the_end_reads_no_file_and_one_of_an_old_position_seeks() {
    let folder = Folder::new("live");
    let log = folder.open().unwrap();
    for _ in 0..30 {
        append(&log, vec![entry(300_000)]);
    }
    let marks: Vec<_> = (1..30).map(|after| log.files.offsets.find(1, after).unwrap()).collect();
    assert!(marks.iter().zip(1..).all(|(mark, after)| mark.before.sequence == after), "{marks:?}");
    assert_eq!(sequences(&log, 5), (6..=30).collect::<Vec<_>>());
    // Damage in front of the place from which is read is not met.
    let file = folder.file();
    let mut damaged = fs::read(&file).unwrap();
    damaged[HEADER_AND_A_BIT] ^= 1;
    fs::write(&file, damaged).unwrap();
    assert_eq!(sequences(&log, 5), (6..=30).collect::<Vec<_>>());
    assert!(read_all(&log, 0).is_err());
    fs::remove_dir_all(&folder.0).unwrap();
    assert!(read_all(&log, 5).is_err());
    assert_eq!(sequences(&log, 28), [29, 30]);
    assert_eq!(sequences(&log, 30), [0; 0]);
}

#[test]
fn who_waits_for_a_change_is_woken_within_10_ms_and_by_the_end_of_waiting() {
    let folder = Folder::new("wait");
    let log = folder.open().unwrap();
    let minute = Duration::from_secs(60);
    let watch = Stopwatch::start();
    let soonest = std::thread::scope(|scope| {
        let waits = (0..20).map(|round| {
            let (ready, is_ready) = std::sync::mpsc::channel();
            let waiter = scope.spawn({
                let (log, watch) = (&log, &watch);
                move || {
                    ready.send(()).unwrap();
                    let head = log.wait_beyond(round, minute);
                    (head.sequence, watch.elapsed())
                }
            });
            is_ready.recv().unwrap();
            std::thread::sleep(Duration::from_millis(5));
            append(&log, vec![entry(10)]);
            let committed = watch.elapsed();
            let (sequence, woken) = waiter.join().unwrap();
            assert_eq!(sequence, round + 1);
            woken.saturating_sub(committed)
        });
        waits.min().unwrap()
    });
    // The quickest: a machine that is busy may let any single thread wait for longer.
    assert!(soonest < Duration::from_millis(10), "{soonest:?}");
    assert_eq!(log.wait_beyond(20, Duration::from_millis(1)).sequence, 20, "patience ends");
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| log.wait_beyond(20, minute));
        log.close();
        assert_eq!(waiter.join().unwrap().sequence, 20);
    });
    assert_eq!(log.wait_beyond(20, minute).sequence, 20);
}
