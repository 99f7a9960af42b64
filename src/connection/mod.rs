//! Who speaks to us: the tokens of connections, and how a connection is set up at the other end.

pub mod setup;
pub mod token;
