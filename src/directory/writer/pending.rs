//! The answer to a command that the writer has not given yet.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::directory::error::DirectoryError;

/// The answer to a command: a future for the doors, or waited for in place.
pub struct Pending<T>(pub(crate) oneshot::Receiver<Result<T, DirectoryError>>);

impl<T> Pending<T> {
    /// Waits in place; not for a thread that drives asynchronous tasks.
    ///
    /// # Errors
    ///
    /// What the command answered, or [`DirectoryError::Stopped`].
    pub fn wait(self) -> Result<T, DirectoryError> {
        self.0.blocking_recv().unwrap_or(Err(DirectoryError::Stopped))
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, DirectoryError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.0).poll(context);
        answer.map(|answer| answer.unwrap_or(Err(DirectoryError::Stopped)))
    }
}
