//! The answer to a command that the writer has not given yet.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::directory::error::DirectoryError;

/// What the writer answers: the outcome, and the sequences of the changes in the log, if there are any.
pub(crate) type Answer<T> = (Result<T, DirectoryError>, Option<Range<u64>>);

/// The answer to a command: a future for the doors, or waited for in place.
pub struct Pending<T> {
    pub(crate) answer: oneshot::Receiver<Answer<T>>,
    changes: Option<Range<u64>>,
}

impl<T> Pending<T> {
    pub(crate) fn new(answer: oneshot::Receiver<Answer<T>>) -> Self {
        Self { answer, changes: None }
    }

    /// The sequences of the changes that the command made; known once it is answered.
    pub fn changes(&self) -> Option<Range<u64>> {
        self.changes.clone()
    }

    /// Waits in place; not for a thread that drives asynchronous tasks.
    ///
    /// # Errors
    ///
    /// What the command answered, or [`DirectoryError::Stopped`].
    pub fn wait(self) -> Result<T, DirectoryError> {
        self.answer.blocking_recv().map_or(Err(DirectoryError::Stopped), |(outcome, _)| outcome)
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, DirectoryError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.answer).poll(context);
        answer.map(|answer| {
            let (outcome, changes) = answer.unwrap_or((Err(DirectoryError::Stopped), None));
            self.changes = changes;
            outcome
        })
    }
}
