//! The request log: what each client asked, what it was answered, and why.
//!
//! A record holds no body, unless an operator has asked for it, and no value of a query. A request leaves its
//! record as a line in a buffer of a bounded size; every few milliseconds one thread appends what has gathered
//! to files, which are never synced and of which the oldest give way. A record that does not fit is dropped and
//! counted: no request waits for a disk.
//!
//! | file | contents |
//! | --- | --- |
//! | `entry`, `line` | a record; a record as a line |
//! | `explain` | a record in words |
//! | `bodies` | bodies that an operator has asked to keep for a while, masked |
//! | `mask` | tokens in the texts of clients |
//! | `query` | which records are wanted, and the place in the files from which to go on |
//! | `ring` | files of a bounded size, of which the oldest is removed |
//! | `read` | the search in those files, with or without a server |
//! | `traffic` | what each connection asked lately, in figures |
//! | `recorder`, `waiting` | the thread; what waits for it |

mod bodies;
mod entry;
mod explain;
mod line;
mod mask;
mod query;
mod read;
mod recorder;
mod ring;
mod traffic;
mod waiting;

pub use bodies::{KeptBodies, RawBodies};
pub use entry::{CommittedChange, Repetition, RequestEntry};
pub use query::{RequestCursor, RequestPage, RequestQuery};
pub use read::read;
pub use recorder::{RequestLog, RequestLogLimits};
pub use traffic::Traffic;

/// The folder of the request log in the data directory.
pub const FOLDER: &str = "requests";
/// In it: the records of authenticated requests.
const SERVED: &str = "served";
/// In it: the records of denied requests, which have a share of their own.
const DENIED: &str = "denied";
