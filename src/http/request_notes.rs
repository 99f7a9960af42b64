//! What handlers learn of a request, for the request log.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::text::shorten;

/// The number of ignored attributes whose names are recorded, and the bytes of each name.
const MAX_IGNORED: usize = 20;
const MAX_NAME: usize = 100;

/// What a handler learns of the request that it handles.
pub(super) struct Notes {
    /// The id of the request.
    request: String,
    noted: Mutex<NotedRequest>,
}

/// What was learnt.
#[derive(Default)]
pub(super) struct NotedRequest {
    pub(super) created: Option<String>,
    pub(super) filter: Option<String>,
    pub(super) ignored: Vec<String>,
    pub(super) changes: Option<Range<u64>>,
}

impl Notes {
    /// Nothing is known yet of the request with this id.
    pub(super) fn of(request: &str) -> Self {
        Self { request: request.to_owned(), noted: Mutex::default() }
    }

    /// The id of the request.
    pub(super) fn request(&self) -> &str {
        &self.request
    }

    /// The request created a resource, or reactivated one.
    pub(super) fn created(&self, id: String) {
        self.lock().created = Some(id);
    }

    /// The outline of the filter of a search.
    pub(super) fn filter(&self, outline: String) {
        self.lock().filter = Some(outline);
    }

    /// Attributes of the body that no schema knows were left out.
    pub(super) fn ignored(&self, names: &[String]) {
        let mut noted = self.lock();
        for name in names {
            if noted.ignored.len() < MAX_IGNORED && !noted.ignored.contains(name) {
                noted.ignored.push(shorten(name, MAX_NAME).into_owned());
            }
        }
    }

    /// The request changed something: the sequences of the changes in the log.
    pub(super) fn changes(&self, sequences: Range<u64>) {
        self.lock().changes = Some(sequences);
    }

    pub(super) fn into_noted(self) -> NotedRequest {
        self.noted.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, NotedRequest> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
