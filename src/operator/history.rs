//! The newest changes of the audit trail, newest first: read back in small steps, within a time.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::directory::ChangeFilter;
use crate::log::{Frame, ReadLog};
use crate::store::StoreError;

/// The number of changes that are read in one step.
const STEP: u64 = 500;
/// About the longest time that one part takes; at least one step is read.
const MAX_TIME: Duration = Duration::from_millis(25);
/// The most changes of one part.
const MAX_CHANGES: usize = 1_000;

/// A part of the audit trail, read back from a change.
pub(super) struct NewestChanges {
    /// The changes that match, oldest first.
    pub(super) frames: VecDeque<Arc<Frame>>,
    /// The sequence after which it was read.
    pub(super) reached: u64,
    /// Whether there is nothing before it.
    pub(super) is_whole: bool,
}

/// The newest part up to a change: as much as there is time for, `count` changes at most.
pub(super) fn newest(
    log: &dyn ReadLog,
    upto: Option<u64>,
    filter: &ChangeFilter,
    count: usize,
) -> Result<NewestChanges, StoreError> {
    let (start, since) = (log.start()?.sequence, Stopwatch::start());
    let first_possible = match filter.since {
        Some(moment) => log.before(moment)?.max(start),
        None => start,
    };
    let (end, count) = (log.head().sequence, count.clamp(1, MAX_CHANGES));
    let mut reached = upto.unwrap_or(end).min(end);
    let mut frames: VecDeque<Arc<Frame>> = VecDeque::new();
    while reached > first_possible {
        let after = reached.saturating_sub(STEP).max(first_possible);
        let mut found = Vec::new();
        log.read(after, &mut |frame| {
            if frame.sequence > reached {
                return ControlFlow::Break(());
            }
            if filter.takes(&frame) {
                found.push(frame);
            }
            ControlFlow::Continue(())
        })?;
        reached = after;
        while let Some(frame) = found.pop() {
            if frames.len() == count {
                // The next part begins with this one.
                reached = frame.sequence;
                break;
            }
            frames.push_front(frame);
        }
        if frames.len() == count || since.elapsed() > MAX_TIME {
            break;
        }
    }
    Ok(NewestChanges { frames, reached, is_whole: reached <= first_possible })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Actor, Details, Event, Head, Verb};
    use crate::log::memory::MemoryLog;
    use crate::log::{Log as _, LogEntry, Position};

    #[test]
    fn every_change_is_found_once_going_back_part_by_part() {
        let log = MemoryLog::new(|| {});
        let entry = |number: u64| LogEntry {
            head: Head {
                time: jiff::Timestamp::UNIX_EPOCH,
                actor: Actor::System,
                event: Event {
                    kind: if number.is_multiple_of(3) { "user" } else { "group" }.to_owned(),
                    verb: Verb::Created,
                    subject: number.to_string(),
                },
                details: Details::default(),
            },
            writes: Vec::new(),
        };
        let all = STEP * 2 + 77;
        log.append((1..=all).map(entry).collect(), Position::default()).unwrap();
        let filter = ChangeFilter { events: vec!["user".to_owned()], ..ChangeFilter::default() };
        let (mut upto, mut found) = (None, Vec::new());
        loop {
            let part = newest(&log, upto, &filter, 7).unwrap();
            assert!(part.frames.len() <= 7);
            found.extend(part.frames.iter().rev().map(|frame| frame.sequence));
            if part.is_whole {
                break;
            }
            upto = Some(part.reached);
        }
        let expected: Vec<u64> =
            (1..=all).rev().filter(|number| number.is_multiple_of(3)).collect();
        assert_eq!(found, expected);
    }
}
