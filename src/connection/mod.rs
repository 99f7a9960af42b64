//! Who speaks to us: the tokens of connections.

pub mod token;
