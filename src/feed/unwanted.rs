//! For filters that were used lately, parts of the feed in which they want nothing.
//!
//! Many consumers that wait with the same filter have each event looked at once.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::filter::EventFilter;

/// How many filters are remembered.
const FILTERS: usize = 32;

/// A record of the feed: the change, and the event of the change.
type Place = (u64, u32);

/// The parts that are known.
#[derive(Default)]
pub(super) struct UnwantedParts(Mutex<VecDeque<UnwantedPart>>);

/// A part of the feed without an event that a filter wants.
struct UnwantedPart {
    filter: EventFilter,
    /// Everything behind this record,
    after: Place,
    /// up to this one.
    upto: Place,
}

impl UnwantedParts {
    fn parts(&self) -> MutexGuard<'_, VecDeque<UnwantedPart>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record behind which a filter must look if all behind `after` is asked for.
    pub(super) fn skip(&self, filter: &EventFilter, after: Place) -> Place {
        let parts = self.parts();
        let known = parts.iter().find(|part| part.filter == *filter);
        known
            .filter(|part| part.after <= after && after < part.upto)
            .map_or(after, |part| part.upto)
    }

    /// Notes that a filter wants nothing behind `after`, up to `upto`.
    pub(super) fn note(&self, filter: &EventFilter, after: Place, upto: Place) {
        if after >= upto {
            return;
        }
        let mut parts = self.parts();
        let known = parts.iter().position(|part| part.filter == *filter);
        let known = known.and_then(|place| parts.remove(place));
        let meets = |part: &UnwantedPart| part.after <= after && after <= part.upto;
        let part = match known {
            Some(mut part) if meets(&part) => {
                part.upto = part.upto.max(upto);
                part
            }
            // One that is further back may not take the place of what most consumers are at.
            Some(part) if part.upto > upto => part,
            _ => UnwantedPart { filter: filter.clone(), after, upto },
        };
        parts.push_front(part);
        parts.truncate(FILTERS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(name: &str) -> EventFilter {
        EventFilter::new([], [name], []).unwrap()
    }

    #[test]
    fn what_one_consumer_has_looked_at_the_next_skips() {
        let (parts, one, other) = (UnwantedParts::default(), filter("one"), filter("other"));
        assert_eq!(parts.skip(&one, (3, 0)), (3, 0));
        parts.note(&one, (3, 0), (9, 1));
        for (after, begin) in
            [((2, 9), (2, 9)), ((3, 0), (9, 1)), ((9, 0), (9, 1)), ((9, 1), (9, 1))]
        {
            assert_eq!(parts.skip(&one, after), begin, "{after:?}");
            assert_eq!(parts.skip(&other, after), after);
        }
        parts.note(&one, (9, 1), (12, 0));
        assert_eq!(parts.skip(&one, (3, 0)), (12, 0), "parts that meet are one");
        parts.note(&one, (1, 0), (2, 0));
        assert_eq!(parts.skip(&one, (3, 0)), (12, 0), "what is further back does not count");
        parts.note(&one, (20, 0), (22, 0));
        assert_eq!(parts.skip(&one, (3, 0)), (3, 0), "between them may be something");
        assert_eq!(parts.skip(&one, (21, 0)), (22, 0));
    }

    #[test]
    fn the_32_filters_that_were_used_last_are_remembered() {
        let parts = UnwantedParts::default();
        let names: Vec<String> = (0..=FILTERS).map(|number| number.to_string()).collect();
        for name in &names {
            parts.note(&filter(name), (1, 0), (2, 0));
        }
        let known = names.iter().map(|name| parts.skip(&filter(name), (1, 0)) == (2, 0));
        let known: Vec<bool> = known.collect();
        assert_eq!(known.iter().filter(|known| **known).count(), FILTERS);
        assert!(!known[0]);
    }
}
