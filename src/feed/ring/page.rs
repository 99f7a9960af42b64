//! A page of events, as it is collected from records.

use bytes::Bytes;

use super::format::RingRecord;
use crate::feed::event::EventType;

/// How many bytes a page of events has at most; one event may have more.
pub(super) const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// Events in order.
pub(in crate::feed) struct Page {
    /// The sequence, the index, the type and the bytes of each.
    pub(in crate::feed) events: Vec<((u64, u32), EventType, Bytes)>,
    /// Where to go on.
    pub(in crate::feed) next: (u64, u32),
}

/// Collects events until their page is full.
pub(super) struct PageReader<'a> {
    after: (u64, u32),
    wants: &'a dyn Fn(&RingRecord<'_>) -> bool,
    limit: usize,
    bytes: usize,
    events: Vec<((u64, u32), EventType, Bytes)>,
    next: (u64, u32),
}

impl<'a> PageReader<'a> {
    pub(super) fn new(
        after: (u64, u32),
        wants: &'a dyn Fn(&RingRecord<'_>) -> bool,
        limit: usize,
    ) -> Self {
        Self { after, wants, limit, bytes: 0, events: Vec::new(), next: after }
    }

    /// Takes a record that begins at `used` in a chunk; answers whether the page ends.
    pub(super) fn is_full(&mut self, record: &RingRecord<'_>, chunk: &Bytes, used: usize) -> bool {
        let place = (record.sequence, record.index);
        if place <= self.after {
            return false;
        }
        if let Some(event_type) = record.event_type.filter(|_| (self.wants)(record)) {
            let length = record.payload.len();
            let fits = self.bytes + length <= PAGE_BYTES || self.events.is_empty();
            if !fits || self.events.len() == self.limit {
                return true;
            }
            self.bytes += length;
            let event = chunk.slice(used + record.payload.start..used + record.payload.end);
            self.events.push((place, event_type, event));
        }
        self.next = place;
        false
    }

    pub(super) fn finish(self) -> Page {
        Page { events: self.events, next: self.next }
    }
}
