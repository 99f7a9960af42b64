//! What a consumer has got of the change feed, event by event.

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// An event: its place in the feed, and a hash of what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    sequence: u64,
    index: u32,
    hash: u64,
}

impl Event {
    fn of(event: &Value) -> Result<Self> {
        let id = event["id"].as_str().context("an event without an id")?;
        // The feed, the change, and the event of the change; the last one of a change may be without.
        let mut parts = id.split('.').skip(1);
        let sequence = parts.next().and_then(|part| part.parse().ok());
        let sequence = sequence.with_context(|| format!("{id} is no id of an event"))?;
        let index = parts.next().map_or(Ok(u32::MAX), str::parse)?;
        Ok(Self { sequence, index, hash: hash(&event.to_string()) })
    }

    fn place(&self) -> (u64, u32) {
        (self.sequence, self.index)
    }
}

/// The events of one consumer.
#[derive(Default)]
pub struct Ledger(Mutex<Vec<Event>>);

impl Ledger {
    fn events(&self) -> MutexGuard<'_, Vec<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn len(&self) -> usize {
        self.events().len()
    }

    pub fn last(&self) -> Option<Event> {
        self.events().last().copied()
    }

    /// Notes the next events, which must be behind all that are noted.
    pub fn take<'a>(&self, events: impl IntoIterator<Item = &'a Value>) -> Result<()> {
        let mut noted = self.events();
        for event in events {
            let event = Event::of(event)?;
            if let Some(last) = noted.last() {
                ensure!(last.place() < event.place(), "{event:?} came after {last:?}");
            }
            noted.push(event);
        }
        Ok(())
    }

    /// Compares events with those that are noted from a position on, and notes what is behind these.
    pub fn take_again(&self, position: usize, events: &[Value]) -> Result<()> {
        let known = self.len().saturating_sub(position).min(events.len());
        let (again, new) = events.split_at(known);
        for (number, event) in again.iter().enumerate() {
            let (before, event) = (self.events()[position + number], Event::of(event)?);
            ensure!(before == event, "{event:?} was {before:?} when it was read before");
        }
        self.take(new)
    }

    /// How this differs from the last events of the whole feed.
    pub fn compare(&self, whole: &Self, first: usize) -> Result<()> {
        let (events, whole) = (self.events(), whole.events());
        let wanted = whole.get(first..).unwrap_or_default();
        let pairs = events.iter().zip(wanted);
        let different = pairs.take_while(|(got, wanted)| got == wanted).count();
        ensure!(
            events.as_slice() == wanted,
            "{} events, the feed has {}; the first that differs is {:?}, in the feed {:?}",
            events.len(),
            wanted.len(),
            events.get(different),
            wanted.get(different)
        );
        Ok(())
    }
}

/// The same for the same content, in one process.
pub fn hash(content: &(impl std::hash::Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(id: &str) -> Value {
        json!({"id": id, "type": "user.created"})
    }

    #[test]
    fn a_ledger_sees_what_is_lost_doubled_or_out_of_order() {
        let ids = ["ab.1.0", "ab.1", "ab.2", "ab.4.0"];
        let events = ids.map(event);
        let (whole, ledger) = (Ledger::default(), Ledger::default());
        whole.take(&events).unwrap();
        ledger.take(&events[1..3]).unwrap();
        assert!(ledger.compare(&whole, 1).is_err());
        assert!(ledger.take(&events[2..]).is_err() && ledger.take(&events[..1]).is_err());
        ledger.take(&events[3..]).unwrap();
        ledger.compare(&whole, 1).unwrap();
        assert!(ledger.compare(&whole, 0).is_err());
        whole.take_again(2, &[event("ab.2"), event("ab.4.0"), event("ab.5")]).unwrap();
        assert_eq!(whole.len(), 5);
        assert!(whole.take_again(1, &[event("ab.2")]).is_err());
    }
}
