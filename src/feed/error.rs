//! Why the feed can't be read.

use super::cursor::Cursor;

/// Why the feed can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// The cursor is of another feed: the directory was restored from a backup, or is another one.
    #[error(
        "The cursor is of another feed: the directory was restored from a backup, or is another one. List all users and \
         groups again, then follow the feed from the cursor of that list."
    )]
    Foreign,
    /// Events behind the cursor are no longer kept.
    #[error(
        "Events after the cursor are no longer kept; the oldest are those after {oldest}. List all users and groups again, \
         then follow the feed from the cursor of that list."
    )]
    Trimmed {
        /// Reading after it gives what is kept.
        oldest: Cursor,
    },
    /// The files of the feed can't be read; a clause that says why.
    #[error("The feed can't be read at the moment: {0}. Try again later.")]
    Unavailable(String),
}
