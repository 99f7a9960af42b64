use std::collections::BTreeSet;

use jiff::Timestamp;

use super::super::engine::Engine;
use super::*;
use crate::event::{Actor, Details, Event, Head, Verb};

fn state(folder: &std::path::Path, memory: usize) -> State {
    let engine = Engine::open(&folder.join("state"), 8).unwrap();
    let database = Database { engine, mark: folder.join("rebuild"), turn: Mutex::default() };
    State::new(database, memory, [7; 16], 0)
}

/// The frame with a number that makes some writes.
fn frame(sequence: u64, writes: impl Into<Vec<Write>>) -> [Arc<Frame>; 1] {
    let head = Head {
        time: Timestamp::UNIX_EPOCH,
        actor: Actor::System,
        event: Event { kind: String::new(), verb: Verb::Replaced, subject: String::new() },
        details: Details::default(),
    };
    let (group, previous, hash, writes) = (sequence, [0; 32], [0; 32], writes.into());
    [Arc::new(Frame { sequence, group, previous, hash, head, writes })]
}

fn write(key: u32, value: Option<u32>) -> Write {
    let value = value.map(|value| Bytes::from(value.to_le_bytes().repeat(20)));
    Write { key: [b"t", key.to_be_bytes().as_slice()].concat(), value }
}

fn all(state: &dyn Read) -> Vec<(Vec<u8>, Bytes)> {
    let mut all = Vec::new();
    let visit = &mut |key: &[u8], value| {
        all.push((key.to_vec(), value));
        ControlFlow::Continue(())
    };
    state.scan(b"t", None, visit).unwrap();
    all
}

#[test]
fn what_changes_while_it_is_loaded_is_held_as_the_database_has_it() {
    for memory in [usize::MAX, 400_000] {
        let folder = tempfile::tempdir().unwrap();
        let state = state(folder.path(), memory);
        let writes: Vec<Write> = (0..20_000).map(|key| write(key, Some(key))).collect();
        state.apply(&frame(1, writes)).unwrap();
        let mut loading = true;
        for change in 0..2_000_u32 {
            let key = change * 7919 % 25_000;
            let value = (change % 3 != 0).then_some(change);
            let changes = [write(key, value), write(key + 1, None), write(key + 2, Some(change))];
            state.apply(&frame(2 + u64::from(change), changes.clone())).unwrap();
            assert_eq!(state.get(&changes[0].key).unwrap(), changes[0].value);
            if change % 10 == 0 {
                loading = loading && state.load();
                // Where the database is read it is never behind.
                if state.memory.upto() == HeldUpTo::End {
                    state.catch_up().unwrap();
                }
                assert!(all(&state) == all(state.database.as_ref()));
            }
        }
        assert!(!loading);
        let check = state.check();
        assert_eq!(check.faults, 0, "{:?}", check.findings);
        let held = state.memory.upto() == HeldUpTo::End;
        let all_checked = check.checked == all(state.database.as_ref()).len() as u64;
        assert_eq!((held, all_checked), (memory == usize::MAX, held));
        assert_eq!(state.told.load(Ordering::Relaxed), !held);
    }
}

/// The last change that the database has.
fn applied(state: &State) -> u64 {
    state.database.engine.applied().unwrap().map_or(0, |(_, applied)| applied)
}

fn value(state: &dyn Read, key: u32) -> Option<Bytes> {
    state.get(&write(key, None).key).unwrap()
}

#[test]
fn while_memory_holds_all_the_database_follows_later() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(folder.path(), usize::MAX);
    state.apply(&frame(1, [write(1, Some(1))])).unwrap();
    assert_eq!(applied(&state), 1, "nothing is loaded yet");
    assert!(!state.load());
    let kept = state.version();
    state.apply(&frame(2, [write(1, Some(2)), write(2, Some(2))])).unwrap();
    state.apply(&frame(3, [write(1, Some(3))])).unwrap();
    assert_eq!((applied(&state), state.version().sequence()), (1, 3));
    assert_eq!(value(&state, 1), write(1, Some(3)).value);
    assert_eq!(value(state.database.as_ref(), 1), write(1, Some(1)).value);
    // What compares the two has it follow first.
    assert_eq!((state.check().faults, applied(&state)), (0, 3));
    assert!(all(&state) == all(state.database.as_ref()));
    assert_eq!((kept.sequence(), value(&kept, 1)), (1, write(1, Some(1)).value));
}

#[test]
fn what_makes_changes_waits_for_a_database_that_lacks_too_much() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(folder.path(), usize::MAX);
    assert!(!state.load());
    let large = |key| Write { key: write(key, None).key, value: Some(vec![0; 1 << 20].into()) };
    for sequence in 1..=4 {
        state.apply(&frame(sequence, [large(sequence as u32)])).unwrap();
        assert_eq!(applied(&state), 0);
    }
    state.apply(&frame(5, [large(5)])).unwrap();
    assert_eq!(applied(&state), 5);
}

#[test]
fn a_thread_has_the_database_follow_a_moment_later() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(folder.path(), usize::MAX);
    assert!(!state.load());
    let seen: Vec<u64> = std::thread::scope(|scope| {
        scope.spawn(|| state.follow_when_due());
        let seen = (1..=3).map(|sequence| {
            let since = Stopwatch::start();
            state.apply(&frame(sequence, [write(1, Some(1))])).unwrap();
            while applied(&state) < sequence && since.elapsed().as_secs() < 10 {
                std::thread::yield_now();
            }
            applied(&state)
        });
        let seen = seen.collect();
        state.close();
        seen
    });
    assert_eq!(seen, [1, 2, 3]);
}

#[test]
fn after_a_failed_write_nothing_is_written_and_memory_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(folder.path(), usize::MAX);
    assert!(!state.load());
    state.apply(&frame(1, [write(1, Some(1))])).unwrap();
    state.database.engine.fail();
    state.follow_when_due();
    assert!(state.is_stopped());
    state.apply(&frame(2, [write(1, Some(2))])).unwrap();
    assert!(matches!(state.catch_up(), Err(StoreError::Stopped)));
    assert_eq!(value(&state, 1), write(1, Some(2)).value);
    assert_eq!(state.check().faults, 1);
    assert!(!folder.path().join("rebuild").exists());
}

#[test]
fn the_database_has_what_memory_gives_up() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(folder.path(), 100_000);
    assert!(!state.load());
    assert_eq!(state.memory.upto(), HeldUpTo::End);
    for sequence in 1.. {
        let key = u32::try_from(sequence).unwrap();
        state.apply(&frame(sequence, [write(key, Some(key))])).unwrap();
        assert_eq!(all(&state).len() as u64, sequence);
        if state.memory.upto() != HeldUpTo::End {
            assert!(sequence > 500);
            break;
        }
        assert!(sequence > 400 || applied(&state) == 0);
    }
    state.apply(&frame(10_000, [write(0, Some(0))])).unwrap();
    assert_eq!((applied(&state), state.version().sequence()), (10_000, 10_000));
}

#[test]
fn between_two_looks_at_the_same_position_no_part_of_a_change_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(folder.path(), usize::MAX);
    assert!(!state.load());
    let stop = AtomicBool::new(false);
    let numbers = 0..u32::try_from(3 * PART).unwrap();
    let mut seen = BTreeSet::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut sequence = 0;
            while !stop.load(Ordering::Relaxed) {
                sequence += 1;
                let writes: Vec<Write> =
                    numbers.clone().map(|key| write(key, Some(sequence))).collect();
                state.apply(&frame(sequence.into(), writes)).unwrap();
                state.catch_up().unwrap();
                std::thread::yield_now();
            }
        });
        let database = state.database.as_ref();
        let value = |key| database.get(&write(key, None).key).unwrap();
        let (since, mut torn) = (Stopwatch::start(), false);
        while seen.len() < 50 && !torn && since.elapsed().as_secs() < 60 {
            let before = database.get(keys::APPLIED).unwrap();
            let (first, last) = (value(numbers.start), value(numbers.end - 1));
            if database.get(keys::APPLIED).unwrap() == before {
                torn = first != last;
                seen.insert(before);
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert!(!torn, "a change was seen in part");
    });
    assert_eq!(seen.len(), 50);
}

#[test]
fn a_difference_between_memory_and_database_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(folder.path(), usize::MAX);
    assert!(!state.load());
    state.apply(&frame(1, [write(1, Some(1)), write(2, Some(2))])).unwrap();
    assert_eq!(state.check().faults, 0);
    let other = [write(1, Some(3)), write(2, None), write(4, Some(4))];
    state.memory.apply(other.iter());
    let check = state.check();
    assert_eq!((check.checked, check.faults), (2, 3), "{:?}", check.findings);
}

#[test]
fn a_damaged_record_ends_the_loading_and_is_noted() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(folder.path(), usize::MAX);
    let record = Write { key: b"r\x01damaged".to_vec(), value: Some(Bytes::from_static(b"?")) };
    state.apply(&frame(1, [record.clone(), write(1, Some(1))])).unwrap();
    assert!(!state.load());
    assert!(folder.path().join("rebuild").exists());
    assert!(matches!(state.get(&record.key), Err(StoreError::Damaged { .. })));
    assert_eq!(all(&state).len(), 1);
}

#[test]
fn a_version_stays_as_it_is_wherever_its_keys_are() {
    for memory in [usize::MAX, 300_000, 0] {
        let folder = tempfile::tempdir().unwrap();
        let state = state(folder.path(), memory);
        let writes: Vec<Write> = (0..8_000).map(|key| write(key * 2, Some(key))).collect();
        state.apply(&frame(1, writes)).unwrap();
        (0..10).for_each(|_| {
            state.load();
        });
        let (version, before) = (state.version(), all(&state));
        for change in 0..2_000_u32 {
            let key = change * 7919 % 18_000;
            let changes = [write(key, Some(change + 1)), write(key + 1, None)];
            state.apply(&frame(2 + u64::from(change), changes.clone())).unwrap();
            let was = before.iter().find(|(known, _)| *known == changes[0].key);
            let was = was.map(|(_, value)| value.clone());
            assert_eq!(version.get(&changes[0].key).unwrap(), was);
            state.load();
            if change % 100 == 0 {
                state.catch_up().unwrap();
            }
        }
        assert!(version.sequence() == 1 && all(&version) == before && all(&state) != before);
        let latest = state.version();
        assert!(latest.sequence() == 2_001 && all(&latest) == all(&state));
        drop((version, latest));
        drop(state.version());
        assert_eq!(state.versions.lock().unwrap().len(), 1, "those that are dropped are forgotten");
    }
}
