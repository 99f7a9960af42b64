//! Who speaks to us: the methods of connections, the dialects that they use, their tokens, and how they
//! are set up at the other end.

pub mod dialect;
pub mod flat;
pub mod method;
pub mod setup;
pub mod token;
